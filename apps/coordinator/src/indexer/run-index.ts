/** One run of the index, from the walk to the sums, over whatever workers take jobs from the queue. */
import { DistributedExecutor } from '@heddle/pool';
import type { Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { within } from '../within.ts';
import { type Batch, type BatchLimits, inBatches, joinPaths } from './batch.ts';
import { fromColumns } from './batch-result.ts';
import type { Entry } from './entry.ts';
import { startName } from './names.ts';
import type { BatchWork } from './pace.ts';
import type { Progress } from './progress.ts';
import { ReducePhase } from './reduce.ts';
import { RunStore, type SharedResult } from './run-store.ts';
import type { CountArgs, CountResult } from './tasks.ts';
import { type FoundFile, walk } from './walk.ts';
import { eachWord } from './word-codec.ts';

type Tasks = typeof import('./tasks.ts');

export interface RunOptions {
  readonly session: Session;
  /** The same Redis, for the words between the phases. */
  readonly redisUrl: string;
  readonly namespace: string;
  readonly queue: string;
  readonly run: string;
  readonly root: Buffer;
  readonly exclude: readonly Buffer[];
  readonly limits: BatchLimits;
  readonly openFiles: number;
  readonly top: number;
  /** Whether every word is fetched, and not only the most frequent. */
  readonly keepAll: boolean;
  /** How many threads the crew has. */
  readonly threads: number;
  /** Resolves when the crew is there; rejects when there will be none. */
  readonly crewReady: Promise<void>;
  /** Rejects when the crew, or Redis, is gone for good. */
  readonly failed: Promise<never>;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

export interface RunOutcome {
  readonly entries: readonly Entry[];
  readonly work: readonly BatchWork[];
  readonly shared: SharedResult;
  /** The fencing token of the last write to the shared result. */
  readonly token: number;
  readonly rounds: number;
  /** Every word, where `keepAll` asked for them. */
  readonly words: ReadonlyMap<string, number> | undefined;
}

/** A run in the making. `workerDied` may be called at any time. */
export class IndexRun {
  readonly #options: RunOptions;
  readonly #redis: Redis;
  readonly #store: RunStore;
  readonly #executor: DistributedExecutor<Tasks>;
  readonly #reduce: ReducePhase;
  readonly #partitions: number;
  readonly #entries: Entry[] = [];
  readonly #work: BatchWork[] = [];
  readonly #slots: string[] = [];
  readonly #batches = new Map<number, Batch>();
  #mapped = false;

  constructor(options: RunOptions) {
    const { session, redisUrl, namespace, run, queue, threads, progress } = options;
    this.#options = options;
    this.#redis = new Redis(redisUrl);
    this.#redis.on('error', () => {}); // the session, on the same Redis, tells what is the matter
    this.#store = new RunStore(this.#redis, namespace, run);
    this.#executor = new DistributedExecutor<Tasks>(queue, {
      session,
      retries: 5,
      parallelism: threads,
      keep: { age: 600, count: 1_000 },
    });
    this.#partitions = Math.max(1, threads - 1);
    this.#reduce = new ReducePhase({
      ...options,
      executor: this.#executor.with({ retries: 0 }),
      partitions: this.#partitions,
      onFailure: (why) => progress.say(`run ${run}: another round of reducers begins, since ${why}`),
    });
  }

  /** Does it all. `clear` has to follow, however it ends. */
  async run(): Promise<RunOutcome> {
    const { failed, signal } = this.#options;
    const aborted = rejectOn(signal);
    try {
      return await Promise.race([this.#phases(), failed, aborted.promise]);
    } finally {
      aborted.stop();
      // Where Redis is what failed, that is the error to tell, and not that it does not say goodbye.
      await within(2_000, this.#executor.shutdown({ wait: false, cancelFutures: true }));
    }
  }

  /** Removes what the run kept in Redis. After the crew has ended: a batch at work still writes. */
  async clear(): Promise<void> {
    const { session, run } = this.#options;
    const farewells = [session.event(startName(run)).clear(), this.#store.clear(this.#partitions)];
    await within(2_000, Promise.allSettled(farewells));
    this.#redis.disconnect();
  }

  /** What it had under way in the reduce phase begins anew elsewhere; batches come back by themselves. */
  async workerDied(): Promise<void> {
    if (this.#mapped) await this.#reduce.abandonRound();
  }

  async #phases(): Promise<RunOutcome> {
    await this.#map();
    this.#mapped = true;
    await this.#store.putSlots(this.#slots);
    await this.#reduce.finish();
    const { value: shared, token } = await this.#store.result();
    if (shared.partitions.length !== this.#partitions) {
      throw new Error(`the result has ${shared.partitions.length} of ${this.#partitions} partitions`);
    }
    return {
      entries: this.#entries,
      work: this.#work,
      shared,
      token,
      rounds: this.#reduce.rounds,
      words: this.#options.keepAll ? await this.#allWords() : undefined,
    };
  }

  async #map(): Promise<void> {
    const { session, run, crewReady, threads } = this.#options;
    const start = crewReady.then(() => session.event(startName(run)).set());
    start.catch(() => {}); // awaited below; a crew that fails before ends the run by `failed`
    // Each thread one batch at work and two to come, and the walk no further ahead than that.
    const results = this.#executor.map('countBatch', this.#inputs(), {
      buffersize: 3 * threads,
      ordered: false,
    });
    for await (const result of results) this.#take(result);
    await start;
  }

  /** A batch's Future has settled, once and for all: this attempt, and no other of the batch, counts. */
  #take({ batch: number, slot, columns, ...work }: CountResult): void {
    const batch = this.#batches.get(number);
    if (batch === undefined) throw new Error(`batch ${number} came back twice`);
    this.#batches.delete(number);
    const entries = fromColumns(
      columns,
      batch.files.map(({ path }) => path),
    );
    this.#entries.push(...entries);
    this.#work.push(work);
    this.#slots.push(slot);
    this.#options.progress.done(work.files, work.bytes);
  }

  async *#inputs(): AsyncGenerator<CountArgs> {
    const { run, root, openFiles, limits, progress, threads } = this.#options;
    for await (const batch of inBatches(this.#walk(), limits)) {
      this.#batches.set(batch.number, batch);
      yield {
        run,
        batch: batch.number,
        root: new Uint8Array(root),
        paths: joinPaths(batch.files),
        partitions: this.#partitions,
        openFiles,
      };
    }
    progress.complete();
    if (threads > this.#partitions) this.#reduce.sendAhead();
  }

  async *#walk(): AsyncGenerator<FoundFile> {
    const { root, exclude, signal, progress } = this.#options;
    for await (const file of walk(root, { exclude, signal, onEntry: (entry) => this.#entries.push(entry) })) {
      progress.found(1);
      yield file;
    }
  }

  async #allWords(): Promise<Map<string, number>> {
    const words = new Map<string, number>();
    for (let partition = 0; partition < this.#partitions; partition += 1) {
      const packed = await this.#store.merged(partition);
      if (packed === null) throw new Error(`the words of partition ${partition} are gone`);
      eachWord(packed, (start, end, count) => words.set(packed.toString('utf8', start, end), count));
    }
    return words;
  }
}

function rejectOn(signal: AbortSignal): { readonly promise: Promise<never>; stop(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // whoever races it is told
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return { promise, stop: () => signal.removeEventListener('abort', abort) };
}
