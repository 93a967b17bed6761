/** What every local primitive says to wrong arguments: which error, before anything is queued or changed. */
import { describe, expect, it } from 'vitest';
import { Barrier } from './barrier/barrier.local.ts';
import { Condition } from './condition/condition.local.ts';
import { Counter } from './counter/counter.local.ts';
import { Event } from './event/event.local.ts';
import { runAs } from './identity.ts';
import { CountDownLatch } from './latch/latch.local.ts';
import { Lock } from './lock/lock.local.ts';
import { LifoQueue, PriorityQueue, Queue, SimpleQueue } from './queue/queue.local.ts';
import { ReadWriteLock } from './read-write-lock/read-write-lock.local.ts';
import { RLock } from './rlock/rlock.local.ts';
import { BoundedSemaphore, Semaphore } from './semaphore/semaphore.local.ts';
import { attach, share } from './sharing/share.ts';
import { method, NOT_HELD, OVER, RANGE, refuses, STATE, small, TYPE } from './testing/refusals.ts';
import { setExceptHook } from './thread/except-hook.ts';
import { Thread } from './thread/thread.local.ts';
import { ThreadLocal } from './thread-local/thread-local.ts';
import { Timer } from './timer/timer.ts';

/** What is no count: too small, not whole, not finite, not a number. */
const NO_COUNTS = (least: number): [unknown, object][] => [
  [least - 1, RANGE],
  [1.5, RANGE],
  [Number.NaN, RANGE],
  [Number.POSITIVE_INFINITY, RANGE],
  [Number.NEGATIVE_INFINITY, RANGE],
  [2 ** 53, RANGE],
  ['1', TYPE],
  [null, TYPE],
  [1n, TYPE],
  [{}, TYPE],
  [true, TYPE],
];

describe('a count', () => {
  it.each<[string, (n: never) => unknown, number]>([
    ['Semaphore', (n) => new Semaphore(n), 0],
    ['BoundedSemaphore', (n) => new BoundedSemaphore(n), 0],
    ['Barrier', (n) => new Barrier(n), 1],
    ['CountDownLatch', (n) => new CountDownLatch(n), 0],
    ['Counter', (n) => new Counter(n), Number.MIN_SAFE_INTEGER],
    ['Queue of maxsize', (n) => new Queue({ maxsize: n }), 0],
    ['LifoQueue of maxsize', (n) => new LifoQueue({ maxsize: n }), 0],
    ['PriorityQueue of maxsize', (n) => new PriorityQueue({ maxsize: n }), 0],
    ['Queue of maxBytes', (n) => new Queue({ maxBytes: n }), 64],
    ['SimpleQueue of maxBytes', (n) => new SimpleQueue({ maxBytes: n }), 64],
  ])('to make a %s with is checked', (_, make, least) => {
    for (const [n, error] of NO_COUNTS(least)) {
      expect(() => make(n as never), String(n)).toThrow(expect.objectContaining(error));
    }
    expect(make(Math.max(least, 0) as never)).toBeTruthy();
  });

  it.each<[string, () => object, string, number, unknown[]?]>([
    ['Semaphore.release', () => new Semaphore(1), 'release', 1],
    ['BoundedSemaphore.release', () => new BoundedSemaphore(1), 'release', 1],
    ['CountDownLatch.countDown', () => new CountDownLatch(3), 'countDown', 1],
    ['Counter.add', () => new Counter(3), 'add', Number.MIN_SAFE_INTEGER],
    ['Counter.compareAndSet', () => new Counter(3), 'compareAndSet', Number.MIN_SAFE_INTEGER, [3]],
  ])('given to %s is checked, and nothing is changed', async (_, make, name, least, args = []) => {
    const primitive = make();
    for (const [n, error] of NO_COUNTS(least)) {
      await refuses(primitive, () => method(primitive, name)(...args, n), error);
    }
  });

  it('of permits is checked', async () => {
    for (const semaphore of [new Semaphore(3), new BoundedSemaphore(3)]) {
      for (const [permits, error] of [...NO_COUNTS(1), [4, RANGE] as const]) {
        await refuses(semaphore, () => semaphore.acquire({ permits } as never), error);
        await refuses(semaphore, () => semaphore.acquireSync({ permits } as never), error);
        await refuses(semaphore, () => semaphore.with(() => 1, { permits } as never), error);
        await refuses(semaphore, () => semaphore.withSync(() => 1, { permits } as never), error);
      }
    }
  });

  it('of waiters to notify is checked', async () => {
    const condition = new Condition(new Lock());
    await condition.with(async () => {
      for (const [n, error] of NO_COUNTS(1))
        await refuses(condition, () => condition.notify(n as never), error);
    });
  });

  it('may not leave its bounds', async () => {
    const counter = new Counter(Number.MAX_SAFE_INTEGER);
    await refuses(counter, () => counter.add(), RANGE);
    const semaphore = new Semaphore(2 ** 29 - 1);
    await refuses(semaphore, () => semaphore.release(), RANGE);
  });
});

describe('a release', () => {
  it.each<[string, () => object]>([
    ['Lock', () => new Lock()],
    ['robust Lock', () => new Lock({ robust: true })],
    ['watched Lock', () => new Lock({ debug: true })],
    ['RLock', () => new RLock()],
    ['Condition', () => new Condition()],
    ['Condition on a Lock', () => new Condition(new Lock())],
    ['read side', () => new ReadWriteLock().read],
    ['write side', () => new ReadWriteLock().write],
  ])('of a %s that is free is refused', async (_, make) => {
    const lock = make();
    const release = method(lock, 'release');
    await refuses(lock, release, NOT_HELD, true);
    await (await (method(lock, 'acquire')() as Promise<AsyncDisposable>))[Symbol.asyncDispose]();
    await refuses(lock, release, NOT_HELD, true);
  });

  it('of an RLock, and all that needs the lock of a Condition, by another than its owner is refused', async () => {
    const condition = new Condition();
    const lease = await runAs('owner', () => condition.acquire());
    await runAs('another', async () => {
      for (const name of ['release', 'wait', 'notify', 'notifyAll', 'waitSync']) {
        await refuses(condition, method(condition, name), NOT_HELD, true);
      }
      await refuses(condition, () => condition.waitFor(() => true), NOT_HELD, true);
    });
    expect(lease.valid).toBe(true);
    await lease.release();
  });

  it('too many of what is bounded is refused', async () => {
    const semaphore = new BoundedSemaphore(2);
    await refuses(semaphore, () => semaphore.release(), OVER, true);
    semaphore.acquireSync();
    await refuses(semaphore, () => semaphore.release(2), OVER, true);
    for (const queue of [new Queue(small), new LifoQueue(small), new PriorityQueue(small)]) {
      expect(() => queue.taskDone()).toThrow(expect.objectContaining(OVER));
      await queue.put(1);
      await queue.get();
      queue.taskDone();
      expect(() => queue.taskDone()).toThrow(expect.objectContaining(OVER));
      expect(await queue.join({ timeout: 0 })).toBe(true);
    }
  });
});

describe('what a primitive is made with', () => {
  it.each<[string, (options: never) => unknown]>([
    ['Lock', (options) => new Lock(options)],
    ['RLock', (options) => new RLock(options)],
    ['ReadWriteLock', (options) => new ReadWriteLock(options)],
    ['Queue', (options) => new Queue(options)],
    ['SimpleQueue', (options) => new SimpleQueue(options)],
    ['Barrier', (options) => new Barrier(2, options)],
    ['Thread', (options) => new Thread(options)],
  ])('%s takes options as an object', (_, make) => {
    for (const options of [null, 1, 'robust', true]) {
      expect(() => make(options as never), String(options)).toThrow(expect.objectContaining(TYPE));
    }
    expect(() => make({ robst: true } as never)).toThrow(/unknown option "robst"; known are/);
  });

  it.each<[string, () => unknown, object]>([
    ['a robust that is no flag', () => new Lock({ robust: 1 as never }), TYPE],
    ['a debug that is no flag', () => new RLock({ debug: 'yes' as never }), TYPE],
    ['null as a flag', () => new Lock({ debug: null as never }), TYPE],
    ['a robust ReadWriteLock', () => new ReadWriteLock({ robust: true } as never), TYPE],
    ['an Event with options', () => new Event({ debug: true } as never), TYPE],
    ['an Event of null', () => new Event(null as never), TYPE],
    ['a Condition with options', () => new Condition(new Lock(), { debug: true } as never), TYPE],
    ['a Condition on no lock', () => new Condition({} as never), TYPE],
    ['a Condition on null', () => new Condition(null as never), TYPE],
    ['a Condition on a Semaphore', () => new Condition(new Semaphore() as never), TYPE],
    ['an action that is no function', () => new Barrier(2, { action: 1 as never }), TYPE],
    ["a Barrier's negative time-out", () => new Barrier(2, { timeout: -1 }), RANGE],
    ['no time for a Timer', () => new Timer(undefined as never, () => {}), TYPE],
    ['a negative time for a Timer', () => new Timer(-1, () => {}), RANGE],
    ['NaN for a Timer', () => new Timer(Number.NaN, () => {}), RANGE],
    ['no function for a Timer', () => new Timer(1, 'fn' as never), TYPE],
    ['no function for a ThreadLocal', () => new ThreadLocal(1 as never), TYPE],
    ['a Thread of nothing', () => new Thread({}), TYPE],
    ['a Thread of a path', () => new Thread({ target: '/tmp/work.js' }), TYPE],
    ['a Thread of a number', () => new Thread({ target: 1 as never }), TYPE],
    ['a Thread of a native function', () => new Thread({ target: Math.max }), TYPE],
    ['a Thread of a class', () => new Thread({ target: Lock as never }), TYPE],
    ['args that are no array', () => new Thread({ target: () => {}, args: 'a' as never }), TYPE],
    ['a name that is no string', () => new Thread({ target: () => {}, name: 1 as never }), TYPE],
    ['a daemon that is no flag', () => new Thread({ target: () => {}, daemon: 1 as never }), TYPE],
    [
      'args that can not travel',
      () => new Thread({ target: () => {}, args: [() => 1] }),
      { path: 'args[0]' },
    ],
    ['a hook that is no function', () => setExceptHook(1 as never), TYPE],
    ['runAs without a name', () => runAs(undefined as never, () => 1), TYPE],
    ['runAs of nothing', () => runAs('name', undefined as never), TYPE],
  ])('%s is refused', (_, make, error) => {
    expect(make).toThrow(expect.objectContaining(error));
  });

  it('is started once', async () => {
    const timer = new Timer(1, () => {});
    timer.start();
    expect(() => timer.start()).toThrow(expect.objectContaining(STATE));
    timer.cancel();
    const thread = new Thread({ target: () => {} });
    await expect(thread.join()).rejects.toMatchObject(STATE);
    thread.start();
    expect(() => thread.start()).toThrow(expect.objectContaining(STATE));
    await refuses(thread, () => thread.join({ timeout: -1 }), RANGE);
    await refuses(thread, () => thread.joinSync({ timeout: Number.NaN }), RANGE);
    await thread.join();
    expect(() => thread.start()).toThrow(expect.objectContaining(STATE));
  });
});

describe('a handle', () => {
  const lock = new Lock();
  const event = new Event();
  const foreign = () => new SharedArrayBuffer(1024);

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 7],
    ['an empty object', {}],
    ['a primitive itself', lock],
    ['of no kind', { ...share(lock), heddle: 'Mutex' }],
    ['of an inherited name as its kind', { ...share(lock), heddle: 'constructor' }],
    ['of another kind', { ...share(lock), heddle: 'Event' }],
    ['with the memory of another kind', { ...share(lock), memory: share(event).memory }],
    ['with foreign memory', { heddle: 'Lock', memory: foreign() }],
    ['with memory too short', { heddle: 'Lock', memory: new SharedArrayBuffer(8) }],
    ['with memory that is not shared', { heddle: 'Lock', memory: new ArrayBuffer(64) }],
    ['with detached memory', { heddle: 'Lock', memory: detached() }],
    ['with no memory', { heddle: 'Lock', memory: null }],
    ["without a condition's lock", { ...share(new Condition()), inner: undefined }],
    ["with another thing as a condition's lock", { ...share(new Condition()), inner: share(event) }],
  ])('that is %s is refused', (_, handle) => {
    expect(() => attach(handle)).toThrow(expect.objectContaining(TYPE));
  });

  it('can be had of a local primitive alone', () => {
    for (const value of [undefined, null, 1, {}, share(lock), lock.acquire, new ReadWriteLock().read]) {
      expect(() => share(value as never)).toThrow(expect.objectContaining(TYPE));
    }
    expect(() => attach(share(lock), 1 as never)).toThrow(expect.objectContaining(TYPE));
    const barrier = new Barrier(2, { action: () => {} });
    expect(() => attach(share(barrier))).toThrow(expect.objectContaining(TYPE));
    expect(() => attach(share(barrier), { action: 1 as never })).toThrow(expect.objectContaining(TYPE));
  });

  it('is attached with the options of its kind alone', () => {
    const refused = (message: string) => expect.objectContaining({ ...TYPE, message });
    const none = 'attach: a Lock takes no options, so no "action"; only a Barrier takes one, its action';
    expect(() => attach(share(lock), { action: () => {} })).toThrow(refused(none));
    const barrier = share(new Barrier(2));
    expect(() => attach(barrier, { acton: null } as never)).toThrow(
      refused('attach: unknown option "acton"; known are action'),
    );
    expect(() => attach(barrier, null as never)).toThrow(
      'attach: options must be an object such as { action }',
    );
    expect(attach(share(lock), {})).toBeInstanceOf(Lock);
  });
});

describe('a number where options are taken, as Python has it,', () => {
  const of = (names: string) => `options must be an object such as { ${names} }, not 2`;
  it.each<[string, () => unknown, string]>([
    ['new Queue(2)', () => new Queue(2 as never), `new Queue: ${of('maxsize, maxBytes')}`],
    ['new SimpleQueue(2)', () => new SimpleQueue(2 as never), `new SimpleQueue: ${of('maxBytes')}`],
    ['new Lock(2)', () => new Lock(2 as never), `new Lock: ${of('robust, debug')}`],
    ['barrier', () => new Barrier(2, 2 as never), `new Barrier: ${of('action, timeout')}`],
  ])('is refused with the names of those there are: %s', (_, code, message) => {
    expect(code).toThrow(expect.objectContaining({ ...TYPE, message }));
  });
});

describe('what throws where it is looked at', () => {
  const thrower = () => {
    throw new Error('not for you');
  };
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  it.each<[string, unknown]>([
    ['a getter', Object.defineProperty({}, 'constructor', { get: thrower })],
    ['a name that is a symbol', { constructor: { name: Symbol('s') } }],
    ['a function whose name is one', Object.defineProperty(() => {}, 'name', { value: Symbol('s') })],
    ['a proxy', new Proxy({}, { get: thrower, getPrototypeOf: thrower })],
    ['a revoked proxy', proxy],
  ])('is refused as any other: %s', (_, value) => {
    expect(() => new Lock({ robust: value as never })).toThrow(expect.objectContaining(TYPE));
    expect(() => new Barrier(2, { timeout: value as never })).toThrow(expect.objectContaining(TYPE));
  });
});

function detached(): ArrayBuffer {
  const buffer = new ArrayBuffer(64);
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}
