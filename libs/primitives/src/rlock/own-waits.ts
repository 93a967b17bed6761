/** Acquisitions of one re-entrant lock that are under way here: what lets in one of an owner's lets in all of them. */
import { abortWith } from '../abort-with.ts';
import type { Lease } from '../lock/lock.ts';

/** A hold of the owner, which may enter it again. */
export interface OwnHold {
  enter(): Lease;
}

interface OwnWait<L extends Lease> {
  readonly owner: number;
  readonly taking: Promise<L | null>;
  letIn(hold: OwnHold): void;
}

export interface OwnWaitTerms<L extends Lease> {
  readonly owner: number;
  readonly signal: AbortSignal | undefined;
  /** Stands in line at the lock itself, until `signal` aborts. */
  take(signal: AbortSignal): Promise<L | null>;
  /** What was taken is the owner's hold from now on. */
  begin(lease: L): OwnHold;
}

export class OwnWaits<L extends Lease = Lease> {
  readonly #waits = new Set<OwnWait<L>>();

  get size(): number {
    return this.#waits.size;
  }

  /** Takes the lock, or enters the hold that its owner gets meanwhile, whichever comes first. */
  wait({ owner, signal, take, begin }: OwnWaitTerms<L>): Promise<Lease | null> {
    return new Promise((resolve, reject) => {
      const stop = new AbortController();
      const over = abortWith(stop, signal);
      const taking = take(stop.signal).finally(over);
      const letIn = (hold: OwnHold) => {
        // Who has aborted is about to be told so.
        if (signal?.aborted === true || !this.#waits.delete(wait)) return;
        resolve(hold.enter());
        stop.abort();
      };
      const wait: OwnWait<L> = { owner, taking, letIn };
      this.#waits.add(wait);
      taking.then(
        (lease) => {
          const unwanted = !this.#waits.delete(wait);
          // Let in already, and granted all the same: nobody minds if that is lost.
          if (unwanted) return lease?.release().catch(() => {});
          if (lease === null) return resolve(null);
          const hold = begin(lease);
          resolve(hold.enter());
          this.letIn(owner, hold);
        },
        (error: unknown) => {
          if (this.#waits.delete(wait)) reject(error);
        },
      );
    });
  }

  /** The owner holds: all that it waits for here is granted. */
  letIn(owner: number, hold: OwnHold): void {
    for (const wait of [...this.#waits]) if (wait.owner === owner) wait.letIn(hold);
  }

  /** Once it is known what becomes of those of this owner that wait by now. */
  async settled(owner: number): Promise<void> {
    const own = [...this.#waits].filter((wait) => wait.owner === owner);
    await Promise.allSettled(own.map(({ taking }) => taking));
  }
}
