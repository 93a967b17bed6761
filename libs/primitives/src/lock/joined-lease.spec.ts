import { describe, expect, it } from 'vitest';
import { LeaseLostError } from '../errors.ts';
import { stillPending } from '../testing/waiting.ts';
import { JoinedLease, takeInOrder } from './joined-lease.ts';
import type { Lease } from './lock.ts';

/** A lease that is released as `end` says; what has been released is in `released`. */
function leaseOf(name: string, released: string[], end: Promise<void> = Promise.resolve()) {
  const lost = new AbortController();
  const lease = {
    valid: true,
    token: 1,
    abandoned: false,
    signal: lost.signal,
    release: () => {
      released.push(name);
      return end;
    },
  } as unknown as Lease & { valid: boolean };
  return { lease, lost };
}

const fails = (reason: unknown) => Promise.reject(reason);

describe('several holds as one lease', () => {
  it('are valid as long as all are, lost with the first, and over for none and for all', async () => {
    const parts = [leaseOf('a', []), leaseOf('b', [])] as const;
    const joined = new JoinedLease(parts.map(({ lease }) => lease));
    expect([joined.valid, joined.signal.aborted]).toEqual([true, false]);
    expect(joined.signal).toBe(joined.signal);
    parts[1].lease.valid = false;
    parts[1].lost.abort('lost');
    expect([joined.valid, joined.signal.reason]).toEqual([false, 'lost']);
    const none = new JoinedLease([]);
    expect(none.valid).toBe(true);
    await none.release();
    expect(none.valid).toBe(false);
  });

  it('are released once, the last first, all of them also where one fails', async () => {
    const released: string[] = [];
    const [lost, other] = [new LeaseLostError('lost'), new Error('other')];
    const mine = new JoinedLease([
      leaseOf('a', released, fails(other)).lease,
      leaseOf('b', released, fails(lost)).lease,
      leaseOf('c', released).lease,
    ]);
    await expect(mine.release()).rejects.toBe(lost);
    await expect(mine.release()).rejects.toBe(lost);
    expect(released).toEqual(['c', 'b', 'a']);
    const failing = new JoinedLease([leaseOf('d', released, fails(other)).lease]);
    await expect(failing.release()).rejects.toBe(other);
    await failing.release();
    expect(released).toEqual(['c', 'b', 'a', 'd']);
  });
});

describe('who does not get them all', () => {
  /** Gets the first, whose release ends as `end` says, and not the second: as `second` says. */
  const taking = (end: Promise<void>, second: () => Promise<Lease | null>) =>
    takeInOrder(['a', 'b'], async (name) => (name === 'a' ? leaseOf(name, [], end).lease : second()));

  it.each<[string, () => Promise<null>]>([
    ['the time is up', async () => null],
    ['the wait fails', () => fails('why')],
  ])('is told once the others are given back, where %s', async (_, second) => {
    const end = Promise.withResolvers<void>();
    const taken = taking(end.promise, second).catch((reason) => reason);
    expect(await stillPending(taken)).toBe(true);
    end.resolve();
    expect(await taken).toBe(await second().catch((reason) => reason));
  });

  it('is told of none that was lost meanwhile, but of what else went wrong', async () => {
    expect(await taking(fails(new LeaseLostError('lost')), async () => null)).toBeNull();
    await expect(taking(fails('other'), async () => null)).rejects.toBe('other');
  });
});
