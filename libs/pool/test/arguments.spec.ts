/** Wrong arguments: told at the call, a wrong kind as TypeError, a wrong range as RangeError, each with a code. */
import {
  type DistributedOptions,
  type Executor,
  type MapOptions,
  type ScheduleOptions,
  type ShutdownOptions,
  type SubmitOptions,
  ThreadPoolExecutor,
  WorkerHost,
  type WorkerHostOptions,
  wait,
} from '@heddle/pool';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(TASKS);
let pool: ThreadPoolExecutor<typeof tasks>;
beforeAll(() => {
  pool = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 1 });
});
afterAll(() => pool.shutdown());

type Case = readonly [what: string, act: () => unknown, kind: typeof TypeError, message: RegExp];

const never = Number.POSITIVE_INFINITY;
const made = (options: object) => bench.executor(options as DistributedOptions);
const hosted = (options: object) =>
  new WorkerHost('work', { session: bench.session, tasks: TASKS, ...options } as WorkerHostOptions);

/** What executors refuse, wherever they run tasks. */
function cases(executor: () => Executor<typeof tasks>): Case[] {
  const given = (options: object) => executor().with(options as SubmitOptions);
  const map = (options: object) => executor().map('square', [1], options as MapOptions);
  const shutdown = (options: object) => executor().shutdown(options as ShutdownOptions);
  const scheduled = (options: ScheduleOptions) => executor().schedule('noop', [], options);
  return [
    ['chunksize null', () => map({ chunksize: null }), TypeError, /chunksize .* not null/],
    ['buffersize null', () => map({ buffersize: null }), TypeError, /buffersize .* not null/],
    ['ordered no', () => map({ ordered: 'no' }), TypeError, /ordered .* not "no"/],
    ['ordered null', () => map({ ordered: null }), TypeError, /ordered .* not null/],
    ['wait x', () => shutdown({ wait: 'x' }), TypeError, /wait .* not "x"/],
    ['wait null', () => shutdown({ wait: null }), TypeError, /wait .* not null/],
    ['cancelFutures 5', () => shutdown({ cancelFutures: 5 }), TypeError, /cancelFutures .* not 5/],
    [
      'permits null',
      () => given({ holding: { semaphore: 's', permits: null } }),
      TypeError,
      /permits .* not null/,
    ],
    ['jitter x', () => given({ backoff: { type: 'fixed', delay: 1, jitter: 'x' } }), TypeError, /jitter/],
    ['jitter null', () => given({ backoff: { type: 'fixed', delay: 1, jitter: null } }), TypeError, /jitter/],
    ['jitter 2', () => given({ backoff: { type: 'fixed', delay: 1, jitter: 2 } }), RangeError, /jitter/],
    ['delay for ever', () => given({ delay: never }), RangeError, /delay .* not Infinity; .*leave/],
    ['backoff for ever', () => given({ backoff: never }), RangeError, /backoff .* not Infinity; .*retries/],
    [
      'backoff.delay for ever',
      () => given({ backoff: { type: 'exponential', delay: never } }),
      RangeError,
      /backoff.delay .* not Infinity; .*retries/,
    ],
    ['to begin never', () => scheduled({ delay: never }), RangeError, /delay .* not Infinity; .*leave/],
    ['at no time', () => scheduled({ at: never }), RangeError, /at .* not Infinity; .*leave/],
    ['every Infinity', () => scheduled({ every: never }), RangeError, /every .* not Infinity; .*leave/],
  ];
}

async function refused([, act, kind, message]: Case): Promise<void> {
  const error = await (async () => {
    try {
      await act();
    } catch (caught) {
      return caught;
    }
    return undefined;
  })();
  expect(error).toBeInstanceOf(kind);
  expect(error).toMatchObject({
    message: expect.stringMatching(message),
    code: expect.stringMatching(/^ERR_HEDDLE_/),
  });
}

describe.each<[string, () => Executor<typeof tasks>]>([
  ['a ThreadPoolExecutor', () => pool],
  ['a DistributedExecutor', () => bench.executor()],
])('%s refuses', (_, executor) => {
  it.each(cases(executor))('%s', (...one) => refused(one));
});

describe.each<[string, () => Executor<typeof tasks>]>([
  ['a ThreadPoolExecutor', () => pool],
  ['a DistributedExecutor', () => bench.executor()],
])('%s takes', (_, executor) => {
  it('what is put off as long as can be', async () => {
    const longest = 1e15;
    const put = executor().with({ delay: longest, retries: 1, backoff: longest }).submit('noop');
    await put.accepted;
    expect(await put.cancel()).toBe(true);
    for (const when of [{ delay: longest }, { every: longest }, { every: 1, delay: longest }]) {
      const scheduled = await executor().schedule('noop', [], when);
      expect(await scheduled.cancel()).toBe(true);
    }
  });
});

describe('refused are too', () => {
  it.each<Case>([
    ['parallelism null', () => made({ parallelism: null }), TypeError, /parallelism .* not null/],
    ['backoff for ever', () => made({ backoff: never }), RangeError, /backoff .* not Infinity/],
    ['initargs 5', () => hosted({ initargs: 5 }), TypeError, /initargs .* not 5/],
    ['initargs null', () => hosted({ initargs: null }), TypeError, /initargs .* not null/],
    ['resourceLimits 5', () => hosted({ resourceLimits: 5 }), TypeError, /resourceLimits.* not 5/],
    ['returnWhen null', () => wait([], { returnWhen: null as never }), TypeError, /returnWhen .* not null/],
    ['returnWhen 5', () => wait([], { returnWhen: 5 as never }), TypeError, /returnWhen .* not 5/],
    ['returnWhen SOME', () => wait([], { returnWhen: 'SOME' as never }), RangeError, /returnWhen/],
  ])('%s', (...one) => refused(one));
});

describe.each<[string, () => Executor<typeof tasks>]>([
  ['a ThreadPoolExecutor', () => new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 1 })],
  ['a DistributedExecutor', () => bench.executor()],
])('%s that was shut down', (_, executor) => {
  it('takes nothing any more, not even nothing', async () => {
    const over = executor();
    await over.shutdown();
    const code = 'ERR_HEDDLE_INVALID_STATE';
    expect(() => over.submit('noop')).toThrow(expect.objectContaining({ code }));
    expect(() => over.map('square', [])).toThrow(expect.objectContaining({ code }));
    expect(() => over.with({ priority: 1 }).map('square', [])).toThrow(expect.objectContaining({ code }));
    await expect(over.schedule('noop', [], { delay: 60_000 })).rejects.toMatchObject({ code });
  });
});
