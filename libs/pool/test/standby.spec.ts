import { setTimeout as sleep } from 'node:timers/promises';
import { ThreadCrashedError, ThreadPoolExecutor } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { Bell } from '../src/shared-memory/bell.ts';
import type * as tasks from './standby-tasks.ts';

const TASKS = new URL('./standby-tasks.ts', import.meta.url);
const pool = (maxWorkers = 1) => new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers });

describe('a thread that sleeps on shared memory for a moment once it has nothing to do', () => {
  it('hears every message, whenever it comes', async () => {
    await using executor = pool(2);
    for (let n = 0; n < 400; n += 1) {
      expect(await executor.submit('noop', n)).toBe(n);
      const gap = n % 8;
      if (gap > 0) await sleep(gap);
    }
    const all = await Promise.all(Array.from({ length: 5000 }, (_, n) => executor.submit('noop', n)));
    expect(all).toEqual(Array.from({ length: 5000 }, (_, n) => n));
  });

  it('lets go on what a task left behind, also while tasks come without a pause', async () => {
    await using executor = pool();
    await executor.submit('leaveBehind');
    let left = await executor.submit('left');
    while (left.timers < 20 || left.echoes < 20) left = await executor.submit('left');
    expect(left).toMatchObject({ timers: 20, echoes: 20 });
  });

  it('first does what a task left to promises and ticks', async () => {
    await using executor = pool();
    for (let n = 1; n < 200; n += 1) {
      await executor.submit('leavePromises');
      expect(await executor.submit('left')).toMatchObject({ microtasks: n, ticks: n });
    }
  });

  it('takes no processor time while it is idle', async () => {
    await using executor = pool(2);
    await Promise.all(Array.from({ length: 100 }, (_, n) => executor.submit('noop', n)));
    await sleep(200);
    const before = process.cpuUsage();
    await sleep(1000);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(0.3); // the test's own process does a little
  });

  it('can be ended, and replaced, where it sleeps', async () => {
    await using executor = pool();
    for (let n = 0; n < 5; n += 1) {
      await executor.submit('noop', n);
      await expect(executor.submit('exit')).rejects.toBeInstanceOf(ThreadCrashedError);
    }
    await executor.submit('noop', 1);
    await executor.shutdown();
  });
});

describe('a bell', () => {
  it('is heard by who comes to sleep after it rang, and counts past what a word holds', () => {
    const bell = new Bell();
    expect(bell.await(0, 0)).toBe(false);
    bell.ring();
    expect(bell.await(0, 60_000)).toBe(true);
    expect(bell.await(1, 0)).toBe(false);
    new Int32Array(bell.memory)[0] = 2 ** 31 - 1;
    bell.ring();
    expect(bell.await(2 ** 31 - 1, 60_000)).toBe(true);
    expect(bell.await((2 ** 31) | 0, 0)).toBe(false);
  });
});
