import { describe, expect, it, vi } from 'vitest';
import { NotHeldError, TimeoutError } from '../errors.ts';
import { lockConformance } from '../lock/lock.conformance.ts';
import type { AnyLock } from '../lock/lock.ts';
import { attach, share } from '../sharing/share.ts';
import { until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { readWriteLockConformance } from './read-write-lock.conformance.ts';
import { ReadWriteLock } from './read-write-lock.local.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

const another = async (lock: ReadWriteLock) => attach(structuredClone(share(lock)));

readWriteLockConformance('local', {
  make: async () => new ReadWriteLock(),
  another: (lock) => another(lock as ReadWriteLock),
});

const wholes = new Map<AnyLock, ReadWriteLock>();
const writeOf = (lock: ReadWriteLock) => {
  wholes.set(lock.write, lock);
  return lock.write;
};
lockConformance('local, the write side of a ReadWriteLock', {
  make: async () => writeOf(new ReadWriteLock()),
  another: async (write) => writeOf(await another(wholes.get(write) as ReadWriteLock)),
  fifo: false,
  separateOwners: false,
});

type Cells = Int32Array<SharedArrayBuffer>;

/** Writes and reads two cells that must never differ, until `cells[0]` is set; gives how often, and how often they did. */
const work = async (lock: ReadWriteLock, cells: Cells, place: number, blocking: boolean) => {
  const done = [0, 0, 0];
  for (let n = 0; Atomics.load(cells, 0) === 0; n += 1) {
    const writing = n % 4 === 0;
    const side = writing ? lock.write : lock.read;
    const timeout = n % 3 === 0 ? Math.random() : undefined;
    const lease = blocking ? side.acquireSync({ timeout }) : await side.acquire({ timeout });
    if (!lease) continue;
    const seen = cells[1] as number;
    if (writing) cells[1] = seen + 1;
    for (let pause = 0; pause < 30; pause += 1) void cells[2];
    if (cells[1] !== (writing ? seen + 1 : seen) || cells[2] !== seen) done[2] = (done[2] as number) + 1;
    if (writing) cells[2] = seen + 1;
    done[writing ? 0 : 1] = (done[writing ? 0 : 1] as number) + 1;
    Atomics.store(cells, place, Math.min(done[0] as number, done[1] as number));
    if (lease === true) side.release();
    else await lease.release();
  }
  return done;
};

describe('ReadWriteLock, local', () => {
  it('keeps readers and writers of four threads apart, blocking and not, patient and hasty', async () => {
    const lock = new ReadWriteLock();
    const cells: Cells = new Int32Array(new SharedArrayBuffer(28));
    const threads = [true, true, false, false].map(
      (blocking, n) => new Thread({ target: work, args: [lock, cells, 3 + n, blocking] }),
    );
    for (const thread of threads) thread.start();
    while (await lock.read.with(() => cells.subarray(3).some((done) => done < 20)));
    Atomics.store(cells, 0, 1);
    const all = await Promise.all(threads.map((thread) => thread.result as Promise<number[]>));
    expect(all.reduce((sum, [writes = 0]) => sum + writes, 0)).toBe(cells[1]);
    for (const [, , torn] of all) expect(torn).toBe(0);
    expect([lock.read.locked(), lock.write.locked()]).toEqual([false, false]);
  });

  it('blocks, and lets a blocked writer in before readers who come later', async () => {
    const lock = new ReadWriteLock();
    const cells: Cells = new Int32Array(new SharedArrayBuffer(4));
    expect(lock.read.acquireSync()).toBe(true);
    const target = (theirs: ReadWriteLock, flags: Cells) => {
      Atomics.store(flags, 0, 1);
      theirs.write.acquireSync();
      Atomics.store(flags, 0, 2);
      theirs.write.release();
    };
    const writer = new Thread({ target, args: [lock, cells] });
    writer.start();
    while (lock.read.acquireSync({ timeout: 0 })) lock.read.release();
    expect(Atomics.load(cells, 0)).toBe(1);
    expect(lock.read.acquireSync({ timeout: 10 })).toBe(false);
    lock.read.release();
    expect(lock.read.acquireSync()).toBe(true);
    expect(Atomics.load(cells, 0)).toBe(2);
    lock.read.release();
    await writer.join();
  });

  it('gives up when the time is up, and refuses what a blocking wait can not do', () => {
    const lock = new ReadWriteLock();
    lock.read.acquireSync();
    expect(lock.write.acquireSync({ timeout: 10 })).toBe(false);
    expect(() => lock.write.withSync(() => 1, { timeout: 0 })).toThrow(TimeoutError);
    expect(lock.read.withSync(() => lock.read.locked())).toBe(true);
    lock.read.release();
    expect(lock.write.withSync(() => lock.read.acquireSync({ timeout: 1 }))).toBe(false);
    for (const side of [lock.read, lock.write]) {
      expect(() => side.acquireSync({ timeout: Number.NaN })).toThrow(RangeError);
      expect(() => side.acquireSync({ signal: new AbortController().signal } as never)).toThrow(TypeError);
      expect(() => side.release()).toThrow(NotHeldError);
    }
    expect([lock.read.locked(), lock.write.locked()]).toEqual([false, false]);
  });

  it.each([{}, { debug: true }])('ends no lease where a hold without one ends: %o', async (options) => {
    const lock = new ReadWriteLock(options);
    const same = await another(lock);
    const lease = await lock.read.acquire();
    for (const { read } of [lock, same]) {
      read.withSync(() => read.withSync(() => {}));
      expect(lease.valid).toBe(true);
      read.acquireSync();
      read.release();
      expect(lease.valid).toBe(true);
    }
    lock.read.acquireSync();
    same.read.release();
    expect([lease.valid, lock.read.locked()]).toEqual([true, true]);
    await lease.release();
    expect(lock.read.locked()).toBe(false);
    expect(() => lock.read.release()).toThrow(NotHeldError);
  });

  it.each([{}, { debug: true }])('ends by withSync its own hold alone, as with does: %o', async (options) => {
    const lock = new ReadWriteLock(options);
    for (const side of [lock.read, lock.write]) {
      expect([side.withSync(() => side.release())]).toEqual([undefined]);
      const fails = () => {
        side.release();
        throw new Error('mine');
      };
      expect(() => side.withSync(fails)).toThrow('mine');
      expect(side.locked()).toBe(false);
      const next = side.withSync(() => {
        side.release();
        return [side.acquire()];
      });
      const lease = await next[0];
      expect([lease?.valid, side.locked()]).toEqual([true, true]);
      await lease?.release();
      side.withSync(() => {
        side.release();
        side.acquireSync();
      });
      expect(side.locked()).toBe(true);
      side.release();
      expect(side.locked()).toBe(false);
    }
  });

  it('ends no hold of another thread by the lease of one that this thread ended', async () => {
    const lock = new ReadWriteLock();
    const cells: Cells = new Int32Array(new SharedArrayBuffer(8));
    const lease = await lock.read.acquire();
    const target = (theirs: ReadWriteLock, flags: Cells) => {
      theirs.read.release();
      theirs.read.acquireSync();
      Atomics.store(flags, 0, 1);
      Atomics.wait(flags, 1, 0);
      const held = theirs.read.locked();
      theirs.read.release();
      return held;
    };
    const thread = new Thread({ target, args: [lock, cells] });
    thread.start();
    await until(() => Atomics.load(cells, 0) === 1, 'the thread reads');
    expect(lease.valid).toBe(false);
    await lease.release();
    expect(lock.write.acquireSync({ timeout: 0 })).toBe(false);
    Atomics.store(cells, 1, 1);
    Atomics.notify(cells, 1);
    expect(await thread.result).toBe(true);
    expect(lock.read.locked()).toBe(false);
    expect(() => lock.read.release()).toThrow(NotHeldError);
  });

  it('takes no hold of a thousand rounds ago for one of now', async () => {
    const lock = new ReadWriteLock();
    const lease = await lock.read.acquire();
    const target = (theirs: ReadWriteLock) => {
      theirs.read.release();
      // As many rounds as the bits of one can tell apart: the next has the number of that in which it was granted.
      for (let n = 1; n < 1024; n += 1) {
        theirs.read.acquireSync();
        theirs.read.release();
      }
      theirs.read.acquireSync();
    };
    const thread = new Thread({ target, args: [lock] });
    thread.start();
    await thread.result;
    expect(lease.valid).toBe(false);
    await lease.release();
    expect(lock.read.locked()).toBe(true);
  });

  it('lets another thread end a hold without a lease, and forgets it here', async () => {
    const lock = new ReadWriteLock();
    lock.read.acquireSync();
    const thread = new Thread({ target: (theirs: ReadWriteLock) => theirs.read.release(), args: [lock] });
    thread.start();
    await thread.result;
    expect(lock.read.locked()).toBe(false);
    const [first, second] = [await lock.read.acquire(), await lock.read.acquire()];
    lock.read.release();
    expect([first.valid, second.valid]).toEqual([false, true]);
    await second.release();
    expect(lock.write.withSync(() => lock.write.locked())).toBe(true);
  });

  it('knows its holds through many rounds', async () => {
    const lock = new ReadWriteLock();
    for (let n = 0; n < 3000; n += 1) {
      const lease = n % 2 === 0 ? await lock.read.acquire() : undefined;
      lock.read.withSync(() => expect(lock.read.locked()).toBe(true));
      expect(lease?.valid).not.toBe(false);
      await lease?.release();
      if (lock.read.locked() || lease?.valid) expect.unreachable();
    }
    expect(lock.write.acquireSync({ timeout: 0 })).toBe(true);
    lock.write.release();
  });
});
