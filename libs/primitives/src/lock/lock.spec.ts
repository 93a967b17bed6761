import { describe, expect, it } from 'vitest';
import { DeadlockError } from '../errors.ts';
import { currentLogicalThread, runAs } from '../identity.ts';
import { attach, share } from '../sharing/share.ts';
import { later } from '../testing/waiting.ts';
import { lockConformance } from './lock.conformance.ts';
import { Lock } from './lock.local.ts';

lockConformance('local', {
  make: async () => new Lock(),
  another: async (lock) => attach(structuredClone(share(lock as Lock))),
  fifo: false,
  separateOwners: false,
});

describe('Lock, local: blocking', () => {
  it('acquires and releases without waiting', () => {
    const lock = new Lock();
    expect(lock.acquireSync()).toBe(true);
    expect(lock.acquireSync({ timeout: 0 })).toBe(false);
    expect(lock.locked()).toBe(true);
    expect(lock.release()).toBeUndefined();
    expect(lock.locked()).toBe(false);
  });

  it('gives up when the time is up', () => {
    const lock = new Lock();
    lock.acquireSync();
    const start = performance.now();
    expect(lock.acquireSync({ timeout: 20 })).toBe(false);
    expect(performance.now() - start).toBeGreaterThan(18);
    lock.release();
    expect(lock.acquireSync({ timeout: 0 })).toBe(true);
  });

  it('tells at once whoever blocks for it without end inside its own with', async () => {
    const lock = new Lock();
    expect(() => lock.withSync(() => lock.acquireSync())).toThrow(DeadlockError);
    expect(() => lock.withSync(() => lock.withSync(() => {}))).toThrow(DeadlockError);
    await expect(lock.with(() => lock.acquireSync())).rejects.toThrow(DeadlockError);
    expect(lock.withSync(() => lock.acquireSync({ timeout: 5 }))).toBe(false);
    // What such a body begins and does not wait for is no part of it.
    const later = lock.withSync(() => ({ lease: lock.acquire() }));
    await (await later.lease).release();
    const other = attach(share(lock));
    expect(() => lock.withSync(() => other.acquireSync())).toThrow(DeadlockError);
    expect(lock.locked()).toBe(false);
  });

  it('keeps no bodies that are over where each sets the timer for the next', async () => {
    const locks = [new Lock(), new Lock(), new Lock()] as const;
    const around: number[] = [];
    const bodiesAround = () => {
      let count = 0;
      for (let { within } = currentLogicalThread(); within !== undefined; within = within.outer) count += 1;
      return count;
    };
    // Each goes on for longer than the next one takes to begin.
    await new Promise<void>((resolve) => {
      const turn = (n: number): void => {
        void locks[n % 3]?.with(async () => {
          around.push(bodiesAround());
          if (n === 30) return resolve();
          const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
          setTimeout(() => {
            begin();
            turn(n + 1);
          }, 1);
          await begun;
          await later(0, undefined);
        });
      };
      turn(0);
    });
    expect(Math.max(...around)).toBeLessThan(5);
  });

  it('is no circle where two of one logical thread want it side by side', async () => {
    const lock = new Lock();
    const order: number[] = [];
    const one = (n: number) => lock.with(() => later(1, undefined).then(() => order.push(n)));
    await runAs('worker', () => Promise.all([one(1), one(2), one(3)]));
    expect(order).toEqual([1, 2, 3]);
  });

  it.each([
    [{ timeout: -1 }, RangeError],
    [{ timeout: Number.NaN }, RangeError],
    [{ timeout: '1' }, TypeError],
    [{ signal: new AbortController().signal }, TypeError],
    [null, TypeError],
  ])('refuses %o', (options, kind) => {
    const lock = new Lock();
    expect(() => lock.acquireSync(options as never)).toThrow(kind);
    expect(() => lock.withSync(() => 1, options as never)).toThrow(kind);
    expect(lock.locked()).toBe(false);
  });

  it('runs a body under withSync and releases however it ends', () => {
    const lock = new Lock();
    expect(lock.withSync(() => lock.locked())).toBe(true);
    expect(() =>
      lock.withSync(() => {
        throw new RangeError('mine');
      }),
    ).toThrow('mine');
    expect(() => lock.withSync(async () => 1)).toThrow(TypeError);
    expect(lock.locked()).toBe(false);
    lock.acquireSync();
    expect(() => lock.withSync(() => 1, { timeout: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_HEDDLE_TIMEOUT' }),
    );
  });

  it.each([{}, { debug: true }, { robust: true }])(
    'ends its own hold alone after withSync, as with does: %o',
    (options) => {
      const lock = new Lock(options);
      expect(
        lock.withSync(() => {
          lock.release();
          return 3;
        }),
      ).toBe(3);
      expect(() =>
        lock.withSync(() => {
          lock.release();
          throw new Error('mine');
        }),
      ).toThrow('mine');
      expect(lock.locked()).toBe(false);
      lock.withSync(() => {
        lock.release();
        lock.acquireSync();
      });
      expect(lock.locked()).toBe(true);
      lock.release();
    },
  );

  it('may take the lock before an asynchronous waiter of the same thread, which gets it later', async () => {
    const lock = new Lock();
    lock.acquireSync();
    const waiter = lock.acquire();
    for (let n = 0; n < 20; n += 1) {
      lock.release();
      expect(lock.acquireSync({ timeout: 1000 })).toBe(true);
      await null;
    }
    lock.release();
    await (await waiter).release();
    expect(lock.locked()).toBe(false);
  });

  it('refuses options of the wrong kind', () => {
    for (const options of [null, 1, { robust: 'yes' }, { debug: 1 }]) {
      expect(() => new Lock(options as never)).toThrow(TypeError);
    }
  });
});
