/** The contract of a condition variable, in both scopes. */
import type { Lease } from '../lock/lock.ts';
import type { AcquireOptions, ForeverOptions, MaybePromise, WaitOptions } from '../options.ts';

/** Python's `threading.Condition`: a lock, and a place to wait under it until somebody says that something changed. */
export interface AnyCondition {
  /** Takes the lock inside; see `AnyLock.acquire`. */
  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  /** Gives the lock inside back, once. `NotHeldError` where the caller does not hold it. */
  release(): MaybePromise<void>;
  /** Whether anybody holds the lock inside at this moment. Always `await` it. */
  locked(): MaybePromise<boolean>;
  /** Acquires the lock inside, runs `fn`, releases; see `AnyLock.with`. */
  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T>;
  /**
   * Gives the lock back, waits for a `notify`, and takes the lock again, whatever depth it was held at: `true`; `false`
   * where `timeout` ms passed first; rejects with `signal.reason` on abort. It settles, in every case, only when it
   * holds the lock again. The lease of before is still the hold's handle, its `token` the new one. Another may have
   * changed the state in between: wait in a loop, or with `waitFor`. `NotHeldError` where the caller does not hold it; and,
   * without the lock, once it wakes, where its lease was released while it waited.
   */
  wait(options?: WaitOptions): Promise<boolean>;
  /**
   * Waits until `predicate`, called with the lock held, gives something true, or a promise of that: `true`; `false`
   * where `timeout` ms for the whole of it passed first and it is still not. What it throws ends the wait, with the lock
   * held.
   */
  waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean>;
  /** Lets `n` go of those that wait now, or all where they are fewer. `NotHeldError` where the caller does not hold it. */
  notify(n?: number): MaybePromise<void>;
  /** Lets all go that wait now. */
  notifyAll(): MaybePromise<void>;
}
