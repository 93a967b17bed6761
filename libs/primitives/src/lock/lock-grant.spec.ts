/** What becomes of one grant, without a Redis: whose turn it is, which token, and when a hold's time is up. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { now } from '../deadline.ts';
import { currentLogicalThread } from '../identity.ts';
import { channels, type GrantEvent } from '../session/diagnostics.ts';
import type { HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { LeaseWords } from '../shared-memory/lease-words.ts';
import { bareLife } from '../testing/bare-life.ts';
import { HoldLimit } from './hold-limit.distributed.ts';
import { type GrantSource, LockGrant } from './lock-grant.distributed.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] }));
afterEach(() => void vi.useRealTimers());

const MINUTE = 60_000;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

const TURNS = 5;

/** A life, and what is seen of the grants under it. */
function scene() {
  const words = new LeaseWords();
  words.extendTo(now() + MINUTE);
  const life: Incarnation = bareLife('life', words, () =>
    life.end('no sign of life reached Redis before its ttl ended'),
  );
  const seen = {
    /** What the keeper was asked to end, and whether it has been called off. */
    kept: [] as { at: number; life: Incarnation; first: number; off: boolean }[],
    /** Whether the keeper comes first. */
    late: false,
    over: [] as LockGrant[],
    released: [] as HeldLease[],
    holding: 0,
    /** The first tokens of the grants that replicas are asked for, and how they answer, where there are any. */
    asked: [] as number[],
    confirming: undefined as PromiseWithResolvers<void>[] | undefined,
  };
  const source = {
    core: {
      options: { localTurns: TURNS },
      deadlocks: {
        holds: () => {
          seen.holding += 1;
          return () => {
            seen.holding -= 1;
          };
        },
      },
    },
    target: { kind: 'lock', name: 'it', form: 'lock', permits: 1 },
    calls: {
      confirm: (first: number) => {
        seen.asked.push(first);
        const asked = Promise.withResolvers<void>();
        return seen.confirming?.push(asked) === undefined ? undefined : asked.promise;
      },
      expireAt: (at: number, under: Incarnation, first: number) => {
        const job = { at, life: under, first, off: false };
        seen.kept.push(job);
        return () => {
          job.off = true;
          return !seen.late;
        };
      },
    },
    released: async (lease: HeldLease) => void seen.released.push(lease),
    overdue: (grant: LockGrant) => seen.over.push(grant),
  } as unknown as GrantSource;
  const claim = { kind: 'lock', name: 'it', session: 's', owner: currentLogicalThread(), asked: now() };
  return {
    life,
    seen,
    source,
    wish: (maxHold?: number) => ({ claim, maxHold }),
    grant: (first: number, last: number) => new LockGrant(source, life, { first, last }),
  };
}

describe('a grant', () => {
  it('gives each hold the next of its tokens, until the last', () => {
    const { grant, wish, life } = scene();
    const it = grant(10, 12);
    expect([it.first, it.last, it.life, it.lease]).toEqual([10, 12, life, undefined]);
    const tokens: number[] = [];
    while (it.lasts) {
      const lease = it.hold(wish());
      expect(it.lease).toBe(lease);
      tokens.push(lease.token);
    }
    expect(tokens).toEqual([10, 11, 12]);
  });

  it('tells of a hand-over for each hold but the first', () => {
    const { grant, wish } = scene();
    const told: unknown[] = [];
    const hear = (event: unknown) => told.push((event as GrantEvent).token);
    channels['hand-over'].subscribe(hear);
    onTestFinished(() => void channels['hand-over'].unsubscribe(hear));
    const it = grant(4, 9);
    for (let turn = 0; turn < 3; turn += 1) it.hold(wish());
    expect(told).toEqual([5, 6]);
  });

  it('lasts for so many turns at the most, and no longer than its life', () => {
    const { grant, wish, life } = scene();
    const long = grant(10, 10 + 2 * TURNS);
    for (let turn = 0; turn < TURNS; turn += 1) {
      expect(long.lasts).toBe(true);
      long.hold(wish());
    }
    expect(long.lasts).toBe(false);
    const it = grant(1, 9);
    expect(it.lasts).toBe(true);
    life.words.end(1);
    expect(it.lasts).toBe(false);
  });

  it('is the hold of whoever has it, and is told where that is over', async () => {
    const { grant, wish, seen } = scene();
    const lease = grant(1, 2).hold(wish());
    expect([lease.valid, lease.until, seen.holding]).toEqual([true, Number.POSITIVE_INFINITY, 1]);
    await lease.release();
    expect([seen.released, seen.holding]).toEqual([[lease], 0]);
  });

  it('is held again with the lease of before', () => {
    const { grant, wish } = scene();
    const lease = grant(1, 2).hold(wish());
    lease.suspend();
    const it = grant(7, 8);
    const again = it.hold({ ...wish(MINUTE / 2), again: lease });
    expect(again).toBe(lease);
    expect([it.lease, again.token, again.valid]).toEqual([lease, 7, true]);
    expect(again.until - now()).toBeCloseTo(MINUTE / 2, 0);
  });

  it('is asked of replicas once; once more, for the next, where these did not have it', async () => {
    const { grant, wish, seen } = scene();
    seen.confirming = [];
    const it = grant(1, 9);
    expect(seen.asked).toEqual([1]);
    const [first, second] = [it.hold(wish()), it.hold(wish())];
    expect(first.confirmed).toBe(second.confirmed);
    expect(seen.confirming).toHaveLength(1);
    seen.confirming[0]?.reject(new Error('no'));
    await expect(first.confirmed).rejects.toThrow('no');
    const third = it.hold(wish());
    expect(seen.confirming).toHaveLength(2);
    seen.confirming[1]?.resolve();
    await third.confirmed;
    expect(it.hold(wish()).confirmed).toBe(third.confirmed);
    expect(seen.asked).toEqual([1, 1]);
  });

  it('is asked of nobody where there are no replicas', () => {
    const { grant, wish } = scene();
    expect(grant(1, 9).hold(wish()).confirmed).toBeUndefined();
  });
});

describe('a hold that may last so long', () => {
  it('is lost when its time is up, and then its grant is told to be over', async () => {
    const { grant, wish, seen, life } = scene();
    const it = grant(5, 9);
    it.hold(wish());
    const at = now() + 100;
    const lease = it.hold(wish(100));
    expect(seen.kept).toEqual([{ at: expect.closeTo(at + 50, 0), life, first: 5, off: false }]);
    await pass(99);
    expect([lease.valid, lease.lost, seen.over]).toEqual([true, undefined, []]);
    await pass(1);
    expect(lease.valid).toBe(false);
    expect(lease.lost?.message).toMatch(/it was held for longer than its maxHold of 100 ms; stop/);
    expect([seen.over, seen.kept[0]?.off]).toEqual([[it], true]);
  });

  it.each([false, true])(
    'is limited no more once that is called off (the keeper came first: %s)',
    async (late) => {
      const { grant, wish, seen } = scene();
      seen.late = late;
      const it = grant(5, 9);
      expect(it.unlimit()).toBe(true); // There is no limit yet.
      const lease = it.hold(wish(100));
      expect(it.unlimit()).toBe(!late);
      expect(it.unlimit()).toBe(true);
      expect(seen.kept[0]?.off).toBe(true);
      await pass(200);
      expect([lease.lost, seen.over]).toEqual([undefined, []]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it('has the keeper called off before its grant is told to be over', async () => {
    const { source, wish, grant, life, seen } = scene();
    const lease = grant(1, 9).hold(wish());
    const order: unknown[] = [];
    const limit = new HoldLimit(lease, 10, source.calls, 3, () => {
      order.push(lease.lost !== undefined, seen.kept[0]?.off, limit.cancel());
    });
    expect(seen.kept).toMatchObject([{ life, first: 3 }]);
    await pass(10);
    expect(order).toEqual([true, true, true]);
  });

  it('keeps no process alive', () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const { grant, wish } = scene();
    grant(1, 9).hold(wish(100));
    const made = timers.mock.results.map(({ value }) => value as NodeJS.Timeout);
    expect(made.map((timer) => timer.hasRef())).toEqual([false]);
    timers.mockRestore();
  });
});
