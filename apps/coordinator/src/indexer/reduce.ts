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
  /** Somebody failed in a round; another round begins. */
  onFailure(why: unknown): void;
}

const mostFailures = 20;

interface Round {
  readonly number: number;
  readonly partitions: readonly number[];
  readonly futures: readonly Future<void>[];
}

export class ReducePhase {
  readonly #options: ReduceOptions;
  #pending: number[];
  #round: Round | undefined;
  /** Rounds begun so far. */
  rounds = 0;
  /** Most reducers of a round. */
  #width: number;

  constructor(options: ReduceOptions) {
    this.#options = options;
    this.#pending = Array.from({ length: options.partitions }, (_, partition) => partition);
    this.#width = options.partitions;
  }

  /**
   * Sends the reducers to the barrier while batches are still under way, so that no thread waits to be asked. Only
   * where a thread is left over: reducers on all of them would wait for a batch that nobody could do.
   */
  sendAhead(): void {
    this.#round ??= this.#begin();
  }

  /** A worker died. Its reducers are not waited for: jobs come back only once it is known to be dead everywhere. */
  async abandonRound(): Promise<void> {
    const futures = this.#round?.futures ?? [];
    await Promise.all(futures.map((future) => future.abort(new Error('a worker died'))));
  }

  /** Lets the reducers go, and resolves when every partition is in the result. All batches have to be in. */
  async finish(): Promise<void> {
    const { signal, onFailure } = this.#options;
    for (let failures = 0; this.#pending.length > 0; ) {
      signal.throwIfAborted();
      this.#round ??= this.#begin();
      const failed = await this.#end(this.#round);
      this.#round = undefined;
      if (failed.length === 0) continue;
      failures += 1;
      if (failures > mostFailures) throw failed[0];
      onFailure(failed[0]);
    }
  }

  #begin(): Round {
    const { executor, run, top, keepAll } = this.#options;
    const number = this.rounds;
    this.rounds += 1;
    const partitions = this.#pending.slice(0, this.#width);
    const parties = partitions.length + 1;
    const futures = partitions.map((partition) => {
      const args: MergeArgs = { run, round: number, partition, parties, top, keepAll };
      return executor.submit('mergeWords', args);
    });
    return { number, partitions, futures };
  }

  /** Meets the reducers of a round, waits for them, and gives what those that failed say. */
  async #end(round: Round): Promise<unknown[]> {
    const { partitions, futures } = round;
    if (!(await this.#meet(round))) {
      this.#width = Math.ceil(partitions.length / 2);
      await Promise.all(futures.map((future) => future.abort(new Error('the round is over'))));
    }
    const outcomes = await Promise.allSettled(futures.map((future) => future.result()));
    this.#options.signal.throwIfAborted();
    const done = new Set(partitions.filter((_, i) => outcomes[i]?.status === 'fulfilled'));
    this.#pending = this.#pending.filter((partition) => !done.has(partition));
    return outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason);
  }

  /** Waits at the barrier; false where it breaks, or a reducer fails and will never come. */
  async #meet({ number, futures }: Round): Promise<boolean> {
    const { session, run, signal } = this.#options;
    const barrier = session.barrier(mappedName(run, number), futures.length + 1);
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
}
