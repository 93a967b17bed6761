/** What a lock does in every scope for those whose time is up, or whose signal aborts: part of `lock.conformance.ts`. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type LockScope, taken } from '../testing/lock-scope.ts';
import { stillPending } from '../testing/waiting.ts';

const badTimeouts: readonly [unknown, typeof TypeError | typeof RangeError][] = [
  [-1, RangeError],
  [Number.NaN, RangeError],
  [Number.NEGATIVE_INFINITY, RangeError],
  ['5', TypeError],
  [null, TypeError],
  [5n, TypeError],
  [{}, TypeError],
];

export function lockWaitsConformance(
  scope: string,
  { make, another }: Pick<LockScope, 'make' | 'another'>,
): void {
  describe(`Lock, ${scope}: time-outs`, () => {
    it('does not wait with a time-out of 0', async () => {
      const lock = await make();
      const lease = await taken(lock);
      expect(await (await another(lock)).acquire({ timeout: 0 })).toBeNull();
      expect(await lock.acquire({ timeout: 0 })).toBeNull();
      await lease.release();
      await (await taken(lock)).release();
    });

    it('is there for who tries behind a release under way, or once another who tries is refused', async () => {
      const lock = await make();
      const holder = await another(lock);
      for (let round = 0; round < 20; round += 1) {
        const lease = await taken(lock);
        const released = lease.release();
        const next = await taken(lock);
        await released;
        await next.release();
        const held = await taken(holder);
        const early = lock.acquire({ timeout: 0 });
        await held.release();
        const tries = await Promise.all([early, lock.acquire({ timeout: 0 }), lock.acquire({ timeout: 0 })]);
        const [got, ...more] = tries.filter((one) => one !== null);
        expect([got?.valid, more]).toEqual([true, []]);
        await got?.release();
      }
    });

    it('gives null when the time is up, not sooner, and leaves nothing queued', async () => {
      const lock = await make();
      const lease = await lock.acquire();
      const other = await another(lock);
      const start = performance.now();
      expect(await other.acquire({ timeout: 40 })).toBeNull();
      expect(performance.now() - start).toBeGreaterThan(35);
      await lease.release();
      expect(await lock.locked()).toBe(false);
      await (await taken(lock)).release();
    });

    it('passes over a waiter whose time is up', async () => {
      const lock = await make();
      const lease = await lock.acquire();
      const hasty = lock.acquire({ timeout: 10 });
      const patient = lock.acquire();
      expect(await hasty).toBeNull();
      await lease.release();
      await (await patient).release();
    });

    it.each([Number.POSITIVE_INFINITY, 2 ** 31 + 5, 2 ** 40, undefined])(
      'waits for ever, or very long, with %s',
      async (timeout) => {
        const lock = await make();
        const lease = await lock.acquire();
        const waiter = lock.acquire({ timeout });
        expect(await stillPending(waiter)).toBe(true);
        await lease.release();
        await (await waiter)?.release();
      },
    );

    it.each(badTimeouts)('refuses %s at once', async (timeout, kind) => {
      const lock = await make();
      const refused = lock.acquire({ timeout: timeout as number });
      await expect(refused).rejects.toThrow(kind);
      await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_HEDDLE_/) });
      await expect(lock.with(() => 1, { timeout: timeout as number })).rejects.toThrow(kind);
      expect(await lock.locked()).toBe(false);
    });

    it.each([null, 5, 'soon', true])('refuses %s as options', async (options) => {
      const lock = await make();
      await expect(lock.acquire(options as never)).rejects.toThrow(TypeError);
      expect(await lock.locked()).toBe(false);
    });
  });

  describe(`Lock, ${scope}: aborts`, () => {
    it('rejects with the reason of a signal that has aborted, also where the lock is free', async () => {
      const lock = await make();
      const reason = new Error('enough');
      await expect(lock.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(await lock.locked()).toBe(false);
    });

    it('rejects a waiter with the reason, whatever that is, and goes on to the next', async () => {
      const lock = await make();
      const lease = await lock.acquire();
      const controller = new AbortController();
      const aborted = (await another(lock)).acquire({ signal: controller.signal });
      const next = lock.acquire();
      expect(await stillPending(aborted)).toBe(true);
      controller.abort('a string');
      await expect(aborted).rejects.toBe('a string');
      await lease.release();
      await (await next).release();
      expect(await lock.locked()).toBe(false);
    });

    it.each([0, 500, undefined])(
      'holds nothing where it rejects, though it was granted just then (timeout: %s)',
      async (timeout) => {
        const lock = await make();
        const other = await another(lock);
        for (let round = 0; round < 12; round += 1) {
          const controller = new AbortController();
          const taking = lock.acquire({ timeout, signal: controller.signal });
          if (round % 3 > 0) await new Promise((resolve) => setImmediate(resolve));
          if (round % 3 > 1) await other.locked();
          controller.abort('enough');
          const lease = await taking.catch((reason: unknown) => {
            expect(reason).toBe('enough');
            return null;
          });
          expect(await other.locked()).toBe(lease !== null);
          await lease?.release();
        }
      },
    );

    it('leaves no listener on the signal, however the wait ended', async () => {
      const lock = await make();
      const { signal } = new AbortController();
      const lease = await lock.acquire({ signal });
      expect(await lock.acquire({ signal, timeout: 5 })).toBeNull();
      const waiter = lock.acquire({ signal });
      await lease.release();
      await (await waiter).release();
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    });

    it('does not touch a lease when its signal aborts later', async () => {
      const lock = await make();
      const controller = new AbortController();
      const lease = await lock.acquire({ signal: controller.signal });
      controller.abort();
      expect(lease.valid).toBe(true);
      expect(await lock.locked()).toBe(true);
      await lease.release();
    });

    it.each([{}, null, 'stop', 1])('refuses %s as a signal', async (signal) => {
      const lock = await make();
      await expect(lock.acquire({ signal: signal as never })).rejects.toThrow(TypeError);
      expect(await lock.locked()).toBe(false);
    });
  });
}
