/** The contract of a counting semaphore (Dijkstra, EWD 74), in both scopes. */
import type { Lease } from '../lock/lock.ts';
import type { AcquireOptions, ForeverOptions, MaybePromise } from '../options.ts';

/** `acquire`'s options of a semaphore. */
export interface SemaphoreAcquireOptions extends AcquireOptions {
  /** How many permits at once, all or none; 1 unless given. */
  readonly permits?: number | undefined;
}

/** The same without a time-out: such an `acquire` always ends with a lease (or an exception). */
export interface SemaphoreForeverOptions extends ForeverOptions {
  /** How many permits at once, all or none; 1 unless given. */
  readonly permits?: number | undefined;
}

/** Python's `threading.Semaphore`, whose permits can be taken several at once. */
export interface AnySemaphore {
  /**
   * Takes `permits`, waiting until so many are free; the first in line is never overtaken by a smaller wish behind
   * it in the distributed scope. `null` where `timeout` ms passed first. `RangeError` for more than the limit, 0 or
   * fewer. Rejects with `signal.reason` on abort; nothing is then left queued or held.
   */
  acquire(options?: SemaphoreForeverOptions): Promise<Lease>;
  acquire(options: SemaphoreAcquireOptions): Promise<Lease | null>;
  /**
   * Gives back `n` permits and wakes as many waiters as fit. Local: adds `n`, whoever calls, as in Python.
   * Distributed: gives back the session's `n` oldest; more than it holds raise the limit. A bounded semaphore throws
   * `OverReleaseError` instead, and changes nothing.
   */
  release(n?: number): MaybePromise<void>;
  /** Permits free at this moment. Always `await` it. */
  value(): MaybePromise<number>;
  /** Acquires, runs `fn`, gives back; see `AnyLock.with`. */
  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: SemaphoreAcquireOptions): Promise<T>;
}
