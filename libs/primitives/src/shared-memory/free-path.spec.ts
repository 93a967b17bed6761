import { afterEach, expect, it, vi } from 'vitest';
import { Event } from '../event/event.local.ts';
import { Lock } from '../lock/lock.local.ts';
import { Queue } from '../queue/queue.local.ts';
import { Semaphore } from '../semaphore/semaphore.local.ts';
import { share } from '../sharing/share.ts';

/** What the shared memory was asked to do by `times` calls of `work`. */
function counted(times: number, work: () => void): Record<string, number> {
  const names = [
    'load',
    'compareExchange',
    'exchange',
    'store',
    'add',
    'notify',
    'wait',
    'waitAsync',
  ] as const;
  const spies = names.map((name) => vi.spyOn(Atomics, name as 'load'));
  for (let n = 0; n < times; n += 1) work();
  const calls = spies.map((spy, n) => [names[n], spy.mock.calls.length] as const);
  return Object.fromEntries(calls.filter(([, count]) => count > 0));
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** One that other threads could see; none does. */
function shared<T extends Parameters<typeof share>[0]>(primitive: T): T {
  share(primitive);
  return primitive;
}

it('takes a free lock and gives it back by one compare-exchange each, and nothing else', () => {
  const lock = shared(new Lock());
  lock.acquireSync();
  lock.release();
  const pair = () => {
    lock.acquireSync();
    lock.release();
  };
  expect(counted(100, pair)).toEqual({ compareExchange: 200 });
});

it('asks nothing of memory that no other thread can see', () => {
  const lock = new Lock();
  const pair = () => {
    lock.acquireSync();
    lock.release();
  };
  expect(counted(100, pair)).toEqual({});
});

it.each([
  ['a semaphore', shared(new Semaphore(1)), (semaphore: Semaphore) => semaphore.acquireSync()],
  ['a semaphore, asynchronously', shared(new Semaphore(1)), (semaphore: Semaphore) => semaphore.acquire()],
])('wakes nobody where nobody waits: %s', (_, semaphore, take) => {
  const calls = counted(100, () => {
    take(semaphore);
    semaphore.release();
  });
  expect(calls).not.toHaveProperty('notify');
  expect(calls).not.toHaveProperty('wait');
});

it('wakes nobody where nobody waits: an event, a lock asynchronously', () => {
  const [event, lock] = [shared(new Event()), shared(new Lock())];
  const calls = counted(100, () => {
    event.set();
    event.waitSync();
    event.clear();
    void lock.acquire();
    lock.release();
  });
  expect(Object.keys(calls)).not.toEqual(expect.arrayContaining(['notify']));
  expect(calls).not.toHaveProperty('wait');
});

it('wakes nobody where nobody waits: a queue', () => {
  const queue = shared(new Queue<number>());
  const calls = counted(100, () => {
    queue.putSync(1);
    void queue.put(2);
    queue.getSync();
    void queue.get();
  });
  expect(calls).not.toHaveProperty('notify');
  expect(calls).not.toHaveProperty('wait');
  expect(calls).not.toHaveProperty('waitAsync');
});

it('enters memory once for all asynchronous waiters of a thread, and an event wakes once for all of them', async () => {
  const [lock, event] = [shared(new Lock()), shared(new Event())];
  lock.acquireSync();
  const waitAsync = vi.spyOn(Atomics, 'waitAsync');
  const notify = vi.spyOn(Atomics, 'notify');
  const waiting = Array.from({ length: 50 }, () => [event.wait(), lock.with(() => {})]).flat();
  expect(waitAsync).toHaveBeenCalledTimes(2);
  event.set();
  expect(notify).toHaveBeenCalledTimes(1);
  lock.release();
  await Promise.all(waiting);
  expect(waitAsync.mock.calls.length).toBeLessThan(10);
});
