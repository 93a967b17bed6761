/**
 * A host's places, shared by its queues. Who wants one most gets it: the queue that has had the least of the places'
 * time for its weight, those it occupies at the moment included (weighted fair queueing, Demers, Keshav and Shenker
 * 1989, with time measured rather than foretold). So busy queues have the places in proportion to their weights however
 * long their jobs take, one that has nothing leaves its share to the others, and none starves: who waits falls behind
 * until it is next. One that was idle has no claim on what it left.
 */
import { now } from '@heddle/primitives/internal';

export class Entrant {
  readonly weight: number;
  /** Place-time that it has had for its weight, in ms, as far as it is settled. */
  had = 0;
  /** Places it occupies, and the sum of the moments since when. */
  places = 0;
  since = 0;
  /** It waits for a place: to be told whether it has one now. */
  wake: ((entered: boolean) => void) | undefined;

  constructor(weight: number) {
    this.weight = weight;
  }

  hadAt(moment: number): number {
    return this.had + (this.places * moment - this.since) / this.weight;
  }
}

export class Turnstile {
  readonly #entrants = new Set<Entrant>();
  readonly places: number;
  /** How many are let in beyond the places. */
  #ahead = 0;
  #free: number;

  constructor(places: number) {
    this.places = places;
    this.#free = places;
  }

  /**
   * Lets in so many more than there are places; of one queue: several would not have their shares. A little less than
   * before changes nothing: who would leave for it would have to ask Redis for a job anew.
   */
  letAhead(more: number): void {
    if (this.#entrants.size > 1 || (more < this.#ahead && more > this.#ahead / 2)) return;
    this.#free += more - this.#ahead;
    this.#ahead = more;
    this.#letIn();
  }

  /** How many are within beyond the places. */
  get beyond(): number {
    return Math.max(0, this.#ahead - this.#free);
  }

  /** How many places nobody has; below 0 where some came back to theirs when others had taken them. */
  get free(): number {
    return this.#free;
  }

  add(weight: number): Entrant {
    const entrant = new Entrant(weight);
    this.#entrants.add(entrant);
    return entrant;
  }

  /** Waits for a place; resolves without one where it was sent away: false. */
  async enter(entrant: Entrant): Promise<boolean> {
    if (this.tryEnter(entrant)) return true;
    this.#catchUp(entrant);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    entrant.wake = resolve;
    return promise;
  }

  /** Takes a place if there is one that nobody waits for. */
  tryEnter(entrant: Entrant): boolean {
    if (this.#free <= 0) return false;
    this.#catchUp(entrant);
    this.#occupy(entrant);
    return true;
  }

  /** Comes back to a place it had left for a while, though there may be none. */
  comeBack(entrant: Entrant): void {
    this.#occupy(entrant);
  }

  leave(entrant: Entrant): void {
    this.#settle(entrant);
    entrant.places -= 1;
    entrant.since -= now();
    this.#free += 1;
    this.#letIn();
  }

  /** Whether who has just done a job should go on with its own next, rather than leave its place. */
  goesOn(entrant: Entrant): boolean {
    if (this.#free < 0) return false;
    const moment = now();
    const had = entrant.hadAt(moment);
    for (const other of this.#entrants)
      if (other !== entrant && other.wake !== undefined && other.hadAt(moment) < had) return false;
    return true;
  }

  /** Ends its wait. */
  sendAway(entrant: Entrant): void {
    this.#wake(entrant, false);
  }

  #wake(entrant: Entrant, entered: boolean): void {
    const { wake } = entrant;
    entrant.wake = undefined;
    wake?.(entered);
  }

  #letIn(): void {
    while (this.#free > 0) {
      const moment = now();
      let next: Entrant | undefined;
      for (const entrant of this.#entrants) {
        if (entrant.wake === undefined) continue;
        if (next === undefined || entrant.hadAt(moment) < next.hadAt(moment)) next = entrant;
      }
      if (next === undefined) return;
      this.#occupy(next);
      this.#wake(next, true);
    }
  }

  #occupy(entrant: Entrant): void {
    this.#settle(entrant);
    entrant.places += 1;
    entrant.since += now();
    this.#free -= 1;
  }

  /** Settles what it has had of its places so far, so that all of them count from this moment. */
  #settle(entrant: Entrant): void {
    const moment = now();
    entrant.had = entrant.hadAt(moment);
    entrant.since = entrant.places * moment;
  }

  /** One that had nothing to do begins with those that had least among the busy. */
  #catchUp(entrant: Entrant): void {
    if (entrant.places > 0 || entrant.wake !== undefined) return;
    const moment = now();
    let least = Number.POSITIVE_INFINITY;
    for (const other of this.#entrants) {
      if (other !== entrant && (other.places > 0 || other.wake !== undefined))
        least = Math.min(least, other.hadAt(moment));
    }
    if (least !== Number.POSITIVE_INFINITY) entrant.had = Math.max(entrant.had, least);
  }
}
