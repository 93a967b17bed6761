import { threadId } from 'node:worker_threads';
import { describe, expect, it, vi } from 'vitest';
import { now } from '../deadline.ts';
import { InvalidStateError, NotCloneableError, QueueEmptyError, QueueFullError } from '../errors.ts';
import { Event } from '../event/event.local.ts';
import { Lock } from '../lock/lock.local.ts';
import { Semaphore } from '../semaphore/semaphore.local.ts';
import { MEMORY } from '../shared-memory/memory.ts';
import { carriedNow } from '../sharing/carried-memory.ts';
import { attach, type Handle, share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later, until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { LifoQueue, PriorityQueue, Queue, SimpleQueue } from './queue.local.ts';
import { DRAINED, FILLED } from './queue-words.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

type Tasks = typeof import('../testing/thread-tasks.ts');
type Cells = Int32Array<SharedArrayBuffer>;
const newCrew = () => new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));
const cells = (length = 4): Cells => new Int32Array(new SharedArrayBuffer(4 * length));

function start<R>(target: (...args: never[]) => R, ...args: unknown[]): Thread<Awaited<R>> {
  const thread = new Thread({ target, args });
  thread.start();
  return thread as Thread<Awaited<R>>;
}

interface Order {
  readonly lock: Lock;
  readonly done: Event;
  readonly counts: Cells;
  readonly permits: Semaphore;
  readonly list: readonly [Map<string, Lock>];
}

/** Takes orders until one is null, and does what each says. */
const serve = async (orders: Queue<Order | null>, blocking: boolean) => {
  for (let served = 0; ; served += 1) {
    const order = blocking ? orders.getSync() : await orders.get();
    if (order === null) return served;
    const { lock, done, counts, permits, list } = order;
    lock.withSync(() => {
      counts[0] = (counts[0] as number) + 1;
    });
    if (list[0].get('same')?.locked() !== lock.locked()) throw new Error('not the same lock');
    permits.release();
    done.set();
    orders.taskDone();
  }
};

describe('local primitives and shared memory as items', () => {
  it.each([true, false])('are the same on the other side (blocking: %s)', async (blocking) => {
    const orders = new Queue<Order | null>({ maxsize: 4 });
    const threads = [start(serve, orders, blocking), start(serve, orders, blocking)];
    const counts = cells();
    const permits = new Semaphore(0);
    const lock = new Lock();
    const list = [new Map([['same', lock]])] as const;
    for (let n = 0; n < 20; n += 1) {
      const done = new Event();
      if (n % 2 === 0) await orders.put({ lock, done, counts, permits, list });
      else orders.putSync({ lock, done, counts, permits, list });
      expect(await done.wait({ timeout: 60_000 })).toBe(true);
    }
    for (const _ of threads) await orders.put(null);
    const served = await Promise.all(threads.map((thread) => thread.result));
    expect(served.reduce((sum, n) => sum + n)).toBe(20);
    expect([counts[0], permits.value()]).toEqual([20, 20]);
    // What was taken is no longer kept.
    await until(() => carriedNow().length === 0, 'everything on the way was taken');
  });

  it('reach a thread that was started when they were in already', async () => {
    const queue = new LifoQueue<[Event, SharedArrayBuffer]>();
    const event = new Event();
    const memory = new SharedArrayBuffer(4);
    await queue.put([event, memory]);
    const target = (theirs: LifoQueue<[Event, SharedArrayBuffer]>) => {
      const [done, bytes] = theirs.getSync();
      new Uint8Array(bytes)[0] = 42;
      done.set();
    };
    await start(target, queue).result;
    expect([event.isSet(), new Uint8Array(memory)[0]]).toEqual([true, 42]);
  });

  it('come back as what they were: handles as handles, signals as themselves, queues in queues', async () => {
    const queue = new SimpleQueue<unknown>();
    const lock = new Lock();
    const stop = new AbortController();
    await queue.put({
      handle: share(lock),
      signal: stop.signal,
      replies: new Queue<number>(),
      buffer: cells(),
    });
    const item = (await queue.get()) as {
      handle: Handle<Lock>;
      signal: AbortSignal;
      replies: Queue<number>;
      buffer: Cells;
    };
    expect(item.signal).toBe(stop.signal);
    expect(item.buffer).toBeInstanceOf(Int32Array);
    lock.acquireSync();
    expect(attach(item.handle).locked()).toBe(true);
    item.replies.putSync(1);
    expect(item.replies.getSync()).toBe(1);
  });

  it('are answered through a queue that came in one', async () => {
    const queue = new Queue<[number, SimpleQueue<number>]>();
    const target = async (requests: Queue<[number, SimpleQueue<number>]>) => {
      for await (const [n, replies] of requests) replies.putSync(n * n);
    };
    const thread = start(target, queue);
    const asked = [1, 2, 3].map(async (n) => {
      const replies = new SimpleQueue<number>({ maxBytes: 256 });
      await queue.put([n, replies]);
      return replies.get({ timeout: 60_000 });
    });
    expect(await Promise.all(asked)).toEqual([1, 4, 9]);
    queue.shutdown();
    await thread.result;
  });

  it('are not kept where the put fails', async () => {
    const queue = new PriorityQueue<[number, Lock]>({ maxsize: 1 });
    await queue.put([1, new Lock()]);
    const before = carriedNow().length;
    await expect(queue.put([2, new Lock()], { timeout: 5 })).rejects.toThrow(QueueFullError);
    expect(() => queue.putSync([2, new Lock()], { timeout: 0 })).toThrow(QueueFullError);
    const stop = AbortSignal.timeout(5);
    await expect(queue.put([2, new Lock()], { signal: stop })).rejects.toHaveProperty('name', 'TimeoutError');
    await expect(queue.put([2, (() => {}) as never])).rejects.toThrow(NotCloneableError);
    expect(carriedNow()).toHaveLength(before);
    await queue.get();
    expect(carriedNow()).toHaveLength(before - 1);
  });
});

describe.runIf(process.platform === 'linux')(
  'a thread that is terminated while it is at work in a queue',
  () => {
    it('leaves the queue to the others where the items are whole', async () => {
      await using crew = newCrew();
      const queue = new Queue<number>();
      await queue.put(1);
      const said = cells();
      const thread = crew.run('stayInQueue', share(queue), said, false);
      await until(() => said[0] === 1, 'it is at work');
      await thread.terminate();
      expect(queue.getSync()).toBe(1);
      await queue.put(2);
      expect(await queue.get()).toBe(2);
    });

    it('breaks it where they are not, for those who wait too', async () => {
      await using crew = newCrew();
      const queue = new Queue<number>({ maxsize: 1 });
      const joined = queue.put(1).then(() => queue.join());
      const waiting = queue.put(2);
      const all = Promise.allSettled([joined, waiting]);
      await later(5, undefined);
      const said = cells();
      const thread = crew.run('stayInQueue', share(queue), said, true);
      await until(() => said[0] === 1, 'it is at work');
      await thread.terminate();
      expect(() => queue.putSync(3)).toThrow(InvalidStateError);
      expect(() => queue.getSync()).toThrow(InvalidStateError);
      expect([queue.size(), queue.empty()]).toEqual([0, true]);
      for (const end of await all)
        expect(end).toMatchObject({ reason: { code: 'ERR_HEDDLE_INVALID_STATE' } });
      await expect(queue.put(3)).rejects.toThrow(/is broken: a thread ended/);
      await expect(queue.get()).rejects.toThrow(InvalidStateError);
      queue.shutdown();
      expect(() => queue.getSync()).toThrow(InvalidStateError);
    });

    it('is found by who shuts it down, and told to who waits', async () => {
      await using crew = newCrew();
      const queue = new Queue<number>();
      const end = queue.get().catch((error) => error);
      const said = cells();
      const thread = crew.run('stayInQueue', share(queue), said, true);
      await until(() => said[0] === 1, 'it is at work');
      await thread.terminate();
      queue.shutdown();
      expect(await end).toBeInstanceOf(InvalidStateError);
      expect(() => queue.putSync(1)).toThrow(InvalidStateError);
    });

    it.each([true, false])('is found by who waits for items, blocking or not (async: %s)', async (async) => {
      await using crew = newCrew();
      const queue = new Queue<number>();
      share(queue);
      const blocking = (theirs: Queue<number>) => {
        try {
          return theirs.getSync();
        } catch (error) {
          return error;
        }
      };
      const end = async ? queue.get().catch((error) => error) : start(blocking, queue).result;
      const said = cells();
      const thread = crew.run('stayInQueue', share(queue), said, true);
      await until(() => said[0] === 1, 'it is at work');
      await thread.terminate();
      expect(await end).toBeInstanceOf(InvalidStateError);
    });
  },
);

describe('an asynchronous waiter at a queue', () => {
  /** In the queue's memory: whose thread the next item is for, and since when. */
  const HEIR = FILLED + 2;
  const wordsOf = (queue: Queue<number>) => queue[MEMORY].words;

  it('has the next item kept for it once others were before it three times, until it comes or a second has passed', async () => {
    const queue = new Queue<number>();
    const words = wordsOf(queue);
    words[HEIR] = 1_000_000; // some other thread
    words[HEIR + 1] = now() | 0;
    queue.putSync(1);
    expect(() => queue.getSync({ timeout: 0 })).toThrow(QueueEmptyError);
    await expect(queue.get({ timeout: 0 })).rejects.toThrow(QueueEmptyError);
    expect([queue.size(), queue.empty()]).toEqual([0, true]);
    queue.putSync(2); // One is enough for the other.
    expect([queue.size(), queue.empty()]).toEqual([1, false]);
    expect(queue.getSync({ timeout: 0 })).toBe(1);
    expect([queue.size(), queue.empty()]).toEqual([0, true]);
    words[HEIR + 1] = (now() - 1_001) | 0;
    expect([queue.size(), queue.empty()]).toEqual([1, false]);
    expect(queue.getSync({ timeout: 0 })).toBe(2);
  });

  it('has room kept for it too', () => {
    const queue = new Queue<number>({ maxsize: 2 });
    const words = wordsOf(queue);
    words[DRAINED + 2] = 1_000_000;
    words[DRAINED + 3] = now() | 0;
    expect([queue.size(), queue.full()]).toEqual([0, true]);
    expect(() => queue.putSync(1, { timeout: 0 })).toThrow(QueueFullError);
    words[DRAINED + 3] = (now() - 1_001) | 0;
    expect(queue.full()).toBe(false);
    queue.putSync(1, { timeout: 0 });
  });

  it('gives up what is kept for it where it gives up', async () => {
    const queue = new Queue<number>();
    const words = wordsOf(queue);
    const stop = new AbortController();
    const waiting = queue.get({ signal: stop.signal });
    for (let lost = 0; lost < 20 && words[HEIR] === 0; lost += 1) {
      // As if somebody had put one and another had taken it: a ring, and nothing there.
      Atomics.add(words, HEIR - 2, 1);
      Atomics.notify(words, HEIR - 2);
      await later(2, undefined);
    }
    expect(words[HEIR]).toBe(threadId + 1);
    stop.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    expect(words[HEIR]).toBe(0);
  });

  it('is not starved by threads that block for the same items, or the same room', async () => {
    const queue = new Queue<number>({ maxsize: 1 });
    const stop = cells();
    const consume = (theirs: Queue<number>, flags: Cells) => {
      while (flags[0] === 0) {
        try {
          theirs.getSync({ timeout: 50 });
        } catch (error) {
          if ((error as Error).name !== 'QueueEmptyError') throw error;
        }
      }
    };
    const produce = (theirs: Queue<number>, flags: Cells) => {
      while (flags[0] === 0) {
        try {
          theirs.putSync(1, { timeout: 50 });
        } catch (error) {
          if ((error as Error).name !== 'QueueFullError') throw error;
        }
      }
    };
    const threads = [start(consume, queue, stop), start(produce, queue, stop)];
    try {
      for (let n = 0; n < 30; n += 1) {
        expect(await queue.get({ timeout: 60_000 })).toBe(1);
        await queue.put(1, { timeout: 60_000 });
      }
    } finally {
      stop[0] = 1;
      await Promise.all(threads.map((thread) => thread.result));
    }
  });
});
