import { describe, expect, it } from 'vitest';
import { NotHeldError, TimeoutError } from '../errors.ts';
import { runAs } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { attach, share } from '../sharing/share.ts';
import { until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { rlockConformance } from './rlock.conformance.ts';
import { RLock } from './rlock.local.ts';

for (const [name, options] of [
  ['local', {}],
  ['local, in debug mode', { debug: true }],
  ['local, robust', { robust: true }],
] as const) {
  rlockConformance(name, {
    make: async () => new RLock(options),
    another: async (lock) => attach(structuredClone(share(lock as RLock))),
  });
}

describe('RLock, local', () => {
  it('owns by worker thread outside any logical thread, through each of its handles', async () => {
    const lock = new RLock();
    const same = attach(structuredClone(share(lock)));
    const lease = await lock.acquire();
    expect(same.acquireSync({ timeout: 0 })).toBe(true);
    expect(await lock.acquire({ timeout: 0 })).not.toBeNull();
    lock.release();
    same.release();
    expect(lock.locked()).toBe(true);
    await lease.release();
    expect(lock.locked()).toBe(false);
    expect(() => lock.release()).toThrow(NotHeldError);
  });

  it('blocks, and re-enters blocking', () => {
    const lock = new RLock();
    expect(
      lock.withSync(() => lock.withSync(() => runAs('other', () => lock.acquireSync({ timeout: 5 })))),
    ).toBe(false);
    expect(lock.locked()).toBe(false);
    expect(() => lock.acquireSync({ timeout: -1 })).toThrow(RangeError);
    expect(() => lock.withSync(5 as never)).toThrow(TypeError);
  });

  it('is another than each that is held beside it', async () => {
    const [one, other] = [new RLock(), new RLock()];
    one.acquireSync();
    other.acquireSync();
    one.release();
    expect([one.locked(), other.locked()]).toEqual([false, true]);
    expect(() => one.release()).toThrow(NotHeldError);
    const [mine, theirs] = [one.acquire(), runAs('other', () => other.acquire({ timeout: 0 }))];
    expect([(await mine).valid, await theirs]).toEqual([true, null]);
    await (await mine).release();
    other.release();
  });

  it('tells by withSync that it was not had in time', () => {
    const lock = new RLock();
    lock.acquireSync();
    expect(() => runAs('other', () => lock.withSync(() => expect.unreachable(), { timeout: 0 }))).toThrow(
      TimeoutError,
    );
    expect(lock.locked()).toBe(true);
    lock.release();
    expect(lock.locked()).toBe(false);
  });

  it.each([{}, { debug: true }])('ends by withSync its own acquisition alone: %o', async (options) => {
    const lock = new RLock(options);
    let inner: Promise<Lease> | undefined;
    lock.withSync(() => {
      inner = lock.acquire();
    });
    const lease = await inner;
    expect([lease?.valid, lock.locked()]).toEqual([true, true]);
    lock.withSync(() => lock.acquireSync());
    expect(lease?.valid).toBe(true);
    lock.release();
    await lease?.release();
    expect(lock.locked()).toBe(false);
    expect(lock.withSync(() => [lock.release()])).toEqual([undefined]);
    const fails = () => {
      lock.release();
      throw new Error('mine');
    };
    expect(() => lock.withSync(fails)).toThrow('mine');
    expect(lock.locked()).toBe(false);
  });

  it('lets its owner block for it while it awaits it, and the other way round', async () => {
    const lock = new RLock();
    const first = lock.acquire();
    expect(lock.acquireSync({ timeout: 1000 })).toBe(true);
    lock.release();
    await (await first).release();
    const lease = await runAs('other', () => lock.acquire());
    const waiting = [lock.acquire(), attach(structuredClone(share(lock))).acquire()];
    void lease.release();
    expect(lock.acquireSync({ timeout: 1000 })).toBe(true);
    const leases = await Promise.all(waiting);
    for (const each of leases) await each.release();
    expect(lock.locked()).toBe(true);
    lock.release();
    expect(lock.locked()).toBe(false);
  });

  it('keeps other threads out', async () => {
    const lock = new RLock();
    lock.acquireSync();
    const target = (theirs: RLock, cells: Int32Array) => {
      const refused = theirs.acquireSync({ timeout: 10 });
      let error = '';
      try {
        theirs.release();
      } catch (thrown) {
        error = (thrown as Error).name;
      }
      cells[0] = 1;
      const got = theirs.acquireSync() && theirs.acquireSync();
      theirs.release();
      theirs.release();
      return { refused, error, got };
    };
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const thread = new Thread({ target, args: [lock, cells] });
    thread.start();
    await until(() => cells[0] === 1, 'the thread was refused');
    expect(thread.isAlive()).toBe(true);
    lock.release();
    expect(await thread.result).toEqual({ refused: false, error: 'NotHeldError', got: true });
  });
});
