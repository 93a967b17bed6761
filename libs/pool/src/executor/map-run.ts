/** One `map`: has inputs read no further ahead than it may, submits them in chunks, gives the results back. */
import { TimeoutError } from '@heddle/primitives';
import { checkCount, checkKnown, checkTimeout, Deadline } from '@heddle/primitives/internal';
import { type Future, settling } from '../future/future.ts';
import type { ChunkOutcome } from '../threads/protocol.ts';
import { TaskQueue } from '../threads/task-queue.ts';
import { checkFlag } from './check-options.ts';
import type { ExecutorCore, MapOptions, SubmitOptions } from './executor.ts';
import { isAsyncIterable, MapInputs } from './map-inputs.ts';

const MAP_OPTIONS = ['timeout', 'chunksize', 'buffersize', 'ordered'] satisfies (keyof MapOptions)[];

interface Waiter<R> {
  resolve(result: IteratorResult<R>): void;
  reject(reason: unknown): void;
}

export class MapRun<R> implements AsyncIterableIterator<R>, AsyncDisposable {
  private readonly core: ExecutorCore;
  private readonly task: string;
  private readonly options: SubmitOptions;
  private readonly chunksize: number;
  private readonly ordered: boolean;
  /** `undefined`: twice as many as run at once, which may change meanwhile. */
  private readonly bound: number | undefined;
  private readonly timeout: number | undefined;
  private readonly inputs: MapInputs;

  /** Submitted, its results not taken yet; in order of submission. */
  private readonly flying = new TaskQueue<Future<unknown>>();
  private readonly live = new Set<Future<unknown>>();
  private inFlight = 0;
  private readonly arrived = new TaskQueue<ChunkOutcome>();
  private current: ChunkOutcome | undefined;
  private at = 0;
  private ended = false;
  private failure: { readonly reason: unknown } | undefined;
  private readonly waiting = new TaskQueue<Waiter<R>>();
  private readonly deadline: Deadline;
  /** Ticks while somebody waits, and only then: a time-out keeps no process alive. */
  private stopClock: (() => void) | undefined;

  constructor(
    core: ExecutorCore,
    task: string,
    inputs: Iterable<unknown> | AsyncIterable<unknown>,
    options: SubmitOptions,
    mapOptions: MapOptions | undefined,
  ) {
    const given = checkKnown(mapOptions, MAP_OPTIONS, 'map');
    const timeout = checkTimeout(given.timeout, 'map');
    const { chunksize = 1, buffersize, ordered = true } = given;
    this.core = core;
    this.task = task;
    this.options = options;
    checkCount(chunksize, 'map: chunksize');
    if (buffersize !== undefined) checkCount(buffersize, 'map: buffersize');
    this.ordered = checkFlag(ordered, 'map: ordered');
    const isAsync = isAsyncIterable(inputs);
    this.chunksize = Math.min(chunksize, buffersize ?? chunksize);
    if (buffersize !== undefined) this.bound = Math.floor(buffersize / this.chunksize);
    else if (!isAsync) this.bound = Number.POSITIVE_INFINITY;
    this.timeout = timeout;
    this.deadline = Deadline.after(timeout);
    this.inputs = new MapInputs(inputs, this.chunksize, {
      core,
      signal: options.signal,
      hasRoom: () => !this.ended && this.inFlight < this.limit,
      take: (chunk) => this.send(chunk),
      changed: () => this.serve(),
    });
    this.inputs.feed();
    const { failure } = this.inputs;
    const atOnce = !isAsync && this.limit === Number.POSITIVE_INFINITY && options.signal?.aborted !== true;
    if (failure !== undefined && atOnce) {
      this.end();
      throw failure.reason; // all inputs have been read in this very call
    }
  }

  /** How many chunks may be submitted whose results have not all been taken. */
  private get limit(): number {
    return this.bound ?? 2 * this.core.parallelism;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<R>> {
    if (this.waiting.size === 0 && this.current !== undefined && this.at < this.current.values.length) {
      return Promise.resolve({ done: false, value: this.take(this.current) });
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.serve();
    });
  }

  async return(): Promise<IteratorResult<R>> {
    this.end();
    this.finish();
    await this.inputs.leave();
    return { done: true, value: undefined };
  }

  /** For who passes results on by `yield*` and is thrown into there: it is left, and the reason comes back. */
  async throw(reason: unknown): Promise<IteratorResult<R>> {
    await this.return();
    throw reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  private take(chunk: ChunkOutcome): R {
    const value = chunk.values[this.at] as R;
    this.at += 1;
    if (this.at === chunk.values.length && chunk.error === undefined) {
      this.current = undefined;
      this.inFlight -= 1;
      this.inputs.feed();
    }
    return value;
  }

  /** Answers those who wait with what has come. */
  private serve(): void {
    while (this.waiting.size > 0) {
      if (this.failure !== undefined) this.tellFailure(this.failure.reason);
      else if (this.ended) return this.finish();
      else if (!this.advance()) return this.startClock();
    }
    this.endClock();
  }

  private startClock(): void {
    if (this.deadline === Deadline.never) return;
    this.stopClock ??= this.deadline.onExpiry(() => {
      this.endClock();
      this.serve();
    });
  }

  private endClock(): void {
    this.stopClock?.();
    this.stopClock = undefined;
  }

  /** One step nearer to an answer; false: there is nothing to do but wait. */
  private advance(): boolean {
    this.current ??= this.nextChunk();
    const chunk = this.current;
    if (chunk !== undefined && this.at < chunk.values.length) {
      this.waiting.shift()?.resolve({ done: false, value: this.take(chunk) });
    } else if (chunk?.error !== undefined) this.fail(chunk.error);
    else if (chunk !== undefined) this.skipEmpty();
    else if (!this.inputs.exhausted || this.inFlight > 0) return this.isTooLate();
    else if (this.inputs.failure !== undefined) this.fail(this.inputs.failure.reason);
    else this.end();
    return true;
  }

  /** What is asked for is not there. False: it may still come in time. */
  private isTooLate(): boolean {
    if (!this.deadline.expired) return false;
    this.fail(new TimeoutError(`map: a result was not there within ${this.timeout} ms of the call`));
    return true;
  }

  private skipEmpty(): void {
    this.current = undefined;
    this.inFlight -= 1;
    this.inputs.feed();
  }

  private nextChunk(): ChunkOutcome | undefined {
    const chunk = this.arrived.shift();
    if (chunk !== undefined) this.at = 0;
    return chunk;
  }

  private finish(): void {
    for (let waiter = this.waiting.shift(); waiter !== undefined; waiter = this.waiting.shift()) {
      waiter.resolve({ done: true, value: undefined });
    }
  }

  /** The iteration ends with an error: told once, to the first who asks; then it is over. */
  private fail(reason: unknown): void {
    if (this.ended) return;
    this.end();
    this.failure = { reason };
    this.inputs.close(); // nobody calls `return` after a failure
  }

  private tellFailure(reason: unknown): void {
    this.failure = undefined;
    this.waiting.shift()?.reject(reason);
  }

  private end(): void {
    this.ended = true;
    this.endClock();
    this.current = undefined;
    while (this.arrived.shift() !== undefined);
    // Under a deduplication key it may be somebody else's as well. What can't be taken back, as where Redis is away or the
    // session is closed right after, is run: who leaves a map waits for none of it.
    if (this.options.dedupe === undefined) for (const future of this.live) future.cancel().catch(() => {});
    this.live.clear();
  }

  private send(args: readonly unknown[]): void {
    const chunk = this.chunksize > 1;
    const options = chunk ? keyedByLength(this.options, args.length) : this.options;
    const future = this.core.submit({ task: this.task, args, options, chunk });
    this.inFlight += 1;
    this.live.add(future);
    if (this.ordered) this.flying.push(future);
    // Not once for each Future: with `dedupe`, several chunks may have the same.
    settling().whenDone(future, () => {
      if (this.ended) return;
      this.live.delete(future);
      if (this.ordered) this.collectInOrder();
      else this.arrived.push(this.outcome(future));
      this.serve();
    });
  }

  private collectInOrder(): void {
    while (this.flying.first?.done() === true)
      this.arrived.push(this.outcome(this.flying.shift() as Future<unknown>));
  }

  private outcome(future: Future<unknown>): ChunkOutcome {
    const outcome = settling().outcome(future);
    if (outcome === undefined) return { values: [] };
    if (!outcome.ok) return { values: [], error: outcome.error };
    return this.chunksize > 1 ? (outcome.value as ChunkOutcome) : { values: [outcome.value] };
  }
}

/** What a chunk gives can stand for no single task's result, nor for that of a chunk of another length: its key is another. */
function keyedByLength(options: SubmitOptions, length: number): SubmitOptions {
  const { dedupe } = options;
  return dedupe === undefined ? options : { ...options, dedupe: `${dedupe}\u0000${length}` };
}
