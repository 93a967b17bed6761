/**
 * What a barrier does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a fresh one,
 * `another` a second handle to it with the given action of its own, in the distributed scope of another session.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { BrokenBarrierError } from '../errors.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import type { AnyBarrier, BarrierOptions } from './barrier.ts';

export interface BarrierScope {
  make(parties: number, options?: BarrierOptions): Promise<AnyBarrier>;
  /** The same barrier by another handle. */
  another(barrier: AnyBarrier, options: BarrierOptions): Promise<AnyBarrier>;
}

export function barrierConformance(scope: string, { make, another }: BarrierScope): void {
  /** Two handles to a barrier without action. */
  const pair = async (parties: number, options: BarrierOptions = {}) => {
    const barrier = await make(parties, options);
    return [barrier, await another(barrier, { ...options, action: options.action ?? null })] as const;
  };
  /** Two handles to a barrier of two that is full, and whose action runs until it is told to end, the first time. */
  const acting = async () => {
    const done = Promise.withResolvers<void>();
    let acted = 0;
    const action = () => {
      acted += 1;
      return acted === 1 ? done.promise : undefined;
    };
    const barrier = await make(2, { action });
    const other = await another(barrier, { action });
    const round = [barrier.wait(), other.wait()];
    for (const party of round) party.catch(() => {});
    await until(() => acted === 1, 'the action runs');
    return { barrier, other, round, end: () => done.resolve(), actions: () => acted };
  };
  const waitersAre = (barrier: AnyBarrier, n: number) =>
    until(async () => (await barrier.waiting()) === n, `${n} wait`);

  describe(`Barrier, ${scope}: rounds`, () => {
    it('lets all go together, each with an index of its own', async () => {
      const [barrier, other] = await pair(3);
      expect(barrier.parties).toBe(3);
      expect(other.parties).toBe(3);
      const two = [barrier.wait(), other.wait()];
      await waitersAre(barrier, 2);
      expect(await stillPending(Promise.race(two))).toBe(true);
      const indices = await Promise.all([...two, barrier.wait()]);
      expect([...indices].sort()).toEqual([0, 1, 2]);
      expect(await barrier.waiting()).toBe(0);
      expect(await barrier.broken()).toBe(false);
    });

    it('counts those who wait while the action runs, and no one beyond them', async () => {
      const seen: unknown[] = [];
      const done = Promise.withResolvers<void>();
      const action = async () => {
        seen.push(await barrier.waiting(), await barrier.broken());
        await done.promise;
      };
      const barrier = await make(2, { action });
      const other = await another(barrier, { action });
      const two = [barrier.wait(), other.wait()];
      await until(() => seen.length === 2, 'the action has looked');
      const next = other.wait();
      expect(await stillPending(Promise.race([...two, next]))).toBe(true);
      expect([...seen, await other.waiting()]).toEqual([2, false, 2]);
      done.resolve();
      await Promise.all(two);
      await waitersAre(barrier, 1);
      await Promise.all([next, barrier.wait()]);
    });

    it('makes rounds of all who come while the action runs', async () => {
      const { barrier, other, round: first, end, actions } = await acting();
      const comers = [barrier, other, barrier, barrier].map((handle) => handle.wait());
      expect(await stillPending(Promise.race([...first, ...comers]))).toBe(true);
      end();
      expect([...(await Promise.all(first))].sort()).toEqual([0, 1]);
      expect([...(await Promise.all(comers))].sort()).toEqual([0, 0, 1, 1]);
      expect(actions()).toBe(3);
    });

    it('serves round after round', async () => {
      const [barrier, other] = await pair(4);
      const seen: number[][] = Array.from({ length: 10 }, () => []);
      const reached = [0, 0, 0, 0];
      await Promise.all(
        [barrier, other, barrier, other].map(async (handle, party) => {
          for (const round of seen) {
            reached[party] = (reached[party] as number) + 1;
            const index = await handle.wait();
            round.push(index);
            expect(Math.max(...reached) - Math.min(...reached)).toBeLessThanOrEqual(1);
          }
        }),
      );
      for (const round of seen) expect([...round].sort()).toEqual([0, 1, 2, 3]);
    });

    it('never waits where there is one party', async () => {
      const barrier = await make(1);
      expect([await barrier.wait(), await barrier.wait({ timeout: 0 })]).toEqual([0, 0]);
    });

    it('needs not wait where the last comes without time', async () => {
      const barrier = await make(2);
      const first = barrier.wait();
      await waitersAre(barrier, 1);
      const indices = await Promise.all([first, barrier.wait({ timeout: 0 })]);
      expect([...indices].sort()).toEqual([0, 1]);
    });
  });

  describe(`Barrier, ${scope}: action`, () => {
    it('is run once a round, by the last to arrive, before anyone goes', async () => {
      const calls: string[] = [];
      const barrier = await make(2, { action: () => calls.push('first') });
      const other = await another(barrier, { action: () => calls.push('second') });
      const waits = [barrier.wait().then(() => calls.push('gone'))];
      await waitersAre(barrier, 1);
      waits.push(other.wait().then(() => calls.push('gone')));
      await Promise.all(waits);
      expect(calls).toEqual(['second', 'gone', 'gone']);
      const again = other.wait();
      await waitersAre(barrier, 1);
      await Promise.all([again, barrier.wait()]);
      expect(calls.slice(3)).toEqual(['first']);
    });

    it('is awaited', async () => {
      let done = false;
      const barrier = await make(2, {
        action: async () => {
          await later(20, undefined);
          done = true;
        },
      });
      const first = barrier.wait().then(() => done);
      await waitersAre(barrier, 1);
      const second = barrier.wait().then(() => done);
      expect(await Promise.all([first, second])).toEqual([true, true]);
    });

    it.each([
      ['throws', () => Promise.reject(new Error('no action'))],
      [
        'throws at once',
        () => {
          throw new Error('no action');
        },
      ],
    ])('breaks the barrier where it %s', async (_, action) => {
      const barrier = await make(2, { action });
      const first = barrier.wait();
      first.catch(() => {});
      await waitersAre(barrier, 1);
      await expect(barrier.wait()).rejects.toThrow('no action');
      await expect(first).rejects.toThrow(BrokenBarrierError);
      expect(await barrier.broken()).toBe(true);
    });
  });

  describe(`Barrier, ${scope}: breaking`, () => {
    it('breaks at a time-out, for all, until reset', async () => {
      const [barrier, other] = await pair(3);
      const patient = other.wait();
      patient.catch(() => {});
      await waitersAre(barrier, 1);
      const hasty = barrier.wait({ timeout: 20 });
      await expect(hasty).rejects.toThrow(BrokenBarrierError);
      await expect(hasty).rejects.toMatchObject({ code: 'ERR_HEDDLE_BROKEN_BARRIER' });
      await expect(patient).rejects.toThrow(BrokenBarrierError);
      expect(await other.broken()).toBe(true);
      await expect(other.wait()).rejects.toThrow(BrokenBarrierError);
      await other.reset();
      expect(await barrier.broken()).toBe(false);
      const indices = await Promise.all([barrier.wait(), other.wait(), barrier.wait()]);
      expect([...indices].sort()).toEqual([0, 1, 2]);
    });

    it('breaks at a time-out of 0 of one who would have to wait', async () => {
      const barrier = await make(2);
      await expect(barrier.wait({ timeout: 0 })).rejects.toThrow(BrokenBarrierError);
      expect(await barrier.broken()).toBe(true);
    });

    it('takes its own time-out where none is given', async () => {
      const barrier = await make(2, { timeout: 20 });
      await expect(barrier.wait()).rejects.toThrow(BrokenBarrierError);
      await barrier.reset();
      const first = barrier.wait({ timeout: 5_000 });
      await later(30, undefined);
      expect((await Promise.all([first, barrier.wait()])).sort()).toEqual([0, 1]);
    });

    it('breaks at an abort, which rejects with its reason', async () => {
      const [barrier, other] = await pair(3);
      const controller = new AbortController();
      const aborted = barrier.wait({ signal: controller.signal });
      const patient = other.wait();
      patient.catch(() => {});
      await waitersAre(barrier, 2);
      controller.abort('enough');
      await expect(aborted).rejects.toBe('enough');
      await expect(patient).rejects.toThrow(BrokenBarrierError);
      await until(() => barrier.broken(), 'it is broken');
    });

    it('is left alone by those who give up the next round while the action of one runs', async () => {
      const { barrier, other, round, end } = await acting();
      await expect(barrier.wait({ timeout: 0 })).rejects.toThrow(BrokenBarrierError);
      await expect(other.wait({ timeout: 20 })).rejects.toThrow(BrokenBarrierError);
      const controller = new AbortController();
      const aborted = other.wait({ signal: controller.signal });
      expect(await stillPending(aborted, 5)).toBe(true);
      controller.abort('enough');
      await expect(aborted).rejects.toBe('enough');
      expect([await barrier.waiting(), await barrier.broken()]).toEqual([2, false]);
      end();
      expect([...(await Promise.all(round))].sort()).toEqual([0, 1]);
      expect([...(await Promise.all([barrier.wait(), other.wait()]))].sort()).toEqual([0, 1]);
    });

    it('is left alone by a signal that had aborted before', async () => {
      const barrier = await make(2);
      const reason = new Error('enough');
      await expect(barrier.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect([await barrier.waiting(), await barrier.broken()]).toEqual([0, false]);
    });

    it('leaves no listener on a signal', async () => {
      const barrier = await make(2);
      const { signal } = new AbortController();
      await Promise.all([barrier.wait({ signal }), barrier.wait({ signal })]);
      await expect(barrier.wait({ signal, timeout: 5 })).rejects.toThrow(BrokenBarrierError);
      await later(0, undefined);
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    });

    it('throws in waiters and later comers at abort(), until reset', async () => {
      const [barrier, other] = await pair(2);
      const waiter = barrier.wait();
      waiter.catch(() => {});
      await waitersAre(other, 1);
      await other.abort();
      await other.abort();
      await expect(waiter).rejects.toThrow(BrokenBarrierError);
      await expect(barrier.wait()).rejects.toThrow(BrokenBarrierError);
      expect([await barrier.broken(), await barrier.waiting()]).toEqual([true, 0]);
      await barrier.reset();
      expect((await Promise.all([barrier.wait(), other.wait()])).sort()).toEqual([0, 1]);
    });

    it('throws in waiters at reset(), and is usable at once', async () => {
      const [barrier, other] = await pair(2);
      const waiter = barrier.wait();
      waiter.catch(() => {});
      await waitersAre(other, 1);
      await other.reset();
      const next = [barrier.wait(), other.wait()];
      await expect(waiter).rejects.toThrow(BrokenBarrierError);
      expect((await Promise.all(next)).sort()).toEqual([0, 1]);
      expect(await barrier.broken()).toBe(false);
    });

    it('throws at a reset while the action runs in those of that round, not in those who came since', async () => {
      const { barrier, other, round, end } = await acting();
      const next = other.wait();
      expect(await stillPending(next)).toBe(true);
      await other.reset();
      end();
      for (const party of round) await expect(party).rejects.toThrow(BrokenBarrierError);
      await waitersAre(barrier, 1);
      expect([...(await Promise.all([next, barrier.wait()]))].sort()).toEqual([0, 1]);
    });

    it('stays whole at a reset with nobody there', async () => {
      const barrier = await make(2);
      await barrier.reset();
      expect(await barrier.broken()).toBe(false);
      expect((await Promise.all([barrier.wait(), barrier.wait()])).sort()).toEqual([0, 1]);
    });
  });

  describe(`Barrier, ${scope}: bad input`, () => {
    it.each([
      [{ timeout: -1 }, RangeError],
      [{ timeout: Number.NaN }, RangeError],
      [{ timeout: '5' }, TypeError],
      [{ signal: {} }, TypeError],
      [null, TypeError],
    ])('refuses wait(%o), and nobody has arrived', async (options, kind) => {
      const barrier = await make(2);
      await expect(barrier.wait(options as never)).rejects.toThrow(kind);
      expect([await barrier.waiting(), await barrier.broken()]).toEqual([0, false]);
    });

    it.each([
      [0, RangeError],
      [-1, RangeError],
      [1.5, RangeError],
      [Number.NaN, RangeError],
      [Number.POSITIVE_INFINITY, RangeError],
      ['2', TypeError],
    ])('refuses %s parties', async (parties, kind) => {
      await expect((async () => make(parties as number))()).rejects.toThrow(kind);
    });

    it.each([{ action: 5 }, { timeout: null }])('refuses %o', async (options) => {
      await expect((async () => make(2, options as never))()).rejects.toThrow(TypeError);
    });
  });
}
