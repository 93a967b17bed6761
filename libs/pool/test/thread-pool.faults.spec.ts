/** Tasks that throw, exit, run out of memory or never end, in a pool of threads. */
import { type Executor, ThreadCrashedError } from '@heddle/pool';
import { NotCloneableError, setExceptHook } from '@heddle/primitives';
import { describe, expect, it } from 'vitest';
import { openGate, poolBench, words } from './pool-bench.ts';
import { until } from './until.ts';

const pool = poolBench();

describe('bad work hurts itself only', () => {
  it.each([
    ['exits', 'exit' as const, [7], /exited with code 7/],
    ['runs out of memory', 'outOfMemory' as const, [], /memory/],
  ])(
    'a task that %s fails; the thread is replaced, tasks before and behind it are not harmed',
    async (_, task, args, message) => {
      const executor = pool({ maxWorkers: 1, resourceLimits: { maxOldGenerationSizeMb: 24 } });
      const before = [1, 2, 3].map((n) => executor.submit('square', n));
      const bad = (executor as unknown as Executor).submit(task, ...args);
      const behind = [4, 5, 6].map((n) => executor.submit('square', n));
      const error = await bad.exception();
      expect(error).toBeInstanceOf(ThreadCrashedError);
      expect(error?.message).toMatch(message);
      expect(await Promise.all([...before, ...behind])).toEqual([1, 4, 9, 16, 25, 36]);
    },
  );

  it('runs a task again whose thread crashed, or that failed, as often as was asked for', {
    timeout: 60_000, // each crash starts another thread
  }, async () => {
    const executor = pool({ retries: 2 });
    expect(await executor.submit('crashTimes', words(), 2)).toBe(3);
    expect(await executor.submit('failTimes', words(), 2)).toBe(3);
    await expect(executor.submit('crashTimes', words(), 3)).rejects.toThrow(ThreadCrashedError);
    await expect(executor.with({ retries: 0 }).submit('failTimes', words(), 1)).rejects.toThrow('not yet');
    const backoff = { type: 'exponential', delay: 5, jitter: 0.5 } as const;
    expect(await executor.with({ backoff }).submit('failTimes', words(), 2)).toBe(3);
  });

  it('is waited for by a blocked event loop, however much it logs', async () => {
    const executor = pool({ maxWorkers: 1, onLog: () => {} });
    await executor.submit('noop');
    const memory = words();
    const logging = executor.submit('logAndSet', memory, 5000);
    await new Promise((resolve) => setImmediate(resolve)); // It is sent.
    expect(Atomics.wait(memory, 0, 0, 10_000)).not.toBe('timed-out');
    await logging;
  });

  it('tells of what is nested too deeply, and the others of its message are told of too', async () => {
    const executor = pool({ maxWorkers: 1 });
    for (let n = 0; n < 50; n += 1) await executor.submit('nest', 1); // quick ones are told of together
    const deep = [10, 4000, 20].map((depth) => executor.submit('nest', depth));
    const chains = [10, 4000].map((length) => executor.submit('throwChain', length).exception());
    expect(await deep[1]?.exception()).toBeInstanceOf(NotCloneableError);
    expect([await deep[0], await deep[2]]).toEqual([
      { at: 10, nest: expect.any(Object) },
      expect.any(Object),
    ]);
    expect(await Promise.all(chains)).toMatchObject([{ message: '10' }, { message: '4000' }]);
  });

  it.each(['CancelledError', 'TimeoutError', 'UnknownTaskError'] as const)(
    'runs a task again that threw a %s which says nothing of itself',
    async (name) => {
      expect(await pool({ retries: 1 }).submit('throwAtFirst', name)).toBe(2);
    },
  );

  it('fails with a CancelledError that the task threw: it was not cancelled itself', async () => {
    const future = pool({ maxWorkers: 1 }).submit('throwAtFirst', 'CancelledError');
    expect(await future.exception()).toMatchObject({
      name: 'CancelledError',
      message: 'another was cancelled',
    });
    expect(future.cancelled()).toBe(false);
  });

  it('reports what is thrown after a task has returned, and the thread goes on', async () => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push((error as Error).message));
    try {
      const executor = pool({ maxWorkers: 1 });
      expect(await executor.submit('throwLater')).toBe('returned');
      await until(() => expect(told.sort()).toEqual(['rejected after return', 'thrown after return']));
      expect(await executor.submit('count')).toBe(1);
    } finally {
      setExceptHook(before);
    }
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('the disk is full');
      },
    ],
    [
      'rejects with',
      async () => {
        throw new Error('the disk is full');
      },
    ],
  ])('reports what onLog %s, and the task goes on', async (_, onLog) => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push((error as Error).message));
    try {
      expect(await pool({ onLog }).submit('contextLater')).toBe('none');
      await until(() => expect(told).toEqual(['the disk is full']));
    } finally {
      setExceptHook(before);
    }
  });

  it('fails a running task with what one of its callbacks throws', async () => {
    await expect(pool().submit('throwInCallback')).rejects.toThrow('thrown in a callback');
  });

  it('gives what lies behind a slow task to a thread that is free', async () => {
    const executor = pool({ maxWorkers: 2 });
    await Promise.all(Array.from({ length: 2000 }, () => executor.submit('noop'))); // threads are far ahead now
    const memory = words();
    const slow = executor.submit('markAndBlock', memory, 0, 1);
    const quick = Array.from({ length: 500 }, (_, n) => executor.submit('square', n));
    expect((await Promise.all(quick)).at(-1)).toBe(499 * 499);
    expect(slow.done()).toBe(false);
    openGate(memory, 1);
    await slow;
  });
});
