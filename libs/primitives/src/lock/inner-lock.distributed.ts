/** What is inside a distributed lock, for those primitives that are made of locks: conditions, and several at once. */
import type { SessionCore } from '../session/core.ts';
import type { HeldLease } from '../session/held-lease.ts';
import type { LockSeat } from './lock-seat.distributed.ts';

/** Under this a distributed lock, or a semaphore, shows what it is. */
export const INNER: unique symbol = Symbol('what is locked');

/** What is waited for: of a condition its lock, of a side of a read-write lock the whole. */
export interface Inner {
  readonly core: SessionCore;
  /** What its keys are named after. */
  readonly kind: string;
  readonly name: string;
}

/** A lock that a condition can be on: whose hold it is, and the seat that gives it up and takes it again. */
export interface InnerLock extends Inner {
  /** Ms, for every hold by this handle. */
  readonly maxHold: number | undefined;
  seat(): LockSeat;
  /** The hold that the caller may give up; `undefined` where the lock is not the caller's. */
  held(): HeldLease | undefined;
}
