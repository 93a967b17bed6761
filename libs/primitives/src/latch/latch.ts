/** The contract of a count-down latch, in both scopes. */
import type { MaybePromise, WaitOptions } from '../options.ts';

/** Java's `CountDownLatch`: opens, once and for good, when it has been counted down to 0. */
export interface AnyCountDownLatch {
  /** Counts down by `n`, to 0 at most; at 0 everybody who waits goes, and whoever comes later does not wait. */
  countDown(n?: number): MaybePromise<void>;
  /**
   * Waits until the count is 0: `true`, at once where it is. `false` where `timeout` ms passed first. Rejects with
   * `signal.reason` on abort.
   */
  wait(options?: WaitOptions): Promise<boolean>;
  /** What is left to count. Always `await` it. */
  count(): MaybePromise<number>;
}
