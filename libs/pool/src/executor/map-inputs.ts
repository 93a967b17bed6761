/** The inputs of one `map`: read in chunks as there is room for them, in the context around the call. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { show, typeError } from '@heddle/primitives/internal';
import { aborted } from '../future/cancelled.ts';
import type { ExecutorCore } from './executor.ts';

/** Who takes them. */
export interface InputTaker {
  /** Another chunk may be submitted. */
  hasRoom(): boolean;
  /** @throws what keeps it from being submitted: then no more inputs are read. */
  take(chunk: readonly unknown[]): void;
  /** An asynchronous read has ended, or will not be waited for any more. */
  changed(): void;
}

export class MapInputs {
  /** What has gone wrong with them. */
  failure: { readonly reason: unknown } | undefined;
  private readonly source: Iterator<unknown> | AsyncIterator<unknown>;
  private readonly isAsync: boolean;
  private readonly chunksize: number;
  private readonly taker: InputTaker;
  /** Calls a function in the context around `map`: that in which results come, and make room, is another's. */
  private readonly asCaller = AsyncLocalStorage.snapshot();
  /** Of an async source: a read is under way. */
  private reading = false;
  private over = false;
  /** No more are wanted: what a read that is under way may still give is dropped. */
  private left = false;
  private unheed: () => void = () => {};

  constructor(inputs: Iterable<unknown> | AsyncIterable<unknown>, chunksize: number, taker: InputTaker) {
    this.isAsync = isAsyncIterable(inputs);
    this.source = iterate(inputs);
    this.chunksize = chunksize;
    this.taker = taker;
  }

  /** There are no more, or no more are wanted. */
  get exhausted(): boolean {
    return this.over;
  }

  /** Reads from now on, until there are no more, the signal aborts, or the executor takes no more tasks. */
  begin(core: ExecutorCore, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) return this.cut(aborted(signal.reason));
    this.feed();
    if (!this.over) this.heed(core, signal);
  }

  private heed(core: ExecutorCore, signal: AbortSignal | undefined): void {
    const abort = () => this.cut(aborted(signal?.reason));
    const refused = () => {
      try {
        core.assertOpen();
      } catch (reason) {
        this.cut(reason);
      }
    };
    signal?.addEventListener('abort', abort);
    if (this.isAsync) core.readers.add(refused); // a plain input does not keep anybody waiting: the next is refused
    this.unheed = () => {
      signal?.removeEventListener('abort', abort);
      core.readers.delete(refused);
    };
    if (signal?.aborted === true) abort(); // by what gave the first inputs
  }

  /** Reads while there is room. */
  feed(): void {
    if (this.reading || this.over) return;
    this.reading = true;
    if (this.isAsync) void this.asCaller(() => this.feedAsync()).finally(() => this.taker.changed());
    else this.asCaller(() => this.feedSync());
  }

  /** No more are read, and `reason` is what has gone wrong with them. */
  cut(reason: unknown): void {
    if (this.over) return;
    this.failure = { reason };
    this.close();
    this.taker.changed();
  }

  /** Whoever gives them is told that no more are wanted; what comes of that interests nobody. */
  close(): void {
    this.leave().catch(() => {});
  }

  /**
   * The same for who wants to know what comes of it. A read that is under way may never end, and a generator hears of nothing
   * before: that one is told, and not waited for.
   */
  async leave(): Promise<void> {
    if (this.over) return;
    this.end();
    this.left = true;
    const told = this.asCaller(async () => this.source.return?.());
    if (this.isAsync && this.reading) told.catch(() => {});
    else await told;
  }

  private feedSync(): void {
    const source = this.source as Iterator<unknown>;
    try {
      while (!this.over && this.taker.hasRoom()) {
        const chunk: unknown[] = [];
        try {
          while (chunk.length < this.chunksize && !this.over) {
            const read = source.next();
            if (read.done === true) this.end();
            else chunk.push(read.value);
          }
        } finally {
          this.pass(chunk);
        }
      }
    } catch (reason) {
      this.failed(reason);
    }
    this.reading = false;
  }

  private async feedAsync(): Promise<void> {
    const source = this.source as AsyncIterator<unknown>;
    try {
      while (!this.over && this.taker.hasRoom()) {
        const chunk: unknown[] = [];
        try {
          while (chunk.length < this.chunksize && !this.over) {
            const read = await source.next();
            if (read.done === true) this.end();
            else chunk.push(read.value);
          }
        } finally {
          if (!this.left) this.pass(chunk);
        }
      }
    } catch (reason) {
      this.failed(reason);
    }
    this.reading = false;
  }

  private pass(chunk: readonly unknown[]): void {
    if (chunk.length === 0) return;
    try {
      this.taker.take(chunk);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private failed(reason: unknown): void {
    this.failure ??= { reason };
    this.end();
  }

  private end(): void {
    this.over = true;
    this.unheed();
  }
}

export function isAsyncIterable(inputs: unknown): inputs is AsyncIterable<unknown> {
  return typeof (inputs as AsyncIterable<unknown> | null | undefined)?.[Symbol.asyncIterator] === 'function';
}

function iterate(
  inputs: Iterable<unknown> | AsyncIterable<unknown>,
): Iterator<unknown> | AsyncIterator<unknown> {
  if (isAsyncIterable(inputs)) return inputs[Symbol.asyncIterator]();
  if (typeof (inputs as Iterable<unknown> | null | undefined)?.[Symbol.iterator] === 'function') {
    return inputs[Symbol.iterator]();
  }
  throw typeError(`map: inputs must be an iterable or an async iterable, not ${show(inputs)}`);
}
