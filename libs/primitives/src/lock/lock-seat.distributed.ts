/**
 * A session's seat at one lock: those of the session who wait for it or hold it, and the tokens they are handed.
 *
 * They stand in a line of their own and take *one* place in Redis's (`lock-place.distributed.ts`). Once that is granted,
 * with a block of tokens, the lock goes from one of them to the next without asking Redis, a token each, for as many
 * turns as `maxLocalHandovers` lets; then back to Redis, behind the other sessions. (Cohort locks: Dice, Marathe, Shavit,
 * "Lock Cohorting", PPoPP 2012.)
 */
import { Deadline, now } from '../deadline.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import type { SessionCore } from '../session/core.ts';
import { tell } from '../session/diagnostics.ts';
import { type Claim, closedError, confirmed, type HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { isShortage } from '../session/refused.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import type { TokenBlock } from '../session/tokens.ts';
import { Waiters } from '../session/waiters.ts';
import type { Target } from '../session/waits-and-holds.ts';
import { LockCalls } from './lock-calls.distributed.ts';
import { type GrantSource, LockGrant, type Wish } from './lock-grant.distributed.ts';
import { LockPlace, type Occupants } from './lock-place.distributed.ts';

export class LockSeat implements Seat, Occupants {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #what: string;
  readonly #target: Target;
  /** Under which the session knows it. */
  readonly #key: string;
  readonly #waiters = new Waiters<HeldLease | null, Wish>();
  readonly #place: LockPlace;
  readonly #grants: GrantSource;
  /** What we hold it by. */
  #grant: LockGrant | undefined;

  /** @param kind `lock`, or what else is one underneath */
  constructor(core: SessionCore, kind: string, name: string) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#what = `${kind} ${name}`;
    this.#key = seatKey(kind, name);
    this.#target = { kind, name, form: 'lock', permits: 1 };
    const calls = new LockCalls(core, kind, name);
    this.#grants = {
      core,
      target: this.#target,
      calls,
      released: (lease) => this.#released(lease),
      // One that ended with its life, as it began, may still come to its limit: what is held then is another.
      overdue: (grant) => grant === this.#grant && this.#giveBack(grant),
    };
    this.#place = new LockPlace(core, name, calls, this);
  }

  /** The lease that is out at this moment. */
  get lease(): HeldLease | undefined {
    return this.#place.held ? this.#grant?.lease : undefined;
  }

  /** The first token of the grant that the present hold is part of. */
  get grant(): number {
    return this.#grant?.first ?? 0;
  }

  /** Resolves once Redis has answered all that was asked. */
  answered(): Promise<void> {
    return this.#place.answered();
  }

  acquire(
    timeout: number | undefined,
    signal: AbortSignal | undefined,
    maxHold: number | undefined,
  ): Promise<HeldLease | null> {
    const lease = this.#acquire(timeout, signal, maxHold);
    return this.#core.confirmer === undefined ? lease : lease.then((got) => confirmed(got, signal));
  }

  #acquire(
    timeout: number | undefined,
    signal: AbortSignal | undefined,
    maxHold: number | undefined,
  ): Promise<HeldLease | null> {
    const claim = this.#claim(currentLogicalThread());
    const { owner } = claim;
    tell('acquire', () => claim);
    if (timeout === 0)
      return this.#core.attempt(this.#what, signal, (gone) => this.#try({ claim, maxHold }, gone));
    const circle =
      Deadline.after(timeout) === Deadline.never && this.#core.deadlocks.ownCircle(owner, this.#target);
    if (circle) return Promise.reject(circle);
    const wish: Wish = { claim, maxHold };
    const lease = this.#waiters.add(wish, {
      timeout,
      signal,
      onTimeout: null,
      decided: this.#place.taken,
      gaveUp: () => this.#gaveUp(),
    });
    const over = this.#core.deadlocks.waits(owner, this.#target, (error) =>
      this.#waiters.get(wish)?.giveUp(error),
    );
    this.#place.want();
    return over ? lease.finally(over) : lease;
  }

  /**
   * Gives the hold of `lease`, which is suspended, up for as long as a condition waits; `resume` is to follow. Rejects
   * with `LeaseLostError` where it was not held any more.
   */
  async suspend(lease: HeldLease): Promise<void> {
    this.#place.park();
    await this.#released(lease);
  }

  /**
   * Holds again, whenever that is, with the lease of before; its `maxHold` counts anew. `waiter`: who waits, in whatever
   * further bodies of `with`, which go on meanwhile.
   */
  async resume(lease: HeldLease, maxHold: number | undefined, waiter: LogicalThread): Promise<void> {
    this.#place.unpark();
    const { owner } = lease;
    const wish: Wish = { claim: this.#claim(owner), maxHold, again: lease };
    const held = this.#waiters.add(wish, {
      timeout: undefined,
      signal: undefined,
      onTimeout: null,
      decided: true,
      gaveUp: () => undefined,
    });
    if (this.#core.closed) this.closed();
    const over = this.#core.deadlocks.waits(waiter.ident === owner.ident ? waiter : owner, this.#target);
    this.#place.want();
    await held.finally(over);
    await lease.confirmed?.catch((error: unknown) => {
      const grant = this.#grant;
      if (grant?.lease !== lease) return;
      lease.lose(lease.notReplicated(error).message);
      grant.unlimit();
      this.#giveBack(grant);
    });
  }

  /** It was not held any more when it was given up: nothing is to be held again. */
  forgo(lease: HeldLease): void {
    this.#place.unpark();
    lease.lose('it was not held any more when its condition began to wait');
    this.tidy();
  }

  /** Another's script put us in line, when `past` was the last token granted. */
  placed(life: Incarnation, past: number): void {
    this.#place.placed(life, past);
  }

  /** Nothing is kept here for a name that nobody uses. */
  tidy(): void {
    if (!this.#place.unused || this.#waiters.size > 0) return;
    this.#place.rest();
    this.#core.seats.leave(this.#key, this);
  }

  told(life: Incarnation, parts: readonly string[]): void {
    this.#place.told(life, parts);
  }

  get waited(): boolean {
    return this.#waiters.size > 0;
  }

  askAgain(): void {
    this.#place.askAgain();
  }

  closed(): void {
    this.#grant?.lease?.conclude();
    this.#grant?.unlimit();
    this.#waiters.rejectAll(() => closedError(this.#what));
  }

  granted(block: TokenBlock, life: Incarnation): void {
    this.#serve(this.#begin(block, life));
  }

  stands(): void {
    this.#waiters.decide();
  }

  refused(error: unknown): void {
    // A condition's wait ends holding the lock again, however long that takes: it is asked for again.
    const short = isShortage(error);
    for (const waiter of [...this.#waiters])
      if (!short || waiter.what.again === undefined) waiter.reject(error);
  }

  lifeEnded(): void {
    this.#grant?.unlimit();
    this.#grant = undefined;
  }

  idle(): void {
    this.#grant = undefined;
    this.#place.want();
    this.tidy();
  }

  #claim(owner: LogicalThread): Claim {
    return { kind: this.#kind, name: this.#name, session: this.#core.id, owner, asked: now() };
  }

  /** Without waiting. */
  async #try(wish: Wish, gone: AbortSignal): Promise<HeldLease | null> {
    const lease = await this.#place.attempt(gone, (block, life) =>
      this.#hold(this.#begin(block, life), wish),
    );
    this.tidy();
    return lease;
  }

  #begin(block: TokenBlock, life: Incarnation): LockGrant {
    this.#grant = new LockGrant(this.#grants, life, block);
    return this.#grant;
  }

  #hold(grant: LockGrant, wish: Wish): HeldLease {
    this.#place.hold();
    const lease = grant.hold(wish);
    this.#waiters.decide();
    return lease;
  }

  /** The first in line has it, or nobody wants it any more and it goes back. */
  #serve(grant: LockGrant): void {
    const next = this.#waiters.shift();
    if (next !== undefined) return next.resolve(this.#hold(grant, next.what));
    this.#giveBack(grant);
  }

  /** For one whose fate nobody waits for. */
  #giveBack(grant: LockGrant): void {
    this.#return(grant).catch((error: Error) => this.#core.failed(error));
  }

  /** The next one here while the turn lasts; otherwise back to Redis. */
  #released(lease: HeldLease): Promise<void> {
    const grant = this.#grant;
    if (grant?.lease !== lease) return Promise.resolve();
    const ours = grant.unlimit();
    if (this.#waiters.size === 0 || !ours || !grant.lasts) return this.#return(grant, lease);
    this.#serve(grant);
    return Promise.resolve();
  }

  /** Back to Redis. Rejects where there was nothing to give back, if that is to be told to whoever held `lease`. */
  async #return(grant: LockGrant, lease?: HeldLease): Promise<void> {
    const { life, first } = grant;
    this.#grant = undefined;
    const became = await this.#place.giveBack(life, first);
    if (became === 'returned' || lease === undefined) return;
    const lost = became === 'gone' ? lease.notHeldThere() : lease.lostThere(life);
    if (lost) throw lost;
  }

  /** A waiter gave up. The last one gives the place up, and waits to see that nothing is left of it. */
  #gaveUp(): Promise<void> | undefined {
    return this.#waiters.size > 0 ? undefined : this.#place.giveUp();
  }
}
