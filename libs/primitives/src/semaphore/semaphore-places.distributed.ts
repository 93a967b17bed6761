/**
 * A session's places in Redis's line at one semaphore.
 *
 * Where all who wait here want as many permits, places belong to nobody: whoever waits longest has what is granted to
 * any of them. There are as many as can be granted at once, and no more than wait. Where they want different numbers, or
 * hand nothing on, each has a place of its own, in the order they came, so that Redis's line is that of this session too.
 */
import { ConfigMismatchError } from '../errors.ts';
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import type { Foothold } from '../session/foothold.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { isShortage } from '../session/refused.ts';
import type { TokenBlock } from '../session/tokens.ts';
import {
  type Acquired,
  type SemaphoreCalls,
  type SemaphoreShape,
  shapeText,
} from './semaphore-calls.distributed.ts';
import { Cohort, type Place, type Wait } from './semaphore-cohort.distributed.ts';

/** Who the places are for. */
export interface Occupants {
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
  readonly #core: Pick<SessionCore, 'nextWait'>;
  readonly #calls: SemaphoreCalls;
  readonly #foothold: Foothold;
  readonly #occupants: Occupants;
  readonly #cohorts = new Map<string, Cohort>();
  /** Those of whom somebody waits. */
  readonly #waited = new Set<Cohort>();
  readonly #all = new Map<string, Place>();

  constructor(
    core: Pick<SessionCore, 'nextWait'>,
    calls: SemaphoreCalls,
    foothold: Foothold,
    occupants: Occupants,
  ) {
    this.#core = core;
    this.#calls = calls;
    this.#foothold = foothold;
    this.#occupants = occupants;
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
    this.#occupants.busy(1);
    void this.#foothold.under().then((next) => {
      this.#askUnder(next, place);
      this.#occupants.busy(-1);
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
    if (answer?.is === 'queued' && !place.doubt) return this.#occupants.queued(place.cohort);
    this.#ask(place);
  }

  #granted(place: Place, life: Incarnation, block: TokenBlock): void {
    if (!life.lives) return this.#ask(place); // Its end took the permits along.
    const { cohort, owner } = place;
    const wait = this.#owned(cohort) ? owner : this.next(cohort);
    this.#drop(place);
    void this.#occupants.granted(place, wait, life, block);
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
    this.#occupants.refused(forAll ? all : alone && owner ? [owner] : others, error);
    void this.trim(cohort);
  }

  #add(cohort: Cohort): Place {
    const place: Place = { id: this.#core.nextWait(), cohort, asking: false, doubt: false };
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
    this.#occupants.queued(cohort);
  }

  /** Leaves the line; what was granted meanwhile goes to whoever waits now. */
  async #cancel(place: Place): Promise<void> {
    const { id, life, cohort } = place;
    if (life === undefined || life.ended !== undefined) return;
    this.#occupants.busy(1);
    try {
      const block = await this.#calls.cancel(life, id);
      if (block !== undefined && life.lives)
        await this.#occupants.granted(place, this.next(cohort), life, block);
      await this.trim(cohort); // Whoever was served so was served by none of its places.
    } catch {
      // The life ended, and its place with it.
    } finally {
      this.#occupants.busy(-1);
    }
  }
}
