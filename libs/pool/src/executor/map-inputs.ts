/** The inputs of one `map`: read in chunks as there is room for them, in the context around the call. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { onAbort, show, typeError } from '@heddle/primitives/internal';
import { aborted } from '../future/cancelled.ts';
import type { ExecutorCore, Reader } from './executor.ts';

/** Who takes them. */
export interface InputTaker {
  /** What they are submitted to, and the signal that ends that. */
  readonly core: ExecutorCore;
  readonly signal: AbortSignal | undefined;
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
  /** Of an async source: read, and not submitted, since it may become a larger chunk. */
  private part: unknown[] = [];
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

  /**
   * Reads while there is room. Only as long as an async read is under way does anybody else know of it: a `map` that is
   * dropped without `return` is nobody's, then.
   */
  feed(): void {
    if (this.reading || this.over || !this.taker.hasRoom()) return;
    const refusal = this.refusal();
    if (refusal !== undefined) return this.stop(refusal);
    this.reading = true;
    if (!this.isAsync) return this.asCaller(() => this.feedSync());
    this.heed();
    void this.asCaller(() => this.feedAsync()).finally(() => this.taker.changed());
  }

  /** Why no more are to be read. A plain input keeps nobody waiting: only what it gives is refused. */
  private refusal(): Error | undefined {
    const { core, signal } = this.taker;
    if (signal?.aborted === true) return aborted(signal.reason);
    return this.isAsync ? refusalOf(core) : undefined;
  }

  private heed(): void {
    const { core, signal } = this.taker;
    const reader: Reader = (over = refusalOf(core)) => {
      if (over !== undefined) this.cut(over);
      else if (!this.over) this.asCaller(() => this.submitPart());
    };
    const stopHearing = signal && onAbort(signal, () => this.cut(aborted(signal.reason)));
    core.readers.add(reader);
    this.unheed = () => {
      stopHearing?.();
      core.readers.delete(reader);
    };
  }

  /** No more are read, and `reason` is what has gone wrong with them. */
  cut(reason: unknown): void {
    if (this.over) return;
    this.stop(reason);
    this.taker.changed();
  }

  private stop(reason: unknown): void {
    this.failure = { reason };
    this.close();
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
            this.stopIfAborted();
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

  /** By what has just been read, for one: a generator that runs could not be told. */
  private stopIfAborted(): void {
    const { signal } = this.taker;
    if (signal?.aborted === true && !this.over) this.stop(aborted(signal.reason));
  }

  private async feedAsync(): Promise<void> {
    const source = this.source as AsyncIterator<unknown>;
    try {
      while (!this.over && this.taker.hasRoom()) {
        try {
          while (this.part.length < this.chunksize && !this.over) {
            const read = await source.next();
            if (read.done === true) this.end();
            else this.part.push(read.value);
          }
        } finally {
          if (!this.left) this.passPart();
        }
      }
    } catch (reason) {
      this.failed(reason);
    }
    this.reading = false;
    this.unheed();
  }

  /** Soon nothing more is taken. */
  private submitPart(): void {
    try {
      this.passPart();
    } catch (reason) {
      this.failed(reason);
      this.taker.changed();
    }
  }

  private passPart(): void {
    const chunk = this.part;
    this.part = [];
    this.pass(chunk);
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

/** Why it takes no more tasks, or runs none. */
function refusalOf(core: ExecutorCore): Error | undefined {
  try {
    core.assertOpen();
    return core.broken;
  } catch (reason) {
    return reason as Error;
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
