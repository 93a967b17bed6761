import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { NotHeldError } from '../errors.ts';
import { Lock } from '../lock/lock.local.ts';
import type { Lease } from '../lock/lock.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { attach, share } from '../sharing/share.ts';
import { until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { conditionConformance } from './condition.conformance.ts';
import { Condition } from './condition.local.ts';

const another = async (condition: Condition) => attach(structuredClone(share(condition)));

conditionConformance('local', {
  make: async () => new Condition(),
  another: (condition) => another(condition as Condition),
});

/** Takes `count` items out of `cells[0]`, blocking for each; gives how many it got. */
const consume = (condition: Condition, cells: Int32Array, count: number) => {
  let got = 0;
  for (; got < count; got += 1) {
    const filled = condition.withSync(() => {
      const ready = condition.waitForSync(() => (cells[0] as number) > 0, { timeout: 10_000 });
      if (ready) {
        cells[0] = (cells[0] as number) - 1;
        condition.notifyAll();
      }
      return ready;
    });
    if (!filled) break;
  }
  return got;
};

/** Counts itself in `cells[0]` while it waits. */
const waitOnce = (condition: Condition, cells: Int32Array) =>
  condition.withSync(() => {
    Atomics.add(cells, 0, 1);
    const went = condition.waitSync();
    Atomics.sub(cells, 0, 1);
    return went;
  });

describe('Condition, local', () => {
  it.each([
    ['an RLock of its own', () => new Condition()],
    ['a Lock', () => new Condition(new Lock())],
  ])('carries items between a waiting producer and blocked consumers, on %s', async (_, make) => {
    const condition = make();
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const threads = [1, 2].map(() => new Thread({ target: consume, args: [condition, cells, 200] }));
    for (const thread of threads) thread.start();
    for (let n = 0; n < 400; n += 1) {
      await condition.with(async () => {
        expect(await condition.waitFor(() => (cells[0] as number) < 3, { timeout: 10_000 })).toBe(true);
        cells[0] = (cells[0] as number) + 1;
        condition.notifyAll();
      });
    }
    expect(await Promise.all(threads.map((thread) => thread.result))).toEqual([200, 200]);
    expect([cells[0], condition.locked()]).toEqual([0, false]);
  });

  it('blocks with a time-out, and holds its lock again', () => {
    const condition = new Condition();
    condition.acquireSync();
    condition.acquireSync();
    expect(condition.waitSync({ timeout: 10 })).toBe(false);
    expect(condition.waitForSync(() => false, { timeout: 10 })).toBe(false);
    expect(() => condition.waitForSync(async () => false)).toThrow(TypeError);
    condition.release();
    expect(condition.locked()).toBe(true);
    condition.release();
    expect(() => condition.waitSync()).toThrow(NotHeldError);
    expect(() => condition.release()).toThrow(NotHeldError);
  });

  it('waits under the very lock it was given, also over there', async () => {
    const lock = new RLock();
    const condition = new Condition(lock);
    const lease = await lock.acquire();
    expect(await condition.wait({ timeout: 1 })).toBe(false);
    const over = await another(condition);
    expect(over.acquireSync({ timeout: 0 })).toBe(true);
    over.release();
    await lease.release();
    expect(lock.locked()).toBe(false);
  });

  it('keeps a notification for those who waited when it was given, and were there before', async () => {
    const condition = new Condition();
    const cells = new Int32Array(new SharedArrayBuffer(4));
    let gone = false;
    const first = condition.with(() => condition.wait()).then(() => (gone = true));
    await condition.acquire();
    condition.notify();
    const threads = [1, 2].map(() => new Thread({ target: waitOnce, args: [condition, cells] }));
    for (const thread of threads) thread.start();
    condition.release();
    // This loop stands still until both wait too: the first can't take what it was given.
    while (Atomics.load(cells, 0) < 2);
    condition.acquireSync();
    condition.notify();
    condition.release();
    while (Atomics.load(cells, 0) === 2);
    for (const end = performance.now() + 50; performance.now() < end; ); // Time for the other to go too.
    expect(Atomics.load(cells, 0)).toBe(1);
    await until(() => gone, 'the first has gone');
    await condition.with(() => condition.notify());
    expect(await Promise.all([first, ...threads.map((thread) => thread.result)])).toEqual([true, true, true]);
  });

  it('has who waits on, since another took what it was woken for, go before those who came later', async () => {
    const condition = new Condition(new Lock());
    const gone: string[] = [];
    const wait = async (name: string, signal?: AbortSignal) => {
      await condition.acquire();
      await condition.wait({ signal }).then(
        () => gone.push(name),
        () => {},
      );
      condition.release();
    };
    const stop = new AbortController();
    const early = [wait('first'), wait('second'), wait('third', stop.signal)] as const;
    await condition.with(() => {}); // All of them wait by now.
    stop.abort();
    await early[2];
    await condition.acquire();
    condition.notify(); // For the first; the second may try too, since one gave up behind it.
    const late = wait('late');
    condition.release();
    await early[0];
    await condition.with(() => {});
    await condition.with(() => condition.notify());
    await early[1];
    expect(gone).toEqual(['first', 'second']);
    await condition.with(() => condition.notify());
    await late;
  });

  it.each([
    ['a Lock', () => new Lock()],
    ['an RLock', () => new RLock()],
  ])('gives the lock back after waits through another handle of it, on %s', async (_, make) => {
    const lock = make();
    const condition = attach(structuredClone(share(new Condition(lock))));
    let seen: Lease | undefined;
    await lock.with(async (lease) => {
      await condition.wait({ timeout: 1 });
      await condition.wait({ timeout: 1 });
      seen = lease;
      expect(lease.valid).toBe(true);
    });
    expect([seen?.valid, lock.locked()]).toEqual([false, false]);
    const inThread = new Thread({
      target: (lock: Lock | RLock, first: Condition, second: Condition) =>
        lock.withSync(() => {
          first.waitSync({ timeout: 1 });
          second.waitSync({ timeout: 1 });
        }),
      args: [lock, new Condition(lock), new Condition(lock)],
    });
    inThread.start();
    await inThread.result;
    expect(lock.locked()).toBe(false);
    await (await lock.acquire()).release();
  });

  it('ends its hold by the lease or by release, after waits renewed the token', async () => {
    const lock = new Lock();
    const condition = new Condition(lock);
    for (const end of ['lease', 'lock']) {
      const lease = await condition.acquire();
      const first = lease.token;
      await condition.wait({ timeout: 1 });
      await condition.wait({ timeout: 1 });
      expect(lease.token).toBeGreaterThan(first);
      expect(lease.valid).toBe(true);
      if (end === 'lock') lock.release();
      await lease.release();
      expect([lease.valid, lock.locked()]).toEqual([false, false]);
      const next = await lock.acquire();
      await lease.release();
      expect(next.valid).toBe(true);
      await next.release();
    }
  });

  it('looks through none of the others as each of many begins to wait, and ends', async () => {
    const MANY = 300;
    let walked = 0;
    for (const { prototype } of [Map, Set] as readonly (MapConstructor | SetConstructor)[]) {
      const iterate = prototype[Symbol.iterator] as () => never;
      const count = function (this: Map<unknown, unknown> | Set<unknown>) {
        walked += this.size;
        return iterate.call(this);
      };
      const spy = vi.spyOn(prototype as Set<unknown>, Symbol.iterator).mockImplementation(count);
      onTestFinished(() => spy.mockRestore());
    }
    const condition = new Condition();
    let there = 0;
    const wait = () => {
      there += 1;
      return condition.wait();
    };
    const waits = Array.from({ length: MANY }, () => condition.with(wait));
    await until(() => there === MANY, 'all wait');
    await condition.with(() => condition.notifyAll());
    expect(await Promise.all(waits)).toEqual(Array(MANY).fill(true));
    expect(walked).toBeLessThan(10 * MANY);
  });

  it.each([null, {}, 5])('refuses %s as its lock', (lock) => {
    expect(() => new Condition(lock as never)).toThrow(TypeError);
  });

  it('on a plain lock ends without it, too, where the lease is released while it waits', async () => {
    const lock = new Lock();
    const condition = new Condition(lock);
    const lease = await lock.acquire();
    const waited = condition.wait({ timeout: 10 });
    await lease.release();
    const other = await lock.acquire();
    setTimeout(() => other.release(), 30);
    await expect(waited).rejects.toThrow(NotHeldError);
    expect([other.valid, lease.valid, lock.locked()]).toEqual([false, false, false]);
  });
});
