import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import {
  BrokenExecutorError,
  CancelledError,
  DistributedExecutor,
  type DistributedOptions,
  deadLetters,
  type Executor,
  fleet,
  InvalidStateError,
  replay,
  ThreadCrashedError,
  TimeoutError,
  UnknownTaskError,
  WorkerHost,
  type WorkerHostOptions,
} from '@heddle/pool';
import { Lock, NotCloneableError, SessionClosedError } from '@heddle/primitives';
import { connect, type Session } from '@heddle/primitives/distributed';
import { context, propagation } from '@opentelemetry/api';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { JobQueue } from '../src/jobs/job-queue.ts';
import { requestId, secret } from './context.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);

let server: EmbeddedRedis;
let plain: Redis;
let namespaces = 0;
let namespace = '';
let session: Session;
const executors: Executor<typeof tasks>[] = [];
const hosts: WorkerHost[] = [];
const processes: ChildProcess[] = [];

beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
  plain = new Redis(server.url);
});
afterAll(async () => {
  plain?.disconnect();
  await server?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  namespaces += 1;
  namespace = `pool-${process.pid}-${namespaces}`;
  session = await connect(server.url, { namespace });
});
afterEach(async () => {
  await Promise.all(
    executors.splice(0).map((executor) => executor.shutdown({ wait: false, cancelFutures: true })),
  );
  await Promise.all(hosts.splice(0).map((host) => host.close({ gracePeriod: 0 })));
  for (const child of processes.splice(0)) child.kill('SIGKILL');
  await session.close();
});

function executor(options: Partial<DistributedOptions> = {}): DistributedExecutor<typeof tasks> {
  const made = new DistributedExecutor<typeof tasks>('work', { session, ...options });
  executors.push(made);
  return made;
}

async function host(options: Partial<WorkerHostOptions> = {}): Promise<WorkerHost> {
  const made = new WorkerHost('work', {
    session,
    tasks: TASKS,
    threads: 2,
    gracePeriod: 100,
    stallTimeout: 600,
    ...options,
  });
  hosts.push(made);
  await made.start();
  return made;
}

async function hostProcess(options: object = {}): Promise<ChildProcess> {
  const file = new URL('./host-process.ts', import.meta.url);
  const child = fork(file, [server.url, namespace, 'work', JSON.stringify(options)]);
  processes.push(child);
  await once(child, 'message');
  return child;
}

/** The keys of a queue's unfinished jobs. */
async function unfinished(): Promise<number> {
  const prefix = `{${namespace}:queue:work}:work`;
  const [waiting, active, delayed] = await Promise.all([
    plain.llen(`${prefix}:wait`),
    plain.llen(`${prefix}:active`),
    plain.zcard(`${prefix}:delayed`),
  ]);
  return waiting + active + delayed;
}

describe('a queue that is full', () => {
  it('makes submit wait, in order, or refuse, as chosen', async () => {
    const waiting = executor({ maxPending: 2 });
    const futures = [1, 2, 3, 4, 5].map((n) => waiting.submit('square', n));
    await Promise.all(futures.slice(0, 2).map((future) => future.accepted));
    const accepted = vi.fn();
    futures[2]?.accepted.then(accepted, () => {});
    expect(await futures[3]?.cancel()).toBe(true);
    const refusing = executor({ maxPending: 2, whenFull: 'refuse' });
    const refused = refusing.submit('square', 9);
    expect(await refused.exception()).toMatchObject({
      name: 'QueueFullError',
      code: 'ERR_HEDDLE_QUEUE_FULL',
    });
    await expect(refused.accepted).rejects.toMatchObject({ name: 'QueueFullError' });
    expect(await unfinished()).toBe(2);
    expect(accepted).not.toHaveBeenCalled();
    await host();
    expect(await Promise.all([0, 1, 2, 4].map((n) => futures[n]))).toEqual([1, 4, 9, 25]);
    expect(accepted).toHaveBeenCalled();
    expect(await refusing.submit('square', 3)).toBe(9);
  });

  it('takes what another job of the same deduplication key is there for, and no more', async () => {
    const waiting = executor({ maxPending: 1 });
    const refusing = executor({ maxPending: 1, whenFull: 'refuse' });
    const first = waiting.with({ dedupe: 'one' }).submit('square', 7);
    await first.accepted;
    const same = [waiting, refusing].map((pool) => pool.with({ dedupe: 'one' }).submit('square', 7));
    await Promise.all(same.map((future) => future.accepted));
    expect(same.map(({ id }) => id)).toEqual([first.id, first.id]);
    const other = refusing.with({ dedupe: 'two' }).submit('square', 8);
    expect(await other.exception()).toMatchObject({ name: 'QueueFullError' });
    expect(await unfinished()).toBe(1);
    await host();
    expect(await Promise.all([first, ...same])).toEqual([49, 49, 49]);
  });

  it('looks once for the job of a key, however long there is no room for it', async () => {
    const waiting = executor({ maxPending: 2 });
    await plain.config('RESETSTAT');
    const futures = Array.from({ length: 30 }, (_, n) =>
      waiting.with({ dedupe: `key ${n}` }).submit('square', n),
    );
    await host();
    expect(await Promise.all(futures)).toEqual(futures.map((_, n) => n * n));
    const [, looks] = /cmdstat_mget:calls=(\d+)/.exec(await plain.info('commandstats')) ?? [];
    expect(Number(looks)).toBe(1);
  });

  it('is never fuller than it may be, however many submit at the same moment', async () => {
    const sessions = await Promise.all(Array.from({ length: 6 }, () => connect(server.url, { namespace })));
    const pools = sessions.map(
      (own) => new DistributedExecutor<typeof tasks>('work', { session: own, maxPending: 5 }),
    );
    let most = 0;
    let done = false;
    const watching = (async () => {
      while (!done) {
        const prefix = `{${namespace}:queue:work}:work`;
        const [waiting, delayed] = await Promise.all([
          plain.llen(`${prefix}:wait`),
          plain.zcard(`${prefix}:delayed`),
        ]);
        most = Math.max(most, waiting + delayed);
      }
    })();
    const futures = pools.flatMap((pool) => Array.from({ length: 20 }, (_, n) => pool.submit('square', n)));
    await until(() => expect(most).toBe(5));
    await host();
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
    expect(() => executor({ maxPending: 0 })).toThrow(/maxPending/);
    expect(() => executor({ maxPending: 1, whenFull: 'drop' as 'wait' })).toThrow(/whenFull/);
  });
});

describe('a rate limit', () => {
  it('spreads the beginnings of jobs over time', async () => {
    await host({ rateLimit: { jobs: 2, per: 500 } });
    const begun = performance.now();
    await Promise.all([1, 2, 3, 4, 5].map((n) => executor().submit('square', n)));
    expect(performance.now() - begun).toBeGreaterThan(500);
    expect(() => new WorkerHost('work', { session, tasks: TASKS, rateLimit: { jobs: 0, per: 1 } })).toThrow(
      /rateLimit.jobs/,
    );
  });
});

describe('retries', () => {
  it.each(['CancelledError', 'TimeoutError', 'UnknownTaskError'] as const)(
    'runs a task again that threw a %s which says nothing of itself',
    async (name) => {
      await host();
      expect(await executor({ retries: 1 }).submit('throwAtFirst', name)).toBe(2);
    },
  );

  it('fails with a CancelledError that the task threw: it was not cancelled itself', async () => {
    const unwanted = executor().submit('square', 1);
    await unwanted.accepted;
    await unwanted.abort();
    await host();
    const thrown = executor().submit('throwAtFirst', 'CancelledError');
    expect(await thrown.exception()).toMatchObject({ message: 'another was cancelled' });
    const found = [unwanted, thrown].map(({ id }) => executor().future(id));
    for (const future of found) await expect(future.result()).rejects.toThrow(CancelledError);
    const cancelled = [unwanted, thrown, ...found].map((future) => future.cancelled());
    expect(cancelled).toEqual([true, false, true, false]);
  });
});

describe('dead letters', () => {
  it('can be looked at, and put back to be run once more', async () => {
    await host();
    const pool = executor({ ttl: 60_000, retries: 1 });
    const key = `${namespace}:tries`;
    const failed = pool.submit('failUntil', [server.url, key, 4]);
    await failed.exception();
    await pool.submit('fail', 'other').exception();
    await until(async () => expect(await deadLetters(session, 'work')).toHaveLength(2));
    const [other, letter] = await deadLetters(session, 'work');
    expect(letter).toMatchObject({ id: failed.id, task: 'failUntil', attempts: 2 });
    expect(letter?.error.message).toBe('not yet: 2');
    expect(letter?.failedAt).toBeInstanceOf(Date);
    expect(other?.error).toBeInstanceOf(RangeError);
    expect(await deadLetters(session, 'work', { start: 1, limit: 5 })).toHaveLength(1);
    expect(await replay(session, 'work', [failed.id, 'nonesuch'])).toEqual([failed.id]);
    expect(await executor().future(failed.id)).toBe(4);
    await until(async () => expect(await deadLetters(session, 'work')).toHaveLength(1));
    expect(await replay(session, 'work', [failed.id])).toEqual([]);
    expect(() => replay(session, 'work', 'x' as unknown as string[])).toThrow(/array of the ids/);
  });
});

describe('a session with a keyPrefix', () => {
  it('is refused by executors and hosts, which can not go by it', async () => {
    await using prefixed = await connect(server.url, { namespace, redis: { keyPrefix: 'app:' } });
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
    expect(thrown(() => executor({ session: prefixed }))).toMatchObject(refusal);
    expect(thrown(() => new WorkerHost('work', { session: prefixed, tasks: TASKS }))).toMatchObject(refusal);
  });
});

describe('time to live', () => {
  it('is counted by the clock of Redis, wherever hosts have set theirs', async () => {
    const future = executor({ ttl: 60_000 }).submit('remaining');
    await future.accepted;
    const real = Date.now;
    const set = vi.spyOn(Date, 'now').mockImplementation(() => real() + 3_600_000);
    try {
      await host();
      expect(await future).toBeLessThanOrEqual(60_000);
    } finally {
      set.mockRestore();
    }
    expect(await executor().submit('remaining')).toBe(Number.POSITIVE_INFINITY);
  });

  it('ends a running job, also where nobody waits for it any more', async () => {
    const working = await host();
    const submitter = await connect(server.url, { namespace });
    const abandoned = new DistributedExecutor<typeof tasks>('work', { session: submitter, ttl: 1500 });
    const future = abandoned.submit('untilAborted');
    await future.accepted;
    await until(() => expect(working.status().running).toBe(1));
    await submitter.close();
    expect(await executor().future(future.id).exception()).toMatchObject({ name: 'TimeoutError' });
    await until(() => expect(working.status().running).toBe(0));
  });
});

describe('a trace', () => {
  it('goes along, where OpenTelemetry has one', async () => {
    const { inTrace } = await import('./trace-tasks.ts');
    await host({ tasks: new URL('./trace-tasks.ts', import.meta.url) });
    const pool = new DistributedExecutor<typeof import('./trace-tasks.ts')>('work', { session });
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

describe('a DistributedExecutor', () => {
  it('runs tasks on a host, by name, and gives results and errors back whole', async () => {
    await host();
    const pool = executor();
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
    await host({ threadNamePrefix: 'loom' });
    const future = executor().submit('job');
    expect(await future).toMatchObject({ id: future.id, task: 'job', attempt: 1, host: hostname() });
    expect(await future).toMatchObject({ thread: expect.stringMatching(/^loom-\d$/) });
  });

  it('accepts a job once it is in Redis', async () => {
    const future = executor().submit('noop');
    await future.accepted;
    expect(await unfinished()).toBe(1);
  });

  it('sends the jobs of one tick together', async () => {
    const pool = executor();
    const add = vi.spyOn(JobQueue.prototype, 'add');
    try {
      await Promise.all(Array.from({ length: 200 }, () => pool.submit('noop').accepted));
      expect(add.mock.calls.map(([jobs]) => jobs.length)).toEqual([200]);
      expect(await unfinished()).toBe(200);
    } finally {
      add.mockRestore();
    }
  });

  it('brings context along, and log lines with it', async () => {
    const onLog = vi.fn();
    await host({ onLog });
    const pool = executor();
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
    await host();
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
    for await (const result of executor().map('square', inputs(), { chunksize: 10, buffersize: 40 })) {
      taken += 1;
      results.push(result);
    }
    expect(results).toEqual(Array.from({ length: 300 }, (_, n) => n * n));
    expect(furthest).toBeLessThanOrEqual(41);
  });

  it('takes jobs whose first connection was cut while it was made', async () => {
    const other = await connect(server.url, { namespace });
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
    const results = executor().map('square', [1, 2, 3]);
    await until(async () => expect(await unfinished()).toBe(3));
    const cancel = vi.spyOn(JobQueue.prototype, 'cancel').mockRejectedValue(new Error('Redis is away'));
    onTestFinished(() => cancel.mockRestore());
    await results.return?.();
    await until(() => expect(cancel).toHaveBeenCalledTimes(3));
    await nextTurn();
    cancel.mockRestore();
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('passes progress on, and tells when a task runs', async () => {
    await host();
    const future = executor().submit('report', 3);
    const steps: unknown[] = [];
    for await (const step of future.progress) steps.push(step);
    expect(steps).toEqual([{ step: 1 }, { step: 2 }, { step: 3 }]);
    const long = executor().submit('untilAborted');
    await until(() => expect(long.running()).toBe(true));
    await long.abort();
  });

  it('gives large outcomes too, and refuses what is too large for Redis', async () => {
    await host();
    const large = 'x'.repeat(3_000_000);
    expect(await executor().submit('echo', large)).toBe(large);
    expect(() => executor().submit('echo', 'x'.repeat(68_000_000))).toThrow(/reference/);
    await expect(executor().submit('repeat', 68_000_000)).rejects.toMatchObject({
      code: 'ERR_HEDDLE_TOO_LARGE',
    });
  });

  it('refuses what cannot travel, and tells local things from others', async () => {
    const pool = executor();
    expect(() => pool.submit('echo', { fn: () => 1 })).toThrow(NotCloneableError);
    for (const local of [new Lock(), new SharedArrayBuffer(4), new Int32Array(new SharedArrayBuffer(4))]) {
      expect(() => pool.submit('echo', [local])).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_HEDDLE_LOCAL_ONLY' }),
      );
    }
    expect(() => pool.with({ transfer: [new ArrayBuffer(1)] }).submit('noop')).toThrow(TypeError);
    expect(await unfinished()).toBe(0);
  });

  it('rejects an unknown task with the list of known ones, at the first attempt', async () => {
    await host();
    const error = await (executor({ retries: 3 }) as unknown as Executor).submit('nonesuch').exception();
    expect(error).toBeInstanceOf(UnknownTaskError);
    expect((error as UnknownTaskError).known).toContain('add');
  });

  it('finds a job again by its id, here or elsewhere, and says where there is none', async () => {
    await host();
    const future = executor().submit('add', 2, 3);
    await future;
    await using other = await connect(server.url, { namespace });
    const pool = new DistributedExecutor('work', { session: other });
    expect(await pool.future(future.id)).toBe(5);
    await expect(pool.future('nonesuch')).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' });
    await pool.shutdown();
  });

  it('keeps from what dies by its key who submits that by another executor of the session', async () => {
    const [one, other] = [executor(), executor()];
    const late = one.with({ dedupe: 'k', ttl: 30, delay: 5_000 }).submit('square', 1);
    expect(await late.exception()).toMatchObject({ name: 'TimeoutError' });
    const next = other.with({ dedupe: 'k' }).submit('square', 3);
    await host();
    expect(await next).toBe(9);
  });

  it('aborts the job of a key by a Future that has joined it on its way there', async () => {
    await host();
    const pool = executor({ dedupe: 'k' });
    const first = pool.submit('nap', 20_000);
    await until(() => expect(first.running()).toBe(true));
    const joined = pool.with({ ttl: 60_000 }).submit('nap', 20_000);
    for (let tick = 0; tick < 3; tick += 1) await undefined;
    expect(await joined.abort('enough')).toBe(true);
    await expect(first).rejects.toMatchObject({ name: 'CancelledError' });
  });

  it('finds no job of another queue by its id', async () => {
    await host();
    const elsewhere = new DistributedExecutor<typeof tasks>('elsewhere', { session });
    executors.push(elsewhere);
    const job = executor().submit('square', 3);
    const wrong = elsewhere.future(job.id);
    expect(await job).toBe(9);
    expect(await wrong.exception()).toMatchObject({ name: 'OutcomeUnknownError' });
  });

  it('gives the outcome of the job of the same key to all who submit it', async () => {
    const pool = executor({ dedupe: 'key' });
    const [one, two] = [pool.submit('add', 1, 1), pool.submit('add', 5, 5)];
    await Promise.all([one.accepted, two.accepted]);
    expect(await unfinished()).toBe(1);
    await host();
    expect(await Promise.all([one, two])).toEqual([2, 2]);
  });

  it('schedules: once, and again and again until it is cancelled', async () => {
    await host();
    const pool = executor();
    const key = `${namespace}:ticks`;
    await pool.schedule('bump', [[server.url, key]], { delay: 10 });
    await until(async () => expect(await plain.get(key)).toBe('1'));
    const schedule = await pool.schedule('bump', [[server.url, key]], { every: 50 });
    await until(async () => expect(Number(await plain.get(key))).toBeGreaterThan(3));
    expect(await schedule.cancel()).toBe(true);
    await plain.del(key);
  });

  it('shuts down when its tasks are done, and refuses what comes after', async () => {
    await host();
    const pool = executor();
    const futures = [1, 2, 3].map((n) => pool.submit('square', n));
    await pool.shutdown();
    expect(futures.every((future) => future.done())).toBe(true);
    expect(() => pool.submit('noop')).toThrow(InvalidStateError);
    await pool.shutdown();
  });

  it('ends its Futures when the session closes', async () => {
    const other = await connect(server.url, { namespace });
    const pool = new DistributedExecutor<typeof tasks>('work', { session: other });
    const future = pool.submit('noop');
    await future.accepted;
    await other.close();
    await expect(future).rejects.toThrow(SessionClosedError);
    expect(() => pool.submit('noop')).toThrow(SessionClosedError);
  });

  it('leaves nobody waiting for a schedule when the session closes while Redis is away', async () => {
    const other = await connect(server.url, { namespace });
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
    expect(await executor().scheduled(task.id).cancel()).toBe(true);
  });

  it('says that the session is closed to who ends a schedule then', async () => {
    const other = await connect(server.url, { namespace });
    const pool = new DistributedExecutor<typeof tasks>('work', { session: other });
    const task = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
    await other.close();
    await expect(task.cancel()).rejects.toThrow(SessionClosedError);
    expect(await executor().scheduled(task.id).cancel()).toBe(true);
  });
});

describe('cancelling a job', () => {
  it('takes it out of the queue before it has begun, whatever list it is in', async () => {
    const pool = executor();
    const futures = [
      pool.submit('noop'),
      pool.with({ priority: 5 }).submit('noop'),
      pool.with({ delay: 60_000 }).submit('noop'),
    ];
    await Promise.all(futures.slice(1).map((future) => future.accepted));
    expect(await Promise.all(futures.map((future) => future.cancel()))).toEqual([true, true, true]);
    expect(futures.every((future) => future.cancelled())).toBe(true);
    expect(await unfinished()).toBe(0);
    expect(await plain.zcard(`{${namespace}:queue:work}:work:prioritized`)).toBe(0);
  });

  it('is false, without effect, once it runs or is done', async () => {
    await host();
    const gate = `${namespace}:gate`;
    const running = executor().submit('untilGate', [server.url, gate]);
    await until(() => expect(running.running()).toBe(true));
    expect(await running.cancel()).toBe(false);
    await plain.set(gate, 'open');
    expect(await running).toBe(1);
    expect(await running.cancel()).toBe(false);
    await plain.del(gate);
  });

  it('aborts it while it runs, through its signal, or by ending its thread', async () => {
    const { completed } = await host({ threads: 1 }).then((made) => made.status());
    expect(completed).toBe(0);
    const pool = executor();
    const polite = pool.submit('untilAborted');
    await until(() => expect(polite.running()).toBe(true));
    expect(await polite.abort(new Error('enough'))).toBe(true);
    await expect(polite).rejects.toMatchObject({ name: 'CancelledError', cause: { message: 'enough' } });
    const rude = pool.submit('spinForever');
    await until(() => expect(rude.running()).toBe(true));
    await rude.abort();
    await expect(rude).rejects.toThrow(CancelledError);
    expect(await pool.submit('add', 1, 1)).toBe(2);
    await until(async () => expect(await unfinished()).toBe(0));
  });

  it('fails it when it takes longer than its time, or is not done within its ttl', async () => {
    const pool = executor({ retries: 3 });
    const late = pool.with({ ttl: 30 }).submit('noop');
    await expect(late).rejects.toThrow(TimeoutError);
    await until(async () => expect(await unfinished()).toBe(0));
    await host();
    await expect(pool.with({ timeout: 30 }).submit('spinForever')).rejects.toThrow(TimeoutError);
    expect(await pool.submit('add', 1, 1)).toBe(2);
  });
});

describe('no limit', () => {
  it('is what Infinity says, of each attempt, of the whole, and of each run of a schedule', async () => {
    await host();
    const limited = executor({ timeout: 30_000, ttl: 30_000 });
    const never = Number.POSITIVE_INFINITY;
    expect(await limited.with({ timeout: never, ttl: never }).submit('remaining')).toBe(never);
    const pool = executor({ timeout: never, ttl: never });
    expect(await pool.submit('remaining')).toBe(never);
    const key = `${namespace}:runs`;
    const every = await pool.schedule('bump', [[server.url, key]], { every: 40 });
    await until(async () => expect(Number(await plain.get(key))).toBeGreaterThan(0));
    expect(await every.cancel()).toBe(true);
  });
});

describe('bad work', () => {
  it('is tried again as often as was asked for, with back-off', async () => {
    await host();
    const key = `${namespace}:tries`;
    const backoff = { type: 'exponential', delay: 5, jitter: 0.5 } as const;
    const retrying = executor({ retries: 2, backoff });
    const tried = retrying.submit('failUntil', [server.url, key, 3]);
    expect(await tried).toBe(3);
    expect(await executor().future(tried.id)).toBe(3); // not what it failed with before
    await plain.del(key);
    await expect(executor({ retries: 1 }).submit('failUntil', [server.url, key, 3])).rejects.toThrow(
      'not yet: 2',
    );
    await plain.del(key);
    expect(await retrying.submit('exitUntil', [server.url, key, 3])).toBe(3);
    await plain.del(key);
  });

  it('that crashes its thread fails alone', async () => {
    await host({ threads: 1, resourceLimits: { maxOldGenerationSizeMb: 24 } });
    const pool = executor();
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

describe('a host', () => {
  it('that cannot load its tasks says so at start, and takes no job', async () => {
    const broken = new WorkerHost('work', {
      session,
      tasks: new URL('./broken.ts', import.meta.url),
      threads: 2,
    });
    await expect(broken.start()).rejects.toThrow(BrokenExecutorError);
    await broken.close();
    await expect(broken.start()).rejects.toThrow(InvalidStateError);
  });

  it('announces itself, and is gone from the list when it is closed or dead', async () => {
    const made = await host({ version: '1.2.3' });
    const child = await hostProcess();
    const running = executor().submit('untilAborted');
    await until(() => expect(running.running()).toBe(true));
    const { hosts: live, queues } = await fleet(session);
    expect(live.map(({ pid }) => pid).sort()).toEqual([process.pid, child.pid].sort());
    expect(live.find(({ pid }) => pid === process.pid)).toMatchObject({
      threads: 2,
      queue: 'work',
      version: '1.2.3',
      host: hostname(),
    });
    expect(queues).toEqual([expect.objectContaining({ name: 'work', hosts: 2, active: 1, waiting: 0 })]);
    await running.abort();
    await made.close();
    child.kill('SIGKILL');
    await until(async () => expect((await fleet(session)).hosts).toEqual([]));
  });

  it('that is closed lets running jobs end in their grace period', async () => {
    const made = await host();
    const gate = `${namespace}:gate`;
    const future = executor().submit('untilGate', [server.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    const closing = made.close({ gracePeriod: 15_000 });
    await plain.set(gate, 'open');
    await closing;
    expect(await future).toBe(1);
    await plain.del(gate);
  });

  it('that is closed gives back what goes on longer, with no attempt lost, and what it had not begun', async () => {
    const made = await host({ threads: 1 });
    const pool = executor({ retries: 0 });
    const polite = pool.submit('untilGate', [server.url, `${namespace}:gate`]);
    await until(() => expect(polite.running()).toBe(true));
    const rest = [1, 2, 3].map((n) => pool.submit('square', n));
    await Promise.all(rest.map((future) => future.accepted));
    await made.close({ gracePeriod: 20 });
    expect(await unfinished()).toBe(4);
    expect(await plain.llen(`{${namespace}:queue:work}:work:active`)).toBe(0);
    expect(polite.done()).toBe(false);
    await plain.set(`${namespace}:gate`, 'open');
    await host();
    expect(await polite).toBe(2);
    expect(await Promise.all(rest)).toEqual([1, 4, 9]);
    await plain.del(`${namespace}:gate`);
  });

  it('ends with 0 on SIGTERM, with nothing in limbo', async () => {
    const child = await hostProcess();
    const futures = Array.from({ length: 20 }, () => executor().submit('nap', 30));
    await until(() => expect(futures.filter((future) => future.done()).length).toBeGreaterThan(2));
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    await host();
    expect((await Promise.all(futures)).length).toBe(20);
    expect(await unfinished()).toBe(0);
  });

  it('that is killed in the middle loses no job, and each Future ends once', async () => {
    const children = await Promise.all([hostProcess(), hostProcess()]);
    const key = `${namespace}:runs`;
    const pool = executor();
    const outcomes: number[] = [];
    const futures = Array.from({ length: 60 }, (_, n) => {
      const future = pool.submit('tally', [server.url, key, n, 20]);
      future.addDoneCallback(() => outcomes.push(n));
      return future;
    });
    await until(() => expect(outcomes.length).toBeGreaterThan(8));
    children[0]?.kill('SIGKILL');
    expect(await Promise.all(futures)).toEqual(Array.from({ length: 60 }, (_, n) => n));
    expect(outcomes.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n));
    const runs = Object.values(await plain.hgetall(key)).map(Number);
    expect(runs.length).toBe(60);
    expect(Math.min(...runs)).toBe(1);
    expect(runs.filter((count) => count > 1).length).toBeLessThanOrEqual(2);
    expect(await unfinished()).toBe(0);
    await plain.del(key);
  }, 30_000);
});

describe('a host that gave no sign of life in time', () => {
  it('ends its own run of the job it lost; the other one counts, and nothing hangs', async () => {
    const child = await hostProcess();
    const gate = `${namespace}:gate`;
    const future = executor().submit('untilGate', [server.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    child.kill('SIGSTOP');
    const second = await host();
    await until(() => expect(second.status().running).toBe(1));
    child.kill('SIGCONT');
    await plain.set(gate, 'open');
    expect(await future).toBeGreaterThan(1);
    await plain.del(gate);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  it('runs the job it lost and got again once at a time', async () => {
    const made = await host({ onError: () => {} });
    const gate = `${namespace}:gate`;
    const future = executor().submit('untilGate', [server.url, gate]);
    await until(() => expect(future.running()).toBe(true));
    await until(async () => {
      await plain.del(`{${namespace}:queue:work}:work:${future.id}:lock`);
      expect(await plain.hget(`{${namespace}:queue:work}:work:${future.id}`, 'ats')).not.toBe('1');
    }, 50);
    expect(made.status().running).toBeLessThanOrEqual(1);
    await plain.set(gate, 'open');
    expect(await future).toBeGreaterThan(1);
    await plain.del(gate);
    await until(() => expect(made.status().running).toBe(0));
  });
});

describe('a missed message', () => {
  it('costs time, never an outcome', async () => {
    await using other = await connect(server.url, { namespace });
    await host({ session: other });
    const future = executor().submit('nap', 150);
    await future.accepted;
    // All subscribers are cut, as often as they come back, until the job is done: its news reach nobody.
    const cut = setInterval(() => void plain.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), 2);
    try {
      await until(async () => expect(await unfinished()).toBe(0));
    } finally {
      clearInterval(cut);
    }
    expect(await future).toBeGreaterThan(0);
  });
});

describe('bad arguments', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['no session', () => new DistributedExecutor('work', {} as DistributedOptions), /Session/],
    ['no name', () => new DistributedExecutor('', { session }), /queue/],
    ['braces', () => new DistributedExecutor('a{b}', { session }), /queue/],
    [
      'an unknown option',
      () => executor({ retry: 1 } as object),
      /unknown option "retry"; known are session, .*retries/,
    ],
    ['negative retries', () => executor({ retries: -1 }), /retries/],
    ['NaN', () => executor({ timeout: Number.NaN }), /timeout/],
    ['no tasks', () => new WorkerHost('work', { session } as WorkerHostOptions), /tasks/],
    ['no thread', () => new WorkerHost('work', { session, tasks: TASKS, threads: 0 }), /threads/],
    [
      'an unknown host option',
      () => new WorkerHost('work', { session, tasks: TASKS, thread: 2 } as object as WorkerHostOptions),
      /unknown option "thread"/,
    ],
    [
      'an unknown option within one',
      () => new DistributedExecutor('work', { session, keep: { cuont: 5 } as object }),
      /keep: unknown option "cuont"; known are age, count/,
    ],
    [
      'an unknown option of a backoff',
      () => executor().with({ backoff: { type: 'fixed', delay: 1, jiter: 1 } as never }),
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
