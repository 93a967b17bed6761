/** What a DistributedExecutor takes, and gives back, while hosts and Redis do what they should. */
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  DistributedExecutor,
  type DistributedOptions,
  type Executor,
  InvalidStateError,
  WorkerHost,
  type WorkerHostOptions,
} from '@heddle/pool';
import {
  Lock,
  NotCloneableError,
  SessionClosedError,
  TimeoutError,
  UnknownTaskError,
} from '@heddle/primitives';
import { context, propagation } from '@opentelemetry/api';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { JobQueue } from '../src/jobs/job-queue.ts';
import { jobBench } from './bench.ts';
import { requestId, secret } from './context.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(TASKS);

describe('a DistributedExecutor', () => {
  it('runs tasks on a host, by name, and gives results and errors back whole', async () => {
    await bench.host();
    const pool = bench.executor();
    expect(await pool.submit('add', 1, 2)).toBe(3);
    const value = {
      when: new Date(5),
      map: new Map([['a', 1n]]),
      bytes: new Uint8Array([1, 2]),
      none: undefined,
    };
    expect(await pool.submit('echo', value)).toEqual(value);
    const error = (await pool.submit('fail', 'oh').exception()) as RangeError & { details: object };
    expect(error).toBeInstanceOf(RangeError);
    expect([error.name, error.message]).toEqual(['OurError', 'oh']);
    expect(error.details).toEqual({ n: 1, when: new Date(0) });
    expect(error.cause).toBeInstanceOf(TimeoutError);
    expect(await pool.submit('throwString').exception()).toMatchObject({ cause: 'just text' });
  });

  it('tells the task where it runs, under the id that the Future has', async () => {
    await bench.host({ threadNamePrefix: 'loom' });
    const future = bench.executor().submit('job');
    expect(await future).toMatchObject({ id: future.id, task: 'job', attempt: 1, host: hostname() });
    expect(await future).toMatchObject({ thread: expect.stringMatching(/^loom-\d$/) });
  });

  it('accepts a job once it is in Redis', async () => {
    const future = bench.executor().submit('noop');
    await future.accepted;
    expect(await bench.unfinished()).toBe(1);
  });

  it('sends the jobs of one tick together', async () => {
    const pool = bench.executor();
    const add = vi.spyOn(JobQueue.prototype, 'add');
    try {
      await Promise.all(Array.from({ length: 200 }, () => pool.submit('noop').accepted));
      expect(add.mock.calls.map(([jobs]) => jobs.length)).toEqual([200]);
      expect(await bench.unfinished()).toBe(200);
    } finally {
      add.mockRestore();
    }
  });

  it('brings context along, and log lines with it', async () => {
    const onLog = vi.fn();
    await bench.host({ onLog });
    const pool = bench.executor();
    const seen = requestId.run('r7', () =>
      secret.run('s', () => [pool.submit('context'), pool.submit('contextLater')]),
    );
    expect(await Promise.all(seen)).toEqual([{ requestId: 'r7', secret: undefined }, 'r7']);
    expect(onLog).toHaveBeenCalledWith(
      expect.objectContaining({
        line: 'looking',
        task: 'contextLater',
        attempt: 1,
        context: { requestId: 'r7' },
      }),
    );
  });

  it('maps chunks over an async input, no further ahead than it may', async () => {
    await bench.host();
    let read = 0;
    let taken = 0;
    let furthest = 0;
    async function* inputs() {
      for (let n = 0; n < 300; n += 1) {
        read += 1;
        furthest = Math.max(furthest, read - taken);
        yield n;
      }
    }
    const results: number[] = [];
    for await (const result of bench.executor().map('square', inputs(), { chunksize: 10, buffersize: 40 })) {
      taken += 1;
      results.push(result);
    }
    expect(results).toEqual(Array.from({ length: 300 }, (_, n) => n * n));
    expect(furthest).toBeLessThanOrEqual(41);
  });

  it('takes jobs whose first connection was cut while it was made', async () => {
    const other = await bench.anotherSession();
    onTestFinished(() => other.close());
    const ready = vi.spyOn(Redis.prototype, 'connect');
    onTestFinished(() => ready.mockRestore());
    const pool = new DistributedExecutor<typeof tasks>('work', { session: other });
    const [connection] = ready.mock.contexts as Redis[];
    connection?.once('connect', () => connection.stream.destroy());
    await pool.submit('noop').accepted;
    await pool.shutdown({ cancelFutures: true });
    expect(connection).toBeDefined();
  });

  it('lets a map be left whose tasks can not be taken back: nobody has asked for that', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    onTestFinished(() => void process.off('unhandledRejection', unhandled));
    const results = bench.executor().map('square', [1, 2, 3]);
    await until(async () => expect(await bench.unfinished()).toBe(3));
    const cancel = vi.spyOn(JobQueue.prototype, 'cancel').mockRejectedValue(new Error('Redis is away'));
    onTestFinished(() => cancel.mockRestore());
    await results.return?.();
    await until(() => expect(cancel).toHaveBeenCalledTimes(3));
    await nextTurn();
    cancel.mockRestore();
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('passes progress on, and tells when a task runs', async () => {
    await bench.host();
    const future = bench.executor().submit('report', 3);
    const steps: unknown[] = [];
    for await (const step of future.progress) steps.push(step);
    expect(steps).toEqual([{ step: 1 }, { step: 2 }, { step: 3 }]);
    const long = bench.executor().submit('untilAborted');
    await until(() => expect(long.running()).toBe(true));
    await long.abort();
  });

  it('gives large outcomes too, and refuses what is too large for Redis', async () => {
    await bench.host();
    const large = 'x'.repeat(3_000_000);
    expect(await bench.executor().submit('echo', large)).toBe(large);
    expect(() => bench.executor().submit('echo', 'x'.repeat(68_000_000))).toThrow(/reference/);
    await expect(bench.executor().submit('repeat', 68_000_000)).rejects.toMatchObject({
      code: 'ERR_HEDDLE_TOO_LARGE',
    });
  });

  it('refuses what cannot travel, and tells local things from others', async () => {
    const pool = bench.executor();
    expect(() => pool.submit('echo', { fn: () => 1 })).toThrow(NotCloneableError);
    for (const local of [new Lock(), new SharedArrayBuffer(4), new Int32Array(new SharedArrayBuffer(4))]) {
      expect(() => pool.submit('echo', [local])).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_HEDDLE_LOCAL_ONLY' }),
      );
    }
    expect(() => pool.with({ transfer: [new ArrayBuffer(1)] }).submit('noop')).toThrow(TypeError);
    expect(await bench.unfinished()).toBe(0);
  });

  it('rejects an unknown task with the list of known ones, at the first attempt', async () => {
    await bench.host();
    const error = await (bench.executor({ retries: 3 }) as unknown as Executor)
      .submit('nonesuch')
      .exception();
    expect(error).toBeInstanceOf(UnknownTaskError);
    expect((error as UnknownTaskError).known).toContain('add');
  });

  it('shuts down when its tasks are done, and refuses what comes after', async () => {
    await bench.host();
    const pool = bench.executor();
    const futures = [1, 2, 3].map((n) => pool.submit('square', n));
    await pool.shutdown();
    expect(futures.every((future) => future.done())).toBe(true);
    expect(() => pool.submit('noop')).toThrow(InvalidStateError);
    await pool.shutdown();
  });

  it('ends its Futures when the session closes', async () => {
    const other = await bench.anotherSession();
    const pool = new DistributedExecutor<typeof tasks>('work', { session: other });
    const future = pool.submit('noop');
    await future.accepted;
    await other.close();
    await expect(future).rejects.toThrow(SessionClosedError);
    expect(() => pool.submit('noop')).toThrow(SessionClosedError);
  });
});

describe('a session with a keyPrefix', () => {
  it('is refused by executors and hosts, which can not go by it', async () => {
    await using prefixed = await bench.anotherSession({ redis: { keyPrefix: 'app:' } });
    const refusal = {
      code: 'ERR_HEDDLE_INVALID_ARG_TYPE',
      message: expect.stringContaining('keyPrefix "app:"'),
    };
    const thrown = (make: () => unknown): unknown => {
      try {
        return make();
      } catch (error) {
        return error;
      }
    };
    expect(thrown(() => bench.executor({ session: prefixed }))).toMatchObject(refusal);
    expect(thrown(() => new WorkerHost('work', { session: prefixed, tasks: TASKS }))).toMatchObject(refusal);
  });
});

describe('a trace', () => {
  it('goes along, where OpenTelemetry has one', async () => {
    const { inTrace } = await import('./trace-tasks.ts');
    await bench.host({ tasks: new URL('./trace-tasks.ts', import.meta.url) });
    const pool = new DistributedExecutor<typeof import('./trace-tasks.ts')>('work', {
      session: bench.session,
    });
    try {
      expect(await context.with(inTrace('t2'), () => pool.submit('trace'))).toBe('t2');
      const late = { buffersize: 1 };
      const seen: unknown[] = [];
      const mapped = context.with(inTrace('t3'), () => pool.map('trace', [undefined, undefined], late));
      for await (const trace of mapped) seen.push(trace);
      expect(seen).toEqual(['t3', 't3']);
      expect(await pool.submit('trace')).toBeUndefined();
    } finally {
      context.disable();
      propagation.disable();
      await pool.shutdown();
    }
  });
});

describe('bad arguments', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['no session', () => new DistributedExecutor('work', {} as DistributedOptions), /Session/],
    ['no name', () => new DistributedExecutor('', { session: bench.session }), /queue/],
    ['braces', () => new DistributedExecutor('a{b}', { session: bench.session }), /queue/],
    [
      'an unknown option',
      () => bench.executor({ retry: 1 } as object),
      /unknown option "retry"; known are session, .*retries/,
    ],
    ['negative retries', () => bench.executor({ retries: -1 }), /retries/],
    ['NaN', () => bench.executor({ timeout: Number.NaN }), /timeout/],
    ['no tasks', () => new WorkerHost('work', { session: bench.session } as WorkerHostOptions), /tasks/],
    [
      'no thread',
      () => new WorkerHost('work', { session: bench.session, tasks: TASKS, threads: 0 }),
      /threads/,
    ],
    [
      'an unknown host option',
      () =>
        new WorkerHost('work', {
          session: bench.session,
          tasks: TASKS,
          thread: 2,
        } as object as WorkerHostOptions),
      /unknown option "thread"/,
    ],
    [
      'an unknown option within one',
      () => new DistributedExecutor('work', { session: bench.session, keep: { cuont: 5 } as object }),
      /keep: unknown option "cuont"; known are age, count/,
    ],
    [
      'an unknown option of a backoff',
      () => bench.executor().with({ backoff: { type: 'fixed', delay: 1, jiter: 1 } as never }),
      /backoff: unknown option "jiter"/,
    ],
  ])('%s', (_, act, message) => {
    const error = (() => {
      try {
        act();
      } catch (caught) {
        return caught;
      }
      return undefined;
    })();
    expect(error).toMatchObject({
      message: expect.stringMatching(message),
      code: expect.stringMatching(/^ERR_HEDDLE_/),
    });
  });
});
