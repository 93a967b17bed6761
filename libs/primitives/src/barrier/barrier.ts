/** The contract of a cyclic barrier, in both scopes. */
import type { MaybePromise, WaitOptions } from '../options.ts';

/** What a barrier is made with, beside its parties. */
export interface BarrierOptions {
  /** Run by the last to arrive, once a round, before anyone is let go. If it throws, the barrier is broken. */
  readonly action?: (() => unknown) | null | undefined;
  /** The default `timeout` of `wait`, in ms. */
  readonly timeout?: number | undefined;
}

/** Python's `threading.Barrier`: lets `parties` go together, round after round. */
export interface AnyBarrier {
  /**
   * Arrives, and waits for the rest of the round. Gives the index of arrival: each of 0 … parties − 1 once a round.
   * Throws `BrokenBarrierError` where the barrier is or gets broken: this or another waiter's time-out or abort, a
   * throwing action, `abort()`, `reset()` under waiters, a party that died while it waited. An aborted waiter rejects
   * with its `signal.reason`, and breaks the barrier for the others. Who comes while an action runs is of the next round;
   * giving up before that begins throws as well, and breaks nothing.
   */
  wait(options?: WaitOptions): Promise<number>;
  /** Back to empty and whole. Those waiting throw `BrokenBarrierError`, save who came for the next round. */
  reset(): MaybePromise<void>;
  /** Breaks it: all present and later waiters throw, until `reset()`. */
  abort(): MaybePromise<void>;
  /** How many it takes. */
  readonly parties: number;
  /** How many wait at this moment. Always `await` it. */
  waiting(): MaybePromise<number>;
  /** Whether it is broken at this moment. Always `await` it. */
  broken(): MaybePromise<boolean>;
}
