/**
 * What a latch does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a fresh one,
 * `another` a second handle to it, in the distributed scope of another session.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { stillPending } from '../testing/waiting.ts';
import type { AnyCountDownLatch } from './latch.ts';

export interface LatchScope {
  make(count: number): Promise<AnyCountDownLatch>;
  /** The same latch by another handle. */
  another(latch: AnyCountDownLatch): Promise<AnyCountDownLatch>;
}

const badCounts: readonly [unknown, typeof TypeError | typeof RangeError][] = [
  [-1, RangeError],
  [1.5, RangeError],
  [Number.NaN, RangeError],
  [Number.POSITIVE_INFINITY, RangeError],
  ['1', TypeError],
  [null, TypeError],
];

export function latchConformance(scope: string, { make, another }: LatchScope): void {
  describe(`CountDownLatch, ${scope}: what every scope does`, () => {
    it('opens for all waiters of all handles at 0, and stays open', async () => {
      const latch = await make(3);
      const other = await another(latch);
      const waiters = [latch.wait(), other.wait(), other.wait({ timeout: 10_000 })];
      await latch.countDown();
      await other.countDown();
      expect([await latch.count(), await other.count()]).toEqual([1, 1]);
      expect(await stillPending(Promise.race(waiters))).toBe(true);
      await other.countDown();
      expect(await Promise.all(waiters)).toEqual([true, true, true]);
      expect([await latch.wait({ timeout: 0 }), await other.wait()]).toEqual([true, true]);
    });

    it('counts down by several, and never below 0', async () => {
      const latch = await make(5);
      await latch.countDown(3);
      expect(await latch.count()).toBe(2);
      await latch.countDown(7);
      await latch.countDown();
      expect(await latch.count()).toBe(0);
    });

    it('is open from the start with 0', async () => {
      expect(await (await make(0)).wait({ timeout: 0 })).toBe(true);
    });

    it('gives false when the time is up, and rejects on abort', async () => {
      const latch = await make(1);
      expect(await latch.wait({ timeout: 0 })).toBe(false);
      expect(await latch.wait({ timeout: 15 })).toBe(false);
      const controller = new AbortController();
      const aborted = latch.wait({ signal: controller.signal });
      controller.abort('enough');
      await expect(aborted).rejects.toBe('enough');
      await expect(latch.wait({ signal: controller.signal })).rejects.toBe('enough');
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
      expect(await latch.count()).toBe(1);
    });

    it.each(badCounts)('refuses %s, unchanged', async (count, kind) => {
      await expect((async () => make(count as number))()).rejects.toThrow(kind);
      const latch = await make(2);
      await expect((async () => latch.countDown(count as number))()).rejects.toThrow(kind);
      await expect((async () => latch.countDown(0))()).rejects.toThrow(RangeError);
      await expect(latch.wait({ timeout: -1 })).rejects.toThrow(RangeError);
      await expect(latch.wait(null as never)).rejects.toThrow(TypeError);
      expect(await latch.count()).toBe(2);
    });
  });
}
