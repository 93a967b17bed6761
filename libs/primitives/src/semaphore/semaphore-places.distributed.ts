/**
 * A session's places in Redis's line at one semaphore.
 *
 * Where all who wait here want as many permits, places belong to nobody: whoever waits longest has what is granted to
 * any of them. There are as many as can be granted at once, and no more than wait. Where they want different numbers, or
 * hand nothing on, each has a place of its own, in the order they came, so that Redis's line is that of this session too.
 */
import { ConfigMismatchError } from '../errors.ts';
import { CallEnded } from '../session/calls.ts';
import type { Foothold } from '../session/foothold.ts';
import type { Claim } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { isShortage } from '../session/refused.ts';
import type { TokenBlock } from '../session/tokens.ts';
import {
  type Acquired,
  type SemaphoreCalls,
  type SemaphoreShape,
  shapeText,
} from './semaphore-calls.distributed.ts';

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

/** What becomes of places. */
export interface PlacesEvents {
  /** A place has become a hold, of `wait`. Gives what settles once it went back, where nobody wants it. */
  granted(
    place: Place,
    wait: Wait | undefined,
    life: Incarnation,
    block: TokenBlock,
  ): Promise<void> | undefined;
  /** Those who wait have to. */
  queued(cohort: Cohort): void;
  /** Redis has refused a place: those are to hear of it. */
  refused(waits: readonly Wait[], error: unknown): void;
  /** Something was asked for, or answered. */
  busy(by: 1 | -1): void;
}

export class Places {
  readonly #calls: SemaphoreCalls;
  readonly #foothold: Foothold;
  readonly #events: PlacesEvents;
  readonly #nextId: () => string;
  readonly #cohorts = new Map<string, Cohort>();
  /** Those of whom somebody waits. */
  readonly #waited = new Set<Cohort>();
  readonly #all = new Map<string, Place>();

  constructor(calls: SemaphoreCalls, foothold: Foothold, nextId: () => string, events: PlacesEvents) {
    this.#calls = calls;
    this.#foothold = foothold;
    this.#nextId = nextId;
    this.#events = events;
  }

  get size(): number {
    return this.#all.size;
  }

  /** @param shared whether holds are handed on where others may hold at the same time */
  cohort(shape: SemaphoreShape, permits: number, shared: boolean): Cohort {
    const key = `${permits} of ${shapeText(shape)}`;
    let cohort = this.#cohorts.get(key);
    if (cohort === undefined) {
      cohort = new Cohort(key, shape, permits, shared);
      this.#cohorts.set(key, cohort);
    }
    return cohort;
  }

  /** Whoever is to have the next of its holds that is nobody's own: of those who wait here it waits longest. */
  next(cohort: Cohort): Wait | undefined {
    const [first] = cohort.waiting;
    return this.#owned(cohort) ? undefined : first;
  }

  /** One more waits, behind all others here. */
  enter(wait: Wait): void {
    const { cohort } = wait;
    if (this.#waited.size === 1 && !this.#waited.has(cohort))
      for (const other of this.#waited) this.#own(other);
    cohort.waiting.add(wait);
    cohort.undecided.add(wait);
    this.#waited.add(cohort);
    if (!this.#owned(cohort)) return this.fill(cohort);
    const place = this.#add(cohort);
    [wait.place, place.owner] = [place, wait];
    this.#ask(place);
  }

  /** It is served, or refused: it waits no more. */
  leave(wait: Wait): void {
    const { cohort } = wait;
    cohort.waiting.delete(wait);
    cohort.undecided.delete(wait);
    if (cohort.waiting.size === 0) this.#waited.delete(cohort);
  }

  /** It waits no more, and nobody else for its place; settles once nothing is left of that. */
  async giveUp(wait: Wait): Promise<void> {
    const { cohort, place } = wait;
    const owned = this.#owned(cohort);
    this.leave(wait);
    if (!owned) return this.trim(cohort);
    if (place !== undefined) this.#drop(place);
    this.forget(cohort);
    await (place && this.#cancel(place));
  }

  /** Asks for the places that are due. */
  fill(cohort: Cohort): void {
    if (this.#owned(cohort)) return;
    const missing = cohort.due - cohort.places.size;
    for (let n = 0; n < missing; n += 1) this.#ask(this.#add(cohort));
    if (missing <= 0) this.#decide(cohort);
  }

  fillAll(): void {
    for (const cohort of this.#waited) this.fill(cohort);
  }

  /** Gives up the places that nobody waits for any more; settles once nothing is left of them. */
  async trim(cohort: Cohort): Promise<void> {
    const excess = cohort.excess();
    for (const { id } of excess) this.#all.delete(id);
    this.forget(cohort);
    await Promise.all(excess.map((place) => this.#cancel(place)));
  }

  /** Where nobody has anything to do with it: who asks for many different numbers leaves nothing behind. */
  forget(cohort: Cohort): void {
    // What is still under way of it may come to its end when others of that number have come.
    if (cohort.idle && this.#cohorts.get(cohort.key) === cohort) this.#cohorts.delete(cohort.key);
  }

  told(life: Incarnation, id: string, block: TokenBlock): void {
    const place = this.#all.get(id);
    if (place?.life === life) this.#granted(place, life, block);
  }

  /** Whatever is asked for may have been granted, or forgotten with the life it was asked under. */
  askAgain(): void {
    for (const place of [...this.#all.values()]) {
      if (place.asking) place.doubt = true;
      else this.#ask(place);
    }
    this.fillAll();
  }

  /** The life has ended, and all holds with it. */
  lifeEnded(): void {
    for (const cohort of this.#cohorts.values()) {
      cohort.holds = 0;
      this.forget(cohort);
    }
  }

  clear(): void {
    for (const place of [...this.#all.values()]) this.#drop(place);
  }

  #ask(place: Place): void {
    if (this.#all.get(place.id) !== place || place.asking) return;
    place.asking = true;
    place.doubt = false;
    const life = this.#foothold.stand();
    if (life !== undefined) return this.#askUnder(life, place);
    this.#events.busy(1);
    void this.#foothold.under().then((next) => {
      this.#askUnder(next, place);
      this.#events.busy(-1);
    });
  }

  #askUnder(life: Incarnation, place: Place): void {
    const stands = () => this.#all.get(place.id) === place;
    if (!stands()) return;
    place.life = life;
    const { id, cohort } = place;
    const asked = this.#calls.acquire(life, { id, permits: cohort.permits, shape: cohort.shape }, true);
    this.#foothold.watched(asked, stands).then(
      (answer) => this.#answered(place, life, answer),
      (error: unknown) => {
        if (error instanceof CallEnded) this.#answered(place, life, undefined);
        else this.#refused(place, error);
      },
    );
  }

  /** `answer`: none where the life ended before it came. */
  #answered(place: Place, life: Incarnation, answer: Acquired | undefined): void {
    place.asking = false;
    // A message was faster, or nobody wants it any more: its cancelling sees to what was granted.
    if (this.#all.get(place.id) !== place) return this.#decide(place.cohort);
    if (answer?.is === 'granted') return this.#granted(place, life, answer.block);
    if (answer?.is === 'queued' && !place.doubt) return this.#events.queued(place.cohort);
    this.#ask(place);
  }

  #granted(place: Place, life: Incarnation, block: TokenBlock): void {
    if (!life.lives) return this.#ask(place); // Its end took the permits along.
    const { cohort, owner } = place;
    const wait = this.#owned(cohort) ? owner : this.next(cohort);
    this.#drop(place);
    void this.#events.granted(place, wait, life, block);
    this.fill(cohort);
    this.forget(cohort);
  }

  /** All hear of what would be said of any; otherwise one does, where others may still be served. */
  #refused(place: Place, error: unknown): void {
    place.asking = false;
    if (this.#all.get(place.id) !== place) return;
    const { cohort, owner } = place;
    const forAll = error instanceof ConfigMismatchError || error instanceof RangeError;
    const alone = this.#owned(cohort);
    this.#drop(place);
    // It may stand in line from before: who takes no write takes no leave either, and might grant it later.
    if (isShortage(error)) void this.#cancel(place);
    const all = [...cohort.waiting];
    const others = cohort.places.size > 0 ? all.slice(-1) : all;
    this.#events.refused(forAll ? all : alone && owner ? [owner] : others, error);
    void this.trim(cohort);
  }

  #add(cohort: Cohort): Place {
    const place: Place = { id: this.#nextId(), cohort, asking: false, doubt: false };
    this.#all.set(place.id, place);
    cohort.add(place);
    return place;
  }

  #drop(place: Place): void {
    this.#all.delete(place.id);
    place.cohort.remove(place);
  }

  #owned(cohort: Cohort): boolean {
    return !cohort.handsOn || this.#waited.size > 1;
  }

  /** Gives each who waits a place of its own, in order. */
  #own(cohort: Cohort): void {
    for (let n = cohort.places.size; n < cohort.waiting.size; n += 1) this.#ask(this.#add(cohort));
    const places = cohort.places.values();
    for (const wait of cohort.waiting) {
      const place = places.next().value as Place; // As many as wait.
      [wait.place, place.owner] = [place, wait];
    }
  }

  /** Where nothing is asked, nothing will change that they wait: for a place in line, or for a hold here. */
  #decide(cohort: Cohort): void {
    if (cohort.undecided.size === 0) return;
    for (const { asking } of cohort.places) if (asking) return;
    this.#events.queued(cohort);
  }

  /** Leaves the line; what was granted meanwhile goes to whoever waits now. */
  async #cancel(place: Place): Promise<void> {
    const { id, life, cohort } = place;
    if (life === undefined || life.ended !== undefined) return;
    this.#events.busy(1);
    try {
      const block = await this.#calls.cancel(life, id);
      if (block !== undefined && life.lives)
        await this.#events.granted(place, this.next(cohort), life, block);
      await this.trim(cohort); // Whoever was served so was served by none of its places.
    } catch {
      // The life ended, and its place with it.
    } finally {
      this.#events.busy(-1);
    }
  }
}
