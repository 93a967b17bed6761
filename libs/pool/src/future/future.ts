/**
 * The state of one task, seen by whoever submitted it.
 *
 * | from      | may become                     | when                                                        |
 * |-----------|--------------------------------|-------------------------------------------------------------|
 * | pending   | running, finished, cancelled   | a thread took it; its outcome came; it was cancelled        |
 * | running   | pending, finished, cancelled   | it goes back to the queue (retry); outcome; it was aborted  |
 * | finished  | –                              |                                                             |
 * | cancelled | –                              |                                                             |
 *
 * Only executors make and settle Futures, through the functions at the end of this file, which no user imports.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { type CancelledError, InvalidStateError, TimeoutError, type WaitOptions } from '@heddle/primitives';
import {
  checkFunction,
  checkKnown,
  checkWait,
  Deadline,
  onAbort,
  typeError,
} from '@heddle/primitives/internal';
import { aborted, cancelledUnbegun } from './cancelled.ts';
import { followProgress } from './progress.ts';
import { callUser, reportException } from './report-exception.ts';

type State = 'pending' | 'running' | 'finished' | 'cancelled';

const MOVES: Readonly<Record<State, readonly State[]>> = {
  pending: ['running', 'finished', 'cancelled'],
  running: ['pending', 'finished', 'cancelled'],
  finished: [],
  cancelled: [],
};

const WAIT_OPTIONS = ['timeout', 'signal'] satisfies (keyof WaitOptions)[];

/** What a Future asks of the executor that made it. */
export interface FutureSource {
  /** The job's id. */
  readonly id: string;
  /** Takes the task back where it has not begun; true: it will never begin. */
  cancel(): Promise<boolean>;
  /** Tells the task, running or not, to end. */
  abort(reason: unknown): Promise<void>;
  /** Settles when the task has safely arrived where it is to be run. */
  accepted(): Promise<void>;
  /** Whether the task is being run, where that is cheaper to look up than to be told. */
  isRunning?(): boolean;
  /** Somebody waits for the task's end. */
  awaited?(): void;
}

/** What a Future is finished with. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Error };

let settle: Settling; // set by the class below, which alone can reach a Future's state

/**
 * As a method's parameter, so that a `Future<number>` is a `Future<unknown>`: it is never called with another Future than
 * the one it was given to.
 */
type DoneCallback<T> = { call(future: Future<T>): void }['call'];

/** A promise with what settles it; these are methods for the same reason. */
interface Settled<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

const CONSTRUCTION_KEY = Symbol('made by an executor');

/**
 * A result to come. Awaitable: `await future` is `await future.result()`, and an async function that returns a
 * Future gives its value. A failed Future that nobody looks at raises nothing.
 */
export class Future<T> implements PromiseLike<T> {
  #state: State = 'pending';
  #outcome: Outcome<T> | undefined;
  #whenDone: (DoneCallback<T> | undefined)[] | undefined;
  /** What those who await it wait for; made for the first of them. */
  #awaited: Settled<T> | undefined;
  #progress: Set<(value: unknown) => void> | undefined;
  readonly #source: FutureSource;

  /** @internal Only executors make Futures. */
  constructor(key: symbol, source: FutureSource) {
    if (key !== CONSTRUCTION_KEY) {
      throw typeError(
        'a Future is made by an executor: use executor.submit(…)',
        'ERR_HEDDLE_ILLEGAL_CONSTRUCTOR',
      );
    }
    this.#source = source;
  }

  /**
   * The job's id: what `currentJob().id` is inside the task. With a `dedupe` key it is final once `accepted` has settled: it
   * may be that of another's job, which only Redis knows.
   */
  get id(): string {
    return this.#source.id;
  }

  /**
   * The task's result. Waits until the task is done.
   * @throws what the task threw; CancelledError when it was cancelled; TimeoutError when `timeout` ms were not enough
   * (the task goes on); `signal.reason` when `signal` aborts (the task goes on).
   */
  async result(options?: WaitOptions): Promise<T> {
    if (options === undefined) return this.#whole();
    const outcome = await this.#settled(options, 'Future.result');
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /**
   * What the task threw, or `null` where it has a result. Waits as `result` does.
   * @throws CancelledError when it was cancelled; TimeoutError; `signal.reason`.
   */
  async exception(options?: WaitOptions): Promise<Error | null> {
    const outcome = await this.#settled(options, 'Future.exception');
    if (outcome.ok) return null;
    if (this.#state === 'cancelled') throw outcome.error;
    return outcome.error;
  }

  /** It has a result or an error, or was cancelled. */
  done(): boolean {
    return this.#outcome !== undefined;
  }

  /** As far as is known here and now, the task is being run. */
  running(): boolean {
    if (this.#state === 'pending') return this.#source.isRunning?.() ?? false;
    return this.#state === 'running';
  }

  /** It was cancelled, or aborted. */
  cancelled(): boolean {
    return this.#state === 'cancelled';
  }

  /** Takes the task back: true, and final, while it is pending; false, without effect, once it is running or done. */
  async cancel(): Promise<boolean> {
    if (this.#outcome !== undefined) return this.#state === 'cancelled';
    if (!(await this.#source.cancel())) return this.cancelled();
    this.#cancelWith(cancelledUnbegun());
    return this.cancelled();
  }

  /**
   * Ends the task in any state but done (then false). The Future settles at once with CancelledError, whose `cause`
   * is `reason`; a running task sees `currentJob().signal` abort, and its thread is ended if it goes on regardless.
   */
  async abort(reason?: unknown): Promise<boolean> {
    if (this.#outcome !== undefined) return false;
    const cause = reason === undefined ? new DOMException('The task was aborted', 'AbortError') : reason;
    this.#cancelWith(aborted(cause));
    await this.#source.abort(cause);
    return true;
  }

  /**
   * Calls `fn` with this Future once it is done: in the order in which they were added, and at once where it is done
   * already; in the context around this call. An error in `fn`, thrown or rejected with, goes to the exception hook and stops no other.
   */
  addDoneCallback(fn: (future: Future<T>) => void): void {
    checkFunction(fn, 'Future.addDoneCallback: fn');
    if (this.#outcome !== undefined) this.#call(fn);
    else this.#subscribe(AsyncLocalStorage.bind(fn));
  }

  /** Settles when the job is in Redis, or queued locally; rejects where it could not be put there. */
  get accepted(): Promise<void> {
    return this.#source.accepted();
  }

  /** What the task passes to `currentJob().progress(value)` from now on; ends when the Future is done. */
  get progress(): AsyncIterable<unknown> {
    return { [Symbol.asyncIterator]: () => this.#listen() };
  }

  /** What `await` calls: as that of the promise `result()`. */
  // biome-ignore lint/suspicious/noThenProperty: a Future is awaitable
  then<A = T, B = never>(
    onResult?: ((value: T) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#whole().then(onResult, onError);
  }

  /**
   * One promise for all who wait without limits, as most do: a hundred thousand may be waited for, and closures for each
   * would be most of what they take. Whoever calls this handles it: a rejection nobody hears of would end the process.
   */
  #whole(): Promise<T> {
    if (this.#awaited === undefined) {
      this.#awaited = Promise.withResolvers<T>();
      if (this.#outcome !== undefined) settleWith(this.#awaited, this.#outcome);
      else this.#source.awaited?.();
    }
    return this.#awaited.promise;
  }

  #settled(options: WaitOptions | undefined, where: string): Outcome<T> | Promise<Outcome<T>> {
    const { timeout, signal } = checkWait(checkKnown(options, WAIT_OPTIONS, where), where);
    if (this.#outcome !== undefined) return this.#outcome;
    return new Promise((resolve, reject) => {
      const stop: (() => void)[] = [];
      const end = (settle: () => void) => {
        for (const undo of stop) undo();
        settle();
      };
      stop.push(this.#subscribe(() => end(() => resolve(this.#outcome as Outcome<T>))));
      if (timeout !== undefined) {
        const late = () =>
          new TimeoutError(`${where}: the task was not done within ${timeout} ms; it goes on`);
        stop.push(Deadline.after(timeout).onExpiry(() => end(() => reject(late()))));
      }
      if (signal !== undefined) stop.push(onAbort(signal, () => end(() => reject(signal.reason))));
    });
  }

  /** Calls `fn` once this is done, unless the function given back is called first. */
  #subscribe(fn: (future: Future<T>) => void): () => void {
    this.#source.awaited?.();
    const known = this.#whenDone;
    const index = known?.length ?? 0;
    const list = known ?? [fn]; // as large as it must be: what is pushed to an empty one makes room for many
    if (known === undefined) this.#whenDone = list;
    else known.push(fn);
    return () => {
      if (list[index] === fn) list[index] = undefined;
      while (list.length > 0 && list.at(-1) === undefined) list.pop();
    };
  }

  #move(to: State): void {
    if (!MOVES[this.#state].includes(to)) {
      throw new InvalidStateError(`a Future that is ${this.#state} cannot become ${to}`);
    }
    this.#state = to;
  }

  #finish(outcome: Outcome<T>, state: 'finished' | 'cancelled'): void {
    this.#move(state);
    this.#outcome = outcome;
    if (this.#awaited !== undefined) settleWith(this.#awaited, outcome);
    const callbacks = this.#whenDone;
    this.#whenDone = undefined;
    if (callbacks === undefined) return;
    for (const callback of callbacks) if (callback !== undefined) this.#call(callback);
  }

  #cancelWith(error: CancelledError): void {
    if (this.#outcome === undefined) this.#finish({ ok: false, error }, 'cancelled');
  }

  #call(callback: (future: Future<T>) => void): void {
    callUser(callback, reportException, this);
  }

  #listen(): AsyncIterator<unknown> {
    this.#progress ??= new Set();
    return followProgress({
      listeners: this.#progress,
      done: () => this.done(),
      whenDone: (fn) => settle.whenDone(this, fn),
    });
  }

  static {
    settle = {
      running: (future) => {
        if (future.#state === 'pending') future.#move('running');
      },
      pending: (future) => {
        if (future.#state === 'running') future.#move('pending');
      },
      result: (future, value) => {
        if (future.#outcome === undefined) future.#finish({ ok: true, value }, 'finished');
      },
      error: (future, error) => {
        if (future.#outcome === undefined) future.#finish({ ok: false, error }, 'finished');
      },
      cancelled: (future, error) => future.#cancelWith(error),
      progress: (future, value) => {
        for (const listener of future.#progress ?? []) listener(value);
      },
      heard: (future, fn) => {
        future.#progress ??= new Set();
        future.#progress.add(fn);
        return () => void future.#progress?.delete(fn);
      },
      whenDone: (future, fn) => {
        if (future.#outcome === undefined) return future.#subscribe(fn);
        fn(future);
        return () => {};
      },
      failed: (future) => future.#state === 'finished' && future.#outcome?.ok === false,
      outcome: (future) => future.#outcome,
    };
  }
}

function settleWith<T>(awaited: Settled<T>, outcome: Outcome<T>): void {
  if (outcome.ok) awaited.resolve(outcome.value);
  else awaited.reject(outcome.error);
}

/**
 * What executors do to a Future. Each does nothing to one that is done already: an outcome may come late, or twice,
 * and the first one holds.
 */
export interface Settling {
  running<T>(future: Future<T>): void;
  /** Back in the queue: its thread crashed, or it is to be retried. */
  pending<T>(future: Future<T>): void;
  result<T>(future: Future<T>, value: T): void;
  error<T>(future: Future<T>, error: Error): void;
  cancelled<T>(future: Future<T>, error: CancelledError): void;
  progress<T>(future: Future<T>, value: unknown): void;
  /** Calls `fn` with what the task tells of itself; gives back what unsubscribes. */
  heard<T>(future: Future<T>, fn: (value: unknown) => void): () => void;
  /** Calls `fn` once it is done; gives back what unsubscribes. */
  whenDone<T>(future: Future<T>, fn: (future: Future<T>) => void): () => void;
  /** Finished with an error, not cancelled. */
  failed<T>(future: Future<T>): boolean;
  /** What it is finished with, where it is. */
  outcome<T>(future: Future<T>): Outcome<T> | undefined;
}

/** The executors' door to a Future's state. */
export function settling(): Settling {
  return settle;
}

export function makeFuture<T>(source: FutureSource): Future<T> {
  return new Future<T>(CONSTRUCTION_KEY, source);
}
