/**
 * What a session holds of one semaphore, the oldest first. A hold that ends goes on as that of whoever waits longest here,
 * under its name in Redis and with a token of its own, while turns and tokens last; else it goes back.
 *
 * Tokens are of the block that was granted here last: they rise from each holder of a permit to its next, and over holds
 * that could not both be had. Where others hold other permits of it at the same time, theirs may be greater.
 */
import type { LogicalThread } from '../identity.ts';
import type { SessionCore } from '../session/core.ts';
import { HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { TokenBlock } from '../session/tokens.ts';
import type { Waiter } from '../session/waiters.ts';
import { outlasts } from '../session/waits-and-holds.ts';
import { type SemaphoreCalls, type SemaphoreShape, shapeText } from './semaphore-calls.distributed.ts';
import type { Cohort, Wait } from './semaphore-cohort.distributed.ts';
import type { Places } from './semaphore-places.distributed.ts';
import type { Return } from './semaphore-returns.distributed.ts';

interface Hold {
  /** Its name in Redis: of the place that it came of. */
  readonly id: string;
  readonly cohort: Cohort;
  readonly life: Incarnation;
  readonly lease: HeldLease;
  /** Permits not given back yet. */
  permits: number;
  /** The first token of the grant that it is part of, and how often that has gone on since. */
  readonly first: number;
  readonly turns: number;
}

/** Who has them next. */
export interface Successors {
  /** Takes that waiter off the line, to be served. */
  take(wait: Wait): Waiter<HeldLease | null, Wait> | undefined;
  /** Nobody here takes them over. Rejects where there was nothing to give back, if that is to be told to whoever held `lease`. */
  giveBack(shape: SemaphoreShape, pairs: Return['pairs'], raise: number, lease?: HeldLease): Promise<void>;
}

const NONE: TokenBlock = { first: 1, last: 0 };

export class Holds {
  readonly #core: SessionCore;
  readonly #calls: SemaphoreCalls;
  readonly #places: Places;
  readonly #successors: Successors;
  /** In the order of their grants. */
  readonly #holds = new Map<string, Hold>();
  /** What is left of the block that was granted last. */
  #left: TokenBlock = NONE;

  constructor(core: SessionCore, calls: SemaphoreCalls, places: Places, successors: Successors) {
    this.#core = core;
    this.#calls = calls;
    this.#places = places;
    this.#successors = successors;
  }

  get size(): number {
    return this.#holds.size;
  }

  /** Permits, of all holds together. */
  get permits(): number {
    let sum = 0;
    for (const { permits } of this.#holds.values()) sum += permits;
    return sum;
  }

  /** Permits that are held for as long as that logical thread waits. */
  permitsOf(owner: LogicalThread): number {
    let own = 0;
    for (const { lease, permits } of this.#holds.values())
      if (outlasts(lease, owner) && lease.valid) own += permits;
    return own;
  }

  /** The shape of a hold that is of another than this one. */
  otherShape(shape: SemaphoreShape): SemaphoreShape | undefined {
    for (const { cohort } of this.#holds.values())
      if (shapeText(cohort.shape) !== shapeText(shape)) return cohort.shape;
    return undefined;
  }

  /** The oldest of that many permits, where there is one. */
  oldestOf(permits: number): HeldLease | undefined {
    for (const hold of this.#holds.values())
      if (hold.permits === permits && hold.lease.incarnation.lives) return hold.lease;
    return undefined;
  }

  /** One that Redis has granted. */
  begin(wait: Wait, id: string, life: Incarnation, { first, last }: TokenBlock): HeldLease {
    if (first > this.#left.last) this.#left = { first: first + 1, last };
    return this.#hold(wait, { id, life, first, turns: 0 }, first);
  }

  /** Ends the oldest, up to so many permits: handed on where that can be; else what is to be given back. */
  takeOldest(n: number): { pairs: (string | number)[]; left: number } {
    const pairs: (string | number)[] = [];
    let left = n;
    for (const hold of [...this.#holds.values()]) {
      if (left === 0) break;
      const given = Math.min(left, hold.permits);
      left -= given;
      if (given === hold.permits) hold.lease.conclude();
      if (given === hold.permits && this.#passOn(hold)) continue;
      pairs.push(hold.id, given);
      this.#takeFrom(hold, given);
    }
    return { pairs, left };
  }

  /** The session closes, and gives all of them back in one. */
  conclude(): void {
    for (const { lease } of this.#holds.values()) lease.conclude();
  }

  /** Their life has ended. */
  lifeEnded(): void {
    this.#holds.clear();
    this.#left = NONE;
  }

  /** @param of the grant that it is part of, and its name in Redis */
  #hold(
    { claim, cohort }: Wait,
    of: Pick<Hold, 'id' | 'life' | 'first' | 'turns'>,
    token: number,
  ): HeldLease {
    const { id, life, first, turns } = of;
    const lease = new HeldLease(claim, token, life, (ended) => this.#ended(id, ended), undefined, turns > 0);
    // Of a hold that goes on too: where it was not confirmed to the one before, it may be now.
    lease.confirmBy(this.#calls.confirm(life, id, first));
    this.#holds.set(id, { id, cohort, life, lease, permits: cohort.permits, first, turns });
    cohort.holds += 1;
    lease.onOver(this.#core.deadlocks.holds(lease, claim, id));
    return lease;
  }

  #ended(id: string, lease: HeldLease): Promise<void> {
    const hold = this.#holds.get(id);
    if (hold?.lease !== lease || this.#passOn(hold)) return Promise.resolve();
    const { cohort, permits } = hold;
    this.#takeFrom(hold, permits);
    return this.#successors.giveBack(cohort.shape, [id, permits], 0, lease);
  }

  /** It goes to whoever waits longest here, if that is somebody of its cohort and the turns and tokens last. */
  #passOn(hold: Hold): boolean {
    const { cohort, life, turns } = hold;
    const { first: token, last } = this.#left;
    const next = this.#places.next(cohort);
    if (next === undefined || hold.permits !== cohort.permits) return false;
    if (turns + 1 >= this.#core.options.localTurns || token > last || !life.valid) return false;
    this.#left = { first: token + 1, last };
    this.#holds.delete(hold.id); // Its next is the youngest of the holds.
    cohort.holds -= 1;
    this.#successors.take(next)?.resolve(this.#hold(next, { ...hold, turns: turns + 1 }, token));
    void this.#places.trim(cohort); // At once: a place that nobody needs is in the way of others.
    return true;
  }

  #takeFrom(hold: Hold, permits: number): void {
    hold.permits -= permits;
    if (hold.permits > 0) return;
    this.#holds.delete(hold.id);
    hold.cohort.holds -= 1;
    this.#places.forget(hold.cohort);
  }
}
