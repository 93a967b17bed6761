/**
 * What an event does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a fresh one,
 * `another` a second handle to it, in the distributed scope of another session.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { stillPending } from '../testing/waiting.ts';
import type { AnyEvent } from './event.ts';

export interface EventScope {
  make(): Promise<AnyEvent>;
  /** The same event by another handle. */
  another(event: AnyEvent): Promise<AnyEvent>;
}

export function eventConformance(scope: string, { make, another }: EventScope): void {
  describe(`Event, ${scope}: what every scope does`, () => {
    it('is down at first, up after set, down after clear, for every handle', async () => {
      const event = await make();
      const other = await another(event);
      expect(await event.isSet()).toBe(false);
      await event.set();
      await event.set();
      expect([await event.isSet(), await other.isSet()]).toEqual([true, true]);
      await other.clear();
      await other.clear();
      expect([await event.isSet(), await other.isSet()]).toEqual([false, false]);
    });

    it('does not wait while the flag is up', async () => {
      const event = await make();
      await event.set();
      expect(await event.wait()).toBe(true);
      expect(await event.wait({ timeout: 0 })).toBe(true);
      expect(await (await another(event)).wait({ timeout: 5 })).toBe(true);
    });

    it('lets all waiters of all handles go at a set', async () => {
      const event = await make();
      const other = await another(event);
      const waiters = Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? event : other).wait());
      expect(await stillPending(Promise.race(waiters))).toBe(true);
      await event.set();
      expect(await Promise.all(waiters)).toEqual(new Array(20).fill(true));
    });

    it('strands nobody who was there at a set when it is cleared at once', async () => {
      const event = await make();
      const other = await another(event);
      for (let round = 0; round < 5; round += 1) {
        const waiters = [event.wait(), other.wait(), event.wait({ timeout: 5_000 })];
        // What a session asks goes in turn: once it has its answer, its wait is in too.
        expect([await event.isSet(), await other.isSet()]).toEqual([false, false]);
        await Promise.all([event.set(), event.clear()]);
        expect(await Promise.all(waiters)).toEqual([true, true, true]);
        expect(await other.isSet()).toBe(false);
      }
    });

    it('makes those wait that come after the clear', async () => {
      const event = await make();
      await event.set();
      await event.clear();
      const waiter = event.wait();
      expect(await stillPending(waiter)).toBe(true);
      await event.set();
      expect(await waiter).toBe(true);
    });

    it('gives false when the time is up', async () => {
      const event = await make();
      expect(await event.wait({ timeout: 0 })).toBe(false);
      const start = performance.now();
      expect(await event.wait({ timeout: 30 })).toBe(false);
      expect(performance.now() - start).toBeGreaterThan(25);
    });

    it.each([Number.POSITIVE_INFINITY, 2 ** 40, undefined])(
      'waits for ever, or very long, with %s',
      async (timeout) => {
        const event = await make();
        const waiter = event.wait({ timeout });
        expect(await stillPending(waiter)).toBe(true);
        await event.set();
        expect(await waiter).toBe(true);
      },
    );

    it('rejects with the reason of an abort, before and during the wait', async () => {
      const event = await make();
      const reason = new Error('enough');
      await event.set();
      await expect(event.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      await event.clear();
      const controller = new AbortController();
      const aborted = event.wait({ signal: controller.signal });
      const patient = event.wait();
      await stillPending(aborted);
      controller.abort(reason);
      await expect(aborted).rejects.toBe(reason);
      await event.set();
      expect(await patient).toBe(true);
    });

    it('leaves no listener on a signal, however the wait ended', async () => {
      const event = await make();
      const { signal } = new AbortController();
      await event.wait({ signal, timeout: 3 });
      const waiter = event.wait({ signal });
      await event.set();
      await waiter;
      await event.wait({ signal });
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    });

    it.each([
      [{ timeout: -1 }, RangeError],
      [{ timeout: Number.NaN }, RangeError],
      [{ timeout: '5' }, TypeError],
      [{ timeout: null }, TypeError],
      [{ signal: {} }, TypeError],
      [null, TypeError],
      [7, TypeError],
    ])('refuses %o, whether up or down', async (options, kind) => {
      const event = await make();
      await expect(event.wait(options as never)).rejects.toThrow(kind);
      await event.set();
      await expect(event.wait(options as never)).rejects.toThrow(kind);
    });
  });
}
