/** What can be looked at of a queue: how many jobs it has in which state, its failed ones, what they said. */
import { deadLetters, fleet, jobLogs, pauseQueue, removeQueue, resumeQueue } from '@heddle/pool';
import { expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

const listed = async () => (await fleet(bench.session)).queues;

it('a queue is listed with its jobs by state, until it is removed', async () => {
  const pool = bench.executor();
  const gate = `${bench.namespace}:gate`;
  const none = { name: 'work', hosts: 0, waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 };
  await until(async () => expect(await listed()).toEqual([{ ...none, paused: false }]));
  const host = await bench.host({ threads: 1 });
  await Promise.all([pool.submit('square', 1), pool.submit('square', 2)]);
  await pool.submit('fail', 'no').exception();
  const running = pool.submit('untilGate', [bench.url, gate]);
  await until(() => expect(running.running()).toBe(true));
  const behind = [
    pool.submit('noop'),
    pool.with({ priority: 3 }).submit('noop'),
    pool.with({ priority: 4 }).submit('noop'),
    ...[1, 2, 3, 4].map(() => pool.with({ delay: 60_000 }).submit('noop')),
  ];
  await Promise.all(behind.map(({ accepted }) => accepted));
  const counts = { hosts: 1, waiting: 3, active: 1, delayed: 4, completed: 2, failed: 1 };
  // What was fetched ahead goes back before long.
  await until(async () => expect(await listed()).toEqual([{ ...none, ...counts, paused: false }]));
  expect(host.status()).toMatchObject({ threads: 1, busy: 1, running: 1, completed: 2, failed: 1 });
  await pauseQueue(bench.session, 'work');
  expect(await listed()).toEqual([{ ...none, ...counts, paused: true }]);
  await resumeQueue(bench.session, 'work');
  expect((await listed())[0]?.paused).toBe(false);
  const other = bench.executor({}, 'other').submit('noop');
  await other.accepted;
  await until(async () =>
    expect(await listed()).toEqual([
      { ...none, name: 'other', waiting: 1, paused: false },
      { ...none, ...counts, paused: false },
    ]),
  );
  await removeQueue(bench.session, 'other');
  await running.abort();
  await host.close({ gracePeriod: 0 });
  await removeQueue(bench.session, 'work');
  expect(await listed()).toEqual([]);
  await expect(bench.executor().future(running.id)).rejects.toMatchObject({
    code: 'ERR_HEDDLE_OUTCOME_UNKNOWN',
  });
});

it('hosts that are gone are listed no more, and forgotten by who looks', async () => {
  const host = await bench.host({ threads: 1 });
  const ids = `{${bench.namespace}:fleet}:hosts`;
  await bench.plain.sadd(ids, 'gone');
  expect((await fleet(bench.session)).hosts).toEqual([expect.objectContaining({ id: host.id })]);
  expect(await bench.plain.smembers(ids)).toEqual([host.id]);
});

it('failed jobs and lines are given from the one that was asked for on, and no more of them than that', async () => {
  await bench.host({ threads: 1 });
  const pool = bench.executor({ retries: 1 });
  const future = pool.submit('sayAndFail', 'first', 'second');
  await future;
  const said = (options?: object) => jobLogs(bench.session, 'work', future.id, options);
  expect(await said({ limit: 1 })).toEqual(['first']);
  expect(await said({ start: 1, limit: 1 })).toEqual(['second']);
  expect(await said({ start: 2 })).toEqual([]);
  for (const word of ['a', 'b', 'c']) await bench.executor().submit('fail', word).exception();
  const failed = async (options?: object) =>
    (await deadLetters(bench.session, 'work', options)).map(({ error }) => error.message);
  await until(async () => expect(await failed()).toEqual(['c', 'b', 'a']));
  expect(await failed({ limit: 1 })).toEqual(['c']);
  expect(await failed({ start: 1, limit: 1 })).toEqual(['b']);
  expect(await failed({ start: 2 })).toEqual(['a']);
});
