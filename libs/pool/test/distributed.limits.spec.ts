/** Bounds: how many jobs wait in a queue, how many begin in a time, and how long one may take. */
import { DistributedExecutor, WorkerHost } from '@heddle/pool';
import { describe, expect, it, vi } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(TASKS);

describe('a queue that is full', () => {
  it('makes submit wait, in order, or refuse, as chosen', async () => {
    const waiting = bench.executor({ maxPending: 2 });
    const futures = [1, 2, 3, 4, 5].map((n) => waiting.submit('square', n));
    await Promise.all(futures.slice(0, 2).map((future) => future.accepted));
    const accepted = vi.fn();
    futures[2]?.accepted.then(accepted, () => {});
    expect(await futures[3]?.cancel()).toBe(true);
    const refusing = bench.executor({ maxPending: 2, whenFull: 'refuse' });
    const refused = refusing.submit('square', 9);
    expect(await refused.exception()).toMatchObject({
      name: 'QueueFullError',
      code: 'ERR_HEDDLE_QUEUE_FULL',
    });
    await expect(refused.accepted).rejects.toMatchObject({ name: 'QueueFullError' });
    expect(await bench.unfinished()).toBe(2);
    expect(accepted).not.toHaveBeenCalled();
    await bench.host();
    expect(await Promise.all([0, 1, 2, 4].map((n) => futures[n]))).toEqual([1, 4, 9, 25]);
    expect(accepted).toHaveBeenCalled();
    expect(await refusing.submit('square', 3)).toBe(9);
  });

  it('takes what another job of the same deduplication key is there for, and no more', async () => {
    const waiting = bench.executor({ maxPending: 1 });
    const refusing = bench.executor({ maxPending: 1, whenFull: 'refuse' });
    const first = waiting.with({ dedupe: 'one' }).submit('square', 7);
    await first.accepted;
    const same = [waiting, refusing].map((pool) => pool.with({ dedupe: 'one' }).submit('square', 7));
    await Promise.all(same.map((future) => future.accepted));
    expect(same.map(({ id }) => id)).toEqual([first.id, first.id]);
    const other = refusing.with({ dedupe: 'two' }).submit('square', 8);
    expect(await other.exception()).toMatchObject({ name: 'QueueFullError' });
    expect(await bench.unfinished()).toBe(1);
    await bench.host();
    expect(await Promise.all([first, ...same])).toEqual([49, 49, 49]);
  });

  it('looks once for the job of a key, however long there is no room for it', async () => {
    const waiting = bench.executor({ maxPending: 2 });
    await bench.plain.config('RESETSTAT');
    const futures = Array.from({ length: 30 }, (_, n) =>
      waiting.with({ dedupe: `key ${n}` }).submit('square', n),
    );
    await bench.host();
    expect(await Promise.all(futures)).toEqual(futures.map((_, n) => n * n));
    const [, looks] = /cmdstat_mget:calls=(\d+)/.exec(await bench.plain.info('commandstats')) ?? [];
    expect(Number(looks)).toBe(1);
  });

  it('is never fuller than it may be, however many submit at the same moment', async () => {
    const sessions = await Promise.all(Array.from({ length: 6 }, () => bench.anotherSession()));
    const pools = sessions.map(
      (own) => new DistributedExecutor<typeof tasks>('work', { session: own, maxPending: 5 }),
    );
    let most = 0;
    let done = false;
    const watching = (async () => {
      while (!done) {
        const [waiting, delayed] = await Promise.all([
          bench.plain.llen(bench.key('wait')),
          bench.plain.zcard(bench.key('delayed')),
        ]);
        most = Math.max(most, waiting + delayed);
      }
    })();
    const futures = pools.flatMap((pool) => Array.from({ length: 20 }, (_, n) => pool.submit('square', n)));
    await until(() => expect(most).toBe(5));
    await bench.host();
    expect(await Promise.all(futures)).toEqual(
      pools.flatMap(() => Array.from({ length: 20 }, (_, n) => n * n)),
    );
    done = true;
    await watching;
    expect(most).toBe(5);
    await Promise.all(pools.map((pool) => pool.shutdown()));
    await Promise.all(sessions.map((own) => own.close()));
  });

  it('says what is wrong with its bounds', () => {
    expect(() => bench.executor({ maxPending: 0 })).toThrow(/maxPending/);
    expect(() => bench.executor({ maxPending: 1, whenFull: 'drop' as 'wait' })).toThrow(/whenFull/);
  });
});

describe('a rate limit', () => {
  it('spreads the beginnings of jobs over time', async () => {
    await bench.host({ rateLimit: { jobs: 2, per: 500 } });
    const begun = performance.now();
    await Promise.all([1, 2, 3, 4, 5].map((n) => bench.executor().submit('square', n)));
    expect(performance.now() - begun).toBeGreaterThan(500);
    expect(
      () => new WorkerHost('work', { session: bench.session, tasks: TASKS, rateLimit: { jobs: 0, per: 1 } }),
    ).toThrow(/rateLimit.jobs/);
  });
});

describe('time to live', () => {
  it('is counted by the clock of Redis, wherever hosts have set theirs', async () => {
    const future = bench.executor({ ttl: 60_000 }).submit('remaining');
    await future.accepted;
    const real = Date.now;
    const set = vi.spyOn(Date, 'now').mockImplementation(() => real() + 3_600_000);
    try {
      await bench.host();
      expect(await future).toBeLessThanOrEqual(60_000);
    } finally {
      set.mockRestore();
    }
    expect(await bench.executor().submit('remaining')).toBe(Number.POSITIVE_INFINITY);
  });

  it('ends a running job, also where nobody waits for it any more', async () => {
    const working = await bench.host();
    const submitter = await bench.anotherSession();
    const abandoned = new DistributedExecutor<typeof tasks>('work', { session: submitter, ttl: 1500 });
    const future = abandoned.submit('untilAborted');
    await future.accepted;
    await until(() => expect(working.status().running).toBe(1));
    await submitter.close();
    expect(await bench.executor().future(future.id).exception()).toMatchObject({ name: 'TimeoutError' });
    await until(() => expect(working.status().running).toBe(0));
  });
});

describe('no limit', () => {
  it('is what Infinity says, of each attempt, of the whole, and of each run of a schedule', async () => {
    await bench.host();
    const limited = bench.executor({ timeout: 30_000, ttl: 30_000 });
    const never = Number.POSITIVE_INFINITY;
    expect(await limited.with({ timeout: never, ttl: never }).submit('remaining')).toBe(never);
    const pool = bench.executor({ timeout: never, ttl: never });
    expect(await pool.submit('remaining')).toBe(never);
    const key = `${bench.namespace}:runs`;
    const every = await pool.schedule('bump', [[bench.url, key]], { every: 40 });
    await until(async () => expect(Number(await bench.plain.get(key))).toBeGreaterThan(0));
    expect(await every.cancel()).toBe(true);
  });
});
