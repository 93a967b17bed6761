/** Tasks that submit tasks, and wait for them without a thread. */
import { replay, SessionClosedError, ThreadPoolExecutor } from '@heddle/pool';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Children } from '../src/executor/children.ts';
import { jobBench } from './bench.ts';
import { requestId } from './context.ts';
import type * as tasks from './flow-tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./flow-tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(TASKS);

describe('currentJob().executor()', () => {
  it('lets tasks wait for tasks five deep in one thread', async () => {
    const host = await bench.host({ threads: 1 });
    expect(await bench.executor().submit('tree', 5, 2)).toBe(32);
    await until(() => expect(host.status()).toMatchObject({ running: 0, busy: 0, completed: 63 }));
  });

  it('lets any number of tasks wait whose children come after them in the queue', async () => {
    const parents = Array.from({ length: 40 }, () => bench.executor().submit('tree', 2, 2));
    await Promise.all(parents.map((future) => future.accepted));
    await bench.host({ threads: 1 });
    expect(await Promise.all(parents)).toEqual(parents.map(() => 4));
    expect(await bench.unfinished()).toBe(0);
  }, 60_000);

  it('lets more of them wait than a thread has room for', async () => {
    const numbers = Array.from({ length: 2200 }, (_, n) => n);
    const parents = numbers.map((n) => bench.executor().submit('behindAll', n));
    await Promise.all(parents.map((future) => future.accepted));
    await bench.host({ threads: 1, stallTimeout: 60_000 });
    expect(await Promise.all(parents)).toEqual(numbers.map((n) => n * n));
  }, 120_000);

  it('does so over several hosts and queues, with several jobs a thread', async () => {
    await Promise.all([
      bench.host({ threads: 1, concurrency: 2 }, { work: 2, other: 1 }),
      bench.host({ threads: 1, session: await bench.anotherSession() }),
    ]);
    const trees = Array.from({ length: 6 }, () => bench.executor().submit('tree', 3, 2));
    expect(await Promise.all(trees)).toEqual(trees.map(() => 8));
  });

  it('has the children run in the order in which they were submitted', async () => {
    await bench.host({ threads: 1 });
    const many = bench.executor().submit('tree', 1, 1);
    await many;
    expect(await bench.executor().submit('inOrder')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('is an executor: results, errors, progress, map, other queues, context, time', async () => {
    await bench.host({ threads: 1 }, { work: 1, other: 1 });
    const seen = requestId.run('outer', () => bench.executor({ ttl: 30_000 }).submit('family'));
    expect(await seen).toEqual({
      squares: [1, 4, 9],
      steps: [1, 2],
      told: 'told',
      error: [true, 'no'],
      done: 1,
      order: [25],
      elsewhere: 36,
      deduped: [49, 49],
      ids: [true, true, false],
      inherited: { context: 'inner', left: expect.any(Number) },
    });
    const { left } = ((await seen) as { inherited: { left: number } }).inherited;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(30_000);
    expect(await requestId.run('outer', () => bench.executor().submit('tree', 1, 1))).toBe(1);
  });

  it('maps in the context of the task, also what it submits later', async () => {
    await bench.host({ threads: 1 });
    const seen = requestId.run('outer', () => bench.executor().submit('contextsOfMap'));
    expect(await seen).toEqual(['outer', 'outer', 'outer']);
  });

  it('refuses what an executor refuses', async () => {
    await bench.host({ threads: 1 });
    expect(await bench.executor().submit('refuseAll')).toEqual([
      'ERR_HEDDLE_NOT_CLONEABLE',
      'ERR_HEDDLE_INVALID_ARG_TYPE',
      'ERR_HEDDLE_LOCAL_ONLY',
      'ERR_HEDDLE_LOCAL_ONLY',
      'ERR_HEDDLE_NOT_SUPPORTED',
      'InvalidStateError',
    ]);
    await using local = new ThreadPoolExecutor<typeof tasks>(TASKS);
    expect(await local.submit('tree', 1, 1).exception()).toMatchObject({ code: 'ERR_HEDDLE_NO_EXECUTOR' });
  });

  it('cancels and aborts children', async () => {
    await bench.host({ threads: 1 });
    expect(await bench.executor().submit('cancelChild', bench.url, `${bench.namespace}:runs`)).toEqual({
      cancelled: [true, true],
      refused: false,
      aborted: true,
      error: 'CancelledError',
    });
    expect(await bench.unfinished('nobody')).toBe(0);
  });

  it('ends a child whose time is over where no host takes it up', async () => {
    await bench.host({ threads: 1 });
    expect(await bench.executor().submit('outlive', 100)).toMatchObject({
      name: 'TimeoutError',
      message: expect.stringContaining('ttl'),
    });
    await until(async () => expect(await bench.unfinished('nobody')).toBe(0));
  });

  it('leaves no clock of a child to a host that has closed', async () => {
    const [set, clear] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')];
    onTestFinished(() => void vi.restoreAllMocks());
    const host = await bench.host({ threads: 1 });
    await bench.executor().submit('leaveChild', 999_000);
    const clocks = () => set.mock.results.filter((_, n) => Number(set.mock.calls[n]?.[1]) > 900_000);
    await until(() => expect(clocks()).toHaveLength(1));
    await host.close();
    expect(clear).toHaveBeenCalledWith(clocks()[0]?.value);
  });

  it.each(['signal', 'job'] as const)(
    'leaves the job of another that a child has joined, by its %s',
    async (by) => {
      await bench.host({ threads: 1 });
      const shared = bench.executor({ dedupe: 'shared' }, 'nobody').submit('square', 3);
      await shared.accepted;
      const leaving = bench.executor().submit('joinAndLeave', by);
      for await (const id of leaving.progress) {
        expect(id).toBe(shared.id);
        if (by === 'job') await leaving.abort();
      }
      if (by === 'signal') expect(await leaving).toEqual(['CancelledError', 'enough']);
      await bench.host({ threads: 1 }, 'nobody');
      expect(await shared).toBe(9);
    },
  );

  it('tells a child that was cancelled from one that threw what says so', async () => {
    await bench.host({ threads: 1 });
    expect(await bench.executor().submit('cancelledOrThrown')).toEqual([true, false]);
  });

  it('is over with its job', async () => {
    await bench.host({ threads: 1 });
    await bench.executor().submit('keepChild');
    expect(await bench.executor().submit('useKept')).toBe('SessionClosedError');
  });

  it('is over with its job too where that had not asked for it', async () => {
    await bench.host({ threads: 1 });
    await bench.executor().submit('keepJob');
    await expect(bench.executor().submit('submitByKept')).rejects.toThrow(SessionClosedError);
  });

  it('leaves no listener on a signal', async () => {
    await bench.host({ threads: 1 });
    expect(await bench.executor().submit('listenersLeft')).toEqual([1, 0]);
  });
});

describe('a map of children whose input has nothing to give', () => {
  const family = () =>
    new Children('parent', 'session', {
      number: () => 1,
      forget: () => {},
      tell: () => {},
      lend: () => {},
      withinJob: (ttl) => ttl,
    });
  async function* idle(): AsyncGenerator<number> {
    await new Promise(() => {});
  }

  it('ends when its job is aborted', async () => {
    const children = family();
    const end = children.executor<typeof tasks>(undefined).map('square', idle()).next();
    children.abort('why');
    await expect(end).rejects.toMatchObject({ name: 'CancelledError', cause: 'why' });
    expect(children.readers.size).toBe(0);
  });

  it('ends when its job is over, and none is begun any more', async () => {
    const children = family();
    const executor = children.executor<typeof tasks>(undefined);
    const end = executor.map('square', idle()).next();
    children.end();
    await expect(end).rejects.toThrow(SessionClosedError);
    expect(() => executor.map('square', idle())).toThrow(SessionClosedError);
  });

  it('ends with the executor it was begun by, and not with another', async () => {
    const children = family();
    const [one, other] = [children.executor<typeof tasks>('one'), children.executor<typeof tasks>('other')];
    const end = one.map('square', idle()).next();
    const still = other.map('square', idle());
    await one.shutdown();
    await expect(end).rejects.toMatchObject({ name: 'InvalidStateError' });
    expect(children.readers.size).toBe(1);
    await still.return?.();
    expect(children.readers.size).toBe(0);
  });
});

describe('a job with children', () => {
  const terms = () => [bench.url, `${bench.namespace}:runs`, `${bench.namespace}:gate`] as const;
  const begun = async (runs: string) => {
    const [, key] = terms();
    await until(async () => expect(await bench.plain.mget(`${key}:a`, `${key}:b`)).toEqual([runs, runs]));
  };

  it('takes them with it when it is aborted', async () => {
    const host = await bench.host({ threads: 3 });
    const future = bench.executor().submit('parent', ...terms());
    await begun('1');
    await future.abort();
    await until(() => expect(host.status().running).toBe(0));
    await until(async () => expect(await bench.unfinished()).toBe(0));
  });

  it('or when it is too late', async () => {
    const host = await bench.host({ threads: 3 });
    const late = bench.executor({ timeout: 500 }).submit('parent', ...terms());
    expect(await late.exception()).toMatchObject({ name: 'TimeoutError' });
    await until(() => expect(host.status().running).toBe(0));
    await until(async () => expect(await bench.unfinished()).toBe(0));
  });

  it('finds them again where its host was killed: they are not run twice for that', async () => {
    const [, , gate] = terms();
    const child = await bench.hostProcess({ threads: 1 });
    const future = bench.executor().submit('parent', ...terms());
    // Its own host has one thread, which takes the first of them up; this one takes the other.
    await until(async () => expect(await bench.plain.keys(`${bench.namespace}:runs*`)).toHaveLength(1));
    await bench.host({ threads: 1 });
    await until(async () => expect(await bench.plain.keys(`${bench.namespace}:runs*`)).toHaveLength(2));
    child.kill('SIGKILL');
    await until(async () => expect(await bench.unfinished()).toBe(3));
    await bench.plain.set(gate, 'open');
    const { attempt, runs } = await future;
    expect(attempt).toBe(2);
    expect(runs.toSorted()).toEqual([1, 2]);
  }, 60_000);

  it('is run again, with the children it has, where another task ends the thread it waits in', async () => {
    const [, , gate] = terms();
    const host = await bench.host({ threads: 1 });
    await bench.host({ threads: 2, session: await bench.anotherSession() }, 'other');
    const future = bench.executor().submit('parent', ...terms(), 'other');
    await begun('1');
    const guilty = bench.executor().submit('exitNow');
    expect(await guilty.exception()).toMatchObject({ name: 'ThreadCrashedError' });
    await until(() => expect(host.status()).toMatchObject({ running: 1, failed: 1 }));
    await bench.plain.set(gate, 'open');
    expect(await future).toEqual({ attempt: 2, runs: [1, 1] });
  });

  it('has new ones where it is tried again because it failed', async () => {
    const [url, key] = terms();
    await bench.host({ threads: 1 });
    await bench.plain.set(key, '10'); // the counter is the gate too
    expect(await bench.executor({ retries: 1 }).submit('failOnce', url, key)).toBe(12);
  });

  it('has new ones where it is replayed, after those of before were given up with it', async () => {
    await bench.host();
    const waiting = bench.executor().submit('waitForSquare', 3, 300);
    await until(async () => expect(await bench.plain.zcard(bench.key('delayed'))).toBe(1));
    expect(await waiting.abort('not now')).toBe(true);
    await until(async () => expect(await bench.plain.zcard(bench.key('failed'))).toBe(1));
    await until(async () => expect(await bench.plain.zcard(bench.key('delayed'))).toBe(0));
    expect(await replay(bench.session, 'work', [waiting.id])).toEqual([waiting.id]);
    expect(await bench.executor().future(waiting.id)).toBe(9);
  });

  it('is to blame for the end of its thread where nobody else ran there', async () => {
    await bench.host({ threads: 1 });
    expect(await bench.executor().submit('exitWhileWaiting').exception()).toMatchObject({
      name: 'ThreadCrashedError',
    });
  });

  it('goes back to the queue when its host is closed, and finds them elsewhere', async () => {
    const [, , gate] = terms();
    const host = await bench.host({ threads: 3 });
    const future = bench.executor().submit('parent', ...terms());
    await begun('1');
    await host.close({ gracePeriod: 10 });
    expect(await bench.unfinished()).toBe(3);
    await bench.plain.set(gate, 'open');
    await bench.host({ threads: 1 });
    expect(await future).toEqual({ attempt: 2, runs: [2, 2] });
  });
});
