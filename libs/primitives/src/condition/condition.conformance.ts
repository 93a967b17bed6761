/**
 * What a condition does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a fresh
 * one on a re-entrant lock of its own, `another` a second handle to it, in the distributed scope of another session.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { NotHeldError } from '../errors.ts';
import { runAs } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import type { AnyCondition } from './condition.ts';

export interface ConditionScope {
  make(): Promise<AnyCondition>;
  /** The same condition by another handle. */
  another(condition: AnyCondition): Promise<AnyCondition>;
}

export function conditionConformance(scope: string, { make, another }: ConditionScope): void {
  /** `count` waiters, each in a logical thread of its own, all of them waiting when this resolves. */
  const waiting = async (handles: readonly AnyCondition[], count: number, options = {}) => {
    const ready: Promise<unknown>[] = [];
    const woken: number[] = [];
    const waits = Array.from({ length: count }, (_, n) => {
      const handle = handles[n % handles.length] as AnyCondition;
      const { promise, resolve } = Promise.withResolvers<void>();
      ready.push(promise);
      return handle.with(async () => {
        const waited = handle.wait(options);
        resolve();
        const result = await waited;
        woken.push(n);
        return result;
      });
    });
    for (const wait of waits) wait.catch(() => {});
    await Promise.all(ready);
    // Whoever gets the lock now comes after all of them have given it back.
    await handles[0]?.with(() => {});
    return { waits, woken };
  };

  describe(`Condition, ${scope}: what every scope does`, () => {
    it('lets as many go as are notified, those of all handles, and all at notifyAll', async () => {
      const condition = await make();
      const other = await another(condition);
      const { waits, woken } = await waiting([condition, other], 5);
      expect(await stillPending(Promise.race(waits))).toBe(true);
      await condition.with(() => condition.notify());
      await until(() => woken.length === 1, 'one has gone');
      await other.with(() => other.notify(2));
      await until(() => woken.length === 3, 'three have gone');
      await later(10, undefined);
      expect(woken).toHaveLength(3);
      await condition.with(() => condition.notifyAll());
      expect(await Promise.all(waits)).toEqual([true, true, true, true, true]);
    });

    it('keeps no notification for who comes later', async () => {
      const condition = await make();
      await condition.with(() => condition.notify(3));
      await condition.with(() => condition.notifyAll());
      expect(await condition.with(() => condition.wait({ timeout: 20 }))).toBe(false);
    });

    it('gives the lock back while it waits, at any depth, and holds it again after', async () => {
      const condition = await make();
      const other = await another(condition);
      let changed = false;
      const waiter = condition.with(async (lease) => {
        const inner = await condition.acquire();
        const before = lease.token;
        expect(await condition.wait()).toBe(true);
        expect(changed).toBe(true);
        expect([lease.valid, inner.valid]).toEqual([true, true]);
        expect(lease.token).toBeGreaterThan(before);
        await inner.release();
        expect(await condition.locked()).toBe(true);
      });
      await later(5, undefined);
      await other.with(async () => {
        changed = true;
        await other.notify();
      });
      await waiter;
      expect(await condition.locked()).toBe(false);
    });

    it('ends without the lock where that is released while it waits, and takes it from nobody', async () => {
      const condition = await make();
      const other = await another(condition);
      let waited: Promise<boolean> | undefined;
      // The body is over before the wait is: as where that is raced against something else.
      await condition.with(async () => {
        waited = condition.wait({ timeout: 50 });
        waited.catch(() => {});
        await later(5, undefined);
      });
      const meanwhile = other.with(async (lease) => {
        await later(60, undefined);
        await other.notify();
        expect(lease.valid).toBe(true);
        await (await other.acquire()).release();
      });
      await expect(waited).rejects.toThrow(NotHeldError);
      await meanwhile;
      await until(async () => !(await condition.locked()), 'nobody holds it');
      expect(await other.with(() => true, { timeout: 1_000 })).toBe(true);
    });

    it('ends no hold of another, whenever its lease is released as it wakes', async () => {
      for (let ticks = 0; ticks <= 10; ticks += 1) {
        const condition = await make();
        let lease: Lease | undefined;
        const waited = runAs('a', async () => {
          lease = await condition.acquire();
          await condition.wait();
        }).catch((error: unknown) => expect(error).toBeInstanceOf(NotHeldError));
        await condition.with(() => condition.notify());
        for (let tick = 0; tick < ticks; tick += 1) await undefined;
        const next = condition.with(async () => {
          const inner = await condition.acquire();
          expect(inner.valid).toBe(true);
          await inner.release();
          await condition.notify();
        });
        await lease?.release();
        await next;
        await waited;
        await until(async () => !(await condition.locked()), 'nobody holds it');
      }
    });

    it('holds again as deep as it was not released meanwhile', async () => {
      const condition = await make();
      await runAs('deep', async () => {
        const outer = await condition.acquire();
        const inner = await condition.acquire();
        const waited = condition.wait({ timeout: 30 });
        await inner.release();
        expect(await waited).toBe(false);
        expect([outer.valid, inner.valid]).toEqual([true, false]);
        await outer.release();
      });
      expect(await condition.locked()).toBe(false);
    });

    it('settles only when it holds the lock again, in every case', async () => {
      const condition = await make();
      const controller = new AbortController();
      const settled: string[] = [];
      const wait = (options: object) =>
        condition.with(async () => {
          try {
            settled.push(String(await condition.wait(options)));
          } catch (reason) {
            settled.push(String(reason));
          }
          expect(await condition.locked()).toBe(true);
        });
      const waits = [wait({ timeout: 10 }), wait({ signal: controller.signal }), wait({})];
      await later(3, undefined);
      const lease = await runAs('holder', () => condition.acquire());
      controller.abort('aborted');
      await runAs('nobody', () => later(30, undefined));
      expect(settled).toEqual([]);
      await lease.release();
      await until(() => settled.length === 2, 'two have settled');
      await condition.with(() => condition.notify());
      await Promise.all(waits);
      expect(settled.sort()).toEqual(['aborted', 'false', 'true']);
    });

    it('waits for a predicate, called with the lock held, and its time-out is for the whole of it', async () => {
      const condition = await make();
      const other = await another(condition);
      let items = 0;
      const consumer = condition.with(() => condition.waitFor(() => items >= 3));
      for (let n = 0; n < 3; n += 1) {
        await later(2, undefined);
        await other.with(async () => {
          items += 1;
          await other.notify();
        });
      }
      expect(await consumer).toBe(true);
      const start = performance.now();
      const ticking = setInterval(() => void other.with(() => other.notifyAll()), 5);
      expect(await condition.with(() => condition.waitFor(() => false, { timeout: 40 }))).toBe(false);
      clearInterval(ticking);
      expect(performance.now() - start).toBeGreaterThan(35);
      const mine = new Error('mine');
      const throwing = () => {
        throw mine;
      };
      await expect(condition.with(() => condition.waitFor(throwing))).rejects.toBe(mine);
      expect(await condition.with(() => condition.waitFor(() => 1, { timeout: 0 }))).toBe(true);
    });

    it('waits for a predicate that takes its time to tell, with the lock held meanwhile', async () => {
      const condition = await make();
      const other = await another(condition);
      let items = 0;
      const asked: boolean[] = [];
      const consumer = condition.with(() =>
        condition.waitFor(async () => {
          await later(2, undefined);
          asked.push(await condition.locked());
          return items > 0;
        }),
      );
      await until(() => asked.length > 0, 'it was asked');
      await other.with(async () => {
        items += 1;
        await other.notify();
      });
      expect(await consumer).toBe(true);
      expect(items).toBe(1);
      expect(asked).toEqual([true, true]);
      const never = condition.with(() => condition.waitFor(async () => false, { timeout: 10 }));
      expect(await never).toBe(false);
    });

    it('passes a notification over those who have given up', async () => {
      const condition = await make();
      const controller = new AbortController();
      const { waits: hasty } = await waiting([condition], 2, { timeout: 10 });
      const { waits: aborted } = await waiting([condition], 1, { signal: controller.signal });
      const { waits: patient } = await waiting([condition], 1);
      controller.abort('enough');
      expect(await Promise.all(hasty)).toEqual([false, false]);
      await expect(aborted[0]).rejects.toBe('enough');
      await condition.with(() => condition.notify());
      expect(await patient[0]).toBe(true);
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    });

    it('lets nobody go twice, or in vain, for one who gave up while another held the lock', async () => {
      const condition = await make();
      const other = await another(condition);
      const stop = new AbortController();
      const { waits: leaving } = await waiting([condition], 1, { signal: stop.signal });
      const late = other.with(async () => {
        stop.abort('enough');
        await later(20, undefined); // It gives up, and needs the lock to say so.
        await other.notify();
        return other.wait();
      });
      await expect(leaving[0]).rejects.toBe('enough');
      await condition.with(() => condition.notify());
      expect(await late).toBe(true);
      const { waits, woken } = await waiting([condition, other], 2);
      await condition.with(() => condition.notify());
      await until(() => woken.length === 1, 'one has gone');
      await later(20, undefined);
      expect(woken).toHaveLength(1);
      await condition.with(() => condition.notify());
      expect(await Promise.all(waits)).toEqual([true, true]);
    });

    it('refuses who does not hold the lock', async () => {
      const condition = await make();
      const other = await another(condition);
      const lease = await runAs('holder', () => condition.acquire());
      for (const handle of [condition, other]) {
        for (const call of [
          async () => handle.notify(),
          async () => handle.notifyAll(),
          () => handle.wait(),
          () => handle.waitFor(() => true),
        ]) {
          await expect(runAs<Promise<unknown>>('other', call)).rejects.toThrow(NotHeldError);
        }
      }
      await lease.release();
      await expect((async () => condition.notify())()).rejects.toMatchObject({ code: 'ERR_HEDDLE_NOT_HELD' });
    });

    it('waits no more where its signal aborts in the turn in which it began, and holds the lock', async () => {
      const condition = await make();
      const controller = new AbortController();
      await condition.with(async (lease) => {
        const aborted = condition.wait({ signal: controller.signal });
        controller.abort('enough');
        await expect(aborted).rejects.toBe('enough');
        expect(lease.valid).toBe(true);
      });
      expect(await condition.locked()).toBe(false);
    });

    it('refuses bad input at once, and still holds the lock', async () => {
      const condition = await make();
      await condition.with(async (lease) => {
        for (const n of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
          await expect((async () => condition.notify(n))()).rejects.toThrow(RangeError);
        }
        await expect((async () => condition.notify('1' as never))()).rejects.toThrow(TypeError);
        await expect(condition.wait({ timeout: -1 })).rejects.toThrow(RangeError);
        await expect(condition.wait(null as never)).rejects.toThrow(TypeError);
        await expect(condition.waitFor(5 as never)).rejects.toThrow(TypeError);
        const reason = new Error('enough');
        await expect(condition.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        expect(lease.valid).toBe(true);
      });
      expect(await condition.locked()).toBe(false);
    });
  });
}
