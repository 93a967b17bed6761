/** Acquisitions of one re-entrant lock that are under way here: what lets in one of an owner's lets in all of them. */
import { abortWith } from '../abort-with.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';

/** A hold of the owner, which may enter it again. */
export interface OwnHold {
  /** @param asker who has asked for it, in whatever body of a `with` */
  enter(asker: LogicalThread): Lease;
}

interface OwnWait<L extends Lease> {
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
  /** By their owners: of those there may be many. */
  readonly #waits = new Map<number, Set<OwnWait<L>>>();

  get size(): number {
    return this.#waits.size;
  }

  /** Takes the lock, or enters the hold that its owner gets meanwhile, whichever comes first. */
  wait({ owner, signal, take, begin }: OwnWaitTerms<L>): Promise<Lease | null> {
    const asker = currentLogicalThread();
    return new Promise((resolve, reject) => {
      const stop = new AbortController();
      const over = abortWith(stop, signal);
      const taking = take(stop.signal).finally(over);
      const letIn = (hold: OwnHold) => {
        // Who has aborted is about to be told so.
        if (signal?.aborted === true || !this.#delete(owner, wait)) return;
        resolve(hold.enter(asker));
        stop.abort();
      };
      const wait: OwnWait<L> = { taking, letIn };
      this.#add(owner, wait);
      taking.then(
        (lease) => {
          const unwanted = !this.#delete(owner, wait);
          // Let in already, and granted all the same: nobody minds if that is lost.
          if (unwanted) return lease?.release().catch(() => {});
          if (lease === null) return resolve(null);
          const hold = begin(lease);
          resolve(hold.enter(asker));
          this.letIn(owner, hold);
        },
        (error: unknown) => {
          if (this.#delete(owner, wait)) reject(error);
        },
      );
    });
  }

  /** The owner holds: all that it waits for here is granted. */
  letIn(owner: number, hold: OwnHold): void {
    for (const wait of [...(this.#waits.get(owner) ?? [])]) wait.letIn(hold);
  }

  /** Once it is known what becomes of those of this owner that wait by now. */
  async settled(owner: number): Promise<void> {
    const own = [...(this.#waits.get(owner) ?? [])];
    await Promise.allSettled(own.map(({ taking }) => taking));
  }

  #add(owner: number, wait: OwnWait<L>): void {
    const own = this.#waits.get(owner);
    if (own === undefined) this.#waits.set(owner, new Set([wait]));
    else own.add(wait);
  }

  /** Whether it was there. */
  #delete(owner: number, wait: OwnWait<L>): boolean {
    const own = this.#waits.get(owner);
    if (own?.delete(wait) !== true) return false;
    if (own.size === 0) this.#waits.delete(owner);
    return true;
  }
}
