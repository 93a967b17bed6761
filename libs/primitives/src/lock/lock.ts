/** The contract of a lock, in both scopes, and of the lease that holds it. */
import type { AcquireOptions, ForeverOptions, MaybePromise } from '../options.ts';

/** The hold of one acquisition. Ends by `release`, by disposal (`await using`), or, distributed, by being lost. */
export interface Lease extends AsyncDisposable {
  /**
   * Fencing token: a safe integer that strictly increases with every grant of this name. Send it along with each
   * write to what the lock guards and let the resource refuse a smaller one (Kleppmann, "How to do distributed
   * locking", 2016): a lock alone can't stop a holder that slept through the end of its lease.
   * Of a distributed semaphore's permits: greater than that of every hold that had to end before this one could begin.
   */
  readonly token: number;
  /** Aborts, with `LeaseLostError`, when the lease is lost. A local lease is never lost. */
  readonly signal: AbortSignal;
  /** False once released or lost, and before anyone else can be granted what this lease held. */
  readonly valid: boolean;
  /** True where the holder before ended while it held (robust locks): what the lock guards may be half changed. */
  readonly abandoned: boolean;
  /** Ends this hold and no other. Again: nothing happens. A lost lease rejects with `LeaseLostError`. */
  release(): Promise<void>;
}

/** Mutual exclusion: Python's `threading.Lock`, between threads or between hosts. */
export interface AnyLock {
  /**
   * Takes the lock. Waits while somebody else holds it, the distributed one first come, first served between
   * sessions; a local one may be barged, as in Python. Resolves to a lease, or to `null` where `timeout` ms passed
   * first: with a time-out test it (`await using` takes `null` too), or use `with`, which throws. Rejects with
   * `signal.reason` on abort; nothing is then left queued or held.
   */
  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  /**
   * Ends the hold that this process (local) or this session (distributed) has, whoever of it acquired it.
   * Throws `NotHeldError`, and changes nothing, where there is none.
   */
  release(): MaybePromise<void>;
  /** Whether anybody holds it at this moment. Always `await` it. */
  locked(): MaybePromise<boolean>;
  /**
   * Acquires, runs `fn` with the lease, releases however `fn` ends, and gives what `fn` gives. Runs `fn` in a
   * logical thread of its own unless it is in an explicit one. Rejects with `TimeoutError` where `timeout` passed
   * first, and with `LeaseLostError`, once `fn` has ended, where the lease was lost meanwhile.
   */
  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T>;
}
