import { describe, expect, it } from 'vitest';
import type { Lease } from '../lock/lock.ts';
import { QuorumLease, settledBy } from './quorum-lease.ts';

/** A server's lease, which a test ends as it likes. */
function vote() {
  const controller = new AbortController();
  const given = Promise.withResolvers<void>();
  const made = {
    /** How often it was given back. */
    released: 0,
    /** It has ended, and finds that out as it is looked at. */
    late: false,
    given,
    lose: () => controller.abort(new Error('gone')),
    lease: {} as Lease,
  };
  const release = () => {
    made.released += 1;
    return given.promise;
  };
  made.lease = {
    token: 1,
    abandoned: false,
    get valid() {
      return !made.late && !controller.signal.aborted;
    },
    get signal() {
      if (made.late) controller.abort(new Error('gone'));
      return controller.signal;
    },
    release,
    [Symbol.asyncDispose]: release,
  };
  return made;
}

function scene(count: number, majority: number) {
  const votes = Array.from({ length: count }, vote);
  let ended = 0;
  const lease = new QuorumLease(
    'it',
    7,
    majority,
    votes.map((each) => each.lease),
    () => {
      ended += 1;
    },
  );
  const [a, b, c] = votes as [ReturnType<typeof vote>, ReturnType<typeof vote>, ReturnType<typeof vote>];
  return { lease, votes, a, b, c, ended: () => ended, released: () => votes.map((each) => each.released) };
}

describe('the lease of a quorum', () => {
  it('is good as long as a majority of its leases are', () => {
    const { lease, a, b, ended } = scene(3, 2);
    expect([lease.valid, lease.over, lease.abandoned, lease.token]).toEqual([true, false, false, 7]);
    a.lose();
    expect([lease.valid, lease.signal.aborted, ended()]).toEqual([true, false, 0]);
    b.lose();
    expect([lease.valid, lease.over, ended()]).toEqual([false, true, 1]);
    expect(lease.signal.reason.message).toBe(
      'the lease of quorum-lock it was lost: 1 servers have it still, fewer than the 2 of a majority; stop, and trust only what its token 7 guards',
    );
  });

  it('is not valid as soon as too few are, before any of them has told of its end', () => {
    const { lease, a, b } = scene(3, 2);
    a.late = true;
    expect(lease.valid).toBe(true);
    b.late = true;
    expect([lease.valid, lease.over]).toEqual([false, false]);
    expect([lease.signal.aborted, lease.over]).toEqual([true, true]);
  });

  it('tells of a loss that nobody has seen yet as it is released, once', async () => {
    const { lease, a, b, c, released, ended } = scene(3, 2);
    for (const each of [a, b]) each.late = true;
    for (const each of [a, b, c]) each.given.resolve();
    await expect(lease.release()).rejects.toThrow('1 servers have it still');
    expect([released(), ended()]).toEqual([[0, 0, 1], 1]);
  });

  it('gives back what is left of it where it was lost, and tells once', async () => {
    const { lease, a, b, c, released, ended } = scene(3, 2);
    c.given.reject(new Error('away')); // Nobody waits for that.
    for (const each of [a, b]) each.lose();
    expect(released()).toEqual([0, 0, 1]);
    await expect(lease.release()).rejects.toBe(lease.signal.reason);
    await expect(lease.release()).rejects.toBe(lease.signal.reason);
    c.lose();
    expect([released(), ended()]).toEqual([[0, 0, 1], 1]);
  });

  it('is released everywhere, and has been once a majority has it back', async () => {
    const { lease, a, b, released, ended } = scene(3, 2);
    let done = false;
    const releasing = lease.release().then(() => {
      done = true;
    });
    expect([lease.valid, lease.over, ended(), released()]).toEqual([false, true, 1, [1, 1, 1]]);
    a.given.resolve();
    await new Promise(setImmediate);
    expect(done).toBe(false);
    b.given.resolve();
    await releasing;
    await lease.release();
    expect(released()).toEqual([1, 1, 1]);
  });

  it('loses nothing any more once it is released', async () => {
    const { lease, a, b, c, ended } = scene(3, 2);
    const releasing = lease.release();
    for (const each of [a, b, c]) {
      each.lose();
      each.given.resolve();
    }
    await releasing;
    expect([lease.signal.aborted, ended()]).toEqual([false, 1]);
  });

  it('was lost where fewer than a majority had it when it was released, each time', async () => {
    const { lease, a, b, c } = scene(3, 2);
    a.given.resolve();
    for (const each of [b, c]) each.given.reject(new Error('gone'));
    const told = await lease.release().catch((error: unknown) => error);
    expect(told).toMatchObject({
      code: 'ERR_HEDDLE_LEASE_LOST',
      message: expect.stringContaining('not held by a majority any more'),
      primitive: 'it',
    });
    await expect(lease[Symbol.asyncDispose]()).rejects.toBe(told);
  });

  it('stands on those that are added too, and gives them back with the others', async () => {
    const { lease, a, b, votes } = scene(2, 2);
    const late = vote();
    lease.add(late.lease);
    a.lose();
    expect(lease.valid).toBe(true);
    const releasing = lease.release();
    for (const each of [...votes, late]) each.given.resolve();
    await releasing;
    expect([b.released, late.released]).toEqual([1, 1]);
  });

  it('ends with one that was added, where that is one too many', () => {
    const { lease, a } = scene(2, 2);
    const late = vote();
    lease.add(late.lease);
    a.lose();
    late.lose();
    expect([lease.over, lease.signal.aborted]).toEqual([true, true]);
  });

  it.each(['released', 'lost', 'lost unseen'])('gives back at once what is added where it is %s', (how) => {
    const { lease, a, votes } = scene(2, 2);
    if (how === 'released') void lease.release().catch(() => {});
    else if (how === 'lost') a.lose();
    else a.late = true;
    for (const each of votes) each.given.resolve();
    const late = vote();
    late.given.reject(new Error('lost meanwhile'));
    lease.add(late.lease);
    expect(late.released).toBe(1);
    late.lose();
    expect(lease.valid).toBe(false);
  });
});

describe('so many of several promises', () => {
  const yes = () => Promise.resolve();
  const no = () => Promise.reject(new Error('no'));
  const never = () => new Promise<void>(() => {});

  it.each([
    ['enough, though others never settle', [yes, yes, never], 2, 2],
    ['fewer, as soon as it can be no more', [no, never, no], 2, 0],
    ['what there is, where that is too few', [yes, no, no], 2, 1],
    ['none, where there were never enough', [yes, yes], 3, 0],
    ['none of none', [], 1, 0],
  ])('%s', async (_, promises, enough, count) => {
    const settled = promises.map((each) => each());
    expect(await settledBy(settled, enough)).toBe(count);
  });
});
