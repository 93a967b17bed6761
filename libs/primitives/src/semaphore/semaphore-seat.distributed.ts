/**
 * What a session holds of, and waits for at, one semaphore.
 *
 * While all who wait here want as many permits they are a cohort (Dice, Marathe, Shavit, "Lock Cohorting", PPoPP 2012):
 * what is granted goes from one to the next without asking Redis, a token each, for as many turns as
 * `maxLocalHandovers` lets; then back to Redis, behind the other sessions. Their places in Redis's line are
 * `semaphore-places.distributed.ts`, and how permits go back there is `semaphore-returns.distributed.ts`.
 *
 * Tokens are of the block that was granted here last: they rise from each holder of a permit to its next, and over holds
 * that could not both be had. Where others hold other permits of it at the same time, theirs may be greater.
 */

import { Deadline, now } from '../deadline.ts';
import { type DeadlockError, OverReleaseError, rangeError } from '../errors.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { unlessEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { outlasts } from '../session/deadlock.ts';
import { tell } from '../session/diagnostics.ts';
import { Foothold } from '../session/foothold.ts';
import { type Claim, closedError, confirmed, HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { parseBlock, type TokenBlock } from '../session/tokens.ts';
import { Waiters } from '../session/waiters.ts';
import {
  MOST_PERMITS,
  mismatch,
  SemaphoreCalls,
  type SemaphoreShape,
  shapeText,
} from './semaphore-calls.distributed.ts';
import { type Cohort, type Place, Places, type Wait } from './semaphore-places.distributed.ts';
import { type Return, Returns } from './semaphore-returns.distributed.ts';

interface Hold {
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

const NONE: TokenBlock = { first: 1, last: 0 };

export class SemaphoreSeat implements Seat {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #what: string;
  readonly #calls: SemaphoreCalls;
  readonly #foothold: Foothold;
  readonly #places: Places;
  readonly #returns: Returns;
  readonly #line = new Waiters<HeldLease | null, Wait>();
  /** In the order of their grants: the oldest are given back first. */
  readonly #holds = new Map<string, Hold>();
  /** What is left of the block that was granted last. */
  #left: TokenBlock = NONE;
  #busy = 0;

  /** @param kind `semaphore`, or what else is one underneath: of that only those who want all are handed on to */
  constructor(core: SessionCore, kind: string, name: string) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#what = `${kind} ${name}`;
    const partition = core.partitionOf(name);
    this.#calls = new SemaphoreCalls(core, kind, name);
    this.#foothold = new Foothold(partition, () => this.#lifeEnded());
    this.#places = new Places(this.#calls, this.#foothold, () => core.nextWait(), {
      granted: (place, wait, life, block) => this.#granted(place, wait, life, block),
      queued: (cohort) => this.#decide(cohort),
      refused: (waits, error) => this.#refused(waits, error),
      busy: (by) => this.#count(by),
    });
    this.#returns = new Returns(core, this.#what, partition, this.#calls, (by) => this.#count(by));
  }

  acquire(
    shape: SemaphoreShape,
    permits: number,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Lease | null> {
    const lease = this.#acquire(shape, permits, timeout, signal);
    return this.#core.confirmer === undefined ? lease : lease.then((got) => confirmed(got, signal));
  }

  #acquire(
    shape: SemaphoreShape,
    permits: number,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<HeldLease | null> {
    const owner = currentLogicalThread();
    const { id: session } = this.#core;
    const claim: Claim = { kind: this.#kind, name: this.#name, session, owner, asked: now() };
    tell('acquire', () => claim);
    if (timeout === 0)
      return this.#core.attempt(this.#what, signal, (gone) => this.#try({ claim, shape, permits }, gone));
    const circle = Deadline.after(timeout) === Deadline.never && this.#ownCircle(owner, shape, permits);
    if (circle) {
      this.#tidy();
      return Promise.reject(circle);
    }
    const wait: Wait = { claim, cohort: this.#cohort(shape, permits) };
    const lease = this.#line.add(wait, {
      timeout,
      signal,
      onTimeout: null,
      gaveUp: () => this.#gaveUp(wait),
    });
    const target = { kind: this.#kind, name: this.#name, form: 'permits', permits } as const;
    const over = this.#core.deadlocks.waits(owner, target, (error) => this.#line.get(wait)?.giveUp(error));
    this.#places.enter(wait);
    return over ? lease.finally(over) : lease;
  }

  /** Gives back the oldest `n` permits of the session; what is beyond them raises the limit, or is refused. */
  async release(shape: SemaphoreShape, n: number): Promise<void> {
    // What is held is of the shape that the name has: another is refused before any hold is touched.
    for (const { cohort } of this.#holds.values()) {
      if (shapeText(cohort.shape) !== shapeText(shape)) throw mismatch(this.#what, cohort.shape, shape);
    }
    const held = [...this.#holds.values()].reduce((sum, { permits }) => sum + permits, 0);
    if (shape.bounded && n > held) {
      await this.value(shape); // Another shape is the first thing to be told of.
      throw new OverReleaseError(
        `${this.#what}: release(${n}), but this session holds ${held} of its permits; nothing was changed`,
        { primitive: this.#name },
      );
    }
    if (shape.permits + n - held > MOST_PERMITS)
      throw rangeError(`${this.#what} can't have more than ${MOST_PERMITS} permits; nothing was changed`);
    const { pairs, left } = this.#takeOldest(n);
    if (pairs.length === 0 && left === 0) return;
    try {
      await this.#giveBack(shape, pairs, left);
    } catch (error) {
      // Raised before to what it can have: what was held goes back all the same.
      if (error instanceof RangeError && pairs.length > 0) await this.#giveBack(shape, pairs, 0);
      throw error;
    }
  }

  /** The oldest hold of that many permits, where there is one. */
  oldest(permits: number): HeldLease | undefined {
    for (const hold of this.#holds.values())
      if (hold.permits === permits && hold.lease.incarnation.lives) return hold.lease;
    this.#tidy();
    return undefined;
  }

  async value(shape: SemaphoreShape): Promise<number> {
    this.#count(1);
    try {
      return await this.#calls.value(shape);
    } finally {
      this.#count(-1);
    }
  }

  told(life: Incarnation, [id = '', first, last]: readonly string[]): void {
    const block = parseBlock(first, last);
    if (block === undefined) throw new TypeError('no message of ours');
    const guarding = this.#foothold.guarding;
    if (guarding === undefined) this.#places.told(life, id, block);
    else void guarding.then(() => this.#places.told(life, id, block));
  }

  get waited(): boolean {
    return this.#line.size > 0 || this.#places.size > 0;
  }

  askAgain(): void {
    this.#places.askAgain();
  }

  closed(): void {
    for (const hold of this.#holds.values()) hold.lease.conclude();
    this.#places.clear();
    this.#line.rejectAll(() => closedError(this.#what));
  }

  /** @param gone aborts where nobody waits for it any more */
  async #try(
    { claim, shape, permits }: Pick<Wait, 'claim'> & Pick<Cohort, 'shape' | 'permits'>,
    gone: AbortSignal,
  ): Promise<HeldLease | null> {
    const wish = { id: this.#core.nextWait(), permits, shape };
    this.#count(1);
    gone.addEventListener('abort', () => this.#foothold.relent(), { once: true });
    try {
      for (;;) {
        const life = this.#foothold.stand() ?? (await this.#foothold.under());
        if (gone.aborted) return null;
        const asked = this.#calls.acquire(life, wish, false);
        const answer = await this.#foothold.watched(asked, () => !gone.aborted).catch(unlessEnded);
        // Of a life that ended before the answer, or with it, there is none: the next is asked.
        if (answer === undefined || answer.is === 'more' || !life.lives) continue;
        if (answer.is !== 'granted') return null;
        return this.#begin({ claim, cohort: this.#cohort(shape, permits) }, wish.id, life, answer.block);
      }
    } finally {
      this.#count(-1);
    }
  }

  /**
   * The error of one who holds so much itself that there is never enough for it. Of a read-write lock alone: permits of a
   * semaphore may be those of tasks that run side by side in one logical thread.
   */
  #ownCircle(owner: LogicalThread, shape: SemaphoreShape, permits: number): DeadlockError | undefined {
    if (this.#kind === 'semaphore') return undefined;
    const held = () => {
      let own = 0;
      for (const { lease, permits: its } of this.#holds.values())
        if (outlasts(lease, owner) && lease.valid) own += its;
      return own > 0 && shape.permits - own < permits;
    };
    const target = { kind: this.#kind, name: this.#name };
    return this.#core.deadlocks.ownCircle(owner, target, held, 'release it before it is taken again');
  }

  /** Of a read-write lock only writers hand on: others would pass a writer in line. */
  #cohort(shape: SemaphoreShape, permits: number): Cohort {
    return this.#places.cohort(shape, permits, this.#kind === 'semaphore');
  }

  /** It is that waiter's, or nobody wants it any more and it goes back. */
  #granted(
    { id, cohort }: Place,
    wait: Wait | undefined,
    life: Incarnation,
    block: TokenBlock,
  ): Promise<void> | undefined {
    const waiter = wait && this.#take(wait);
    if (waiter === undefined) return this.#giveBack(cohort.shape, [id, cohort.permits], 0).catch(() => {});
    waiter.resolve(this.#begin(waiter.what, id, life, block));
    return undefined;
  }

  /** Off the line before anything else: its time may be up, and it is not to give up what it is given here. */
  #take(wait: Wait) {
    this.#places.leave(wait);
    return this.#line.take(wait);
  }

  /** A hold that Redis has granted. */
  #begin(wait: Wait, id: string, life: Incarnation, { first, last }: TokenBlock): HeldLease {
    if (first > this.#left.last) this.#left = { first: first + 1, last };
    return this.#hold(wait, { id, life, first, turns: 0 }, first);
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
    return this.#giveBack(cohort.shape, [id, permits], 0, lease);
  }

  /** The hold goes to whoever waits longest here, if that is somebody of its cohort and the turns and tokens last. */
  #passOn(hold: Hold): boolean {
    const { cohort, life, turns } = hold;
    const { first: token, last } = this.#left;
    const next = this.#places.next(cohort);
    if (next === undefined || hold.permits !== cohort.permits) return false;
    if (turns + 1 >= this.#core.options.localTurns || token > last || !life.valid) return false;
    this.#left = { first: token + 1, last };
    this.#holds.delete(hold.id); // Its next is the youngest of the holds.
    cohort.holds -= 1;
    this.#take(next)?.resolve(this.#hold(next, { ...hold, turns: turns + 1 }, token));
    void this.#places.trim(cohort); // At once: a place that nobody needs is in the way of others.
    return true;
  }

  /** The oldest holds, up to so many permits: handed on where that can be; else what is to be given back. */
  #takeOldest(n: number): { pairs: (string | number)[]; left: number } {
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

  #takeFrom(hold: Hold, permits: number): void {
    hold.permits -= permits;
    if (hold.permits > 0) return;
    this.#holds.delete(hold.id);
    hold.cohort.holds -= 1;
    this.#places.forget(hold.cohort);
  }

  #gaveUp(wait: Wait): Promise<void> {
    this.#line.take(wait);
    const left = this.#places.giveUp(wait);
    this.#foothold.relent();
    return left.finally(() => this.#tidy());
  }

  /** They have to wait, as far as their time allows. */
  #decide(cohort: Cohort): void {
    for (const wait of [...cohort.undecided]) {
      cohort.undecided.delete(wait);
      this.#line.decide(wait);
    }
  }

  #refused(waits: readonly Wait[], error: unknown): void {
    for (const wait of waits) this.#take(wait)?.reject(error);
    this.#tidy();
  }

  /** Rejects where there was nothing to give back, if that is to be told to whoever held `lease`. */
  #giveBack(shape: SemaphoreShape, pairs: Return['pairs'], raise: number, lease?: HeldLease): Promise<void> {
    const life = pairs.length > 0 ? this.#foothold.life : undefined;
    if (life === undefined) return this.#returns.raise({ shape, pairs, raise });
    const given = this.#returns.giveBack(life, { shape, pairs, raise }, lease);
    this.#places.fillAll(); // Behind the others, and before whatever else is asked.
    return given;
  }

  #lifeEnded(): void {
    this.#holds.clear();
    this.#left = NONE;
    this.#places.lifeEnded();
    if (this.#core.closed) return;
    queueMicrotask(() => {
      this.#places.askAgain();
      this.#tidy();
    });
  }

  #count(by: 1 | -1): void {
    this.#busy += by;
    this.#tidy();
  }

  /** Nothing is kept here for a name that nobody uses. */
  #tidy(): void {
    if (this.#line.size + this.#holds.size + this.#places.size + this.#busy > 0) return;
    this.#foothold.leave();
    this.#core.seats.leave(seatKey(this.#kind, this.#name), this);
  }
}
