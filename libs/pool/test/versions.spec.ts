/** Hosts that do not all have the same tasks. */
import { UnknownTaskError } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));
const OTHER = { tasks: new URL('./common.cjs', import.meta.url) };

describe('a host that lacks a task', () => {
  it('leaves the job to one that has it, and that is no attempt', async () => {
    const lacking = await bench.host({ ...OTHER, threads: 1 });
    const having = await bench.host({ session: await bench.anotherSession(), threads: 1 });
    const jobs = Array.from({ length: 12 }, () => bench.executor({ retries: 0 }).submit('job'));
    const seen = (await Promise.all(jobs)) as { attempt: number }[];
    expect(seen.map(({ attempt }) => attempt)).toEqual(jobs.map(() => 1));
    await until(() => expect(having.status().completed).toBe(12));
    expect(lacking.status()).toMatchObject({ completed: 0, failed: 0 });
    expect(await bench.executor().submit('failUntil', [bench.url, bench.namespace, 1])).toBe(1);
  });

  it('fails it where no other has it', async () => {
    await bench.host(OTHER);
    const error = await bench.executor({ retries: 3 }).submit('add', 1, 2).exception();
    expect(error).toBeInstanceOf(UnknownTaskError);
    expect((error as UnknownTaskError).known).toContain('twice');
    expect(error?.message).toContain('no task "add"');
  });

  it('waits for one that has it where the job has time', async () => {
    await bench.host(OTHER);
    const future = bench.executor({ ttl: 60_000 }).submit('job');
    await until(async () => expect(await bench.plain.hget(bench.key(future.id), 'left')).not.toBeNull());
    await bench.host({ session: await bench.anotherSession() });
    expect(await future).toMatchObject({ attempt: 1 });
  });

  it('tells when that time is over, and has not asked for the job all the while', async () => {
    await bench.host(OTHER);
    const late = bench.executor({ ttl: 1500 }).submit('add', 1, 2);
    expect(await late.exception()).toMatchObject({
      name: 'UnknownTaskError',
      message: expect.stringContaining('within its ttl'),
    });
    const left = Number(await bench.plain.hget(bench.key(late.id), 'left'));
    expect(left).toBeGreaterThan(2);
    expect(left).toBeLessThan(10);
  });
});

describe('with({ version })', () => {
  it('has a job run on hosts of that version alone', async () => {
    const old = await bench.host({ version: '1', threads: 1 });
    const young = await bench.host({ version: '2', threads: 1, session: await bench.anotherSession() });
    const jobs = Array.from({ length: 6 }, () => bench.executor().with({ version: '2' }).submit('job'));
    for (const seen of (await Promise.all(jobs)) as { attempt: number }[]) expect(seen.attempt).toBe(1);
    await until(() => expect(young.status().completed).toBe(6));
    expect(old.status().completed).toBe(0);
    const none = bench.executor({ version: '3' }).submit('job');
    expect(await none.exception()).toMatchObject({
      name: 'UnknownTaskError',
      message: expect.stringMatching(
        /"job" of version "3": no host has it; this one, of version "[12]", has /,
      ),
    });
    expect(() => bench.executor({ version: '' })).toThrow(/version/);
  });
});
