/** Queues as a whole, schedules, logs, hand-over between hosts, and tasks that behave badly, as a DistributedExecutor sees them. */
import { getEventListeners, once } from 'node:events';
import {
  DistributedExecutor,
  drainQueue,
  jobLogs,
  pauseQueue,
  replay,
  resumeQueue,
  ThreadCrashedError,
} from '@heddle/pool';
import { RedisRefusedError } from '@heddle/primitives';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { jobBench } from './bench.ts';
import { requestId } from './context.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));
const elsewhere = async () =>
  new DistributedExecutor<typeof tasks>('work', { session: await bench.anotherSession() });

describe('a queue', () => {
  it('that is paused takes jobs and has none begin, until it is resumed', async () => {
    const host = await bench.host();
    const gate = `${bench.namespace}:gate`;
    const running = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(running.running()).toBe(true));
    await pauseQueue(bench.session, 'work');
    const waiting = [1, 2, 3].map((n) => bench.executor().submit('square', n));
    await Promise.all(waiting.map((future) => future.accepted));
    await bench.plain.set(gate, 'open');
    expect(await running).toBe(1);
    await until(() => expect(host.status().running).toBe(0));
    expect(await bench.unfinished()).toBe(3);
    expect(await waiting[2]?.cancel()).toBe(true);
    await resumeQueue(bench.session, 'work');
    expect(await Promise.all(waiting.slice(0, 2))).toEqual([1, 4]);
  });

  it('that is drained cancels what has not begun, and no more', async () => {
    const host = await bench.host({ threads: 1 });
    const gate = `${bench.namespace}:gate`;
    const running = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(running.running()).toBe(true));
    const pool = bench.executor();
    const futures = [
      pool.submit('square', 1),
      pool.with({ priority: 3 }).submit('square', 2),
      pool.with({ delay: 60_000 }).submit('square', 3),
    ];
    await Promise.all(futures.map((future) => future.accepted));
    expect(await drainQueue(bench.session, 'work')).toBe(2);
    for (const future of futures.slice(0, 2))
      await expect(future).rejects.toMatchObject({
        name: 'CancelledError',
        message: expect.stringContaining('drained'),
      });
    expect(futures[2]?.done()).toBe(false);
    expect(await drainQueue(bench.session, 'work', { delayed: true })).toBe(1);
    await expect(futures[2]).rejects.toMatchObject({ name: 'CancelledError' });
    await bench.plain.set(gate, 'open');
    expect(await running).toBe(1);
    expect(host.status().completed).toBe(1);
    expect(() => drainQueue(bench.session, 'work', { delayed: 1 as unknown as boolean })).toThrow(/delayed/);
  });

  it('has jobs begin by priority, first in first out among equals', async () => {
    const key = `${bench.namespace}:order`;
    const pool = bench.executor();
    const note = (priority: number, word: string) =>
      requestId.run(word, () => pool.with({ priority }).submit('noteContext', [bench.url, key]));
    const futures = [note(3, 'c1'), note(1, 'a'), note(3, 'c2'), note(2, 'b'), note(0, 'first')];
    await Promise.all(futures.map((future) => future.accepted));
    await bench.host({ threads: 1 });
    await Promise.all(futures);
    expect(await bench.plain.lrange(key, 0, -1)).toEqual(['first', 'a', 'b', 'c1', 'c2']);
  });

  it.each([
    ['in chunks', { chunksize: 4 }],
    ['as there is room', { buffersize: 2 }],
  ])('brings the context to each job of a map, submitted %s', async (_, options) => {
    await bench.host();
    const key = `${bench.namespace}:seen`;
    const inputs = Array.from({ length: 6 }, (): [string, string] => [bench.url, key]);
    await requestId.run('m1', async () => {
      for await (const _ of bench.executor().map('noteContext', inputs, options));
    });
    expect(await bench.plain.lrange(key, 0, -1)).toEqual(inputs.map(() => 'm1'));
  });

  it('keeps what its jobs said, of every attempt', async () => {
    const onLog = vi.fn();
    await bench.host({ onLog });
    const pool = bench.executor({ retries: 1 });
    const future = requestId.run('r9', () => pool.submit('sayAndFail', 'first', 'second'));
    expect(await future).toBe('r9');
    expect(await jobLogs(bench.session, 'work', future.id)).toEqual(['first', 'second']);
    expect(await jobLogs(bench.session, 'work', future.id, { start: 1 })).toEqual(['second']);
    expect(onLog.mock.calls.map(([{ attempt, context }]) => [attempt, context])).toEqual([
      [1, { requestId: 'r9' }],
      [2, { requestId: 'r9' }],
    ]);
    expect(() => jobLogs(bench.session, 'work', '')).toThrow(/id/);
  });
});

function abortable(): { signal: AbortSignal; abort(reason: unknown): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}

describe('a schedule', () => {
  it('brings the context of its submitter to each run, and is cancelled from anywhere', async () => {
    await bench.host();
    const key = `${bench.namespace}:seen`;
    const every = await requestId.run('tick', () =>
      bench.executor().schedule('noteContext', [[bench.url, key]], { every: 40 }),
    );
    await until(async () => expect(await bench.plain.llen(key)).toBeGreaterThan(2));
    const other = await elsewhere();
    expect(await other.scheduled(every.id).cancel()).toBe(true);
    expect(await other.scheduled(every.id).cancel()).toBe(false);
    await until(async () => expect(await bench.unfinished()).toBe(0));
    expect(new Set(await bench.plain.lrange(key, 0, -1))).toEqual(new Set(['tick']));
    await other.shutdown();
    expect(() => other.scheduled('')).toThrow(/id/);
  });

  it('of one run can be cancelled from anywhere while it has not begun', async () => {
    const at = new Date(Date.now() + 60_000);
    const once = await bench.executor().schedule('noop', [], { at });
    expect(await bench.unfinished()).toBe(1);
    const other = await elsewhere();
    expect(await other.scheduled(once.id).cancel()).toBe(true);
    expect(await bench.unfinished()).toBe(0);
    expect(await once.cancel()).toBe(false);
    await other.shutdown();
  });

  it('that repeats is cancelled while a run of it waits for a host', async () => {
    const every = await bench.executor().schedule('noop', [], { every: 20 });
    await until(async () => expect(await bench.plain.llen(bench.key('wait'))).toBe(1));
    expect(await every.cancel()).toBe(true);
    expect(await bench.unfinished()).toBe(0);
    expect(await every.cancel()).toBe(false);
  });

  it.each([{ delay: 60_000 }, { every: 60_000, delay: 60_000 }])(
    'is ended by its signal, and leaves no listener on it: %j',
    async (when) => {
      const { signal, abort } = abortable();
      const pool = bench.executor();
      const heeding = pool.with({ signal });
      const cancelled = await heeding.schedule('noop', [], when);
      const ended = await heeding.schedule('noop', [], when);
      expect(await bench.unfinished()).toBe(2);
      expect(await cancelled.cancel()).toBe(true);
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      abort('enough');
      await until(async () => expect(await bench.unfinished()).toBe(0));
      expect(await ended.cancel()).toBe(false);
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
      await expect(heeding.schedule('noop', [], when)).rejects.toBe('enough');
      const quick = abortable();
      const onItsWay = pool.with({ signal: quick.signal }).schedule('noop', [], when);
      quick.abort('on its way');
      await expect(onItsWay).rejects.toBe('on its way');
      await until(async () => expect(await bench.unfinished()).toBe(0));
      const another = abortable();
      const task = await pool.with({ signal: another.signal }).schedule('noop', [], when);
      await pool.shutdown({ cancelFutures: true });
      expect(getEventListeners(another.signal, 'abort')).toHaveLength(0);
      await task.cancel();
    },
  );

  it('goes by cron', async () => {
    await bench.host();
    const key = `${bench.namespace}:ticks`;
    const cron = await bench.executor().schedule('bump', [[bench.url, key]], { cron: '* * * * * *' });
    await until(async () => expect(Number(await bench.plain.get(key))).toBeGreaterThan(0));
    expect(await cron.cancel()).toBe(true);
  });

  it.each(['never', '99 * * * *', '0 0 30 2 *', ''])('says that no cron goes by %j', async (cron) => {
    const error = await bench
      .executor()
      .schedule('noop', [], { cron })
      .catch((reason) => reason);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({
      message: expect.stringContaining(`not ${JSON.stringify(cron)}`),
      code: 'ERR_HEDDLE_OUT_OF_RANGE',
    });
  });

  it.each([{ delay: 60_000 }, { every: 60_000, delay: 60_000 }])(
    'is cancelled once, by the first who asks: %j',
    async (when) => {
      const pool = bench.executor();
      const task = await pool.schedule('noop', [], when);
      expect((await Promise.all([task.cancel(), task.cancel()])).sort()).toEqual([false, true]);
      expect(await task.cancel()).toBe(false);
      await pool.shutdown(); // waits for nothing any more
    },
  );
});

describe('a job that has failed', () => {
  it('is put back by one of those who replay it at once, each of which hears what it did', async () => {
    await bench.host();
    const pool = bench.executor();
    const keys = Array.from({ length: 30 }, (_, n) => `${bench.namespace}:tries-${n}`);
    const failed = keys.map((key, n) =>
      pool.with({ priority: n % 2 }).submit('failUntil', [bench.url, key, 2]),
    );
    await Promise.all(failed.map((future) => future.exception()));
    const ids = failed.map(({ id }) => id);
    const sessions = [bench.session, await bench.anotherSession()];
    const replayed = await Promise.all(sessions.map((session) => replay(session, 'work', ids)));
    expect(replayed.flat().toSorted()).toEqual(ids.toSorted());
    for (const id of ids) expect(await pool.future(id)).toBe(2);
    expect(await bench.plain.mget(keys)).toEqual(keys.map(() => '2'));
  });

  it('has its key again when it is replayed: who submits that has a Future of it', async () => {
    await bench.host();
    const pool = bench.executor({ dedupe: 'key' });
    const tries = `${bench.namespace}:tries`;
    const failed = pool.submit('failUntil', [bench.url, tries, 2]);
    await failed.exception();
    await pauseQueue(bench.session, 'work');
    expect(await replay(bench.session, 'work', [failed.id])).toEqual([failed.id]);
    const joined = pool.submit('failUntil', [bench.url, tries, 2]);
    await joined.accepted;
    expect(joined.id).toBe(failed.id);
    await resumeQueue(bench.session, 'work');
    expect(await joined).toBe(2);
    expect(await bench.plain.keys(bench.key('de:*'))).toEqual([]);
  });

  it('is none under the name of a list of the queue', async () => {
    await bench.executor().submit('noop').accepted;
    expect(await replay(bench.session, 'work', ['wait', 'meta'])).toEqual([]);
    expect(await bench.executor().scheduled('wait').cancel()).toBe(false);
    expect(await bench.executor().future('wait').cancel()).toBe(false);
  });

  it('ends also where its error is named as BullMQ names a limited rate', async () => {
    const host = await bench.host({ threads: 1 });
    const future = bench.executor().submit('throwWord');
    expect(await future.exception({ timeout: 5000 })).toMatchObject({ name: 'bullmq:rateLimitExceeded' });
    expect(host.status().failed).toBe(1);
  });
});

describe('a job between two attempts', () => {
  it('is running to nobody, here or elsewhere, and can be cancelled', async () => {
    await bench.host();
    const own = bench.executor({ retries: 1 }).with({ backoff: 60_000 }).submit('napAndFail', 700);
    await until(() => expect(own.running()).toBe(true));
    const found = (await elsewhere()).future(own.id);
    await until(() => expect(found.running()).toBe(true));
    await until(() => expect([own.running(), found.running()]).toEqual([false, false]), 5, 3000);
    expect(await found.cancel()).toBe(true);
    await expect(own).rejects.toMatchObject({ name: 'CancelledError' });
  });
});

describe('a Redis that is full', () => {
  it('refuses with its own error, which says what to do', async () => {
    const onError = vi.fn();
    await bench.host({ onError });
    const pool = bench.executor();
    const task = await pool.schedule('noop', [], { every: 60_000, delay: 60_000 });
    await bench.plain.config('SET', 'maxmemory', '1mb');
    onTestFinished(() => void bench.plain.config('SET', 'maxmemory', '0'));
    const future = pool.submit('noop');
    const said = await Promise.all([
      future.exception(),
      ...[
        future.accepted,
        pool.schedule('noop', [], { every: 1000 }),
        pool.schedule('noop', [], { delay: 1000 }),
        pauseQueue(bench.session, 'work'),
        task.cancel(),
      ].map((each) => Promise.resolve(each).catch((error: unknown) => error)),
    ]);
    const REFUSED = { code: 'ERR_HEDDLE_REDIS_REFUSED', message: expect.stringContaining('maxmemory') };
    await until(() => expect(onError).toHaveBeenCalled());
    for (const error of said.slice(0, 5)) {
      expect(error).toBeInstanceOf(RedisRefusedError);
      expect(error).toMatchObject(REFUSED);
    }
    for (const [error] of onError.mock.calls) expect(error).toMatchObject(REFUSED);
    const words = onError.mock.calls.map(([{ message }]) => message);
    expect(words).toEqual([...new Set(words)]); // each once
    await bench.plain.config('SET', 'maxmemory', '0');
  });
});

describe('a job', () => {
  it('is found after its submitter was restarted, and aborted or cancelled from there', async () => {
    const submitter = await bench.anotherSession();
    const first = new DistributedExecutor<typeof tasks>('work', { session: submitter });
    const [running, waiting, dedupe] = [
      first.submit('untilAborted'),
      first.submit('square', 3),
      first.with({ dedupe: 'once' }).submit('square', 4),
    ];
    await Promise.all([running, waiting, dedupe].map((future) => future.accepted));
    await submitter.close();
    const again = bench.executor();
    expect(await again.future(dedupe.id).cancel()).toBe(true);
    expect(await again.with({ dedupe: 'once' }).submit('square', 5).accepted).toBeUndefined();
    const host = await bench.host({ threads: 1 });
    await until(() => expect(host.status().busy).toBe(1));
    expect(await again.future(waiting.id).cancel()).toBe(true);
    const found = again.future(running.id);
    await until(() => expect(found.running()).toBe(true));
    expect(await found.abort()).toBe(true);
    await until(async () => expect(await bench.unfinished()).toBe(0));
    await until(() => expect(host.status()).toMatchObject({ running: 0, completed: 1 }));
  });

  it('is handed to another host at once when its own is told to end, and loses no attempt', {
    timeout: 60_000,
  }, async () => {
    const stall = 60_000; // only a hand-over is quicker
    const child = await bench.hostProcess({ stallTimeout: stall });
    const gate = `${bench.namespace}:gate`;
    const pool = bench.executor({ retries: 0 });
    const [polite, rude] = [
      pool.submit('untilGate', [bench.url, gate]),
      pool.submit('markThenSpin', [bench.url, gate]),
    ];
    await until(() => expect(polite.running() && rude.running()).toBe(true));
    await bench.host({ stallTimeout: stall });
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    await bench.plain.set(gate, 'open');
    expect(await Promise.all([polite, rude])).toEqual([2, 2]);
    for (const { id } of [polite, rude]) expect(await bench.plain.hget(bench.key(id), 'atm')).toBe('1');
  });
});

describe('a task that behaves badly fails alone', () => {
  it.each<[string, keyof typeof tasks, unknown[], object]>([
    ['throws a string', 'throwString', [], { code: 'ERR_HEDDLE_NON_ERROR_THROWN', cause: 'just text' }],
    ['rejects with undefined', 'rejectUndefined', [], { code: 'ERR_HEDDLE_NON_ERROR_THROWN' }],
    ['throws what has no string', 'throwBare', [], { code: 'ERR_HEDDLE_NON_ERROR_THROWN' }],
    ['gives what throws when it is looked at', 'giveBadThen', [], { message: 'no then' }],
    ['throws an error that is its own cause', 'throwCircle', [], { message: 'circle' }],
    ['gives a function', 'giveFunction', [], { code: 'ERR_HEDDLE_NOT_CLONEABLE', message: /items\[0\]\.fn/ }],
    [
      'gives 70 MB',
      'repeat',
      [70_000_000],
      {
        name: 'RangeError',
        code: 'ERR_HEDDLE_TOO_LARGE',
        message: /70000002 characters.*67108864.*reference/,
      },
    ],
    ['exits', 'exit', [3], { name: 'ThreadCrashedError', message: /code 3/ }],
    ['changes the directory', 'changeDirectory', [], { code: 'ERR_WORKER_UNSUPPORTED_OPERATION' }],
    ['throws in a callback', 'throwInCallback', [], { message: 'thrown in a callback' }],
  ])('%s', async (_, task, args, failure) => {
    await bench.host({ threads: 1, onError: () => {} });
    const pool = bench.executor() as unknown as DistributedExecutor;
    const before = pool.submit('square', 2);
    const bad = pool.submit(task, ...args);
    const behind = [3, 4].map((n) => pool.submit('square', n));
    const error = await bad.exception();
    const wanted = Object.entries(failure).map(([name, value]) => [
      name,
      value instanceof RegExp ? expect.stringMatching(value) : value,
    ]);
    expect(error).toMatchObject(Object.fromEntries(wanted));
    expect(await before).toBe(4);
    expect(await Promise.all(behind)).toEqual([9, 16]);
  });

  it('runs out of memory, or for ever', async () => {
    await bench.host({ threads: 1, resourceLimits: { maxOldGenerationSizeMb: 32 } });
    const pool = bench.executor();
    expect(await pool.submit('outOfMemory').exception()).toBeInstanceOf(ThreadCrashedError);
    expect(await pool.with({ timeout: 50 }).submit('spinForever').exception()).toMatchObject({
      name: 'TimeoutError',
    });
    expect(await pool.submit('add', 1, 1)).toBe(2);
  });

  it('rejects and throws after it has returned', async () => {
    const onError = vi.fn();
    const host = await bench.host({ threads: 1, onError });
    const pool = bench.executor();
    expect(await pool.submit('throwLater')).toBe('returned');
    expect(await pool.submit('nap', 20)).toBeGreaterThan(0);
    expect(host.status()).toMatchObject({ threads: 1, failed: 0 });
    await until(() =>
      expect(onError.mock.calls.map(([{ message }]) => message).toSorted()).toEqual([
        'rejected after return',
        'thrown after return',
      ]),
    );
  });
});
