/** Jobs that are found by their id, or are the same by their deduplication key. */
import { DistributedExecutor } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

describe('a DistributedExecutor', () => {
  it('finds a job again by its id, here or elsewhere, and says where there is none', async () => {
    await bench.host();
    const future = bench.executor().submit('add', 2, 3);
    await future;
    await using other = await bench.anotherSession();
    const pool = new DistributedExecutor('work', { session: other });
    expect(await pool.future(future.id)).toBe(5);
    await expect(pool.future('nonesuch')).rejects.toMatchObject({
      code: 'ERR_HEDDLE_OUTCOME_UNKNOWN',
      message: expect.stringMatching(/no job "nonesuch" in the queue "work": .*keep/),
    });
    await pool.shutdown();
  });

  it('keeps from what dies by its key who submits that by another executor of the session', async () => {
    const [one, other] = [bench.executor(), bench.executor()];
    const late = one.with({ dedupe: 'k', ttl: 30, delay: 5_000 }).submit('square', 1);
    expect(await late.exception()).toMatchObject({ name: 'TimeoutError' });
    const next = other.with({ dedupe: 'k' }).submit('square', 3);
    await bench.host();
    expect(await next).toBe(9);
  });

  it('aborts the job of a key by a Future that has joined it on its way there', async () => {
    await bench.host();
    const pool = bench.executor({ dedupe: 'k' });
    const first = pool.submit('nap', 20_000);
    await until(() => expect(first.running()).toBe(true));
    const joined = pool.with({ ttl: 60_000 }).submit('nap', 20_000);
    for (let tick = 0; tick < 3; tick += 1) await undefined;
    expect(await joined.abort('enough')).toBe(true);
    await expect(first).rejects.toMatchObject({ name: 'CancelledError' });
  });

  it('cancels no job by the id of a schedule that has ended', async () => {
    const pool = bench.executor();
    const schedule = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
    expect(await schedule.cancel()).toBe(true);
    const jobs = Array.from({ length: 1100 }, () => pool.submit('noop'));
    await Promise.all(jobs.map((job) => job.accepted));
    expect(await pool.scheduled(schedule.id).cancel()).toBe(false);
    expect(jobs.filter((job) => job.cancelled())).toEqual([]);
  });

  it('finds no job of another queue by its id', async () => {
    await bench.host();
    const elsewhere = bench.executor({}, 'elsewhere');
    const job = bench.executor().submit('square', 3);
    const wrong = elsewhere.future(job.id);
    expect(await job).toBe(9);
    expect(await wrong.exception()).toMatchObject({ name: 'OutcomeUnknownError' });
  });

  it('gives the outcome of the job of the same key to all who submit it', async () => {
    const pool = bench.executor({ dedupe: 'key' });
    const [one, two] = [pool.submit('add', 1, 1), pool.submit('add', 5, 5)];
    await Promise.all([one.accepted, two.accepted]);
    expect(await bench.unfinished()).toBe(1);
    await bench.host();
    expect(await Promise.all([one, two])).toEqual([2, 2]);
  });
});
