/** Which task of a pool of threads begins when, and in which thread. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { marked, openGate, poolBench, words } from './pool-bench.ts';

const pool = poolBench();

describe('a ThreadPoolExecutor', () => {
  it('starts threads as there are tasks for them, up to maxWorkers, and uses all of them', async () => {
    const executor = pool({ maxWorkers: 3 });
    const memory = words();
    const blocked = [0, 1, 2, 3, 4, 5].map(() => executor.submit('markAndBlock', memory, 0, 1));
    await marked(memory, 0, 3);
    openGate(memory, 1);
    expect(new Set(await Promise.all(blocked)).size).toBeLessThanOrEqual(3);
  });

  it('starts none for tasks that are not due yet', async () => {
    const executor = pool({ maxWorkers: 4 });
    const started = vi.fn();
    process.on('worker', started);
    onTestFinished(() => void process.off('worker', started));
    for (let n = 0; n < 3; n += 1) executor.with({ delay: 60_000 }).submit('noop');
    await executor.submit('noop');
    await executor.with({ delay: 1 }).submit('noop');
    expect(started).toHaveBeenCalledTimes(1);
  });

  it('takes what waits behind a slow task to an idle thread, also past one that has nothing to give', async () => {
    const executor = pool({ maxWorkers: 3 });
    const memory = words();
    const gates = [1, 2, 3];
    const block = () => gates.map((gate) => executor.submit('markAndBlock', memory, 0, gate));
    for (let round = 1; round <= 2; round += 1) {
      const blocked = block();
      await marked(memory, 0, 3 * round); // each thread has one
      const behind = gates.map(() => executor.submit('noop'));
      await new Promise((resolve) => setImmediate(resolve)); // one is sent to each, ahead of its turn
      if (round === 2) {
        expect(await behind[0]?.cancel()).toBe(true);
        openGate(memory, 3);
        await Promise.all(behind.slice(1));
        expect(blocked.map((future) => future.done())).toEqual([false, false, true]);
      }
      for (const gate of gates) openGate(memory, gate);
      await Promise.all(blocked);
      memory.fill(0, 1, 4);
    }
  });

  it('runs it before what was sent ahead to a thread, which comes back in its turn', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const order: string[] = [];
    const submit = (priority: number, name: string, delay = 0) =>
      executor
        .with({ priority, delay })
        .submit('noop')
        .addDoneCallback(() => order.push(name));
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    submit(9, 'late');
    submit(5, 'first');
    submit(5, 'second');
    await sleep(1); // one of them was sent ahead with the end of the turn
    submit(3, 'urgent');
    submit(1, 'delayed', 1);
    await sleep(5); // timers fire in the order in which they are due
    openGate(memory, 1);
    await running;
    await executor.shutdown();
    expect(order).toEqual(['delayed', 'urgent', 'first', 'second', 'late']);
  });

  it('keeps as many priorities as there are tasks', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    const order: number[] = [];
    const numbers = Array.from({ length: 500 }, (_, n) => (n * 311) % 500);
    for (const priority of numbers)
      executor
        .with({ priority })
        .submit('noop')
        .addDoneCallback(() => order.push(priority));
    openGate(memory, 1);
    await running;
    await executor.shutdown();
    expect(order).toEqual(numbers.toSorted((a, b) => a - b));
  });

  it('runs what has the lowest priority number first', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const first = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const order: number[] = [];
    const ahead = executor.submit('noop'); // one task is sent ahead of its turn
    await Promise.resolve();
    const all = [5, 1, 3].map((priority) => {
      const future = executor.with({ priority }).submit('noop');
      future.addDoneCallback(() => order.push(priority));
      return future;
    });
    openGate(memory, 1);
    await Promise.all([first, ahead, ...all]);
    expect(order).toEqual([1, 3, 5]);
  });

  it('gives the Future of the task that is not done yet to who submits the same key', async () => {
    const executor = pool();
    const once = executor.with({ dedupe: 'key' });
    const future = once.submit('nap', 5);
    expect(once.submit('nap', 5)).toBe(future);
    await future;
    expect(once.submit('nap', 5)).not.toBe(future);
  });

  it('waits with a delayed task, which can be cancelled meanwhile', async () => {
    const executor = pool();
    const started = performance.now();
    const cancelled = executor.with({ delay: 60_000 }).submit('noop');
    await executor.with({ delay: 30 }).submit('noop');
    expect(performance.now() - started).toBeGreaterThanOrEqual(29);
    expect(await cancelled.cancel()).toBe(true);
  });
});
