/**
 * What a lock does in every scope. A spec binds it:
 *
 * ```ts
 * lockConformance('local', { make: async () => new Lock(), another: async (lock) => attach(share(lock)), … });
 * ```
 * `make` gives a free lock nobody else knows, `another` a second handle to it, in the distributed scope of another
 * session. What a scope promises beyond the others is told by its flags; a spec registers its own clean-up
 * (`afterEach` in the file that binds).
 */
import { describe, expect, it } from 'vitest';
import { NotHeldError, TimeoutError } from '../errors.ts';
import { runAs } from '../identity.ts';
import { type LockScope, taken } from '../testing/lock-scope.ts';
import { later, stillPending } from '../testing/waiting.ts';
import type { AnyLock } from './lock.ts';
import { lockWaitsConformance } from './lock.waits.conformance.ts';

export function lockConformance(
  scope: string,
  { make, another, fifo, separateOwners, unordered = false }: LockScope,
): void {
  describe(`Lock, ${scope}: what every scope does`, () => {
    it('is free at first, locked while held, free again after release', async () => {
      const lock = await make();
      expect(await lock.locked()).toBe(false);
      const lease = await lock.acquire();
      expect(await lock.locked()).toBe(true);
      expect(await (await another(lock)).locked()).toBe(true);
      await lease.release();
      expect(await lock.locked()).toBe(false);
    });

    it('lets one in at a time, through every handle', async () => {
      const handles = [await make()];
      for (let n = 1; n < 3; n += 1) handles.push(await another(handles[0] as AnyLock));
      let inside = 0;
      let most = 0;
      let turns = 0;
      await Promise.all(
        Array.from({ length: 12 }, async (_, n) => {
          for (let turn = 0; turn < 4; turn += 1) {
            const lease = await (handles[n % handles.length] as AnyLock).acquire();
            inside += 1;
            most = Math.max(most, inside);
            await later(0, undefined);
            inside -= 1;
            turns += 1;
            await lease.release();
          }
        }),
      );
      expect({ most, turns }).toEqual({ most: 1, turns: 48 });
      expect(await (handles[0] as AnyLock).locked()).toBe(false);
    });

    it('gives each holder a greater token', async () => {
      const lock = await make();
      const other = await another(lock);
      const tokens: number[] = [];
      for (let n = 0; n < 20; n += 1) {
        await (n % 3 === 0 ? other : lock).with((lease) => tokens.push(lease.token));
      }
      expect(tokens.every((token) => Number.isSafeInteger(token) && token > 0)).toBe(true);
      expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    });

    it('makes the second wait until the first has released', async () => {
      const lock = await make();
      const first = await lock.acquire();
      const second = (await another(lock)).acquire();
      expect(await stillPending(second)).toBe(true);
      await first.release();
      const lease = await second;
      expect(lease.token).toBeGreaterThan(first.token);
      await lease.release();
    });

    it.skipIf(unordered)('serves the waiters of one handle first come, first served', async () => {
      const lock = await make();
      const first = await lock.acquire();
      const order: number[] = [];
      const all = Array.from({ length: 8 }, (_, n) =>
        lock.acquire().then(async (lease) => {
          order.push(n);
          await lease.release();
        }),
      );
      await first.release();
      await Promise.all(all);
      expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    });

    it.runIf(fifo)('serves waiters of several handles first come, first served', async () => {
      const lock = await make();
      const handles = [lock, await another(lock), await another(lock)];
      const first = await lock.acquire();
      const order: number[] = [];
      const all: Promise<void>[] = [];
      for (const [n, handle] of handles.entries()) {
        const waiter = handle.acquire().then(async (lease) => {
          order.push(n);
          await lease.release();
        });
        all.push(waiter);
        await stillPending(waiter);
      }
      await first.release();
      await Promise.all(all);
      expect(order).toEqual([0, 1, 2]);
    });
  });

  describe(`Lock, ${scope}: leases`, () => {
    it('is valid until released, and releases once', async () => {
      const lock = await make();
      const lease = await lock.acquire();
      expect(lease).toMatchObject({ valid: true, abandoned: false });
      expect(lease.signal).toBeInstanceOf(AbortSignal);
      expect(lease.signal.aborted).toBe(false);
      await lease.release();
      expect(lease.valid).toBe(false);
      const next = await lock.acquire();
      await lease.release();
      await lease[Symbol.asyncDispose]();
      expect(await lock.locked()).toBe(true);
      expect(next.valid).toBe(true);
      expect(next.signal.aborted).toBe(false);
      await next.release();
    });

    it('is released by disposal', async () => {
      const lock = await make();
      {
        await using lease = await lock.acquire();
        expect(lease.valid).toBe(true);
      }
      expect(await lock.locked()).toBe(false);
    });

    it('releases nothing once lock.release() has ended its hold', async () => {
      const lock = await make();
      const stale = await lock.acquire();
      await lock.release();
      expect(stale.valid).toBe(false);
      const holder = await (await another(lock)).acquire();
      await stale.release();
      expect(await lock.locked()).toBe(true);
      expect(holder.valid).toBe(true);
      await holder.release();
    });
  });

  describe(`Lock, ${scope}: release without a lease`, () => {
    it('ends the hold, and hands it on', async () => {
      const lock = await make();
      await lock.acquire();
      const next = lock.acquire();
      await lock.release();
      expect((await next).valid).toBe(true);
      await lock.release();
      expect(await lock.locked()).toBe(false);
    });

    it('throws where nobody holds, and changes nothing', async () => {
      const lock = await make();
      const release = async () => lock.release();
      await expect(release()).rejects.toThrow(NotHeldError);
      await expect(release()).rejects.toMatchObject({
        code: 'ERR_HEDDLE_NOT_HELD',
        primitive: expect.any(String),
      });
      await (await taken(lock)).release();
      await expect(release()).rejects.toThrow(NotHeldError);
    });

    it.runIf(separateOwners)('throws where another owner holds, and changes nothing', async () => {
      const lock = await make();
      const other = await another(lock);
      const lease = await lock.acquire();
      await expect((async () => other.release())()).rejects.toThrow(NotHeldError);
      expect(lease.valid).toBe(true);
      await lease.release();
    });

    it.runIf(!separateOwners)('ends the hold whoever of the process acquired it', async () => {
      const lock = await make();
      const lease = await lock.acquire();
      await (await another(lock)).release();
      expect(lease.valid).toBe(false);
      expect(await lock.locked()).toBe(false);
    });
  });

  describe(`Lock, ${scope}: with`, () => {
    it('hands the lease in, gives the result out, and releases', async () => {
      const lock = await make();
      const result = await lock.with(async (lease) => {
        expect(lease.valid).toBe(true);
        expect(await lock.locked()).toBe(true);
        return [lease.token];
      });
      expect(result).toEqual([expect.any(Number)]);
      expect(await lock.locked()).toBe(false);
    });

    it('releases where the body throws, and lets the error through', async () => {
      const lock = await make();
      const error = new Error('no');
      await expect(
        lock.with(() => {
          throw error;
        }),
      ).rejects.toBe(error);
      await expect(lock.with(() => Promise.reject(error))).rejects.toBe(error);
      expect(await lock.locked()).toBe(false);
    });

    it('throws TimeoutError where it was not acquired in time, and does not run the body', async () => {
      const lock = await make();
      const lease = await lock.acquire();
      let ran = false;
      const body = () => {
        ran = true;
      };
      await expect(lock.with(body, { timeout: 5 })).rejects.toThrow(TimeoutError);
      await expect(lock.with(body, { timeout: 0 })).rejects.toMatchObject({ code: 'ERR_HEDDLE_TIMEOUT' });
      expect(ran).toBe(false);
      expect(lease.valid).toBe(true);
      await lease.release();
    });

    it('rejects with the reason of an abort, and does not run the body', async () => {
      const lock = await make();
      const reason = new Error('enough');
      const body = () => expect.unreachable();
      await expect(lock.with(body, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(await lock.locked()).toBe(false);
    });

    it('tells at once whoever takes it again without end inside', async () => {
      const lock = await make();
      const deadlock = { name: 'DeadlockError', code: 'ERR_HEDDLE_DEADLOCK', cycle: [expect.anything()] };
      await expect(lock.with(() => lock.acquire())).rejects.toMatchObject(deadlock);
      await expect(lock.with(() => lock.with(() => {}))).rejects.toMatchObject(deadlock);
      const inThread = runAs('worker', () =>
        lock.with(async () => {
          await later(0, undefined);
          return lock.acquire({ timeout: Number.POSITIVE_INFINITY });
        }),
      );
      await expect(inThread).rejects.toMatchObject(deadlock);
      // Waits that end, and those of others, are no circle.
      expect(await lock.with(() => lock.acquire({ timeout: 0 }))).toBe(null);
      expect(await lock.with(() => lock.acquire({ timeout: 20 }))).toBe(null);
      const others: Promise<number>[] = [];
      await lock.with(() => {
        others.push(runAs('other', () => lock.with(() => 1)));
      });
      expect(await Promise.all([...others, lock.with(() => 2), lock.with(() => 3)])).toEqual([1, 2, 3]);
      // Nor is one that begins after a body has given it back.
      expect(await lock.with((lease) => lease.release().then(() => lock.with(() => 4)))).toBe(4);
      expect(await lock.locked()).toBe(false);
    });

    it('bears a body that has released the lock itself', async () => {
      const lock = await make();
      expect(await lock.with((lease) => lease.release().then(() => 7))).toBe(7);
      expect(await lock.locked()).toBe(false);
    });

    it.each([undefined, null, 5, {}])('refuses %s as a body', async (fn) => {
      const lock = await make();
      await expect(lock.with(fn as never)).rejects.toThrow(TypeError);
      expect(await lock.locked()).toBe(false);
    });
  });

  lockWaitsConformance(scope, { make, another });
}
