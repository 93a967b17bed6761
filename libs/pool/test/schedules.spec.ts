/** What repeats on hosts: how a schedule goes on, and how it ends. */
import { DistributedExecutor, deadLetters, drainQueue, replay, ThreadPoolExecutor } from '@heddle/pool';
import { SessionClosedError } from '@heddle/primitives';
import { Queue } from 'bullmq';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { JobQueue } from '../src/jobs/job-queue.ts';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

/** The id of the run that is to come. */
const nextRun = async (schedule: string) =>
  `repeat:${schedule}:${await bench.plain.zscore(bench.key('repeat'), schedule)}`;

/** So many ms have passed. */
async function passed(ms: number): Promise<void> {
  const begun = performance.now();
  await until(() => expect(performance.now() - begun).toBeGreaterThan(ms));
}

afterEach(() => {
  vi.unstubAllEnvs();
});

it.each([
  ['a run waits for a host', { every: 150 }, {}],
  ['its next run is put off', { every: 150, delay: 200 }, { delayed: true }],
  ['its next run is put off, by cron', { cron: '* * * * * *' }, { delayed: true }],
])('goes on when its queue is drained while %s', async (_, when, options) => {
  const key = `${bench.namespace}:runs`;
  const task = await bench.executor().schedule('bump', [[bench.url, key]], when);
  expect(await bench.unfinished()).toBe(1);
  const drained = await nextRun(task.id);
  expect(await drainQueue(bench.session, 'work', options)).toBe(1);
  expect(await bench.executor().future(drained).exception().catch(String)).toMatch(/drained/);
  await bench.host();
  await until(async () => expect(Number(await bench.plain.get(key))).toBeGreaterThan(1));
  expect(await task.cancel()).toBe(true);
});

it.each(['cancel', 'abort'] as const)('goes on after a single run: %s', async (how) => {
  const key = `${bench.namespace}:runs`;
  const pool = bench.executor();
  const task = await pool.schedule('bump', [[bench.url, key]], { every: 150, delay: 200 });
  const run = pool.future(await nextRun(task.id));
  expect(await run[how]()).toBe(true);
  expect(run.cancelled()).toBe(true);
  expect(await bench.unfinished()).toBe(1);
  await bench.host();
  await until(async () => expect(Number(await bench.plain.get(key))).toBeGreaterThan(1));
  expect(await task.cancel()).toBe(true);
});

it.each([
  ['that it names', 'Pacific/Auckland'],
  ['of its submitter', undefined],
])('goes by cron in the time zone %s, wherever its host is', async (_, timeZone) => {
  vi.stubEnv('TZ', 'Asia/Tokyo');
  await bench.hostProcess();
  vi.unstubAllEnvs();
  const hour = Number(new Date().toLocaleTimeString('en-GB', { timeZone, hour: '2-digit' }));
  const key = `${bench.namespace}:runs`;
  const cron = `* * ${hour},${(hour + 1) % 24} * * *`;
  const task = await bench.executor().schedule('bump', [[bench.url, key]], { cron, timeZone });
  await until(async () => expect(Number(await bench.plain.get(key))).toBeGreaterThan(2));
  expect(await task.cancel()).toBe(true);
});

it.each([
  [{ cron: '0 3 * * *', timeZone: 'Mars/Olympus' }, RangeError, 'ERR_HEDDLE_OUT_OF_RANGE'],
  [{ cron: '0 3 * * *', timeZone: '' }, RangeError, 'ERR_HEDDLE_OUT_OF_RANGE'],
  [{ cron: '0 3 * * *', timeZone: 1 as unknown as string }, TypeError, 'ERR_HEDDLE_INVALID_ARG_TYPE'],
  [{ every: 1000, timeZone: 'UTC' }, TypeError, 'ERR_HEDDLE_INVALID_ARG_TYPE'],
])('refuses at once %j', async (when, kind, code) => {
  await using local = new ThreadPoolExecutor<typeof tasks>(new URL('./tasks.ts', import.meta.url));
  for (const executor of [bench.executor(), local]) {
    const error = await executor.schedule('noop', [], when).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ code, message: expect.stringContaining('timeZone') });
  }
});

it('has runs replayed without the ttl they had', async () => {
  const key = `${bench.namespace}:runs`;
  await bench.host();
  const pool = bench.executor({ ttl: 1500 });
  const task = await pool.schedule('failUntil', [[bench.url, key, 2]], { every: 60_000 });
  await until(async () => expect(await deadLetters(bench.session, 'work')).toHaveLength(1));
  await passed(1500); // Its ttl is over.
  const ids = (await deadLetters(bench.session, 'work')).map(({ id }) => id);
  expect(await replay(bench.session, 'work', ids)).toEqual(ids);
  expect(await bench.executor().future(ids[0] ?? '')).toBe(2);
  expect(await task.cancel()).toBe(true);
});

it('leaves a run out while another job of its dedupe key is not done', async () => {
  const host = await bench.host({ threads: 3 });
  const gate = `${bench.namespace}:gate`;
  const pool = bench.executor().with({ dedupe: 'k' });
  const task = await pool.schedule('untilGate', [[bench.url, gate]], { every: 50 });
  await until(() => expect(host.status().busy).toBe(1));
  const joined = pool.submit('untilGate', [bench.url, gate]);
  await joined.accepted;
  expect(joined.id).toMatch(/^repeat:/);
  const due = async () => Number(await bench.plain.zscore(bench.key('repeat'), task.id));
  const before = await due();
  await until(async () => expect(await due()).toBeGreaterThan(before + 400)); // Several have been due since.
  expect(host.status()).toMatchObject({ busy: 1, completed: 0, failed: 0 });
  await bench.plain.set(gate, 'open');
  expect(await joined).toBe(1);
  await until(() => expect(host.status().completed).toBeGreaterThan(2));
  expect(await deadLetters(bench.session, 'work')).toEqual([]); // nor did those that were left out fail
  expect(await task.cancel()).toBe(true);
  await until(async () => expect(await bench.unfinished()).toBe(0));
  expect(await bench.plain.get(bench.key('de:k'))).toBeNull();
});

it('when cancelled takes back a run that waits for another attempt, and lets one go on that runs', async () => {
  const host = await bench.host();
  const keys = ['fails', 'gate'].map((part) => `${bench.namespace}:${part}`) as [string, string];
  const pool = bench.executor({ retries: 5 }).with({ backoff: 300 });
  const failing = await pool.schedule('failUntil', [[bench.url, keys[0], 9]], { every: 60_000 });
  const running = await pool.schedule('untilGate', [[bench.url, keys[1]]], { every: 60_000 });
  await until(async () => expect(await bench.plain.zcard(bench.key('delayed'))).toBe(3));
  expect(await failing.cancel()).toBe(true);
  expect(await running.cancel()).toBe(true);
  expect(await bench.unfinished()).toBe(1);
  await passed(500); // Longer than it would wait for that.
  expect(await bench.plain.get(keys[0])).toBe('1');
  await bench.plain.set(keys[1], 'open');
  await until(() => expect(host.status()).toMatchObject({ running: 0, completed: 1 }));
});

it('says that there is no such job where a run is none, or its schedule was cancelled', async () => {
  const pool = bench.executor();
  const task = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
  const next = pool.future(await nextRun(task.id));
  await passed(100);
  expect(next.done()).toBe(false);
  const none = {
    code: 'ERR_HEDDLE_OUTCOME_UNKNOWN',
    message: expect.stringContaining('there is no job "repeat:'),
  };
  for (const id of [`repeat:${task.id}:1`, `repeat:${task.id}`])
    expect(await pool.future(id).exception({ timeout: 3000 })).toMatchObject(none);
  expect(await task.cancel()).toBe(true);
  expect(await next.exception({ timeout: 3000 })).toMatchObject(none);
});

describe('a DistributedExecutor', () => {
  it('schedules: once, and again and again until it is cancelled', async () => {
    await bench.host();
    const pool = bench.executor();
    const key = `${bench.namespace}:ticks`;
    await pool.schedule('bump', [[bench.url, key]], { delay: 10 });
    await until(async () => expect(await bench.plain.get(key)).toBe('1'));
    const schedule = await pool.schedule('bump', [[bench.url, key]], { every: 50 });
    await until(async () => expect(Number(await bench.plain.get(key))).toBeGreaterThan(3));
    expect(await schedule.cancel()).toBe(true);
    await bench.plain.del(key);
  });

  it('leaves nobody waiting for a schedule when the session closes while Redis is away', async () => {
    const other = await bench.anotherSession();
    const pool = new DistributedExecutor<typeof tasks>('work', { session: other });
    const task = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
    const never = () => new Promise<never>(() => {});
    const ways = [
      vi.spyOn(Queue.prototype, 'upsertJobScheduler'),
      vi.spyOn(JobQueue.prototype, 'endSchedule'),
    ];
    for (const way of ways) {
      way.mockImplementation(never);
      onTestFinished(() => way.mockRestore());
    }
    const made = expect(pool.schedule('noop', [], { every: 60_000 })).rejects.toThrow(SessionClosedError);
    const ended = expect(task.cancel()).rejects.toThrow(SessionClosedError);
    await other.close();
    await Promise.all([made, ended]);
    for (const way of ways) way.mockRestore();
    expect(await bench.executor().scheduled(task.id).cancel()).toBe(true);
  });

  it('says that the session is closed to who ends a schedule then', async () => {
    const other = await bench.anotherSession();
    const pool = new DistributedExecutor<typeof tasks>('work', { session: other });
    const task = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
    await other.close();
    await expect(task.cancel()).rejects.toThrow(SessionClosedError);
    expect(await bench.executor().scheduled(task.id).cancel()).toBe(true);
  });
});
