/** The contract of a counter, in both scopes. */
import type { MaybePromise } from '../options.ts';

/** A whole number that many change at once and none of their changes gets lost. */
export interface AnyCounter {
  /** Adds `n`, which may be negative, and gives the new value. `RangeError`, and nothing changed, beyond safe integers. */
  add(n?: number): MaybePromise<number>;
  /** The value at this moment. Always `await` it. */
  value(): MaybePromise<number>;
  /** Makes it `next` if it is `expected`; gives whether it was. */
  compareAndSet(expected: number, next: number): MaybePromise<boolean>;
}
