/** The public types of the local scope: overloads, what the shared interfaces accept, and misuse that must not compile. */
import { expect, expectTypeOf, it } from 'vitest';
import {
  type AcquireOptions,
  type AnyBarrier,
  type AnyCondition,
  type AnyCountDownLatch,
  type AnyCounter,
  type AnyEvent,
  type AnyLock,
  type AnyQueue,
  type AnyReadWriteLock,
  type AnyRLock,
  type AnySemaphore,
  type AnySimpleQueue,
  type AnyThread,
  acquireAll,
  attach,
  Barrier,
  BoundedSemaphore,
  Condition,
  CountDownLatch,
  Counter,
  Event,
  type ExceptHook,
  type Handle,
  type Lease,
  type LifoQueue,
  Lock,
  type MaybePromise,
  type PriorityQueue,
  Queue,
  ReadWriteLock,
  RLock,
  runAs,
  Semaphore,
  SimpleQueue,
  setExceptHook,
  share,
  Thread,
  ThreadLocal,
  Timer,
} from './index.ts';
import type { DistributedLock } from './lock/lock.distributed.ts';

/** Type-checked and never run. */
function never(..._bodies: (() => unknown)[]): void {
  expect(_bodies.length).toBeGreaterThan(0);
}

it('gives a lease without a time-out, and perhaps none with one, from everything that leases', () => {
  const maybe: { timeout?: number } = {};
  const perhaps: AcquireOptions = {};
  const { signal } = new AbortController();
  const check = (lock: Pick<AnyLock, 'acquire'>) => {
    expectTypeOf(lock.acquire()).toEqualTypeOf<Promise<Lease>>();
    expectTypeOf(lock.acquire({})).toEqualTypeOf<Promise<Lease>>();
    expectTypeOf(lock.acquire({ signal })).toEqualTypeOf<Promise<Lease>>();
    expectTypeOf(lock.acquire({ timeout: undefined })).toEqualTypeOf<Promise<Lease>>();
    expectTypeOf(lock.acquire({ timeout: 5 })).toEqualTypeOf<Promise<Lease | null>>();
    expectTypeOf(lock.acquire({ timeout: 5, signal })).toEqualTypeOf<Promise<Lease | null>>();
    expectTypeOf(lock.acquire(maybe)).toEqualTypeOf<Promise<Lease | null>>();
    expectTypeOf(lock.acquire(perhaps)).toEqualTypeOf<Promise<Lease | null>>();
    // @ts-expect-error a time-out is a number
    lock.acquire({ timeout: '5' });
  };
  const sides = new ReadWriteLock();
  const all = [new Lock(), new RLock(), new Condition(), new Semaphore(), sides.read, sides.write];
  never(() => all.forEach(check));
  never(() => {
    const semaphore = new BoundedSemaphore(2);
    expectTypeOf(semaphore.acquire({ permits: 2 })).toEqualTypeOf<Promise<Lease>>();
    expectTypeOf(semaphore.acquire({ permits: 2, timeout: 1 })).toEqualTypeOf<Promise<Lease | null>>();
    expectTypeOf(semaphore.acquireSync({ permits: 2, timeout: 1 })).toEqualTypeOf<boolean>();
    expectTypeOf(acquireAll(all)).toEqualTypeOf<Promise<Lease>>();
    expectTypeOf(acquireAll(all, { timeout: 1 })).toEqualTypeOf<Promise<Lease | null>>();
    expectTypeOf(acquireAll(all, maybe)).toEqualTypeOf<Promise<Lease | null>>();
    // @ts-expect-error an Event can't be held
    acquireAll([new Event()]);
    // @ts-expect-error distributed ones are taken by session.acquireAll
    acquireAll([{} as DistributedLock]);
    // @ts-expect-error a blocked thread sees no signal
    new Lock().acquireSync({ signal });
  });
});

it('has every local primitive implement the interface of both scopes', () => {
  expectTypeOf<Lock>().toExtend<AnyLock>();
  expectTypeOf<RLock>().toExtend<AnyRLock>();
  expectTypeOf<Condition>().toExtend<AnyCondition>();
  expectTypeOf<Semaphore>().toExtend<AnySemaphore>();
  expectTypeOf<BoundedSemaphore>().toExtend<AnySemaphore>();
  expectTypeOf<Event>().toExtend<AnyEvent>();
  expectTypeOf<Barrier>().toExtend<AnyBarrier>();
  expectTypeOf<CountDownLatch>().toExtend<AnyCountDownLatch>();
  expectTypeOf<Counter>().toExtend<AnyCounter>();
  expectTypeOf<ReadWriteLock>().toExtend<AnyReadWriteLock>();
  expectTypeOf<Queue<Date>>().toExtend<AnyQueue<Date>>();
  expectTypeOf<LifoQueue<Date>>().toExtend<AnyQueue<Date>>();
  expectTypeOf<PriorityQueue<number>>().toExtend<AnyQueue<number>>();
  expectTypeOf<SimpleQueue<Date>>().toExtend<AnySimpleQueue<Date>>();
  expectTypeOf<Thread<number>>().toExtend<AnyThread<number>>();
  expectTypeOf<AnyLock['locked']>().returns.toEqualTypeOf<MaybePromise<boolean>>();
});

it('gives values at once, and what waits as a promise', () => {
  never(() => {
    expectTypeOf(new Lock().locked()).toEqualTypeOf<boolean>();
    expectTypeOf(new Lock().release()).toEqualTypeOf<void>();
    expectTypeOf(new Lock().acquireSync()).toEqualTypeOf<boolean>();
    expectTypeOf(new Lock().with((lease) => lease.token)).toEqualTypeOf<Promise<number>>();
    expectTypeOf(new Lock().with(async () => 'a')).toEqualTypeOf<Promise<string>>();
    expectTypeOf(new Lock().withSync(() => 1)).toEqualTypeOf<number>();
    expectTypeOf(new Condition().wait()).toEqualTypeOf<Promise<boolean>>();
    expectTypeOf(new Condition().waitForSync(() => 1, { timeout: 1 })).toEqualTypeOf<boolean>();
    expectTypeOf(new Semaphore().value()).toEqualTypeOf<number>();
    expectTypeOf(new Event().isSet()).toEqualTypeOf<boolean>();
    expectTypeOf(new Event().wait({ timeout: 1 })).toEqualTypeOf<Promise<boolean>>();
    expectTypeOf(new Event().waitSync()).toEqualTypeOf<boolean>();
    expectTypeOf(new Barrier(2).wait()).toEqualTypeOf<Promise<number>>();
    expectTypeOf(new Barrier(2).waitSync()).toEqualTypeOf<number>();
    expectTypeOf(new CountDownLatch(2).waitSync()).toEqualTypeOf<boolean>();
    expectTypeOf(new Counter().add()).toEqualTypeOf<number>();
    expectTypeOf(new Counter().compareAndSet(0, 1)).toEqualTypeOf<boolean>();
    expectTypeOf(new ReadWriteLock().read.withSync(() => 'a')).toEqualTypeOf<string>();
    expectTypeOf(runAs('name', async () => 1)).toEqualTypeOf<Promise<number>>();
    expectTypeOf(setExceptHook(null)).toEqualTypeOf<ExceptHook | null>();
    // @ts-expect-error who reads is counted, not known
    new ReadWriteLock({ robust: true });
    // @ts-expect-error needs the parties
    new Barrier();
    // @ts-expect-error needs the count
    new CountDownLatch();
    // @ts-expect-error no lock of another scope
    new Condition(new Semaphore());
  });
});

it('types items, threads, timers and handles by what they carry', () => {
  never(async () => {
    const queue = new Queue<{ n: number }>({ maxsize: 3, maxBytes: 1024 });
    expectTypeOf(queue.get()).toEqualTypeOf<Promise<{ n: number }>>();
    expectTypeOf(queue.getSync()).toEqualTypeOf<{ n: number }>();
    expectTypeOf(queue.put({ n: 1 })).toEqualTypeOf<Promise<void>>();
    expectTypeOf(queue.join({ timeout: 1 })).toEqualTypeOf<Promise<boolean>>();
    expectTypeOf(queue.joinSync()).toEqualTypeOf<boolean>();
    for await (const item of queue) expectTypeOf(item).toEqualTypeOf<{ n: number }>();
    // @ts-expect-error another item
    queue.putSync('n');
    // @ts-expect-error a simple queue has no such count
    new SimpleQueue({ maxsize: 1 });
    // @ts-expect-error nor that
    new SimpleQueue().taskDone();

    const thread = new Thread({ target: (a: number) => a > 1, args: [1], name: 'a', daemon: true });
    expectTypeOf(thread.result).toEqualTypeOf<Promise<boolean>>();
    expectTypeOf(thread.join()).toEqualTypeOf<Promise<boolean>>();
    expectTypeOf(thread.joinSync({ timeout: 1 })).toEqualTypeOf<boolean>();
    expectTypeOf(thread.nativeId).toEqualTypeOf<number | undefined>();
    expectTypeOf(thread.ident).toEqualTypeOf<number | undefined>();

    new Timer(1, (a: number, b: string) => a + b.length, 1, 'b');
    // @ts-expect-error another argument
    new Timer(1, (a: number) => a, 'a');

    expectTypeOf(new ThreadLocal(() => 1).get()).toEqualTypeOf<number>();
    expectTypeOf(new ThreadLocal<string | undefined>().get()).toEqualTypeOf<string | undefined>();
    const init = undefined as (() => string) | undefined;
    // Without `init` nobody has set it at first.
    expectTypeOf(new ThreadLocal<string>()).toEqualTypeOf<ThreadLocal<string | undefined>>();
    expectTypeOf(new ThreadLocal<string>(init).get()).toEqualTypeOf<string | undefined>();
    // @ts-expect-error another kind of value
    new ThreadLocal<string>(() => 1);
    // @ts-expect-error another kind of value
    new ThreadLocal<string>().set(1);

    expectTypeOf(share(new Lock())).toEqualTypeOf<Handle<Lock>>();
    expectTypeOf(attach(share(new Lock()))).toEqualTypeOf<Lock>();
    expectTypeOf(attach(share(queue))).toEqualTypeOf<Queue<{ n: number }>>();
    // @ts-expect-error a side goes along with the whole
    share(new ReadWriteLock().read);
  });
});
