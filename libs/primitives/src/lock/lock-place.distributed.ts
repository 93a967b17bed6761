/**
 * A session's place at one lock in Redis: whether it stands in the line there, or holds.
 *
 * All of the session who wait for the lock share the one place, and what they do with the lock once it is here is
 * theirs (`lock-seat.distributed.ts`). Its states, changed by `#become` alone:
 *
 * | state | means | ends by |
 * |---|---|---|
 * | `idle` | nobody here waits or holds | a waiter → `asking`; a condition's notification → `queued` |
 * | `asking` | the place was asked for | reply: granted → `held`, queued → `queued`; else → `idle` |
 * | `queued` | the place stands in line | message → `held`; last waiter gone → `leaving`; in doubt → `asking` |
 * | `leaving` | the place is being given up | reply: left → `idle`, granted → `held` |
 * | `held` | a lease is out | its release: next waiter here, or → `returning` |
 * | `returning` | the lock is on its way back | reply → `idle`, `queued` or `held` |
 *
 * The end of the life it stands under ends all of them, and whoever waits asks anew under the next. Replies and messages
 * come by two connections, and overtake each other:
 *
 * | what comes | is |
 * |---|---|
 * | a grant by message, before the reply that says that we are in line | kept until then (`#early`) |
 * | a grant by message, of a token that is not past what that reply told, or what we were granted since | of before (`#past`) |
 * | the reply that we are in line, though messages may have been lost since it was asked for | asked for again (`#doubt`) |
 * | that a condition's notification put us in line, though we have left it or held since | not to be trusted (`#left`, `#end`) |
 */
import { once } from 'node:events';
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { Foothold } from '../session/foothold.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { isShortage, SHORTAGE_RETRY } from '../session/refused.ts';
import { parseBlock, type TokenBlock } from '../session/tokens.ts';
import type { LockReply } from './lock.scripts.ts';
import type { LockCalls } from './lock-calls.distributed.ts';

/** Who the place is for. */
export interface Occupants {
  /** Whether any of them waits. */
  readonly waited: boolean;
  /** The lock is here: one of them is to `hold` it, or it is to be given back, at once. */
  granted(block: TokenBlock, life: Incarnation): void;
  /** There is something to wait for. */
  stands(): void;
  /** Redis refused what they asked for. */
  refused(error: unknown): void;
  /** What was held, if anything, ended with its life. */
  lifeEnded(): void;
  /** Nothing is held, and nothing asked. */
  idle(): void;
}

/** What became of a grant that was given back: `gone`, where it was none any more, or its life ended before Redis was asked. */
export type Returned = 'returned' | 'gone' | 'unsent';

type Then<T> = (reply: LockReply | undefined, ended?: CallEnded) => T | Promise<T>;

const asIs = (reply: LockReply | undefined) => reply;
const refuse = (error: unknown): never => {
  throw error;
};

/** Ms before it is asked again for what Redis refused for want of room or replicas: sooner than what is given back, since others ask. */
const ASK_AGAIN = 100;

type State = 'idle' | 'asking' | 'queued' | 'leaving' | 'held' | 'returning';

export class LockPlace {
  readonly #core: SessionCore;
  readonly #calls: LockCalls;
  readonly #occupants: Occupants;
  #state: State = 'idle';
  /** The life under which the state is true. */
  readonly #foothold: Foothold;
  /** A message that overtook the reply which says that we are in line. */
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

  constructor(core: SessionCore, name: string, calls: LockCalls, occupants: Occupants) {
    this.#core = core;
    this.#calls = calls;
    this.#occupants = occupants;
    this.#foothold = new Foothold(core.partitionOf(name), () => this.#lifeEnded());
  }

  get held(): boolean {
    return this.#state === 'held';
  }

  /** Whether a newcomer is known to wait: somebody of ours holds, or we stand in line. */
  get taken(): boolean {
    return this.#state === 'held' || this.#state === 'queued' || this.#state === 'returning';
  }

  /** Whether it is of no use to anybody just now. */
  get unused(): boolean {
    return this.#state === 'idle' && this.#parked + this.#trying === 0;
  }

  /** Nobody uses it: the end of the life it stands under need not be told. */
  rest(): void {
    this.#foothold.leave();
  }

  /** Resolves once Redis has answered all that was asked. */
  async answered(): Promise<void> {
    while (this.#state !== 'idle' && this.#state !== 'held') await this.#answer();
  }

  /** Somebody waits: it is asked for, unless it was, or is held. */
  want(): void {
    if (this.#state === 'idle' && this.#occupants.waited && !this.#core.closed) this.#ask();
  }

  /**
   * Asks for the lock without waiting: never in line, and never in front of those who wait here.
   *
   * @param gone aborts where nobody waits for it any more
   * @param take called with what was granted, at once
   * @returns what `take` gave; `null` where the lock is another's
   */
  async attempt<T>(gone: AbortSignal, take: (block: TokenBlock, life: Incarnation) => T): Promise<T | null> {
    const before = this.#tries;
    // A release or another's try is on its way, and may have found the lock as it was before: what comes of it counts.
    this.#trying += 1;
    while (this.#underWay && !this.#occupants.waited && this.#tried <= before && !gone.aborted)
      await Promise.race([this.#answer(), once(gone, 'abort').catch(() => {})]);
    this.#trying -= 1;
    // The answer to one that was sent since is ours too.
    if (this.#state !== 'idle' || this.#occupants.waited || this.#tried > before) return null;
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
        if (reply.is === 'granted') return take(reply.block, this.#begin(reply.block));
        this.#idle();
        return null;
      }
    } catch (error) {
      this.#idle();
      throw error;
    }
  }

  /** One of ours has what was granted. First of all: an end of the life that is found meanwhile ends that. */
  hold(): void {
    this.#become('held');
  }

  /**
   * Gives the grant back that begins with the token `first`, and goes to the end of the line if somebody here still
   * waits. What Redis refuses for want of room or replicas is given back later.
   */
  giveBack(life: Incarnation, first: number): Promise<Returned> {
    this.#become('returning');
    this.#early = undefined;
    this.#doubt = false;
    return this.#hear(
      this.#calls.release(life, first, this.#occupants.waited, this.#parked > 0),
      (reply, ended) => this.#returned(reply, ended),
      (error) => {
        // Redis has it held still, by a session that lives.
        if (isShortage(error)) {
          this.#stuck();
          setTimeout(() => this.giveBack(life, first).catch(() => {}), SHORTAGE_RETRY).unref();
        } else this.#idle();
        throw error;
      },
    );
  }

  /** The last who waited gave up: it is given up too. Resolves once nothing is left of it; `undefined` where nothing is now. */
  giveUp(): Promise<void> | undefined {
    if (this.#state === 'held' || this.#state === 'idle') return undefined;
    this.#foothold.relent();
    if (this.#state === 'queued') this.#leave();
    return this.#answer();
  }

  /** Begins a wait at one of the lock's conditions. */
  park(): void {
    this.#parked += 1;
  }

  /** Ends it. */
  unpark(): void {
    this.#parked -= 1;
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

  /** A message says that we were granted these tokens. */
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

  /** Messages may have been lost. */
  askAgain(): void {
    if (this.#state === 'queued' || (this.#state === 'idle' && this.#occupants.waited)) this.#ask();
    else this.#doubt = true;
  }

  /** Whether an answer of Redis will change what is known. */
  get #underWay(): boolean {
    if (this.#short) return false;
    return this.#state === 'asking' || this.#state === 'leaving' || this.#state === 'returning';
  }

  /** Asks for the place, or again what has become of it. */
  #ask(): void {
    this.#become('asking');
    this.#doubt = false;
    void this.#askRedis(true, this.#wanted, this.#answered, this.#refused);
  }

  readonly #wanted = (): boolean => this.#occupants.waited;

  readonly #answered = (reply: LockReply | undefined): void => {
    if (reply === undefined) this.#idle();
    else if (reply.is === 'granted') this.#granted(reply.block);
    else if (reply.is === 'queued') this.#queued(reply.past);
    else this.#ask();
  };

  readonly #refused = (error: unknown): void => {
    this.#occupants.refused(error);
    if (!isShortage(error)) return this.#idle();
    if (this.#occupants.waited) return this.#askSoon();
    // It may stand in line from before: who takes no write takes no leave either, and might grant it later.
    this.#leave();
  };

  #askSoon(): void {
    this.#stuck();
    const again = () => (this.#occupants.waited ? this.#ask() : this.#leave());
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
    this.#occupants.stands();
    if (this.#state !== 'queued') return; // The last one gave up at that.
    if (!this.#occupants.waited) return this.#leave();
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
    this.#occupants.granted(block, this.#begin(block));
  }

  /** The life under which a grant came. */
  #begin(block: TokenBlock): Incarnation {
    this.#past = Math.max(this.#past, block.first);
    this.#end = block.last;
    this.#left = false;
    return this.#foothold.life as Incarnation;
  }

  async #returned(reply: LockReply | undefined, ended: CallEnded | undefined): Promise<Returned> {
    if (reply?.is === 'more') await this.#advance();
    else if (reply?.is === 'granted') this.#granted(reply.block);
    else if (reply?.is === 'queued') this.#queued(reply.past);
    else this.#idle();
    if (ended?.sent === false) return 'unsent';
    return reply?.is === 'gone' ? 'gone' : 'returned';
  }

  /** The hand-over met a long run of dead waiters: it goes on; then we are listed no more, unless somebody here waits. */
  async #advance(): Promise<void> {
    const { life } = this.#foothold;
    if (life !== undefined) await this.#calls.advance(life);
    if (!life?.lives) this.#idle();
    else if (this.#occupants.waited) this.#ask();
    else this.#leave();
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
    this.#occupants.lifeEnded();
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
    this.#early = undefined;
    this.#occupants.idle();
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
