/** The contract of a re-entrant lock, in both scopes. */
import type { Lease } from '../lock/lock.ts';
import type { AcquireOptions, ForeverOptions, MaybePromise } from '../options.ts';

/**
 * Python's `threading.RLock`: its owner may take it again, and releases it as often. The owner is a logical thread: the
 * innermost `runAs`, job or `Thread` around the call, else the worker thread itself.
 *
 * Unlike `threading`, several async functions may run interleaved in one thread: a bare `acquire()` outside any logical
 * thread owns by worker thread, so that all of them count as one owner and do not exclude each other. `with(fn)` makes
 * a logical thread for `fn`, which re-enters inside and excludes outside: prefer it.
 */
export interface AnyRLock {
  /**
   * Takes the lock, at once where the caller owns it already; else waits as `AnyLock.acquire` does. Each acquisition has
   * a lease of its own, all of one hold with the same token; the hold ends with the last of them.
   * Of several that wait for one owner all are granted with the first.
   */
  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  /** Undoes the owner's last acquisition. `NotHeldError`, and nothing changed, where the caller is not the owner. */
  release(): MaybePromise<void>;
  /** Whether anybody holds it at this moment. Always `await` it. */
  locked(): MaybePromise<boolean>;
  /** Acquires, runs `fn` in a logical thread that owns it, releases; see `AnyLock.with`. */
  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T>;
}
