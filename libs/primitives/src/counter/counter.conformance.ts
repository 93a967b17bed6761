/**
 * What a counter does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a fresh one
 * at 0, `another` a second handle to it, in the distributed scope of another session.
 */
import { describe, expect, it } from 'vitest';
import type { AnyCounter } from './counter.ts';

export interface CounterScope {
  make(): Promise<AnyCounter>;
  /** The same counter by another handle. */
  another(counter: AnyCounter): Promise<AnyCounter>;
}

export function counterConformance(scope: string, { make, another }: CounterScope): void {
  describe(`Counter, ${scope}: what every scope does`, () => {
    it('adds, up and down, and gives the new value', async () => {
      const counter = await make();
      const other = await another(counter);
      expect([await counter.add(), await other.add(41), await counter.add(-2), await counter.add(0)]).toEqual(
        [1, 42, 40, 40],
      );
      expect([await counter.value(), await other.value()]).toEqual([40, 40]);
    });

    it('gives each of many additions a value of its own', async () => {
      const counter = await make();
      const handles = [counter, await another(counter)];
      const values = await Promise.all(
        Array.from({ length: 100 }, async (_, n) => (handles[n % 2] as AnyCounter).add()),
      );
      expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
    });

    it('changes only what it was expected to be', async () => {
      const counter = await make();
      expect(await counter.compareAndSet(1, 5)).toBe(false);
      expect(await (await another(counter)).compareAndSet(0, -5)).toBe(true);
      expect(await counter.value()).toBe(-5);
    });

    it('goes to the ends of the safe integers, not beyond, and is unchanged then', async () => {
      const counter = await make();
      expect(await counter.add(Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER);
      await expect((async () => counter.add())()).rejects.toThrow(RangeError);
      expect(await counter.value()).toBe(Number.MAX_SAFE_INTEGER);
      await counter.compareAndSet(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER);
      await expect((async () => counter.add(-1))()).rejects.toThrow(RangeError);
      expect(await counter.value()).toBe(Number.MIN_SAFE_INTEGER);
    });

    it.each([
      [1.5, RangeError],
      [Number.NaN, RangeError],
      [Number.POSITIVE_INFINITY, RangeError],
      [2 ** 53, RangeError],
      ['1', TypeError],
      [1n, TypeError],
      [null, TypeError],
    ])('refuses %s, unchanged', async (n, kind) => {
      const counter = await make();
      await expect((async () => counter.add(n as never))()).rejects.toThrow(kind);
      await expect((async () => counter.compareAndSet(0, n as never))()).rejects.toThrow(kind);
      await expect((async () => counter.compareAndSet(n as never, 1))()).rejects.toThrow(kind);
      expect(await counter.value()).toBe(0);
    });
  });
}
