import { fork } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BrokenExecutorError,
  CancelledError,
  type Executor,
  InvalidStateError,
  ThreadCrashedError,
  ThreadPoolExecutor,
  type ThreadPoolOptions,
} from '@heddle/pool';
import { Lock, NotCloneableError, setExceptHook, TimeoutError, UnknownTaskError } from '@heddle/primitives';
import { context, propagation } from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import { requestId, secret } from './context.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const open: Executor<typeof tasks>[] = [];

function pool(options: ThreadPoolOptions = {}): ThreadPoolExecutor<typeof tasks> {
  const made = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 2, gracePeriod: 100, ...options });
  open.push(made);
  return made;
}

function words(count = 8): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * 4));
}

/** Resolves when a thread has set the word. */
async function marked(memory: Int32Array, at: number, value = 1): Promise<void> {
  await until(() => expect(Atomics.load(memory, at)).toBe(value));
}

function openGate(memory: Int32Array, at: number): void {
  Atomics.store(memory, at, 1);
  Atomics.notify(memory, at);
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((executor) => executor.shutdown({ cancelFutures: true })));
});

describe('a ThreadPoolExecutor', () => {
  it('runs tasks in threads that are not this one, by name', async () => {
    const executor = pool();
    expect(await executor.submit('add', 1, 2)).toBe(3);
    expect(await executor.submit('thread')).toBeGreaterThan(0);
  });

  it('starts threads as there are tasks for them, up to maxWorkers, and uses all of them', async () => {
    const executor = pool({ maxWorkers: 3 });
    const memory = words();
    const blocked = [0, 1, 2, 3, 4, 5].map(() => executor.submit('markAndBlock', memory, 0, 1));
    await marked(memory, 0, 3);
    openGate(memory, 1);
    expect(new Set(await Promise.all(blocked)).size).toBeLessThanOrEqual(3);
  });

  it('takes what waits behind a slow task to an idle thread, also past one that has nothing to give', async () => {
    const executor = pool({ maxWorkers: 3 });
    const memory = words();
    const gates = [1, 2, 3];
    const block = () => gates.map((gate) => executor.submit('markAndBlock', memory, 0, gate));
    for (let round = 1; round <= 2; round += 1) {
      const blocked = block();
      await marked(memory, 0, 3 * round); // each thread has one
      const behind = gates.map(() => executor.submit('noop'));
      await new Promise((resolve) => setImmediate(resolve)); // one is sent to each, ahead of its turn
      if (round === 2) {
        expect(await behind[0]?.cancel()).toBe(true);
        openGate(memory, 3);
        await Promise.all(behind.slice(1));
        expect(blocked.map((future) => future.done())).toEqual([false, false, true]);
      }
      for (const gate of gates) openGate(memory, gate);
      await Promise.all(blocked);
      memory.fill(0, 1, 4);
    }
  });

  it('imports the module once in each thread, and calls the initializer there first', async () => {
    const executor = pool({ maxWorkers: 1, initializer: 'init', initargs: ['hi'] });
    const counts = await Promise.all([1, 2, 3].map(() => executor.submit('count')));
    expect(counts).toEqual([1, 2, 3]);
    expect(await executor.submit('initialisedWith')).toBe(`hi-${await executor.submit('thread')}`);
  });

  it('names its threads and tells the task where it is', async () => {
    const executor = pool({ threadNamePrefix: 'loom' });
    const future = executor.submit('job');
    expect(await future).toMatchObject({ id: future.id, task: 'job', attempt: 1, thread: 'loom-1' });
    expect(await executor.submit('threadName')).toBe('loom-1');
  });

  it('refuses an unknown task with the list of known ones, before and after the module is loaded', async () => {
    const executor = pool() as unknown as Executor;
    for (let round = 0; round < 2; round += 1) {
      const error = await executor.submit('nonesuch').exception();
      expect(error).toBeInstanceOf(UnknownTaskError);
      expect((error as UnknownTaskError).known).toContain('add');
      expect((error as UnknownTaskError).known).not.toContain('notATask');
    }
  });

  it('keeps an error: class, name, message, stack, cause and own fields', async () => {
    const error = (await pool().submit('fail', 'oh').exception()) as RangeError & {
      details: object;
      code: string;
    };
    expect(error).toBeInstanceOf(RangeError);
    expect([error.name, error.message, error.code]).toEqual(['OurError', 'oh', 'E_OURS']);
    expect(error.stack).toContain('tasks.ts');
    expect(error.details).toEqual({ n: 1, when: new Date(0) });
    expect(error.cause).toBeInstanceOf(TimeoutError);
  });

  it('brings a signal that has aborted as one that has, with its reason', async () => {
    const executor = pool({ maxWorkers: 1 });
    await executor.submit('noop');
    const stop = new AbortController();
    expect(await executor.submit('seen', stop.signal)).toEqual([[false, undefined]]);
    stop.abort(new RangeError('enough'));
    const before = AbortSignal.abort('before');
    const error = expect.objectContaining({ name: 'RangeError', message: 'enough' });
    for (let round = 0; round < 2; round += 1)
      expect(await executor.submit('seen', before, stop.signal)).toEqual([
        [true, 'before'],
        [true, error],
      ]);
    const back = (await executor.submit('echo', [before, before])) as AbortSignal[];
    expect(back.every((signal) => signal === before)).toBe(true);
  });

  it('delivers an error whose fields cannot travel, with what can', async () => {
    const error = await pool().submit('failWithBaggage').exception();
    expect(error).toMatchObject({ message: 'kept', socket: expect.any(NotCloneableError) });
  });

  it('makes an error of what is thrown and is none', async () => {
    expect(await pool().submit('throwString').exception()).toMatchObject({ cause: 'just text' });
    expect(await pool().submit('rejectUndefined').exception()).toBeInstanceOf(Error);
    const results = pool().map('throwBare', [1, 2] as never, { chunksize: 2 });
    await expect(results.next()).rejects.toThrow(/no Error: \[object\]/);
  });

  it('fails a task whose result throws when it is looked at, and the thread goes on', async () => {
    const executor = pool({ maxWorkers: 1 });
    const bad = executor.submit('giveBadThen');
    const behind = executor.submit('square', 2);
    await expect(bad).rejects.toThrow('no then');
    expect(await behind).toBe(4);
  });

  it('refuses arguments that cannot travel at the call, and results by failing their task', async () => {
    const executor = pool();
    const bad = { items: [1, 2, 3, { fn: () => 1 }] };
    expect(() => executor.submit('echo', bad)).toThrow(
      expect.objectContaining({ path: 'args[0].items[3].fn' }),
    );
    const error = await executor.submit('giveFunction').exception();
    expect(error).toBeInstanceOf(NotCloneableError);
    expect(error).toMatchObject({ path: 'result.items[0].fn' });
  });

  it('copies arguments at the call, moves what is to be transferred, shares shared memory', async () => {
    const executor = pool();
    const list = [1];
    const echoed = executor.submit('echo', list);
    list.push(2);
    expect(await echoed).toEqual([1]);
    const bytes = new Uint8Array([1, 2, 3]);
    const moved = executor.with({ transfer: [bytes.buffer] }).submit('echo', { bytes });
    expect(bytes.byteLength).toBe(0);
    expect(await moved).toEqual({ bytes: new Uint8Array([1, 2, 3]) });
    const memory = words();
    await executor.submit('markRun', memory, 2);
    expect(memory[2]).toBe(1);
  });

  it('shares local primitives, wherever in the arguments they stand', async () => {
    const executor = pool();
    const lock = new Lock();
    const memory = words();
    const plain = { turns: 2000, where: [{ lock }] };
    await Promise.all([1, 2, 3, 4].map(() => executor.submit('countUnder', plain, memory)));
    expect(memory[0]).toBe(8000);
  });

  it('gives tasks logical threads of their own, and the ThreadLocal values of their thread', async () => {
    const executor = pool({ maxWorkers: 1 });
    const seen = [await executor.submit('remember', 'a'), await executor.submit('remember', 'b')];
    expect(seen.map(({ before }) => before)).toEqual([undefined, 'a']);
    expect(seen[0]?.ident).not.toBe(seen[1]?.ident);
  });

  it('brings propagating context variables to the task, through its awaits, and no others', async () => {
    const lines: unknown[] = [];
    const executor = pool({ onLog: (entry) => lines.push([entry.line, entry.context]) });
    const [seen, later] = requestId.run('r1', () =>
      secret.run('s', () => [executor.submit('context'), executor.submit('contextLater')]),
    );
    expect(await seen).toEqual({ requestId: 'r1', secret: undefined });
    expect(await later).toBe('r1');
    expect(await executor.submit('contextLater')).toBe('none');
    expect(lines).toEqual([
      ['looking', { requestId: 'r1' }],
      ['looking', {}],
    ]);
  });

  it('passes progress on while the task runs', async () => {
    const future = pool().submit('report', 3);
    const steps: unknown[] = [];
    for await (const step of future.progress) steps.push(step);
    expect(steps).toEqual([{ step: 1 }, { step: 2 }, { step: 3 }]);
    expect(await future).toBe('done');
  });

  it('says that sessions do not reach threads', async () => {
    expect(await pool().submit('session').exception()).toMatchObject({ code: 'ERR_HEDDLE_NO_SESSION' });
  });

  it('runs it before what was sent ahead to a thread, which comes back in its turn', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const order: string[] = [];
    const submit = (priority: number, name: string, delay = 0) =>
      executor
        .with({ priority, delay })
        .submit('noop')
        .addDoneCallback(() => order.push(name));
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    submit(9, 'late');
    submit(5, 'first');
    submit(5, 'second');
    await sleep(1); // one of them was sent ahead with the end of the turn
    submit(3, 'urgent');
    submit(1, 'delayed', 1);
    await sleep(5); // timers fire in the order in which they are due
    openGate(memory, 1);
    await running;
    await executor.shutdown();
    expect(order).toEqual(['delayed', 'urgent', 'first', 'second', 'late']);
  });

  it('keeps as many priorities as there are tasks', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    const order: number[] = [];
    const numbers = Array.from({ length: 500 }, (_, n) => (n * 311) % 500);
    for (const priority of numbers)
      executor
        .with({ priority })
        .submit('noop')
        .addDoneCallback(() => order.push(priority));
    openGate(memory, 1);
    await running;
    await executor.shutdown();
    expect(order).toEqual(numbers.toSorted((a, b) => a - b));
  });

  it('runs what has the lowest priority number first', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const first = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const order: number[] = [];
    const ahead = executor.submit('noop'); // one task is sent ahead of its turn
    await Promise.resolve();
    const all = [5, 1, 3].map((priority) => {
      const future = executor.with({ priority }).submit('noop');
      future.addDoneCallback(() => order.push(priority));
      return future;
    });
    openGate(memory, 1);
    await Promise.all([first, ahead, ...all]);
    expect(order).toEqual([1, 3, 5]);
  });

  it('gives the Future of the task that is not done yet to who submits the same key', async () => {
    const executor = pool();
    const once = executor.with({ dedupe: 'key' });
    const future = once.submit('nap', 5);
    expect(once.submit('nap', 5)).toBe(future);
    await future;
    expect(once.submit('nap', 5)).not.toBe(future);
  });

  it('waits with a delayed task, which can be cancelled meanwhile', async () => {
    const executor = pool();
    const started = performance.now();
    const cancelled = executor.with({ delay: 60_000 }).submit('noop');
    await executor.with({ delay: 30 }).submit('noop');
    expect(performance.now() - started).toBeGreaterThanOrEqual(29);
    expect(await cancelled.cancel()).toBe(true);
  });

  it('runs a scheduled task again and again until it is cancelled', async () => {
    const executor = pool();
    const memory = words();
    const schedule = await executor.schedule('markRun', [memory, 0], { every: 5 });
    await until(() => expect(Atomics.load(memory, 0)).toBeGreaterThan(2));
    expect(await schedule.cancel()).toBe(true);
    expect(await schedule.cancel()).toBe(false);
    await expect(executor.schedule('noop', [], { cron: '* * * * *' })).rejects.toThrow(/DistributedExecutor/);
  });
});

describe('a scheduled task', () => {
  const refusedBy = (act: Promise<unknown>) => act.then(() => undefined).catch((error: unknown) => error);

  it('is refused at the call where it could not run', async () => {
    const executor = pool();
    const bad = executor as unknown as Executor;
    const fn = () => 1;
    for (const when of [{ delay: 5 }, { every: 5 }]) {
      expect(await refusedBy(bad.schedule('echo', [{ fn }], when))).toMatchObject({ path: 'args[0].fn' });
      const inContext = requestId.run(fn as unknown as string, () => bad.schedule('noop', [], when));
      expect(await refusedBy(inContext)).toMatchObject({ path: 'context.requestId' });
      const kept = new ArrayBuffer(8);
      const moving = requestId.run(fn as unknown as string, () =>
        executor.with({ transfer: [kept] }).schedule('echo', [kept], when),
      );
      expect(await refusedBy(moving)).toHaveProperty('code');
      expect(kept.byteLength).toBe(8);
      const holding = executor.with({ holding: 'x' }).schedule('noop', [], when);
      expect(await refusedBy(holding)).toBeInstanceOf(TypeError);
      const version = executor.with({ version: 'x' }).schedule('noop', [], when);
      expect(await refusedBy(version)).toBeInstanceOf(TypeError);
    }
    const bytes = new ArrayBuffer(8);
    const moving = executor.with({ transfer: [bytes] });
    expect(await refusedBy(moving.schedule('echo', [bytes], { every: 5 }))).toMatchObject({
      message: expect.stringMatching(/leave out transfer/),
    });
    await moving.schedule('echo', [bytes], { delay: 5 });
    expect(bytes.byteLength).toBe(0);
    await executor.shutdown();
    for (const when of [{ delay: 5 }, { every: 5 }])
      expect(await refusedBy(executor.schedule('noop', [], when))).toBeInstanceOf(InvalidStateError);
  });

  it.each([{ delay: 1 }, { every: 1 }])(
    '(%o) is cancelled while a run of it waits for a thread',
    async (when) => {
      const executor = pool({ maxWorkers: 1 });
      const memory = words();
      const running = executor.submit('markAndBlock', memory, 0, 1);
      await marked(memory, 0);
      const schedule = await executor.schedule('markRun', [memory, 2], when);
      await sleep(20); // timers fire in the order in which they are due
      expect(await schedule.cancel()).toBe(true);
      expect(await schedule.cancel()).toBe(false);
      openGate(memory, 1);
      await running;
      await executor.submit('noop');
      expect(memory[2]).toBe(0);
    },
  );

  it('has one run waiting at most, however often it is due', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const schedule = await executor.schedule('markRun', [memory, 2], { every: 1 });
    await sleep(20); // timers fire in the order in which they are due
    const next = executor.submit('markRun', memory, 2);
    openGate(memory, 1);
    await running;
    expect(await next).toBe(2);
    await schedule.cancel();
  });

  it('has an id of its own', async () => {
    const executor = pool();
    const [first, second] = await Promise.all(
      [1, 2].map(() => executor.schedule('noop', [], { every: 9000 })),
    );
    await first?.cancel();
    const third = await executor.schedule('noop', [], { every: 9000 });
    expect(third.id).not.toBe(second?.id);
  });

  it.each([{ delay: 60_000 }, { every: 60_000, delay: 60_000 }])(
    '(%o) is ended by its signal, and leaves no listener on it',
    async (when) => {
      const executor = pool();
      const controller = new AbortController();
      const { signal } = controller;
      const cancelled = await executor.with({ signal }).schedule('noop', [], when);
      const ended = await executor.with({ signal }).schedule('noop', [], when);
      expect(await cancelled.cancel()).toBe(true);
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      controller.abort('enough');
      expect(await ended.cancel()).toBe(false);
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
      expect(await refusedBy(executor.with({ signal }).schedule('noop', [], when))).toBe('enough');
      const another = new AbortController();
      await executor.with({ signal: another.signal }).schedule('noop', [], when);
      await executor.shutdown({ cancelFutures: true });
      expect(getEventListeners(another.signal, 'abort')).toHaveLength(0);
    },
  );

  it('is accepted: shutdown waits for it, or cancels it, and ends what repeats', async () => {
    const memory = words();
    const executor = pool();
    await executor.schedule('markRun', [memory, 0], { delay: 20 });
    await executor.schedule('markRun', [memory, 1], { every: 60_000, delay: 60_000 });
    await executor.shutdown();
    const cancelling = pool();
    await cancelling.schedule('markRun', [memory, 2], { delay: 60_000 });
    await cancelling.shutdown({ cancelFutures: true });
    expect([...memory.slice(0, 3)]).toEqual([1, 0, 0]);
  });
});

describe('cancelling', () => {
  it('takes back what no thread has begun, even what lies behind a task that hangs, and nothing else', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const waiting = [2, 3, 4].map((at) => executor.submit('markRun', memory, at));
    await Promise.resolve();
    expect([running.running(), waiting[0]?.running()]).toEqual([true, false]);
    expect(await running.cancel()).toBe(false);
    expect(await Promise.all(waiting.map((future) => future.cancel()))).toEqual([true, true, true]);
    expect(waiting.map((future) => [future.done(), future.cancelled()])).toEqual(Array(3).fill([true, true]));
    await expect(waiting[0]).rejects.toThrow(CancelledError);
    await expect(waiting[0]?.exception()).rejects.toThrow(CancelledError);
    openGate(memory, 1);
    await running;
    await executor.submit('noop');
    expect([...memory.slice(2, 5)]).toEqual([0, 0, 0]);
    expect(await running.cancel()).toBe(false);
  });

  it('aborts a running task through its signal; the Future ends at once, with the reason', async () => {
    const executor = pool();
    const future = executor.submit('untilAborted');
    await until(() => expect(future.running()).toBe(true));
    expect(await future.abort(new Error('enough'))).toBe(true);
    expect(future.cancelled()).toBe(true);
    await expect(future).rejects.toMatchObject({ name: 'CancelledError', cause: { message: 'enough' } });
    expect(await future.abort()).toBe(false);
  });

  it('ends the thread of an aborted task that goes on, and no other task is hurt', async () => {
    const executor = pool({ maxWorkers: 1 });
    const future = executor.submit('spinForever');
    await until(() => expect(future.running()).toBe(true));
    const behind = executor.submit('add', 1, 1);
    await Promise.resolve();
    await future.abort();
    expect(await behind).toBe(2);
  });

  it('aborts by a signal given to with(), before and while the task runs, and leaves no listener', async () => {
    const executor = pool();
    const controller = new AbortController();
    const future = executor.with({ signal: controller.signal }).submit('untilAborted');
    await until(() => expect(future.running()).toBe(true));
    controller.abort('stop');
    await expect(future).rejects.toMatchObject({ cause: 'stop' });
    const late = executor.with({ signal: controller.signal }).submit('noop');
    expect(late.cancelled()).toBe(true);
  });

  it('fails a task that takes longer than its time, and one not done within its ttl', async () => {
    const executor = pool({ maxWorkers: 1, taskTimeout: 20 });
    const [spun, behind] = [executor.submit('spinForever'), executor.submit('add', 1, 2)];
    await expect(spun).rejects.toThrow(TimeoutError);
    expect(await behind).toBe(3);
    const memory = words();
    const blocking = executor.with({ timeout: 60_000 }).submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    await expect(executor.with({ ttl: 10 }).submit('markRun', memory, 2)).rejects.toThrow(/ttl/);
    openGate(memory, 1);
    await blocking;
    await executor.submit('noop');
    expect(memory[2]).toBe(0);
  });
});

describe('bad work hurts itself only', () => {
  it.each([
    ['exits', 'exit' as const, [7], /exited with code 7/],
    ['runs out of memory', 'outOfMemory' as const, [], /memory/],
  ])(
    'a task that %s fails; the thread is replaced, tasks before and behind it are not harmed',
    async (_, task, args, message) => {
      const executor = pool({ maxWorkers: 1, resourceLimits: { maxOldGenerationSizeMb: 24 } });
      const before = [1, 2, 3].map((n) => executor.submit('square', n));
      const bad = (executor as unknown as Executor).submit(task, ...args);
      const behind = [4, 5, 6].map((n) => executor.submit('square', n));
      const error = await bad.exception();
      expect(error).toBeInstanceOf(ThreadCrashedError);
      expect(error?.message).toMatch(message);
      expect(await Promise.all([...before, ...behind])).toEqual([1, 4, 9, 16, 25, 36]);
    },
  );

  it('runs a task again whose thread crashed, or that failed, as often as was asked for', async () => {
    const executor = pool({ retries: 2 });
    expect(await executor.submit('crashTimes', words(), 2)).toBe(3);
    expect(await executor.submit('failTimes', words(), 2)).toBe(3);
    await expect(executor.submit('crashTimes', words(), 3)).rejects.toThrow(ThreadCrashedError);
    await expect(executor.with({ retries: 0 }).submit('failTimes', words(), 1)).rejects.toThrow('not yet');
    const backoff = { type: 'exponential', delay: 5, jitter: 0.5 } as const;
    expect(await executor.with({ backoff }).submit('failTimes', words(), 2)).toBe(3);
  });

  it('is waited for by a blocked event loop, however much it logs', async () => {
    const executor = pool({ maxWorkers: 1, onLog: () => {} });
    await executor.submit('noop');
    const memory = words();
    const logging = executor.submit('logAndSet', memory, 5000);
    await new Promise((resolve) => setImmediate(resolve)); // It is sent.
    expect(Atomics.wait(memory, 0, 0, 10_000)).not.toBe('timed-out');
    await logging;
  });

  it('tells of what is nested too deeply, and the others of its message are told of too', async () => {
    const executor = pool({ maxWorkers: 1 });
    for (let n = 0; n < 50; n += 1) await executor.submit('nest', 1); // quick ones are told of together
    const deep = [10, 4000, 20].map((depth) => executor.submit('nest', depth));
    const chains = [10, 4000].map((length) => executor.submit('throwChain', length).exception());
    expect(await deep[1]?.exception()).toBeInstanceOf(NotCloneableError);
    expect([await deep[0], await deep[2]]).toEqual([
      { at: 10, nest: expect.any(Object) },
      expect.any(Object),
    ]);
    expect(await Promise.all(chains)).toMatchObject([{ message: '10' }, { message: '4000' }]);
  });

  it.each(['CancelledError', 'TimeoutError', 'UnknownTaskError'] as const)(
    'runs a task again that threw a %s which says nothing of itself',
    async (name) => {
      expect(await pool({ retries: 1 }).submit('throwAtFirst', name)).toBe(2);
    },
  );

  it('fails with a CancelledError that the task threw: it was not cancelled itself', async () => {
    const future = pool({ maxWorkers: 1 }).submit('throwAtFirst', 'CancelledError');
    expect(await future.exception()).toMatchObject({
      name: 'CancelledError',
      message: 'another was cancelled',
    });
    expect(future.cancelled()).toBe(false);
  });

  it('reports what is thrown after a task has returned, and the thread goes on', async () => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push((error as Error).message));
    try {
      const executor = pool({ maxWorkers: 1 });
      expect(await executor.submit('throwLater')).toBe('returned');
      await until(() => expect(told.sort()).toEqual(['rejected after return', 'thrown after return']));
      expect(await executor.submit('count')).toBe(1);
    } finally {
      setExceptHook(before);
    }
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('the disk is full');
      },
    ],
    [
      'rejects with',
      async () => {
        throw new Error('the disk is full');
      },
    ],
  ])('reports what onLog %s, and the task goes on', async (_, onLog) => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push((error as Error).message));
    try {
      expect(await pool({ onLog }).submit('contextLater')).toBe('none');
      await until(() => expect(told).toEqual(['the disk is full']));
    } finally {
      setExceptHook(before);
    }
  });

  it('fails a running task with what one of its callbacks throws', async () => {
    await expect(pool().submit('throwInCallback')).rejects.toThrow('thrown in a callback');
  });

  it('gives what lies behind a slow task to a thread that is free', async () => {
    const executor = pool({ maxWorkers: 2 });
    await Promise.all(Array.from({ length: 2000 }, () => executor.submit('noop'))); // threads are far ahead now
    const memory = words();
    const slow = executor.submit('markAndBlock', memory, 0, 1);
    const quick = Array.from({ length: 500 }, (_, n) => executor.submit('square', n));
    expect((await Promise.all(quick)).at(-1)).toBe(499 * 499);
    expect(slow.done()).toBe(false);
    openGate(memory, 1);
    await slow;
  });
});

describe('a pool that cannot start', () => {
  const broken = (module: string) =>
    new ThreadPoolExecutor(new URL(module, import.meta.url), { maxWorkers: 2 });

  it.each([
    ['throws on import', './broken.ts', /broken on purpose/],
    ['does not exist', './missing.ts', /missing\.ts/],
    ['exits on import', './exits.ts', /code 9/],
  ])('a module that %s breaks it for all tasks, with the reason', async (_, module, reason) => {
    const executor = broken(module);
    const errors = await Promise.all([executor.submit('a').exception(), executor.submit('b').exception()]);
    for (const error of errors) {
      expect(error).toBeInstanceOf(BrokenExecutorError);
      expect(error?.message).toMatch(reason);
    }
    expect(await executor.submit('c').exception()).toBeInstanceOf(BrokenExecutorError);
    await executor.shutdown();
  });

  it('so does a failing initializer', async () => {
    const executor = pool({ initializer: 'failingInit' });
    const error = await executor.submit('noop').exception();
    expect(error).toBeInstanceOf(BrokenExecutorError);
    expect(error?.cause).toMatchObject({ message: 'no licence' });
    const silent = await pool({ initializer: 'exitingInit' }).submit('noop').exception();
    expect(silent?.message).toMatch(
      /importing .*, or the initializer, failed: the thread exited with code 3/,
    );
  });

  it('takes CommonJS modules too', async () => {
    await using executor = broken('./common.cjs');
    expect(await executor.submit('twice', 4)).toBe(8);
    expect(await executor.submit('hidden')).toBe('found');
  });
});

describe('the process', () => {
  it('is kept alive by accepted tasks, not by an idle pool', async () => {
    const child = fork(new URL('./idle-process.ts', import.meta.url), {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(output).toBe('ended 5\n');
  });
});

describe('shutdown', () => {
  it('finishes what was accepted and refuses what comes after', async () => {
    const executor = pool();
    const futures = Array.from({ length: 100 }, (_, n) => executor.submit('square', n));
    await executor.shutdown();
    expect(futures.every((future) => future.done())).toBe(true);
    expect(() => executor.submit('noop')).toThrow(InvalidStateError);
    await executor.shutdown();
  });

  it('refuses also what would be cancelled at once, or would be the Future of another', async () => {
    const executor = pool();
    const memory = words();
    const running = executor.with({ dedupe: 'key' }).submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const down = executor.shutdown();
    for (const options of [{ signal: AbortSignal.abort() }, { dedupe: 'key' }, { version: '1' }])
      expect(() => executor.with(options).submit('noop')).toThrow(InvalidStateError);
    openGate(memory, 1);
    await Promise.all([running, down]);
  });

  it('cancels what has not begun, where that is asked for', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const waiting = [1, 2, 3].map(() => executor.submit('noop'));
    await executor.shutdown({ wait: false, cancelFutures: true });
    await until(() => expect(waiting.every((future) => future.cancelled())).toBe(true));
    openGate(memory, 1);
    expect(await running).toBeGreaterThan(0);
    await executor.shutdown();
  });

  it('ends idle threads after idleTimeout and starts others when there is work again', async () => {
    const executor = pool({ maxWorkers: 1, idleTimeout: 5 });
    const first = await executor.submit('thread');
    await sleep(5);
    await until(async () => expect(await executor.submit('thread')).not.toBe(first), 50);
  });
});

describe('time', () => {
  it('that is left to a task is known in it, and to what it submits', async () => {
    const executor = pool({ maxWorkers: 1 });
    expect(await executor.submit('remaining')).toBe(Number.POSITIVE_INFINITY);
    const limited = executor.with({ ttl: 60_000, timeout: 50_000 });
    const left = await limited.submit('remaining');
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(50_000);
    const module = new URL('./nested-tasks.ts', import.meta.url);
    await using outer = new ThreadPoolExecutor<typeof import('./nested-tasks.ts')>(module, { maxWorkers: 1 });
    const limit = outer.with({ timeout: 50_000 });
    expect(await limit.submit('remainingInside')).toBeLessThanOrEqual(50_000);
    expect(await limit.submit('remainingInside', 40_000)).toBeLessThanOrEqual(40_000);
    expect(await outer.submit('remainingInside')).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a trace', () => {
  it('goes along, where OpenTelemetry has one', async () => {
    const { inTrace } = await import('./trace-tasks.ts');
    const module = new URL('./trace-tasks.ts', import.meta.url);
    await using executor = new ThreadPoolExecutor<typeof import('./trace-tasks.ts')>(module, {
      maxWorkers: 1,
    });
    try {
      expect(await context.with(inTrace('t1'), () => executor.submit('trace'))).toBe('t1');
      expect(await executor.submit('trace')).toBeUndefined();
    } finally {
      context.disable();
      propagation.disable();
    }
  });
});

describe('bad arguments', () => {
  const whole = new ArrayBuffer(8);
  const detached = new ArrayBuffer(8);
  structuredClone(detached, { transfer: [detached] });

  it.each<[string, () => unknown, RegExp]>([
    ['a path', () => new ThreadPoolExecutor('./tasks.ts' as unknown as URL), /must be a URL/],
    ['no worker', () => pool({ maxWorkers: 0 }), /maxWorkers/],
    ['an unknown option', () => pool({ workers: 2 } as ThreadPoolOptions), /unknown option "workers"/],
    ['a negative time', () => pool({ taskTimeout: -1 }), /taskTimeout/],
    ['NaN', () => pool().with({ delay: Number.NaN }), /delay/],
    ['an unknown submit option', () => pool().with({ prio: 1 } as object), /unknown option "prio"/],
    ['nothing to hold', () => pool().with({ holding: {} as string }), /holding must be/],
    ['a hold of no name', () => pool().with({ holding: { lock: '{' } }), /must be a name/],
    ['a hold of a thread', () => pool().with({ holding: 'x' }).submit('noop'), /needs a DistributedExecutor/],
    ['a task that is no name', () => pool().submit(1 as unknown as 'noop'), /name of a task/],
    ['inputs that are none', () => pool().map('square', 5 as unknown as number[]), /iterable/],
    ['a limit', () => pool({ resourceLimits: 5 as never }), /resourceLimits.* not 5/],
    [
      'a text',
      () => pool({ resourceLimits: { stackSizeMb: 'a' as unknown as number } }),
      /stackSizeMb .* MB/,
    ],
    ['no limit', () => pool({ resourceLimits: { heap: 5 } as object }), /no limit "heap"/],
    [
      'no heap',
      () => pool({ resourceLimits: { maxOldGenerationSizeMb: -1 } }),
      /maxOldGenerationSizeMb .* -1/,
    ],
    ['no stack', () => pool({ resourceLimits: { stackSizeMb: 0.01 } }), /stackSizeMb .* 0.01/],
    [
      'a number moved',
      () =>
        pool()
          .with({ transfer: [5 as never] })
          .submit('noop'),
      /transfer\[0\] .* not 5/,
    ],
    [
      'data moved',
      () =>
        pool()
          .with({ transfer: [{}] })
          .submit('noop'),
      /transferred/,
    ],
    [
      'a view moved',
      () =>
        pool()
          .with({ transfer: [new Uint8Array(1)] })
          .submit('noop'),
      /transferred/,
    ],
    [
      'moved bytes',
      () =>
        pool()
          .with({ transfer: [detached] })
          .submit('noop'),
      /transferred before/,
    ],
    [
      'the same twice',
      () =>
        pool()
          .with({ transfer: [whole, whole] })
          .submit('noop'),
      /twice/,
    ],
    ['gone bytes', () => pool().submit('echo', [detached]), /args\[0\]\[0\] .* transferred before/],
    ['no chunk', () => pool().map('square', [1], { chunksize: 0 }), /chunksize/],
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
