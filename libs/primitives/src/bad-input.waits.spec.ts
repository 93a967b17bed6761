/** What every local primitive says to who would wait with wrong arguments: which error, before anything is queued or changed. */
import { describe, expect, it } from 'vitest';
import { Barrier } from './barrier/barrier.local.ts';
import { Condition } from './condition/condition.local.ts';
import { Event } from './event/event.local.ts';
import { runAs } from './identity.ts';
import { CountDownLatch } from './latch/latch.local.ts';
import { acquireAll } from './lock/acquire-all.ts';
import { Lock } from './lock/lock.local.ts';
import { LifoQueue, PriorityQueue, Queue, SimpleQueue } from './queue/queue.local.ts';
import { ReadWriteLock } from './read-write-lock/read-write-lock.local.ts';
import { RLock } from './rlock/rlock.local.ts';
import { BoundedSemaphore, Semaphore } from './semaphore/semaphore.local.ts';
import { method, RANGE, refuses, small, TYPE } from './testing/refusals.ts';

const full = <Q extends Queue>(queue: Q): Q => {
  void queue.put([1]);
  return queue;
};

/** Everything that waits, by its methods; of a state in which the call would wait, or succeed at once. */
const WAITS: [
  name: string,
  make: () => object,
  asynchronous: string[],
  blocking: string[],
  args?: unknown[],
][] = [
  ['a free Lock', () => new Lock(), ['acquire'], ['acquireSync']],
  ['a free RLock', () => new RLock(), ['acquire'], ['acquireSync']],
  ['a free Condition', () => new Condition(), ['acquire'], ['acquireSync']],
  ['a free read side', () => new ReadWriteLock().read, ['acquire'], ['acquireSync']],
  ['a free write side', () => new ReadWriteLock().write, ['acquire'], ['acquireSync']],
  ['a Semaphore', () => new Semaphore(1), ['acquire'], ['acquireSync']],
  ['an empty Semaphore', () => new Semaphore(0), ['acquire'], ['acquireSync']],
  ['a BoundedSemaphore', () => new BoundedSemaphore(1), ['acquire'], ['acquireSync']],
  ['an Event', () => new Event(), ['wait'], ['waitSync']],
  ['a Barrier', () => new Barrier(2), ['wait'], ['waitSync']],
  ['a CountDownLatch', () => new CountDownLatch(1), ['wait'], ['waitSync']],
  ['an open CountDownLatch', () => new CountDownLatch(0), ['wait'], ['waitSync']],
  ['a Queue to take from', () => new Queue(small), ['get', 'join'], ['getSync', 'joinSync']],
  ['a Queue with items', () => full(new Queue(small)), ['get', 'join'], ['getSync', 'joinSync']],
  ['a full Queue', () => full(new Queue({ maxsize: 1, ...small })), ['put'], ['putSync'], [1]],
  ['a LifoQueue', () => full(new LifoQueue(small)), ['get'], ['getSync']],
  ['a PriorityQueue', () => new PriorityQueue(small), ['put'], ['putSync'], [1]],
  ['a SimpleQueue', () => new SimpleQueue(small), ['put'], ['putSync'], [1]],
];

const BAD_WAITS: [options: unknown, error: object][] = [
  [null, TYPE],
  [5, TYPE],
  ['soon', TYPE],
  [{ timeout: null }, TYPE],
  [{ timeout: '1' }, TYPE],
  [{ timeout: 1n }, TYPE],
  [{ timeout: -1 }, RANGE],
  [{ timeout: Number.NaN }, RANGE],
  [{ timeout: Number.NEGATIVE_INFINITY }, RANGE],
  [
    { timout: 5 },
    { ...TYPE, message: expect.stringContaining('unknown option "timout"; known are timeout, signal') },
  ],
];
const BAD_SIGNALS: [options: unknown, error: object][] = [
  [{ signal: null }, TYPE],
  [{ signal: 'stop' }, TYPE],
  [{ signal: new EventTarget() }, TYPE],
];
const SIGNAL = { signal: new AbortController().signal };

describe('a wait', () => {
  it.each(WAITS)(
    'on %s refuses wrong options and changes nothing',
    async (_, make, waits, blocks, args = []) => {
      const primitive = make();
      for (const [options, error] of [...BAD_WAITS, ...BAD_SIGNALS]) {
        for (const name of waits) {
          const call = method(primitive, name);
          await refuses(primitive, () => call(...args, options), error);
        }
      }
      for (const [options, error] of [...BAD_WAITS, [SIGNAL, TYPE] as const]) {
        for (const name of blocks) {
          const call = method(primitive, name);
          await refuses(primitive, () => call(...args, options), error);
        }
      }
      const reason = new Error('no longer');
      for (const name of waits) {
        const aborted = { signal: AbortSignal.abort(reason) };
        await refuses(primitive, () => method(primitive, name)(...args, aborted), reason);
      }
    },
  );

  it('on a Condition refuses them too, and goes on holding', async () => {
    const condition = new Condition();
    await runAs('holder', async () => {
      await using _ = await condition.acquire();
      for (const [options, error] of [...BAD_WAITS, ...BAD_SIGNALS]) {
        await refuses(condition, () => condition.wait(options as never), error);
        await refuses(condition, () => condition.waitFor(() => true, options as never), error);
      }
      for (const [options, error] of [...BAD_WAITS, [SIGNAL, TYPE] as const]) {
        await refuses(condition, () => condition.waitSync(options as never), error);
        await refuses(condition, () => condition.waitForSync(() => true, options as never), error);
      }
      for (const name of ['waitFor', 'waitForSync']) {
        await refuses(condition, () => method(condition, name)('true'), TYPE);
      }
    });
    expect(condition.locked()).toBe(false);
  });

  it.each<[string, () => object]>([
    ['Lock', () => new Lock()],
    ['RLock', () => new RLock()],
    ['Condition', () => new Condition()],
    ['read side', () => new ReadWriteLock().read],
    ['write side', () => new ReadWriteLock().write],
    ['Semaphore', () => new Semaphore()],
    ['BoundedSemaphore', () => new BoundedSemaphore()],
  ])('by with of a %s refuses them, and what is no function', async (_, make) => {
    const primitive = make();
    for (const name of ['with', 'withSync']) {
      const call = method(primitive, name);
      for (const fn of [undefined, null, 'fn', {}]) await refuses(primitive, () => call(fn), TYPE);
      for (const [options, error] of BAD_WAITS) await refuses(primitive, () => call(() => 1, options), error);
    }
  });

  it('for several locks refuses what is none of ours, and what is named twice', async () => {
    const lock = new Lock();
    for (const locks of [null, lock, [null], [{}], [lock, lock], [new Event()], [{ acquire() {} }]]) {
      await refuses(lock, () => acquireAll(locks as never), TYPE);
    }
    for (const [options, error] of [...BAD_WAITS, ...BAD_SIGNALS]) {
      await refuses(lock, () => acquireAll([lock], options as never), error);
    }
  });
});
