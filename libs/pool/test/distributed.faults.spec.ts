/** Jobs that fail, or end their thread: run again, or left as dead letters. */
import { CancelledError, deadLetters, replay, ThreadCrashedError } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

describe('retries', () => {
  it.each(['CancelledError', 'TimeoutError', 'UnknownTaskError'] as const)(
    'runs a task again that threw a %s which says nothing of itself',
    async (name) => {
      await bench.host();
      expect(await bench.executor({ retries: 1 }).submit('throwAtFirst', name)).toBe(2);
    },
  );

  it('fails with a CancelledError that the task threw: it was not cancelled itself', async () => {
    const unwanted = bench.executor().submit('square', 1);
    await unwanted.accepted;
    await unwanted.abort();
    await bench.host();
    const thrown = bench.executor().submit('throwAtFirst', 'CancelledError');
    expect(await thrown.exception()).toMatchObject({ message: 'another was cancelled' });
    const found = [unwanted, thrown].map(({ id }) => bench.executor().future(id));
    for (const future of found) await expect(future.result()).rejects.toThrow(CancelledError);
    const cancelled = [unwanted, thrown, ...found].map((future) => future.cancelled());
    expect(cancelled).toEqual([true, false, true, false]);
  });
});

describe('bad work', () => {
  it('is tried again as often as was asked for, with back-off', async () => {
    await bench.host();
    const key = `${bench.namespace}:tries`;
    const backoff = { type: 'exponential', delay: 5, jitter: 0.5 } as const;
    const retrying = bench.executor({ retries: 2, backoff });
    const tried = retrying.submit('failUntil', [bench.url, key, 3]);
    expect(await tried).toBe(3);
    expect(await bench.executor().future(tried.id)).toBe(3); // not what it failed with before
    await bench.plain.del(key);
    await expect(bench.executor({ retries: 1 }).submit('failUntil', [bench.url, key, 3])).rejects.toThrow(
      'not yet: 2',
    );
    await bench.plain.del(key);
    expect(await retrying.submit('exitUntil', [bench.url, key, 3])).toBe(3);
    await bench.plain.del(key);
  });

  it('that crashes its thread fails alone', async () => {
    await bench.host({ threads: 1, resourceLimits: { maxOldGenerationSizeMb: 24 } });
    const pool = bench.executor();
    const futures = [
      pool.submit('square', 2),
      pool.submit('exit', 4),
      pool.submit('outOfMemory'),
      pool.submit('square', 3),
    ];
    const errors = await Promise.all(futures.map((future) => future.exception()));
    expect(errors.map((error) => error instanceof ThreadCrashedError)).toEqual([false, true, true, false]);
    expect(await futures[3]).toBe(9);
  });
});

describe('dead letters', () => {
  it('can be looked at, and put back to be run once more', async () => {
    await bench.host();
    const pool = bench.executor({ ttl: 60_000, retries: 1 });
    const key = `${bench.namespace}:tries`;
    const failed = pool.submit('failUntil', [bench.url, key, 4]);
    await failed.exception();
    await pool.submit('fail', 'other').exception();
    await until(async () => expect(await deadLetters(bench.session, 'work')).toHaveLength(2));
    const [other, letter] = await deadLetters(bench.session, 'work');
    expect(letter).toMatchObject({ id: failed.id, task: 'failUntil', attempts: 2 });
    expect(letter?.error.message).toBe('not yet: 2');
    expect(letter?.failedAt).toBeInstanceOf(Date);
    expect(other?.error).toBeInstanceOf(RangeError);
    expect(await deadLetters(bench.session, 'work', { start: 1, limit: 5 })).toHaveLength(1);
    expect(await replay(bench.session, 'work', [failed.id, 'nonesuch'])).toEqual([failed.id]);
    expect(await bench.executor().future(failed.id)).toBe(4);
    await until(async () => expect(await deadLetters(bench.session, 'work')).toHaveLength(1));
    expect(await replay(bench.session, 'work', [failed.id])).toEqual([]);
    expect(() => replay(bench.session, 'work', 'x' as unknown as string[])).toThrow(/array of the ids/);
  });
});
