/**
 * What a re-entrant lock does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a
 * free one, `another` a second handle to it, in the distributed scope of another session.
 */
import { describe, expect, it } from 'vitest';
import { NotHeldError, TimeoutError } from '../errors.ts';
import { runAs } from '../identity.ts';
import { later, stillPending } from '../testing/waiting.ts';
import type { AnyRLock } from './rlock.ts';

export interface RLockScope {
  make(): Promise<AnyRLock>;
  /** The same lock by another handle. */
  another(lock: AnyRLock): Promise<AnyRLock>;
}

export function rlockConformance(scope: string, { make, another }: RLockScope): void {
  describe(`RLock, ${scope}: what every scope does`, () => {
    it('lets its owner in again, and is free after as many releases', async () => {
      const lock = await make();
      await runAs('owner', async () => {
        const outer = await lock.acquire();
        const inner = await lock.acquire({ timeout: 0 });
        expect(inner?.token).toBe(outer.token);
        await inner?.release();
        expect(await lock.locked()).toBe(true);
        expect([outer.valid, inner?.valid]).toEqual([true, false]);
        await outer.release();
      });
      expect(await lock.locked()).toBe(false);
    });

    it('keeps other logical threads out, of any handle', async () => {
      const lock = await make();
      const other = await another(lock);
      const lease = await runAs('owner', () => lock.acquire());
      expect(await runAs('second', () => lock.acquire({ timeout: 0 }))).toBeNull();
      expect(await runAs('third', () => other.acquire({ timeout: 10 }))).toBeNull();
      const waiter = runAs('fourth', () => other.acquire());
      expect(await stillPending(waiter)).toBe(true);
      await lease.release();
      expect((await waiter).token).toBeGreaterThan(lease.token);
      await (await waiter).release();
    });

    it('re-enters inside with and excludes outside, also between async functions of one thread', async () => {
      const lock = await make();
      let inside = 0;
      let most = 0;
      const body = () =>
        lock.with(async () => {
          inside += 1;
          most = Math.max(most, inside);
          await later(1, undefined);
          await lock.with(() => expect(inside).toBe(1));
          inside -= 1;
        });
      await Promise.all([body(), body(), body()]);
      expect(most).toBe(1);
      expect(await lock.locked()).toBe(false);
    });

    it('can be released by its owner alone', async () => {
      const lock = await make();
      const other = await another(lock);
      const lease = await runAs('owner', () => lock.acquire());
      await expect(runAs('thief', async () => lock.release())).rejects.toThrow(NotHeldError);
      await expect((async () => other.release())()).rejects.toMatchObject({ code: 'ERR_HEDDLE_NOT_HELD' });
      expect([lease.valid, await lock.locked()]).toEqual([true, true]);
      await lease.release();
      await expect(runAs('owner', async () => lock.release())).rejects.toThrow(NotHeldError);
    });

    it('undoes the last acquisition at release(), and each lease its own', async () => {
      const lock = await make();
      await runAs('owner', async () => {
        const a = await lock.acquire();
        const b = await lock.acquire();
        const c = await lock.acquire();
        await lock.release();
        await c.release();
        expect([a.valid, b.valid, c.valid]).toEqual([true, true, false]);
        await a.release();
        await a.release();
        expect([b.valid, await lock.locked()]).toEqual([true, true]);
        await lock.release();
        expect(await lock.locked()).toBe(false);
        await b.release();
      });
      await runAs('next', async () => {
        await using lease = await lock.acquire();
        expect(lease.valid).toBe(true);
      });
      expect(await lock.locked()).toBe(false);
    });

    it('lets in all acquisitions of its owner that are under way, with the first of them', async () => {
      const lock = await make();
      const lease = await runAs('other', () => lock.acquire());
      await runAs('owner', async () => {
        const controller = new AbortController();
        const pending = [
          lock.acquire(),
          lock.acquire({ timeout: 60_000 }),
          lock.acquire({ signal: controller.signal }),
          lock.acquire(),
        ];
        const hasty = lock.acquire({ timeout: 5 });
        const second = runAs('second', () => lock.acquire());
        expect(await stillPending(Promise.race(pending))).toBe(true);
        expect(await hasty).toBeNull();
        await lease.release();
        const leases = await Promise.all(pending);
        controller.abort('too late');
        expect(new Set(leases.map((each) => each?.token)).size).toBe(1);
        expect(leases.map((each) => each?.valid)).toEqual([true, true, true, true]);
        expect(await stillPending(second)).toBe(true);
        for (const each of leases) {
          expect(await lock.locked()).toBe(true);
          await each?.release();
        }
        await (await second).release();
      });
      expect(await lock.locked()).toBe(false);
    });

    it('lets its owner in as often as it asks at once', async () => {
      const lock = await make();
      await runAs('owner', async () => {
        const [a, b, c] = await Promise.all([
          lock.acquire(),
          lock.acquire(),
          lock.acquire({ timeout: 1000 }),
        ]);
        expect([a.token, b.token]).toEqual([c?.token, c?.token]);
        await a.release();
        await b.release();
        expect([c?.valid, await lock.locked()]).toEqual([true, true]);
        await c?.release();
      });
      expect(await lock.locked()).toBe(false);
    });

    it('lets its owner in one after the other where each releases at once', async () => {
      const lock = await make();
      const lease = await runAs('other', () => lock.acquire());
      await runAs('owner', async () => {
        const all = Array.from({ length: 6 }, () => lock.acquire().then((each) => each.release()));
        await stillPending(Promise.race(all), 5);
        await lease.release();
        await Promise.all(all);
      });
      expect(await lock.locked()).toBe(false);
    });

    it('takes time-outs and signals as a lock does, also of the owner', async () => {
      const lock = await make();
      const lease = await runAs('owner', () => lock.acquire());
      const reason = new Error('enough');
      await runAs('other', async () => {
        await expect(lock.with(() => 1, { timeout: 5 })).rejects.toThrow(TimeoutError);
        const controller = new AbortController();
        const waiter = lock.acquire({ signal: controller.signal });
        controller.abort(reason);
        await expect(waiter).rejects.toBe(reason);
      });
      await lease.release();
      await runAs('owner', async () => {
        await using _ = await lock.acquire();
        await expect(lock.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        await expect(lock.acquire({ timeout: -1 })).rejects.toThrow(RangeError);
        await expect(lock.acquire(null as never)).rejects.toThrow(TypeError);
      });
      expect(await lock.locked()).toBe(false);
    });
  });
}
