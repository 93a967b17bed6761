/**
 * Several distributed locks at once, without deadlock: whatever is free is asked for in one turn, hence in one call to
 * each partition; where something is not, all is given back, and each is waited for in one global order (E. G. Coffman
 * et al., "System Deadlocks", 1971: no circular wait).
 */
import { abortWith } from '../abort-with.ts';
import { Deadline } from '../deadline.ts';
import { RedisUnreachableError, show, typeError } from '../errors.ts';
import { type AcquireOptions, checkWait } from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import { INNER, type Inner } from './inner-lock.distributed.ts';
import { giveBack, JoinedLease, takeInOrder } from './joined-lease.ts';
import type { AnyLock, Lease } from './lock.ts';

/** What `session.acquireAll` takes of that session: locks of all kinds, conditions, sides of read-write locks, a permit of a semaphore. */
export interface DistributedAcquirable extends Pick<AnyLock, 'acquire'> {
  /** @internal */
  readonly [INNER]: Inner;
}

/** Ms that the first answer may come later than a time-out: a healthy server needs one round trip. */
const GRACE = 250;

/** See `Session.acquireAll`. */
export async function acquireAllOf(
  core: SessionCore,
  locks: readonly DistributedAcquirable[],
  options: AcquireOptions | undefined,
): Promise<Lease | null> {
  const ordered = inOrder(core, locks);
  const { timeout, signal } = checkWait(options, 'session.acquireAll');
  core.assertOpen('session.acquireAll');
  const deadline = Deadline.after(timeout);
  for (;;) {
    const lease = await take(ordered, timeout, deadline, signal);
    if (lease === null || lease.valid) return lease;
    // A part was lost while another was waited for: nobody has all of it.
    await lease.release().catch(() => {});
    if (deadline.expired) return null;
  }
}

async function take(
  locks: readonly DistributedAcquirable[],
  timeout: number | undefined,
  deadline: Deadline,
  signal: AbortSignal | undefined,
): Promise<Lease | null> {
  const atOnce = await (timeout === 0 ? tryAll(locks, signal) : tryInTime(locks, deadline, signal));
  if (atOnce !== undefined) return new JoinedLease(atOnce);
  if (deadline.expired) return null;
  // Not 0, which asks once and has its own patience: the time that is left is over, but not what is free.
  return takeInOrder(locks, (lock) => lock.acquire({ timeout: Math.max(1, deadline.remaining()), signal }));
}

/**
 * The same for those who would wait: where Redis does not answer, they have until their deadline, and no other. Once it
 * has passed, the answer is waited for a little: what is free is granted, however short the time-out.
 */
async function tryInTime(
  locks: readonly DistributedAcquirable[],
  deadline: Deadline,
  signal: AbortSignal | undefined,
): Promise<Lease[] | undefined> {
  const late = new AbortController();
  const { promise: tooLate, resolve } = Promise.withResolvers<undefined>();
  const stop = Deadline.after(deadline.remaining() + GRACE).onExpiry(() => {
    late.abort(late); // What is granted after that is given back, and nobody waits to see it.
    resolve(undefined);
  });
  const over = abortWith(late, signal);
  const trying = tryAll(locks, late.signal).catch((error: unknown) => {
    if (error !== late && !(error instanceof RedisUnreachableError)) throw error;
    return undefined;
  });
  try {
    return await Promise.race([trying, tooLate]);
  } finally {
    stop();
    over();
  }
}

/** All of them as they are free, or none; in front of nobody who waits. */
async function tryAll(
  locks: readonly DistributedAcquirable[],
  signal: AbortSignal | undefined,
): Promise<Lease[] | undefined> {
  const tries = await Promise.allSettled(locks.map((lock) => lock.acquire({ timeout: 0, signal })));
  const leases = tries.flatMap((one) =>
    one.status === 'fulfilled' && one.value !== null ? [one.value] : [],
  );
  if (leases.length === locks.length) return leases;
  await giveBack(leases);
  const failure = tries.find((one) => one.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return undefined;
}

function inOrder(core: SessionCore, locks: readonly DistributedAcquirable[]): DistributedAcquirable[] {
  if (!Array.isArray(locks))
    throw typeError(`session.acquireAll: needs an array of locks, not ${show(locks)}`);
  const ranked = locks.map((lock: DistributedAcquirable, index) => ({
    lock,
    rank: rankOf(core, lock, index),
  }));
  ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
  for (const [index, { rank }] of ranked.entries()) {
    if (index > 0 && ranked[index - 1]?.rank === rank) {
      throw typeError(
        `session.acquireAll: ${rank.replace('\n', ' ')} is named twice and would wait for itself; name it once`,
      );
    }
  }
  return ranked.map(({ lock }) => lock);
}

/** What all sessions sort by: the kind and the name of what is waited for. */
function rankOf(core: SessionCore, lock: unknown, index: number): string {
  const object = typeof lock === 'object' && lock !== null ? lock : {};
  const inner = (object as Partial<DistributedAcquirable>)[INNER];
  if (inner?.core === core) return `${inner.kind}\n${inner.name}`;
  throw typeError(
    `session.acquireAll: locks[${index}] must be a lock of this session, not ${show(lock)}; local ones are taken by acquireAll`,
  );
}
