/** Those of a session who wait at one semaphore for as many permits, and the places in Redis's line that are for them. */
import type { Claim } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { SemaphoreShape } from './semaphore-calls.distributed.ts';

/** One who waits here. */
export interface Wait {
  readonly claim: Claim;
  readonly cohort: Cohort;
  /** Its own, where places are. */
  place?: Place;
}

export interface Place {
  /** Its name in Redis, and that of the hold which comes of it. */
  readonly id: string;
  readonly cohort: Cohort;
  /** Whose it is, where places belong to somebody. */
  owner?: Wait | undefined;
  /** The life under which it was asked for last. */
  life?: Incarnation;
  asking: boolean;
  /** Messages may have been lost while a reply was on its way: what it says may be out of date. */
  doubt: boolean;
}

/** Those of a session who want as many permits of the same shape: a hold of one can go on as that of the next. */
export class Cohort {
  readonly key: string;
  readonly shape: SemaphoreShape;
  readonly permits: number;
  /** Whether holds are handed on here; else each who waits has a place of its own. */
  readonly handsOn: boolean;
  readonly waiting = new Set<Wait>();
  /** Those of them who do not know yet that there is something to wait for. */
  readonly undecided = new Set<Wait>();
  holds = 0;
  /** Whether a hold keeps all others out, for good: of an unbounded semaphore the limit may be raised meanwhile. */
  readonly #excludes: boolean;
  /** In the order they were asked for; among them some that are no more. */
  #order: Place[] = [];
  readonly #places = new Set<Place>();

  /** @param shared whether it hands on what others may hold at the same time */
  constructor(key: string, shape: SemaphoreShape, permits: number, shared: boolean) {
    this.key = key;
    this.shape = shape;
    this.permits = permits;
    this.#excludes = shape.bounded && permits === shape.permits;
    this.handsOn = shared || this.#excludes;
  }

  get places(): ReadonlySet<Place> {
    return this.#places;
  }

  add(place: Place): void {
    this.#places.add(place);
    if (this.#order.length > 2 * this.#places.size + 16)
      this.#order = this.#order.filter((each) => this.#places.has(each));
    this.#order.push(place);
  }

  remove(place: Place): void {
    this.#places.delete(place);
  }

  /** Takes away the last of the places that nobody waits for. */
  excess(): Place[] {
    const excess: Place[] = [];
    while (this.#places.size > this.waiting.size) {
      const last = this.#order.pop() as Place; // There are as many as places, at least.
      if (this.#places.delete(last)) excess.push(last);
    }
    return excess;
  }

  /** How many places there should be, where they belong to nobody. */
  get due(): number {
    return Math.min(this.waiting.size, this.#excludes ? 1 - this.holds : this.#grantable);
  }

  /** Nobody has anything to do with it. */
  get idle(): boolean {
    return this.waiting.size + this.#places.size + this.holds === 0;
  }

  /** Where more is held than the shape knows of the limit was raised: as many again may be free. */
  get #grantable(): number {
    const room = Math.floor(this.shape.permits / this.permits);
    return Math.max(1, this.holds > room ? this.holds : room - this.holds);
  }
}
