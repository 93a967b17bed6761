/** Waiting for several Futures: `concurrent.futures.wait` and `as_completed`. */
import { TimeoutError, type WaitOptions } from '@heddle/primitives';
import {
  checkKnown,
  checkWait,
  Deadline,
  onAbort,
  rangeError,
  show,
  typeError,
} from '@heddle/primitives/internal';
import { TaskQueue } from '../threads/task-queue.ts';
import { Future, settling } from './future.ts';

/** When `wait` is content. */
export type ReturnWhen = 'FIRST_COMPLETED' | 'FIRST_EXCEPTION' | 'ALL_COMPLETED';

/** What `wait` takes. */
export interface WaitForOptions extends WaitOptions {
  /**
   * `FIRST_COMPLETED`: as soon as one is done or cancelled. `FIRST_EXCEPTION`: as soon as one has failed, or all are
   * done. `ALL_COMPLETED` (the default): when all are done.
   */
  readonly returnWhen?: ReturnWhen | undefined;
}

/** What one of these Futures may give. */
export type ResultOf<F extends Future<unknown>> = F extends Future<infer T> ? T : never;

/** What `wait` gives. */
export interface WaitResult<T> {
  /** Those with an outcome, cancelled ones too. */
  readonly done: Set<Future<T>>;
  /** The others; they go on. */
  readonly notDone: Set<Future<T>>;
}

/**
 * Waits for Futures and tells which are done. A time-out is no error: what is not done by then is in `notDone`.
 * @throws `signal.reason` when `signal` aborts. The tasks go on in either case.
 */
export async function wait<T>(futures: Iterable<Future<T>>, options?: WaitForOptions): Promise<WaitResult<T>>;
/** The same, of Futures of results of several types. */
export async function wait<F extends Future<unknown>>(
  futures: Iterable<F>,
  options?: WaitForOptions,
): Promise<WaitResult<ResultOf<F>>>;
export async function wait<T>(
  futures: Iterable<Future<T>>,
  options?: WaitForOptions,
): Promise<WaitResult<T>> {
  const given = checkKnown(options, ['timeout', 'signal', 'returnWhen'], 'wait');
  const { timeout, signal } = checkWait(given, 'wait', 'returnWhen');
  const { returnWhen = 'ALL_COMPLETED' } = given;
  if (!['FIRST_COMPLETED', 'FIRST_EXCEPTION', 'ALL_COMPLETED'].includes(returnWhen)) {
    const wrong = typeof returnWhen === 'string' ? rangeError : typeError;
    throw wrong(
      `wait: returnWhen must be FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED, not ${show(returnWhen)}`,
    );
  }
  const all = checkFutures(futures, 'wait');
  await new Promise<void>((resolve, reject) => {
    const watch = new Watch(all, timeout, signal);
    const before = [...all].filter((future) => future.done());
    let left = all.size;
    const completed = (future: Future<T>) => {
      left -= 1;
      if (left === 0 || isEnough(future, returnWhen)) watch.end(resolve);
    };
    watch.start(completed, () => watch.end(resolve), reject);
    for (const future of before) completed(future);
    if (left === 0) watch.end(resolve);
  });
  const done = [...all].filter((future) => future.done());
  return { done: new Set(done), notDone: new Set([...all].filter((future) => !future.done())) };
}

/** Of one that has just got done: the others need not. */
function isEnough<T>(future: Future<T>, returnWhen: ReturnWhen): boolean {
  return returnWhen === 'FIRST_COMPLETED' || (returnWhen === 'FIRST_EXCEPTION' && settling().failed(future));
}

/**
 * An async iterable of Futures. Spelt out, because of an `AsyncIterable<Future<T>>` the compiler takes `for await` to
 * give `T`; what it gives is the Future.
 */
export interface CompletedFutures<T> {
  /** The next Future to be done. */
  next(): Promise<IteratorResult<Future<T>, undefined>>;
  /** Ends the iteration; the Futures go on. */
  return(): Promise<IteratorResult<Future<T>, undefined>>;
  [Symbol.asyncIterator](): CompletedFutures<T>;
}

/**
 * The Futures themselves, each as it gets done; those done already come first. A Future given twice comes once.
 * `timeout` counts from this call: when it is over before all have come, `next` rejects with TimeoutError.
 */
export function asCompleted<T>(futures: Iterable<Future<T>>, options?: WaitOptions): CompletedFutures<T>;
/** The same, of Futures of results of several types. */
export function asCompleted<F extends Future<unknown>>(
  futures: Iterable<F>,
  options?: WaitOptions,
): CompletedFutures<ResultOf<F>>;
export function asCompleted<T>(futures: Iterable<Future<T>>, options?: WaitOptions): CompletedFutures<T> {
  const given = checkKnown(options, ['timeout', 'signal'], 'asCompleted');
  const { timeout, signal } = checkWait(given, 'asCompleted');
  const all = checkFutures(futures, 'asCompleted');
  return new Completed(all, timeout, signal);
}

function checkFutures<T>(futures: Iterable<Future<T>>, where: string): Set<Future<T>> {
  if (typeof (futures as Iterable<Future<T>> | null)?.[Symbol.iterator] !== 'function') {
    throw typeError(`${where}: futures must be an iterable of Futures, not ${show(futures)}`);
  }
  const all = new Set(futures);
  for (const future of all) {
    if (!(future instanceof Future)) throw typeError(`${where}: ${show(future)} is not a Future`);
  }
  return all;
}

/** Eyes on several Futures, a clock and a signal, all taken off together. */
class Watch<T> {
  private readonly futures: ReadonlySet<Future<T>>;
  private readonly timeout: number | undefined;
  private readonly signal: AbortSignal | undefined;
  private readonly undo: (() => void)[] = [];
  private ended = false;

  constructor(futures: ReadonlySet<Future<T>>, timeout: number | undefined, signal: AbortSignal | undefined) {
    this.futures = futures;
    this.timeout = timeout;
    this.signal = signal;
  }

  start(onDone: (future: Future<T>) => void, onTime: () => void, onGone: (reason: unknown) => void): void {
    for (const future of this.futures) {
      if (!future.done()) this.undo.push(settling().whenDone(future, onDone));
    }
    if (this.timeout !== undefined) this.undo.push(Deadline.after(this.timeout).onExpiry(onTime));
    const { signal } = this;
    if (signal !== undefined) this.undo.push(onAbort(signal, () => this.end(() => onGone(signal.reason))));
  }

  end(settle: () => void): void {
    if (this.ended) return;
    this.ended = true;
    for (const undo of this.undo) undo();
    settle();
  }
}

/** Written by hand: an async generator's `yield` would await the Future and give its value instead. */
class Completed<T> implements CompletedFutures<T> {
  private readonly ready = new TaskQueue<Future<T>>();
  private left: number;
  private failure: { readonly reason: unknown } | undefined;
  private readonly waiting = new TaskQueue<{
    resolve(r: IteratorResult<Future<T>, undefined>): void;
    reject(e: unknown): void;
  }>();
  private readonly watch: Watch<T>;

  constructor(futures: ReadonlySet<Future<T>>, timeout: number | undefined, signal: AbortSignal | undefined) {
    for (const future of futures) if (future.done()) this.ready.push(future);
    this.left = futures.size;
    this.watch = new Watch(futures, timeout, signal);
    const late = () => {
      const missing = this.left - this.ready.size;
      this.fail(
        new TimeoutError(`asCompleted: ${missing} of ${futures.size} futures were not done in ${timeout} ms`),
      );
    };
    if (this.ready.size < futures.size) {
      this.watch.start(
        (future) => this.completed(future),
        late,
        (reason) => this.fail(reason),
      );
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Future<T>, undefined>> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.serve();
    });
  }

  async return(): Promise<IteratorResult<Future<T>, undefined>> {
    this.left = 0;
    while (this.ready.shift() !== undefined);
    this.watch.end(() => this.serve());
    return { done: true, value: undefined };
  }

  private completed(future: Future<T>): void {
    this.ready.push(future);
    if (this.ready.size === this.left) this.watch.end(() => {});
    this.serve();
  }

  private fail(reason: unknown): void {
    this.failure = { reason };
    this.watch.end(() => {});
    this.serve();
  }

  private serve(): void {
    while (this.waiting.size > 0) {
      const future = this.ready.shift();
      if (future === undefined && this.left > 0 && this.failure === undefined) return;
      const waiter = this.waiting.shift();
      if (future !== undefined) {
        this.left -= 1;
        waiter?.resolve({ done: false, value: future });
      } else if (this.failure !== undefined && this.left > 0) {
        waiter?.reject(this.failure.reason);
        this.left = 0; // It is over, as a generator that threw.
      } else waiter?.resolve({ done: true, value: undefined });
    }
  }
}
