/** The contract of an event, in both scopes. */
import type { MaybePromise, WaitOptions } from '../options.ts';

/** Python's `threading.Event`: a flag that can be waited for. */
export interface AnyEvent {
  /** Whether the flag is up at this moment. Always `await` it. */
  isSet(): MaybePromise<boolean>;
  /** Raises the flag and lets every waiter go, also one that a `clear` right after would otherwise strand. */
  set(): MaybePromise<void>;
  /** Takes the flag down. */
  clear(): MaybePromise<void>;
  /**
   * Waits until the flag is up: `true`, at once where it is. `false` where `timeout` ms passed first. Rejects with
   * `signal.reason` on abort. A `set` after the call began is never missed.
   */
  wait(options?: WaitOptions): Promise<boolean>;
}
