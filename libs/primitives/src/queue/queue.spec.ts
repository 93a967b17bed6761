import { describe, expect, it } from 'vitest';
import { QueueEmptyError, QueueFullError, QueueShutDownError } from '../errors.ts';
import { attach, type Handle, type Shareable, share } from '../sharing/share.ts';
import { Thread } from '../thread/thread.local.ts';
import { queueConformance } from './queue.conformance.ts';
import { LifoQueue, PriorityQueue, Queue, SimpleQueue } from './queue.local.ts';

const KINDS = { Queue, LifoQueue, PriorityQueue };

queueConformance('local', {
  make: async (kind, maxsize) => new KINDS[kind]({ maxsize }),
  makeSimple: async () => new SimpleQueue(),
  another: async <Q>(queue: Q) => attach(structuredClone(share(queue as Shareable)) as Handle<Q>),
});

/** Puts the numbers from `from` on, blocking or not. */
const produce = async (queue: Queue<number[]>, from: number, count: number, blocking: boolean) => {
  for (let n = from; n < from + count; n += 1) {
    const item = [n, ...new Array<number>(n % 50).fill(n)];
    if (blocking) queue.putSync(item);
    else await queue.put(item);
  }
};

/** Takes until the queue is shut down; gives the numbers taken, NaN for one that was torn. */
const consume = async (queue: Queue<number[]>, blocking: boolean) => {
  const taken: number[] = [];
  for (;;) {
    try {
      const timeout = taken.length % 5 === 0 ? 0.2 : undefined;
      const [n = Number.NaN, ...rest] = blocking ? queue.getSync({ timeout }) : await queue.get({ timeout });
      taken.push(rest.length === n % 50 && rest.every((each) => each === n) ? n : Number.NaN);
      queue.taskDone();
    } catch (error) {
      if ((error as Error).name === 'QueueShutDownError') return taken;
      if ((error as Error).name !== 'QueueEmptyError') throw error;
    }
  }
};

describe('queues, local', () => {
  it.each(Object.entries(KINDS))(
    '%s loses nothing and doubles nothing between four threads, blocking and not',
    async (_, Kind) => {
      const queue = new Kind<number[]>({ maxsize: 50, maxBytes: 4096 });
      const consumers = [true, false].map(
        (blocking) => new Thread({ target: consume, args: [queue, blocking] }),
      );
      const producers = [true, false].map(
        (blocking, n) => new Thread({ target: produce, args: [queue, n * 500, 500, blocking] }),
      );
      for (const thread of [...consumers, ...producers]) thread.start();
      await Promise.all(producers.map((thread) => thread.result));
      expect(await queue.join({ timeout: 10_000 })).toBe(true);
      queue.shutdown();
      const taken = (await Promise.all(consumers.map((thread) => thread.result as Promise<number[]>))).flat();
      expect(taken.sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_each, n) => n));
    },
  );

  it('keeps the order of one producer', async () => {
    const queue = new SimpleQueue<number>({ maxBytes: 256 });
    const target = (theirs: SimpleQueue<number>) => {
      for (let n = 0; n < 1000; n += 1) theirs.putSync(n);
    };
    const thread = new Thread({ target, args: [queue] });
    thread.start();
    for (let n = 0; n < 1000; n += 1) {
      const item = n % 2 ? queue.getSync() : await queue.get();
      if (item !== n) expect(item).toBe(n);
    }
    await thread.result;
    expect(queue.empty()).toBe(true);
  });

  it('wakes as many blocked takers as there are items', async () => {
    const queue = new Queue<number>();
    const taken = new Queue<number>();
    const target = (from: Queue<number>, to: Queue<number>) => to.putSync(from.getSync());
    const threads = [1, 2, 3].map(() => new Thread({ target, args: [queue, taken] }));
    for (const thread of threads) thread.start();
    for (let n = 0; n < 3; n += 1) queue.putSync(n);
    const got = [await taken.get(), await taken.get(), taken.getSync()];
    expect(got.sort()).toEqual([0, 1, 2]);
    await Promise.all(threads.map((thread) => thread.result));
  });

  it('blocks with a time-out, and says which', () => {
    const queue = new Queue<number>({ maxsize: 1 });
    expect(() => queue.getSync({ timeout: 10 })).toThrow(QueueEmptyError);
    queue.putSync(1);
    expect(() => queue.putSync(2, { timeout: 10 })).toThrow(QueueFullError);
    expect(() => queue.putSync(2, { timeout: 0 })).toThrow(QueueFullError);
    expect(queue.joinSync({ timeout: 10 })).toBe(false);
    expect(queue.getSync()).toBe(1);
    queue.taskDone();
    expect(queue.joinSync()).toBe(true);
    queue.shutdown();
    expect(() => queue.putSync(1)).toThrow(QueueShutDownError);
    expect(() => queue.getSync()).toThrow(QueueShutDownError);
    expect(() => queue.getSync({ signal: new AbortController().signal } as never)).toThrow(TypeError);
    expect(() => queue.putSync(1, { timeout: -1 })).toThrow(RangeError);
  });

  it('does not block for room that nobody could make', () => {
    const queue = new Queue<number>({ maxsize: 1 });
    queue.putSync(1);
    expect(() => queue.putSync(2)).toThrow(QueueFullError);
    expect(queue.size()).toBe(1);
  });

  it('unblocks a thread by shutdown', async () => {
    const queue = new Queue<number>({ maxsize: 1 });
    const target = (theirs: Queue<number>, put: boolean) => {
      try {
        return put ? theirs.putSync(1) : theirs.getSync();
      } catch (error) {
        return (error as Error).name;
      }
    };
    const getter = new Thread({ target, args: [queue, false] });
    getter.start();
    queue.shutdown();
    expect(await getter.result).toBe('QueueShutDownError');
  });

  it.each([
    ['Queue', new Queue<string>({ maxBytes: 1000 })],
    ['LifoQueue', new LifoQueue<string>({ maxBytes: 1000 })],
    ['PriorityQueue', new PriorityQueue<string>({ maxBytes: 1000 })],
    ['SimpleQueue', new SimpleQueue<string>({ maxBytes: 1000 })],
  ])('%s is bounded in bytes', async (_, queue) => {
    await expect(queue.put('x'.repeat(2000))).rejects.toThrow(RangeError);
    await expect(queue.put('x'.repeat(2000))).rejects.toMatchObject({ code: 'ERR_HEDDLE_ITEM_TOO_LARGE' });
    const item = 'y'.repeat(100);
    let room = 0;
    for (; room < 20; room += 1)
      if (
        await queue.put(item, { timeout: 0 }).then(
          () => false,
          () => true,
        )
      )
        break;
    expect(room).toBeGreaterThan(1);
    expect(room).toBeLessThan(10);
    const waiting = queue.put('z');
    await queue.get();
    await waiting;
    let count = room;
    for (let n = 0; n < 300; n += 1) {
      const put = queue.put('w'.repeat((n * 37) % 150), { timeout: 0 }).then(
        () => 1,
        () => 0,
      );
      if (await put) count += 1;
      else {
        expect(['w', 'y', 'z', '']).toContain((await queue.get({ timeout: 0 }))[0] ?? '');
        count -= 1;
      }
    }
    expect(queue.size()).toBe(count);
    for (; count > 0; count -= 1) await queue.get({ timeout: 0 });
    expect(queue.empty()).toBe(true);
  });

  it('is named where an item can not travel', async () => {
    const queue = new Queue();
    const named = expect.objectContaining({
      primitive: expect.stringMatching(/^Queue#\d+$/),
      message: expect.stringMatching(/^Queue#\d+: item\.fn is a function/),
      path: 'item.fn',
    });
    expect(() => queue.putSync({ fn: () => 1 })).toThrow(named);
    await expect(queue.put({ fn: () => 1 })).rejects.toEqual(named);
    expect(queue.size()).toBe(0);
    expect(() => queue.shutdown(null as never)).toThrow('such as { immediate }, not null');
  });

  it.each([0, 63, 2 ** 31, 1.5, '64', null])('refuses %s as maxBytes', (maxBytes) => {
    expect(() => new SimpleQueue({ maxBytes: maxBytes as number })).toThrow(
      typeof maxBytes === 'number' ? RangeError : TypeError,
    );
    expect(() => new Queue(maxBytes as never)).toThrow(TypeError);
  });
});
