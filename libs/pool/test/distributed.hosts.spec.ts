/** Hosts that start, close, die, stand still, or do not hear what is said. */
import { once } from 'node:events';
import { hostname } from 'node:os';
import { BrokenExecutorError, fleet, InvalidStateError, WorkerHost } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

describe('a host', () => {
  it('that cannot load its tasks says so at start, and takes no job', async () => {
    const broken = new WorkerHost('work', {
      session: bench.session,
      tasks: new URL('./broken.ts', import.meta.url),
      threads: 2,
    });
    await expect(broken.start()).rejects.toThrow(BrokenExecutorError);
    await broken.close();
    await expect(broken.start()).rejects.toThrow(InvalidStateError);
  });

  it('announces itself, and is gone from the list when it is closed or dead', async () => {
    const made = await bench.host({ version: '1.2.3' });
    const child = await bench.hostProcess();
    const running = bench.executor().submit('untilAborted');
    await until(() => expect(running.running()).toBe(true));
    const { hosts: live, queues } = await fleet(bench.session);
    expect(live.map(({ pid }) => pid).sort()).toEqual([process.pid, child.pid].sort());
    expect(live.find(({ pid }) => pid === process.pid)).toMatchObject({
      threads: 2,
      queue: 'work',
      version: '1.2.3',
      host: hostname(),
    });
    expect(queues).toEqual([expect.objectContaining({ name: 'work', hosts: 2, active: 1, waiting: 0 })]);
    await running.abort();
    await made.close();
    child.kill('SIGKILL');
    await until(async () => expect((await fleet(bench.session)).hosts).toEqual([]));
  }, 60_000);

  it('that is closed lets running jobs end in their grace period', async () => {
    const made = await bench.host();
    const gate = `${bench.namespace}:gate`;
    const future = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    const closing = made.close({ gracePeriod: 15_000 });
    await bench.plain.set(gate, 'open');
    await closing;
    expect(await future).toBe(1);
    await bench.plain.del(gate);
  });

  it('that is closed gives back what goes on longer, with no attempt lost, and what it had not begun', async () => {
    const made = await bench.host({ threads: 1 });
    const pool = bench.executor({ retries: 0 });
    const polite = pool.submit('untilGate', [bench.url, `${bench.namespace}:gate`]);
    await until(() => expect(polite.running()).toBe(true));
    const rest = [1, 2, 3].map((n) => pool.submit('square', n));
    await Promise.all(rest.map((future) => future.accepted));
    await made.close({ gracePeriod: 20 });
    expect(await bench.unfinished()).toBe(4);
    expect(await bench.plain.llen(bench.key('active'))).toBe(0);
    expect(polite.done()).toBe(false);
    await bench.plain.set(`${bench.namespace}:gate`, 'open');
    await bench.host();
    expect(await polite).toBe(2);
    expect(await Promise.all(rest)).toEqual([1, 4, 9]);
    await bench.plain.del(`${bench.namespace}:gate`);
  });

  it('ends with 0 on SIGTERM, with nothing in limbo', async () => {
    const child = await bench.hostProcess();
    const futures = Array.from({ length: 20 }, () => bench.executor().submit('nap', 30));
    await until(() => expect(futures.filter((future) => future.done()).length).toBeGreaterThan(2));
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    await bench.host();
    expect((await Promise.all(futures)).length).toBe(20);
    expect(await bench.unfinished()).toBe(0);
  });

  it('that is killed in the middle loses no job, and each Future ends once', async () => {
    const children = await Promise.all([bench.hostProcess(), bench.hostProcess()]);
    const key = `${bench.namespace}:runs`;
    const pool = bench.executor();
    const outcomes: number[] = [];
    const futures = Array.from({ length: 60 }, (_, n) => {
      const future = pool.submit('tally', [bench.url, key, n, 20]);
      future.addDoneCallback(() => outcomes.push(n));
      return future;
    });
    await until(() => expect(outcomes.length).toBeGreaterThan(8));
    children[0]?.kill('SIGKILL');
    expect(await Promise.all(futures)).toEqual(Array.from({ length: 60 }, (_, n) => n));
    expect(outcomes.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n));
    const runs = Object.values(await bench.plain.hgetall(key)).map(Number);
    expect(runs.length).toBe(60);
    expect(Math.min(...runs)).toBe(1);
    expect(runs.filter((count) => count > 1).length).toBeLessThanOrEqual(2);
    expect(await bench.unfinished()).toBe(0);
    await bench.plain.del(key);
  }, 30_000);
});

describe('a host that gave no sign of life in time', () => {
  it('ends its own run of the job it lost; the other one counts, and nothing hangs', async () => {
    const child = await bench.hostProcess();
    const gate = `${bench.namespace}:gate`;
    const future = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    child.kill('SIGSTOP');
    const second = await bench.host();
    await until(() => expect(second.status().running).toBe(1));
    child.kill('SIGCONT');
    await bench.plain.set(gate, 'open');
    expect(await future).toBeGreaterThan(1);
    await bench.plain.del(gate);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  it('runs the job it lost and got again once at a time', async () => {
    const made = await bench.host({ onError: () => {} });
    const gate = `${bench.namespace}:gate`;
    const future = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    await until(async () => {
      await bench.plain.del(bench.key(`${future.id}:lock`));
      expect(await bench.plain.hget(bench.key(future.id), 'ats')).not.toBe('1');
    }, 50);
    expect(made.status().running).toBeLessThanOrEqual(1);
    await bench.plain.set(gate, 'open');
    expect(await future).toBeGreaterThan(1);
    await bench.plain.del(gate);
    await until(() => expect(made.status().running).toBe(0));
  });
});

describe('a missed message', () => {
  it('costs time, never an outcome', async () => {
    await using other = await bench.anotherSession();
    await bench.host({ session: other });
    const future = bench.executor().submit('nap', 150);
    await future.accepted;
    // All subscribers are cut, as often as they come back, until the job is done: its news reach nobody.
    const cut = setInterval(() => void bench.plain.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), 2);
    try {
      await until(async () => expect(await bench.unfinished()).toBe(0));
    } finally {
      clearInterval(cut);
    }
    expect(await future).toBeGreaterThan(0);
  });
});
