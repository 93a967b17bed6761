/** What iterating over a queue gives, in either scope: its items, until it has been shut down and is empty, or left. */
import { QueueShutDownError } from '../errors.ts';

type Result<T> = IteratorResult<T, void>;

const DONE = { done: true, value: undefined } as const;

/** No generator: that could not be left while it waits for an item, which would then be taken for nobody. */
export class ItemsUntilShutdown<T> implements AsyncGenerator<T, void, undefined> {
  readonly #get: (options: { readonly signal: AbortSignal }) => Promise<T>;
  readonly #leaving = new AbortController();
  readonly #waiting = new Set<Promise<Result<T>>>();
  #ended = false;

  /** @param get takes an item, until that tells of the shutdown */
  constructor(get: (options: { readonly signal: AbortSignal }) => Promise<T>) {
    this.#get = get;
  }

  next(): Promise<Result<T>> {
    if (this.#ended) return Promise.resolve(DONE);
    const next = this.#take().finally(() => this.#waiting.delete(next));
    this.#waiting.add(next);
    return next;
  }

  /** Ends it; resolves once nothing waits for it any more. What was taken already is told to who asked for it. */
  async return(): Promise<Result<T>> {
    this.#ended = true;
    this.#leaving.abort();
    await Promise.allSettled(this.#waiting);
    return DONE;
  }

  async throw(reason: unknown): Promise<Result<T>> {
    await this.return();
    throw reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #take(): Promise<Result<T>> {
    const { signal } = this.#leaving;
    try {
      return { done: false, value: await this.#get({ signal }) };
    } catch (error) {
      this.#ended = true;
      if (error instanceof QueueShutDownError || (signal.aborted && error === signal.reason)) return DONE;
      throw error;
    }
  }
}
