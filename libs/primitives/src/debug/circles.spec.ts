import { describe, expect, it, vi } from 'vitest';
import { Barrier } from '../barrier/barrier.local.ts';
import { Condition } from '../condition/condition.local.ts';
import { DeadlockError } from '../errors.ts';
import { Event } from '../event/event.local.ts';
import { runAs, threadOf } from '../identity.ts';
import { acquireAll } from '../lock/acquire-all.ts';
import { Lock } from '../lock/lock.local.ts';
import { ReadWriteLock } from '../read-write-lock/read-write-lock.local.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { MEMORY } from '../shared-memory/memory.ts';
import { ourWarnings } from '../testing/our-warnings.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { ledgerOf } from './ledger.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

const debug = { debug: true };

const warnings = ourWarnings();
const codes = () => warnings.map(({ code }) => code);

/** Takes two locks one after the other, the second once all have their first; gives the error's fields, or 'done'. */
const takeTwo = async (first: Lock, second: Lock, all: Barrier, blocking: boolean, timeout?: number) => {
  try {
    if (blocking) {
      first.acquireSync();
      try {
        all.waitSync();
        if (!second.acquireSync({ timeout })) return 'gave up';
        second.release();
      } finally {
        first.release();
      }
    } else {
      await first.with(async () => {
        await all.wait();
        await second.with(() => {}, { timeout });
      });
    }
    return 'done';
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') return 'gave up';
    const { name, message, code, cycle, primitive } = error as DeadlockError;
    return { name, message, code, cycle, primitive };
  }
};

type Told = Pick<DeadlockError, 'name' | 'message' | 'code' | 'cycle' | 'primitive'>;

/** Runs `takeTwo` around a ring of so many locks, one thread for each; gives what they told. */
async function aroundTheRing(size: number, blocking: (n: number) => boolean, timeout?: number) {
  const locks = Array.from({ length: size }, () => new Lock(debug));
  const all = new Barrier(size);
  const threads = locks.map((lock, n) => {
    const args = [lock, locks[(n + 1) % size], all, blocking(n), timeout] as const;
    return new Thread({ target: takeTwo, args, name: `T${n}` });
  });
  for (const thread of threads) thread.start();
  const told = await Promise.all(threads.map((thread) => thread.result));
  expect(locks.map((lock) => lock.locked())).toEqual(locks.map(() => false));
  return { locks, told };
}

describe('a circle of locks in debug mode', () => {
  it.each([
    ['2 threads that block', 2, () => true],
    ['2 threads that wait', 2, () => false],
    ['3 threads that block', 3, () => true],
    ['3 threads that wait', 3, () => false],
    ['3 threads, some of which block', 3, (n: number) => n % 2 === 0],
  ])('is told to one of %s, and the others go on', async (_, size, blocking) => {
    const { locks, told } = await aroundTheRing(size, blocking);
    const failed = told.filter((each): each is Told => typeof each === 'object');
    expect(told.filter((each) => each === 'done')).toHaveLength(size - 1);
    expect(failed).toHaveLength(1);
    const [error] = failed as [Told];
    expect(error).toMatchObject({ name: 'DeadlockError', code: 'ERR_HEDDLE_DEADLOCK' });
    expect(error.cycle).toHaveLength(size);
    const names = (key: 'waiter' | 'heldBy') => error.cycle.map((edge) => edge[key].match(/T\d/)?.[0]).sort();
    expect(names('waiter')).toEqual(locks.map((_lock, n) => `T${n}`));
    expect(names('heldBy')).toEqual(names('waiter'));
    expect(new Set(error.cycle.map(({ waitsFor }) => waitsFor)).size).toBe(size);
    for (const { waitsFor, stack } of error.cycle) {
      expect(waitsFor).toMatch(/^Lock#\d+$/);
      expect(stack).toMatch(/takeTwo|evalmachine|\[worker eval\]/);
      expect(error.message).toContain(waitsFor);
    }
    expect(error.message).toContain('circles.spec.ts');
  });

  it('is told to a logical thread of one event loop, and leaves nothing queued', async () => {
    const [a, b] = [new Lock(debug), new Lock(debug)];
    const [inA, inB] = [new Event(), new Event()];
    const ab = runAs('ab', () =>
      a.with(async () => {
        inA.set();
        await inB.wait();
        return b.with(() => 'ab done');
      }),
    );
    const ba = runAs('ba', () =>
      b.with(async () => {
        inB.set();
        await inA.wait();
        await later(5, undefined);
        return a.with(() => 'ba done');
      }),
    );
    await expect(ba).rejects.toThrow(DeadlockError);
    expect(await ab).toBe('ab done');
    expect([a.acquireSync({ timeout: 0 }), b.acquireSync({ timeout: 0 })]).toEqual([true, true]);
    a.release();
    b.release();
  });

  it.each([
    ['Lock', () => new Lock(debug)],
    ['the write side', () => new ReadWriteLock(debug).write],
    ["a Condition's Lock", () => new Condition(new Lock(debug))],
  ])('of one is told at once: %s, taken again inside its own with', async (_, make) => {
    const lock = make();
    await expect(lock.with(() => lock.with(() => {}))).rejects.toThrow(DeadlockError);
    await expect(lock.with(() => lock.acquire())).rejects.toMatchObject({
      cycle: [{ stack: expect.stringContaining('circles.spec') }],
    });
    await expect(lock.with(() => lock.acquireSync())).rejects.toThrow(DeadlockError);
    expect(() => lock.withSync(() => lock.withSync(() => {}))).toThrow(DeadlockError);
    expect(() => lock.withSync(() => lock.acquireSync())).toThrow(DeadlockError);
    expect(await lock.with(() => lock.acquire({ timeout: 0 }))).toBe(null);
    await expect(lock.with(() => lock.acquire({ timeout: 60_000 }))).rejects.toThrow(DeadlockError);
    // What ends by itself soon is how one gets out of a circle.
    expect(lock.withSync(() => lock.acquireSync({ timeout: 20 }))).toBe(false);
    expect(await lock.with(() => lock.acquire({ timeout: 20 }))).toBe(null);
    expect(lock.locked()).toBe(false);
  });

  it('of a reader that comes back behind a writer is told', async () => {
    const lock = new ReadWriteLock(debug);
    await lock.read.with(async () => {
      const writer = runAs('writer', () => lock.write.acquire());
      expect(await stillPending(writer)).toBe(true);
      await expect(lock.read.acquire()).rejects.toThrow(/wait.* to write/);
      void writer.then((lease) => lease.release());
    });
    await lock.write.with(() => {});
    expect([lock.read.locked(), lock.write.locked()]).toEqual([false, false]);
  });

  it('of two readers that want to write is told', async () => {
    const lock = new ReadWriteLock(debug);
    const both = new Barrier(2);
    const upgrade = () =>
      lock.read.with(async () => {
        await both.wait();
        return lock.write.with(() => 'wrote');
      });
    const ends = await Promise.allSettled([upgrade(), upgrade()]);
    for (const end of ends) expect(end).toMatchObject({ reason: { code: 'ERR_HEDDLE_DEADLOCK' } });
    expect([lock.read.locked(), lock.write.locked()]).toEqual([false, false]);
  });

  it('that a condition closes by taking its lock back is told to who waits for it', async () => {
    const condition = new Condition(new RLock(debug));
    const other = new Lock(debug);
    const go = new Event();
    const waiter = runAs('waiter', () =>
      other.with(() =>
        condition.with(async () => {
          expect(await condition.wait({ timeout: 20 })).toBe(false);
        }),
      ),
    );
    const holder = runAs('holder', () =>
      condition.with(async () => {
        go.set();
        await later(50, undefined);
        await other.with(() => {});
      }),
    );
    await go.wait();
    await expect(holder).rejects.toThrow(DeadlockError);
    await waiter;
    expect([condition.locked(), other.locked()]).toEqual([false, false]);
  });

  it('is told where a thread blocks that another of its own logical threads would have to go on', async () => {
    const [a, b] = [new Lock(debug), new Lock(debug)];
    const target = async (first: Lock, second: Lock) => {
      first.acquireSync();
      second.acquireSync();
      second.release();
      first.release();
    };
    const [held, enough] = [new Event(), new Event()];
    const holder = a.with(async () => {
      held.set();
      await enough.wait();
    });
    await held.wait();
    const thread = new Thread({ target, args: [b, a], name: 'blocked' });
    thread.start();
    const ledger = ledgerOf(a[MEMORY].buffer);
    const its = threadOf(thread.ident as number);
    await until(
      () => ledger.exclusive(() => ledger.waitsIn(its).length > 0),
      'the thread waits for its second',
    );
    expect(() => b.acquireSync()).toThrow(DeadlockError);
    enough.set();
    await holder;
    await thread.result;
  });
});

describe('no circle in debug mode', () => {
  it('is found where time-outs open it again', async () => {
    const { told } = await aroundTheRing(2, () => true, 50);
    for (const each of told) expect(['gave up', 'done']).toContain(each);
    const mixed = await aroundTheRing(3, (n) => n === 0, 50);
    for (const each of mixed.told) expect(['gave up', 'done']).toContain(each);
  });

  it('is found after a wait was aborted', async () => {
    const [a, b] = [new Lock(debug), new Lock(debug)];
    const stop = new AbortController();
    const inB = new Event();
    const first = a.with(async () => {
      await inB.wait();
      await b.acquire({ signal: stop.signal }).catch(() => {});
      await later(30, undefined);
    });
    const second = b.with(async () => {
      inB.set();
      await later(5, undefined);
      stop.abort();
      await a.with(() => {});
    });
    await Promise.all([first, second]);
  });

  it('is found in a long chain, nor where a plain context holds', async () => {
    const locks = Array.from({ length: 12 }, () => new Lock(debug));
    const last = await (locks.at(-1) as Lock).acquire();
    const chain = locks.slice(0, -1).map((lock, n) => lock.with(() => locks[n + 1]?.with(() => n)));
    expect(await stillPending(Promise.all(chain))).toBe(true);
    await last.release();
    expect(await Promise.all(chain)).toEqual(chain.map((_, n) => n));

    // Two requests of one server: each waits for what the other has, and none of their holds is known to depend on it.
    const [a, b] = [new Lock(debug), new Lock(debug)];
    const leases = [await a.acquire(), await b.acquire()];
    const waits = [b.acquire(), a.acquire()];
    expect(await stillPending(Promise.all(waits))).toBe(true);
    for (const lease of leases) await lease.release();
    for (const lease of await Promise.all(waits)) await lease.release();
  });

  it('is found where holds move between threads for a while', async () => {
    const locks = [new Lock(debug), new RLock(debug), new Lock(debug)];
    const target = async (a: Lock, b: RLock, c: Lock, all: Barrier) => {
      await all.wait();
      for (let n = 0; n < 60; n += 1) {
        if (n % 2 === 0) {
          a.withSync(() => b.withSync(() => b.withSync(() => c.withSync(() => n))));
        } else {
          await a.with(() => b.with(async () => void (await c.acquire()).release()));
        }
      }
      return 'fine';
    };
    const all = new Barrier(3);
    const threads = [0, 1, 2].map(() => new Thread({ target, args: [...locks, all] as never }));
    for (const thread of threads) thread.start();
    expect(await Promise.all(threads.map((thread) => thread.result))).toEqual(['fine', 'fine', 'fine']);
    expect(locks.map((lock) => lock.locked())).toEqual([false, false, false]);
    expect(codes()).toEqual([]);
  });

  it('is found for who holds twice what re-enters, or takes several by acquireAll', async () => {
    const lock = new RLock(debug);
    expect(await lock.with(() => lock.with(() => lock.withSync(() => 'in')))).toBe('in');
    const locks = [new Lock(debug), new Lock(debug)];
    const both = async (order: Lock[]) => {
      await using _ = await acquireAll(order);
      await null;
    };
    await Promise.all([both(locks), both([...locks].reverse()), both(locks)]);
    await later(5, undefined);
    expect(codes()).toEqual([]);
  });
});
