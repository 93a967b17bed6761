/**
 * The reduce phase: one task for each partition of the words, in rounds. The reducers of a round and the coordinator
 * meet at the round's barrier, the coordinator last, when all batches are in. Where one of them fails or dies, the
 * barrier breaks, or the reducer's second attempt refuses; those partitions that are not in the result yet get a new
 * round with a new barrier.
 */
import type { Executor, Future } from '@heddle/pool';
import { BrokenBarrierError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { mappedName } from './names.ts';
import type { MergeArgs } from './tasks.ts';

export interface ReduceOptions {
  readonly executor: Executor<typeof import('./tasks.ts')>;
  readonly session: Session;
  readonly run: string;
  readonly partitions: number;
  readonly top: number;
  readonly keepAll: boolean;
  readonly signal: AbortSignal;
  /** A round failed and another begins. */
  onRound(round: number, why: unknown): void;
}

const mostRounds = 20;

export class ReducePhase {
  readonly #options: ReduceOptions;
  #pending: number[];
  #futures: Future<void>[] = [];
  #round = 0;

  constructor(options: ReduceOptions) {
    this.#options = options;
    this.#pending = Array.from({ length: options.partitions }, (_, partition) => partition);
  }

  /** Rounds begun so far. */
  get rounds(): number {
    return this.#round + 1;
  }

  /**
   * Sends the reducers to the barrier while batches are still under way, so that no thread waits to be asked. Only
   * where a thread is left over: reducers on all of them would wait for a batch that nobody could do.
   */
  sendAhead(): void {
    if (this.#futures.length === 0) this.#futures = this.#submit();
  }

  /** A worker died. Its reducers are not waited for: jobs come back only once it is known to be dead everywhere. */
  async abandonRound(): Promise<void> {
    await Promise.all(this.#futures.map((future) => future.abort(new Error('a worker died'))));
  }

  /** Lets the reducers go, and resolves when every partition is in the result. All batches have to be in. */
  async finish(): Promise<void> {
    const { signal, onRound } = this.#options;
    for (; this.#pending.length > 0; this.#round += 1) {
      signal.throwIfAborted();
      if (this.#futures.length === 0) this.#futures = this.#submit();
      const failures = await this.#runRound();
      if (failures.length === 0) return;
      if (this.#round >= mostRounds) throw failures[0];
      onRound(this.#round + 1, failures[0]);
    }
  }

  async #runRound(): Promise<unknown[]> {
    const futures = this.#futures;
    const met = await this.#meet(futures);
    if (!met) await Promise.all(futures.map((future) => future.abort(new Error('the round is over'))));
    const outcomes = await Promise.allSettled(futures.map((future) => future.result()));
    this.#options.signal.throwIfAborted();
    this.#pending = this.#pending.filter((_, i) => outcomes[i]?.status === 'rejected');
    this.#futures = [];
    return outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason);
  }

  /** Waits at the barrier; false where it breaks, or a reducer fails and will never come. */
  async #meet(futures: readonly Future<void>[]): Promise<boolean> {
    const { session, run, signal } = this.#options;
    const barrier = session.barrier(mappedName(run, this.#round), futures.length + 1);
    const missing = new AbortController();
    for (const future of futures) future.result().catch((error: unknown) => missing.abort(error));
    try {
      await barrier.wait({ signal: AbortSignal.any([signal, missing.signal]) });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!missing.signal.aborted && !(error instanceof BrokenBarrierError)) throw error;
      // A reducer that has left the barrier may be done already: let the loop see who is.
      await barrier.abort();
      return false;
    }
  }

  #submit(): Future<void>[] {
    const { executor, run, top, keepAll } = this.#options;
    const parties = this.#pending.length + 1;
    return this.#pending.map((partition) => {
      const args: MergeArgs = { run, round: this.#round, partition, parties, top, keepAll };
      return executor.submit('mergeWords', args);
    });
  }
}
