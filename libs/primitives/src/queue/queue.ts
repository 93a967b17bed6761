/** The contract of the queues, in both scopes. */
import { show, typeError } from '../errors.ts';
import { checkKnown, type MaybePromise, type WaitOptions } from '../options.ts';

/** Python's `queue.SimpleQueue`: items from whoever puts to whoever gets; unbounded but for its bytes. */
export interface AnySimpleQueue<T = unknown> extends AsyncIterable<T> {
  /**
   * Puts an item: any value that travels (a copy of it, as it is now). Waits where the queue is full; in a local one with
   * room it is in before this returns. Rejects with `QueueFullError` where `timeout` ms passed first, with
   * `QueueShutDownError` once the queue is shut down, `NotCloneableError` for what can't travel, `RangeError` for
   * what is larger than the whole queue, and `signal.reason` on abort: the item is not in then.
   */
  put(item: T, options?: WaitOptions): Promise<void>;
  /**
   * Takes the next item. Waits where there is none. Rejects with `QueueEmptyError` where `timeout` ms passed first,
   * with `QueueShutDownError` where it is shut down and empty, and `signal.reason` on abort: nothing is taken then.
   */
  get(options?: WaitOptions): Promise<T>;
  /**
   * How many items there are at this moment. One that is kept for a waiter of another thread, which was there first, is as
   * good as taken: it does not count, though it takes up room still. Always `await` it.
   */
  size(): MaybePromise<number>;
  /** Whether there are none at this moment: whether a `get` would wait. Always `await` it. */
  empty(): MaybePromise<boolean>;
  /** Whether a `put` would wait at this moment, as far as `maxsize` goes. Always `await` it. */
  full(): MaybePromise<boolean>;
  /** The items, taken one by one for ever, or until the queue is shut down and empty. Does not call `taskDone`. */
  [Symbol.asyncIterator](): AsyncIterator<T>;
}

/** Python's `queue.Queue`, and `LifoQueue` and `PriorityQueue`, which give the last or the least item first. */
export interface AnyQueue<T = unknown> extends AnySimpleQueue<T> {
  /** Says that an item taken has been dealt with. `OverReleaseError`, nothing changed, where all have been. */
  taskDone(): MaybePromise<void>;
  /**
   * Waits until every item put has been dealt with: `true`. `false` where `timeout` ms passed first. Rejects with
   * `signal.reason` on abort.
   */
  join(options?: WaitOptions): Promise<boolean>;
  /**
   * Takes no more items: every `put`, also one that waits, ends with `QueueShutDownError`; `get` does once the rest
   * has been taken. With `immediate` the rest is dropped, and counts as dealt with. Again: nothing more happens.
   */
  shutdown(options?: ShutdownOptions): MaybePromise<void>;
}

/** What a queue's `shutdown` takes. */
export interface ShutdownOptions {
  /** Drops the items that are left (default: false). */
  readonly immediate?: boolean | undefined;
}

/** Whether it is to be at once. @throws TypeError for options that are none */
export function checkShutdown(options: ShutdownOptions | undefined, kind: string): boolean {
  const where = `${kind}.shutdown`;
  const { immediate = false } = checkKnown(options, ['immediate'], where);
  if (typeof immediate === 'boolean') return immediate;
  throw typeError(`${where}: immediate must be true or false, not ${show(immediate)}`);
}
