/**
 * A session's seat at one semaphore: those of the session who wait for permits of it, and what is asked for them.
 *
 * 1. They take places in Redis's line: as many as can be granted at once, or each its own
 *    (`semaphore-places.distributed.ts`).
 * 2. A place that is granted becomes a hold. One that ends goes on as that of the next here, without asking Redis, for as
 *    many turns as `maxLocalHandovers` lets (`semaphore-holds.distributed.ts`). So those who want as many permits are a
 *    cohort (Dice, Marathe, Shavit, "Lock Cohorting", PPoPP 2012).
 * 3. Then it goes back, behind the other sessions (`semaphore-returns.distributed.ts`).
 */
import { Deadline, now } from '../deadline.ts';
import { type DeadlockError, OverReleaseError, rangeError } from '../errors.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { unlessEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { tell } from '../session/diagnostics.ts';
import { Foothold } from '../session/foothold.ts';
import { type Claim, closedError, confirmed, type HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { parseBlock, type TokenBlock } from '../session/tokens.ts';
import { Waiters } from '../session/waiters.ts';
import {
  MOST_PERMITS,
  mismatch,
  SemaphoreCalls,
  type SemaphoreShape,
} from './semaphore-calls.distributed.ts';
import type { Cohort, Place, Wait } from './semaphore-cohort.distributed.ts';
import { Holds, type Successors } from './semaphore-holds.distributed.ts';
import { type Occupants, Places } from './semaphore-places.distributed.ts';
import { type Return, Returns } from './semaphore-returns.distributed.ts';

export class SemaphoreSeat implements Seat, Occupants, Successors {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #what: string;
  readonly #calls: SemaphoreCalls;
  readonly #foothold: Foothold;
  readonly #places: Places;
  readonly #returns: Returns;
  readonly #line = new Waiters<HeldLease | null, Wait>();
  readonly #holds: Holds;
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
    this.#places = new Places(core, this.#calls, this.#foothold, this);
    this.#holds = new Holds(core, this.#calls, this.#places, this);
    this.#returns = new Returns(core, this.#what, partition, this.#calls, (by) => this.busy(by));
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
    const other = this.#holds.otherShape(shape);
    if (other !== undefined) throw mismatch(this.#what, other, shape);
    const held = this.#holds.permits;
    if (shape.bounded && n > held) {
      await this.value(shape); // Another shape is the first thing to be told of.
      throw new OverReleaseError(
        `${this.#what}: release(${n}), but this session holds ${held} of its permits; nothing was changed`,
        { primitive: this.#name },
      );
    }
    if (shape.permits + n - held > MOST_PERMITS)
      throw rangeError(`${this.#what} can't have more than ${MOST_PERMITS} permits; nothing was changed`);
    const { pairs, left } = this.#holds.takeOldest(n);
    if (pairs.length === 0 && left === 0) return;
    try {
      await this.giveBack(shape, pairs, left);
    } catch (error) {
      // Raised before to what it can have: what was held goes back all the same.
      if (error instanceof RangeError && pairs.length > 0) await this.giveBack(shape, pairs, 0);
      throw error;
    }
  }

  /** The oldest hold of that many permits, where there is one. */
  oldest(permits: number): HeldLease | undefined {
    const oldest = this.#holds.oldestOf(permits);
    if (oldest === undefined) this.#tidy();
    return oldest;
  }

  async value(shape: SemaphoreShape): Promise<number> {
    this.busy(1);
    try {
      return await this.#calls.value(shape);
    } finally {
      this.busy(-1);
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
    this.#holds.conclude();
    this.#places.clear();
    this.#line.rejectAll(() => closedError(this.#what));
  }

  /** It is that waiter's, or nobody wants it any more and it goes back. */
  granted(
    { id, cohort }: Place,
    wait: Wait | undefined,
    life: Incarnation,
    block: TokenBlock,
  ): Promise<void> | undefined {
    const waiter = wait && this.take(wait);
    if (waiter === undefined) return this.giveBack(cohort.shape, [id, cohort.permits], 0).catch(() => {});
    waiter.resolve(this.#holds.begin(waiter.what, id, life, block));
    return undefined;
  }

  /** Off the line before anything else: its time may be up, and it is not to give up what it is given here. */
  take(wait: Wait) {
    this.#places.leave(wait);
    return this.#line.take(wait);
  }

  /** They have to wait, as far as their time allows. */
  queued(cohort: Cohort): void {
    for (const wait of [...cohort.undecided]) {
      cohort.undecided.delete(wait);
      this.#line.decide(wait);
    }
  }

  refused(waits: readonly Wait[], error: unknown): void {
    for (const wait of waits) this.take(wait)?.reject(error);
    this.#tidy();
  }

  /** Rejects where there was nothing to give back, if that is to be told to whoever held `lease`. */
  giveBack(shape: SemaphoreShape, pairs: Return['pairs'], raise: number, lease?: HeldLease): Promise<void> {
    const life = pairs.length > 0 ? this.#foothold.life : undefined;
    if (life === undefined) return this.#returns.raise({ shape, pairs, raise });
    const given = this.#returns.giveBack(life, { shape, pairs, raise }, lease);
    this.#places.fillAll(); // Behind the others, and before whatever else is asked.
    return given;
  }

  busy(by: 1 | -1): void {
    this.#busy += by;
    this.#tidy();
  }

  /** @param gone aborts where nobody waits for it any more */
  async #try(
    { claim, shape, permits }: Pick<Wait, 'claim'> & Pick<Cohort, 'shape' | 'permits'>,
    gone: AbortSignal,
  ): Promise<HeldLease | null> {
    const wish = { id: this.#core.nextWait(), permits, shape };
    this.busy(1);
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
        return this.#holds.begin(
          { claim, cohort: this.#cohort(shape, permits) },
          wish.id,
          life,
          answer.block,
        );
      }
    } finally {
      this.busy(-1);
    }
  }

  /**
   * The error of one who holds so much itself that there is never enough for it. Of a read-write lock alone: permits of a
   * semaphore may be those of tasks that run side by side in one logical thread.
   */
  #ownCircle(owner: LogicalThread, shape: SemaphoreShape, permits: number): DeadlockError | undefined {
    if (this.#kind === 'semaphore') return undefined;
    const held = () => {
      const own = this.#holds.permitsOf(owner);
      return own > 0 && shape.permits - own < permits;
    };
    const target = { kind: this.#kind, name: this.#name };
    return this.#core.deadlocks.ownCircle(owner, target, held, 'release it before it is taken again');
  }

  /** Of a read-write lock only writers hand on: others would pass a writer in line. */
  #cohort(shape: SemaphoreShape, permits: number): Cohort {
    return this.#places.cohort(shape, permits, this.#kind === 'semaphore');
  }

  #gaveUp(wait: Wait): Promise<void> {
    this.#line.take(wait);
    const left = this.#places.giveUp(wait);
    this.#foothold.relent();
    return left.finally(() => this.#tidy());
  }

  #lifeEnded(): void {
    this.#holds.lifeEnded();
    this.#places.lifeEnded();
    if (this.#core.closed) return;
    queueMicrotask(() => {
      this.#places.askAgain();
      this.#tidy();
    });
  }

  /** Nothing is kept here for a name that nobody uses. */
  #tidy(): void {
    if (this.#line.size + this.#holds.size + this.#places.size + this.#busy > 0) return;
    this.#foothold.leave();
    this.#core.seats.leave(seatKey(this.#kind, this.#name), this);
  }
}
