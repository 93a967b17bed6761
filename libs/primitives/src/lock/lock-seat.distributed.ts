/**
 * A session's seat at one lock: a place in Redis's queue that all its waiters share, and the tokens to hand out.
 *
 * The waiters of one session on one lock stand in a line of their own and take *one* place (`LockSeat`) in Redis's
 * queue. Once the place is granted, with a block of tokens, the lock goes from one of them to the next without asking
 * Redis, a token each, for at most `LOCAL_TURNS`; then back to Redis, behind the other sessions. (Cohort locks: Dice,
 * Marathe, Shavit, "Lock Cohorting", PPoPP 2012.)
 *
 * A seat's states, changed by `#become` alone:
 *
 * | state | means | ends by |
 * |---|---|---|
 * | `idle` | nobody here waits or holds | a waiter → `asking` |
 * | `asking` | the place was asked for | reply: granted → `held`, queued → `queued` |
 * | `queued` | the place stands in line | message → `held`; last waiter gone → `leaving` |
 * | `leaving` | the place is being given up | reply: left → `idle`, granted → `held` |
 * | `held` | a lease is out | its release: next waiter here, or → `returning` |
 * | `returning` | the lock is on its way back | reply → `idle`, `queued` or `held` |
 */

import { once } from 'node:events';
import { Deadline, now } from '../deadline.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import { CallEnded } from '../session/calls.ts';
import { type Seat, type SessionCore, seatKey } from '../session/core.ts';
import type { Target } from '../session/deadlock.ts';
import { tell } from '../session/diagnostics.ts';
import { Foothold } from '../session/foothold.ts';
import { type Claim, closedError, confirmed, type HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { isShortage, SHORTAGE_RETRY } from '../session/refused.ts';
import { parseBlock, type TokenBlock } from '../session/tokens.ts';
import { Waiters } from '../session/waiters.ts';
import type { LockReply } from './lock.scripts.ts';
import { LockCalls } from './lock-calls.distributed.ts';
import { type GrantSource, LockGrant, type Wish } from './lock-grant.distributed.ts';

type Then<T> = (reply: LockReply | undefined, ended?: CallEnded) => T | Promise<T>;

const asIs = (reply: LockReply | undefined) => reply;
const refuse = (error: unknown): never => {
  throw error;
};

/** Ms before it is asked again for what Redis refused for want of room or replicas: sooner than what is given back, since others ask. */
const ASK_AGAIN = 100;

type State = 'idle' | 'asking' | 'queued' | 'leaving' | 'held' | 'returning';

export class LockSeat implements Seat {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #what: string;
  readonly #target: Target;
  readonly #calls: LockCalls;
  /** Under which the session knows it. */
  readonly #key: string;
  readonly #waiters = new Waiters<HeldLease | null, Wish>();
  #state: State = 'idle';
  /** The life under which the state is true. */
  readonly #foothold: Foothold;
  readonly #grants: GrantSource;
  /** What we hold it by. */
  #grant: LockGrant | undefined;
  /** A message that overtook the reply which says that we are in line: replies and messages come by two connections. */
  #early: TokenBlock | undefined;
  /** A message about a grant at or below this is of the past. */
  #past = 0;
  /** The last token granted here. */
  #end = 0;
  /** We left the line last, and whoever says that we were put in it may speak of before that. */
  #left = false;
  /** Messages may have been lost while a reply was on its way: once that says `queued`, it may be out of date. */
  #doubt = false;
  /** Waits at the lock's conditions: others' scripts may put us in line. */
  #parked = 0;
  /** Called once it is known who has it, or that nothing here asks any more. */
  #onAnswer: (() => void)[] = [];
  /** Tries without waiting that were sent so far, and which of them was answered last. */
  #tries = 0;
  #tried = 0;
  /** Tries that wait for what is under way. */
  #trying = 0;
  /** What is on its way back was refused for want of room or replicas, and waits for these. */
  #short = false;

  /** @param kind `lock`, or what else is one underneath */
  constructor(core: SessionCore, kind: string, name: string) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#what = `${kind} ${name}`;
    this.#key = seatKey(kind, name);
    this.#target = { kind, name, form: 'lock', permits: 1 };
    this.#calls = new LockCalls(core, kind, name);
    this.#grants = {
      core,
      target: this.#target,
      calls: this.#calls,
      released: (lease) => this.#released(lease),
      // One that ended with its life, as it began, may still come to its limit: what is held then is another.
      overdue: (grant) => grant === this.#grant && this.#giveBack(grant),
    };
    this.#foothold = new Foothold(core.partitionOf(name), () => this.#lifeEnded());
  }

  /** The lease that is out at this moment. */
  get lease(): HeldLease | undefined {
    return this.#state === 'held' ? this.#grant?.lease : undefined;
  }

  /** Resolves once Redis has answered all that was asked. */
  async answered(): Promise<void> {
    while (this.#state !== 'idle' && this.#state !== 'held') await this.#answer();
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
      decided: this.#inLine,
      gaveUp: () => this.#gaveUp(),
    });
    const over = this.#core.deadlocks.waits(owner, this.#target, (error) =>
      this.#waiters.get(wish)?.giveUp(error),
    );
    this.#askIfIdle();
    return over ? lease.finally(over) : lease;
  }

  /**
   * Gives the hold of `lease`, which is suspended, up for as long as a condition waits; `resume` is to follow. Rejects
   * with `LeaseLostError` where it was not held any more.
   */
  async suspend(lease: HeldLease): Promise<void> {
    this.#parked += 1;
    await this.#released(lease);
  }

  /**
   * Holds again, whenever that is, with the lease of before; its `maxHold` counts anew. `waiter`: who waits, in whatever
   * further bodies of `with`, which go on meanwhile.
   */
  async resume(lease: HeldLease, maxHold: number | undefined, waiter: LogicalThread): Promise<void> {
    this.#parked -= 1;
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
    this.#askIfIdle();
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
    this.#parked -= 1;
    lease.lose('it was not held any more when its condition began to wait');
    this.tidy();
  }

  /**
   * Another's script put us in line, when `past` was the last token granted; what is not in doubt needs no asking. In
   * doubt is what comes late: a place that we have used since, or given up, and one that nobody made since we held.
   */
  placed(life: Incarnation, past: number): void {
    if (this.#state !== 'idle' || life !== this.#foothold.life || past <= this.#end || this.#left) return;
    this.#become('queued');
    this.#past = past;
  }

  /** The first token of the grant that the present hold is part of. */
  get grant(): number {
    return this.#grant?.first ?? 0;
  }

  #claim(owner: LogicalThread): Claim {
    return { kind: this.#kind, name: this.#name, session: this.#core.id, owner, asked: now() };
  }

  /** Nothing is kept here for a name that nobody uses. */
  tidy(): void {
    if (this.#state !== 'idle' || this.#waiters.size + this.#parked + this.#trying > 0) return;
    this.#foothold.leave();
    this.#core.leave(this.#key, this);
  }

  told(life: Incarnation, [first, last]: readonly string[]): void {
    const block = parseBlock(first, last);
    if (block === undefined || life !== this.#foothold.life) return;
    const { guarding } = this.#foothold;
    if (guarding !== undefined && this.#state === 'queued')
      return void guarding.then(() => this.told(life, [first ?? '', last ?? '']));
    if (this.#state === 'queued' && block.first > this.#past) this.#granted(block);
    else if (this.#state === 'idle' && block.first > this.#past)
      this.#ask(); // The message that put us in line was lost.
    else this.#early = block;
  }

  get waited(): boolean {
    return this.#waiters.size > 0;
  }

  askAgain(): void {
    if (this.#state === 'queued' || (this.#state === 'idle' && this.#waiters.size > 0)) this.#ask();
    else this.#doubt = true;
  }

  closed(): void {
    this.#grant?.lease?.conclude();
    this.#grant?.unlimit();
    this.#waiters.rejectAll(() => closedError(this.#what));
  }

  /** Whether a newcomer is known to wait: somebody of ours holds, or we stand in line. */
  get #inLine(): boolean {
    return this.#state === 'held' || this.#state === 'queued' || this.#state === 'returning';
  }

  /** Whether an answer of Redis will change what is known. */
  get #underWay(): boolean {
    if (this.#short) return false;
    return this.#state === 'asking' || this.#state === 'leaving' || this.#state === 'returning';
  }

  #askIfIdle(): void {
    if (this.#state === 'idle' && this.#waiters.size > 0 && !this.#core.closed) this.#ask();
  }

  /**
   * Without waiting: never in line, and never in front of those who wait here.
   *
   * @param gone aborts where nobody waits for it any more
   */
  async #try(wish: Wish, gone: AbortSignal): Promise<HeldLease | null> {
    const before = this.#tries;
    // A release or another's try is on its way, and may have found the lock as it was before: what comes of it counts.
    this.#trying += 1;
    while (this.#underWay && this.#waiters.size === 0 && this.#tried <= before && !gone.aborted)
      await Promise.race([this.#answer(), once(gone, 'abort').catch(() => {})]);
    this.#trying -= 1;
    // The answer to one that was sent since is ours too.
    if (this.#state !== 'idle' || this.#waiters.size > 0 || this.#tried > before) {
      this.tidy();
      return null;
    }
    this.#become('asking');
    const wanted = () => !gone.aborted;
    gone.addEventListener('abort', () => this.#foothold.relent(), { once: true });
    try {
      for (;;) {
        if (this.#foothold.stand() === undefined && !gone.aborted)
          await Promise.race([this.#foothold.under(), once(gone, 'abort').catch(() => {})]);
        if (gone.aborted) {
          this.#idle();
          return null;
        }
        this.#tries += 1;
        const reply = await this.#askRedis(false, wanted, asIs, refuse);
        // Of a life that ended before the answer, or with it, there is none: the next is asked.
        if (reply === undefined || reply.is === 'more') continue;
        if (reply.is === 'granted' && !this.#foothold.life?.lives) continue;
        this.#tried = this.#tries;
        if (reply.is === 'granted') return this.#hold(this.#begin(reply.block), wish);
        this.#idle();
        return null;
      }
    } catch (error) {
      this.#idle();
      throw error;
    }
  }

  /** Asks for the place, or again what has become of it. */
  #ask(): void {
    this.#become('asking');
    this.#doubt = false;
    void this.#askRedis(true, this.#wanted, this.#answered, this.#refused);
  }

  readonly #wanted = (): boolean => this.#waiters.size > 0;

  readonly #answered = (reply: LockReply | undefined): void => {
    if (reply === undefined) this.#idle();
    else if (reply.is === 'granted') this.#granted(reply.block);
    else if (reply.is === 'queued') this.#queued(reply.past);
    else this.#ask();
  };

  readonly #refused = (error: unknown): void => {
    const short = isShortage(error);
    // A condition's wait ends holding the lock again, however long that takes: it is asked for again.
    for (const waiter of [...this.#waiters])
      if (!short || waiter.what.again === undefined) waiter.reject(error);
    if (!short) return this.#idle();
    if (this.#waiters.size > 0) return this.#askSoon();
    // It may stand in line from before: who takes no write takes no leave either, and might grant it later.
    this.#leave();
  };

  #askSoon(): void {
    this.#stuck();
    const again = () => (this.#waiters.size > 0 ? this.#ask() : this.#leave());
    setTimeout(() => this.#short && again(), ASK_AGAIN).unref();
  }

  /** @param wanted whether a lease would still be taken */
  #askRedis<T>(
    wait: boolean,
    wanted: () => boolean,
    then: Then<T>,
    refused: (error: unknown) => T,
  ): Promise<T> {
    return this.#foothold.ask((life) => this.#hear(this.#calls.acquire(life, wait), then, refused, wanted));
  }

  #queued(past: number): void {
    this.#become('queued');
    this.#left = false;
    this.#past = past;
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined && early.first > past) return this.#granted(early);
    this.#waiters.decide();
    if (this.#state !== 'queued') return; // The last one gave up at that.
    if (this.#waiters.size === 0) return this.#leave();
    this.#wake();
    if (this.#doubt) this.#ask();
  }

  /** The lock is here, unless the life under which it came ended in between: then it went with it. */
  #granted(block: TokenBlock): void {
    this.#early = undefined;
    const was = this.#state;
    if (!this.#foothold.life?.lives) {
      if (was !== 'queued') this.#idle(); // Otherwise the look itself found the end out, and the end has asked anew.
      return;
    }
    this.#serve(this.#begin(block));
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

  #begin(block: TokenBlock): LockGrant {
    this.#past = Math.max(this.#past, block.first);
    this.#end = block.last;
    this.#left = false;
    const life = this.#foothold.life as Incarnation; // A grant comes under a life, and this is that.
    this.#grant = new LockGrant(this.#grants, life, block);
    return this.#grant;
  }

  #hold(grant: LockGrant, wish: Wish): HeldLease {
    this.#become('held'); // First: an end of the life that is found meanwhile ends that.
    const lease = grant.hold(wish);
    this.#waiters.decide();
    return lease;
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

  /**
   * Gives the lock back to Redis, and goes to the end of the line if somebody here still waits. Rejects where there was
   * nothing to give back, if that is to be told to whoever held `lease`.
   */
  #return(grant: LockGrant, lease?: HeldLease): Promise<void> {
    const { life, first } = grant;
    this.#grant = undefined;
    this.#become('returning');
    this.#early = undefined;
    this.#doubt = false;
    const rejoin = this.#waiters.size > 0;
    return this.#hear(
      this.#calls.release(life, first, rejoin, this.#parked > 0),
      (reply, ended) => this.#returned(reply, lease, ended?.sent === false ? life : undefined),
      (error) => {
        // Redis has it held still, by a session that lives: it is given back when Redis takes writes again.
        if (isShortage(error)) {
          this.#stuck();
          setTimeout(() => this.#return(grant).catch(() => {}), SHORTAGE_RETRY).unref();
        } else this.#idle();
        throw error;
      },
    );
  }

  #returned(
    reply: LockReply | undefined,
    lease: HeldLease | undefined,
    unsent: Incarnation | undefined,
  ): void | Promise<void> {
    if (reply?.is === 'more') return this.#advance();
    if (reply?.is === 'granted') this.#granted(reply.block);
    else if (reply?.is === 'queued') this.#queued(reply.past);
    else this.#idle();
    if (lease === undefined) return;
    const lost = unsent && lease.lostThere(unsent);
    if (lost) throw lost;
    if (reply?.is === 'gone') throw lease.notHeldThere();
  }

  /** The hand-over met a long run of dead waiters. */
  async #advance(): Promise<void> {
    const { life } = this.#foothold;
    if (life !== undefined) await this.#calls.advance(life);
    this.#idle();
  }

  /** A waiter gave up. The last one gives the place up, and waits to see that nothing is left of it. */
  #gaveUp(): Promise<void> | undefined {
    if (this.#waiters.size > 0 || this.#state === 'held' || this.#state === 'idle') return undefined;
    this.#foothold.relent();
    if (this.#state === 'queued') this.#leave();
    return this.#answer();
  }

  #leave(): void {
    this.#become('leaving');
    this.#left = true;
    const life = this.#foothold.life as Incarnation; // In line under it.
    void this.#hear(
      this.#calls.cancel(life, this.#parked > 0),
      (reply) => (reply?.is === 'granted' ? this.#granted(reply.block) : this.#idle()),
      (error) => {
        if (!isShortage(error)) return this.#idle();
        this.#stuck();
        setTimeout(() => this.#state === 'leaving' && this.#leave(), SHORTAGE_RETRY).unref();
      },
      this.#wanted,
    );
  }

  #lifeEnded(): void {
    this.#grant?.unlimit();
    this.#grant = undefined;
    // A call under way ends by itself, and comes to the same.
    if (this.#state === 'held' || this.#state === 'queued') this.#idle();
  }

  /** `then` has the reply: `undefined` where the life ended before it came, for whatever it was, it is over. */
  #hear<T>(
    answer: Promise<LockReply>,
    then: Then<T>,
    refused: (error: unknown) => T,
    wanted?: () => boolean,
  ): Promise<T> {
    const heard = wanted === undefined ? answer : this.#foothold.watched(answer, wanted);
    return heard.then(then, (error: unknown) =>
      error instanceof CallEnded ? then(undefined, error) : refused(error),
    );
  }

  /** Nothing held, nothing asked. Whoever waits still asks anew, under the next life if this one ended. */
  #idle(): void {
    this.#become('idle');
    this.#grant = undefined;
    this.#early = undefined;
    if (this.#waiters.size > 0 && !this.#core.closed) return this.#ask();
    this.tidy();
  }

  /** Redis takes nothing back for now: whoever would wait for that has waited long enough. */
  #stuck(): void {
    this.#short = true;
    this.#wake();
  }

  #become(state: State): void {
    this.#state = state;
    this.#short = false;
    if (state === 'idle' || state === 'held') this.#wake();
  }

  #answer(): Promise<void> {
    return new Promise((resolve) => this.#onAnswer.push(resolve));
  }

  #wake(): void {
    if (this.#onAnswer.length > 0) for (const resolve of this.#onAnswer.splice(0)) resolve();
  }
}
