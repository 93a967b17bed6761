/**
 * What a session holds of, and waits for at, one semaphore. Each wait has a place of its own in Redis's queue, so that
 * several permits which come free at once go to several waiters of a session in one step; the number of a wait is its
 * name there, and later the name of its hold.
 *
 * Only those who want all permits, writers, stand behind one of them (`#front`) that asks for all: it is granted a block
 * of tokens, and its hold goes from one to the next here, a token each, as a lock's does (`lock-seat.distributed.ts`).
 * Where others may hold at the same time that would not do: the tokens of a block would come after later ones.
 */

import { now } from '../deadline.ts';
import {
  ConfigMismatchError,
  LeaseLostError,
  OutcomeUnknownError,
  OverReleaseError,
  RedisRefusedError,
  rangeError,
} from '../errors.ts';
import { currentLogicalThread } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { CallEnded, unlessEnded } from '../session/calls.ts';
import { type Seat, type SessionCore, seatKey } from '../session/core.ts';
import { tell } from '../session/diagnostics.ts';
import { Foothold } from '../session/foothold.ts';
import { type Claim, closedError, confirmed, HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { Partition } from '../session/partition.ts';
import { isShortage, SHORTAGE_RETRY } from '../session/refused.ts';
import type { Answer } from '../session/run-operations.ts';
import { type Waiter, Waiters } from '../session/waiters.ts';
import { semaphoreParts } from './semaphore.scripts.ts';

/** Permits that a semaphore can have, by its shape or raised: as many as one of this process. */
export const MOST_PERMITS = 2 ** 29 - 1;

/** What must be the same for all who name a semaphore. */
export interface SemaphoreShape {
  readonly permits: number;
  readonly bounded: boolean;
}

interface Wait {
  /** Its name in Redis. */
  id: string;
  readonly claim: Claim;
  readonly shape: SemaphoreShape;
  readonly permits: number;
  /** The life under which it was asked for last. */
  life?: Incarnation;
  asking: boolean;
  /** Messages may have been lost while a reply was on its way: what it says may be out of date. */
  doubt: boolean;
}

/** Tokens of one grant: the next, and the last. */
interface Tokens {
  readonly token: number;
  readonly last: number;
}

interface Hold extends Tokens {
  readonly id: string;
  readonly wait: Wait;
  readonly shape: SemaphoreShape;
  readonly life: Incarnation;
  readonly lease: HeldLease;
  /** Permits not given back yet. */
  permits: number;
  /** The first token of the grant that it is part of. */
  readonly first: number;
}

type SemaphoreWaiter = Waiter<Lease | null, Wait>;

export class SemaphoreSeat implements Seat {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #what: string;
  readonly #partition: Partition;
  readonly #keys: readonly string[];
  readonly #line = new Waiters<HeldLease | null, Wait>();
  readonly #waits = new Map<string, Wait>();
  /** In the order of their grants: the oldest are given back first. */
  readonly #holds = new Map<string, Hold>();
  /** Of those who want all: the one that asks Redis, or has it from there; and those who stand behind it, in order. */
  #front: Wait | undefined;
  readonly #behind = new Set<Wait>();
  readonly #foothold: Foothold;
  #busy = 0;

  /** @param kind `semaphore`, or what else is one underneath */
  constructor(core: SessionCore, kind: string, name: string) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#what = `${kind} ${name}`;
    this.#partition = core.partitionOf(name);
    this.#foothold = new Foothold(this.#partition, () => {
      this.#holds.clear();
      if (this.#core.closed) return;
      queueMicrotask(() => {
        if (this.#front !== undefined && this.#line.get(this.#front) === undefined) this.#promote();
        this.askAgain();
        this.#tidy();
      });
    });
    this.#keys = core.keyspace.of(kind, name, semaphoreParts);
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
    const wait: Wait = { id: this.#core.nextWait(), claim, shape, permits, asking: false, doubt: false };
    if (timeout === 0) return this.#core.attempt(this.#what, signal, (gone) => this.#try(wait, gone));
    this.#waits.set(wait.id, wait);
    const lease = this.#line.add(wait, {
      timeout,
      signal,
      onTimeout: null,
      gaveUp: () => this.#gaveUp(wait),
    });
    const target = { kind: this.#kind, name: this.#name, form: 'permits', permits } as const;
    const over = this.#core.deadlocks.waits(owner, target, (error) => this.#line.get(wait)?.giveUp(error));
    if (this.#front !== undefined && wantsAll(wait)) {
      this.#behind.add(wait);
      if (!this.#front.asking) this.#line.decide(wait);
    } else {
      if (wantsAll(wait)) this.#front = wait;
      this.#ask(wait);
    }
    return over ? lease.finally(over) : lease;
  }

  /** Gives back the oldest `n` permits of the session; what is beyond them raises the limit, or is refused. */
  async release(shape: SemaphoreShape, n: number): Promise<void> {
    // What is held is of the shape that the name has: another is refused before any hold is touched.
    for (const hold of this.#holds.values()) {
      if (shapeText(hold.shape) !== shapeText(shape)) throw this.#mismatch(hold.shape, shape);
    }
    const held = [...this.#holds.values()].reduce((sum, { permits }) => sum + permits, 0);
    if (shape.bounded && n > held) {
      await this.value(shape); // Another shape is the first thing to be told of.
      throw new OverReleaseError(
        `${this.#what}: release(${n}), but this session holds ${held} of its permits; nothing was changed`,
        {
          primitive: this.#name,
        },
      );
    }
    if (shape.permits + n - held > MOST_PERMITS) throw this.#tooManyPermits('nothing was changed');
    let left = n;
    const pairs: (string | number)[] = [];
    for (const hold of this.#holds.values()) {
      if (left === 0) break;
      const given = Math.min(left, hold.permits);
      left -= given;
      pairs.push(hold.id, given);
      this.#takeFrom(hold, given);
    }
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
    const args = [shapeText(shape), shape.permits];
    const state = this.#keys.slice(0, 1);
    this.#busy += 1;
    try {
      const answer = await this.#core.command(this.#what, this.#name, 'semaphore.value', state, args, {
        repeatable: true,
      });
      this.#refuse(answer, shape, 0);
      return Number(answer[1]);
    } finally {
      this.#free();
    }
  }

  told(life: Incarnation, [id, first, last]: readonly string[]): void {
    const tokens = parseTokens(first, last);
    if (tokens === undefined) throw new TypeError('no message of ours');
    const take = () => {
      const waiter = this.#waiterOf(id);
      if (waiter !== undefined && waiter.what.life === life) this.#grant(waiter, life, tokens);
    };
    const guarding = this.#foothold.guarding;
    if (guarding === undefined) take();
    else void guarding.then(take);
  }

  get waited(): boolean {
    return this.#line.size > 0;
  }

  askAgain(): void {
    for (const { what: wait } of [...this.#line]) {
      if (this.#behind.has(wait)) continue;
      if (wait.asking) wait.doubt = true;
      else this.#ask(wait);
    }
  }

  closed(): void {
    for (const hold of this.#holds.values()) hold.lease.conclude();
    this.#line.rejectAll(() => closedError(this.#what));
    this.#waits.clear();
    this.#behind.clear();
  }

  /** @param gone aborts where nobody waits for it any more */
  async #try(wait: Wait, gone: AbortSignal): Promise<HeldLease | null> {
    this.#busy += 1;
    gone.addEventListener('abort', () => this.#foothold.relent(), { once: true });
    try {
      for (;;) {
        const life = this.#foothold.stand() ?? (await this.#foothold.under());
        if (gone.aborted) return null;
        const asked = this.#call(life, 'semaphore.acquire', this.#asked(wait, 0));
        const answer = await this.#foothold.watched(asked, () => !gone.aborted).catch(unlessEnded);
        // Of a life that ended before the answer, or with it, there is none: the next is asked.
        if (answer === undefined || answer[0] === 'more' || !life.lives) continue;
        if (answer[0] === 'granted') return this.#hold(wait, life, tokensOf(answer));
        this.#refuse(answer, wait.shape, wait.permits);
        return null;
      }
    } finally {
      this.#free();
    }
  }

  /** Asks for the permits, or again what has become of the wait. */
  #ask(wait: Wait): void {
    if (this.#waiterOf(wait.id) === undefined || wait.asking) return;
    wait.asking = true;
    wait.doubt = false;
    const life = this.#foothold.stand();
    if (life !== undefined) this.#askUnder(life, wait);
    else void this.#foothold.under().then((next) => this.#askUnder(next, wait));
  }

  #askUnder(life: Incarnation, wait: Wait): void {
    if (this.#waiterOf(wait.id) === undefined) {
      wait.asking = false;
      return this.#tidy();
    }
    wait.life = life;
    const asked = this.#call(life, 'semaphore.acquire', this.#asked(wait, 1));
    this.#foothold
      .watched(asked, () => this.#waiterOf(wait.id) !== undefined)
      .then(
        (answer) => this.#answered(wait, life, answer),
        (error: unknown) =>
          error instanceof CallEnded ? this.#answered(wait, life, undefined) : this.#refused(wait, error),
      );
  }

  /** `answer`: none where the life ended before it came. */
  #answered(wait: Wait, life: Incarnation, answer: Answer | undefined): void {
    wait.asking = false;
    try {
      const waiter = this.#waiterOf(wait.id);
      if (waiter === undefined) return this.#decide(wait); // Served by a message, or gone: `cancel` sees to what was granted.
      if (answer?.[0] === 'granted') return this.#grant(waiter, life, tokensOf(answer));
      if (answer !== undefined) this.#refuse(answer, wait.shape, wait.permits);
      if (answer?.[0] === 'more') {
        this.#advance(life).then(
          () => this.#ask(wait),
          (error: unknown) => this.#refused(wait, error),
        );
      } else if (answer?.[0] !== 'queued' || wait.doubt) this.#ask(wait);
      else this.#decide(wait);
    } catch (error) {
      this.#refused(wait, error);
    }
  }

  #refused(wait: Wait, error: unknown): void {
    wait.asking = false;
    const waiter = this.#waiterOf(wait.id);
    this.#waits.delete(wait.id);
    waiter?.reject(error);
    if (wait === this.#front) this.#promote();
    // It may stand in line from before: who takes no write takes no leave either, and might grant it later.
    if (isShortage(error)) void this.#cancel(wait);
    this.#tidy();
  }

  /** It is known that it has to wait, and so have those who stand behind it. */
  #decide(wait: Wait): void {
    const behind = wait === this.#front ? [...this.#behind] : [];
    this.#line.decide(wait);
    for (const next of behind) this.#line.decide(next);
  }

  #grant(waiter: SemaphoreWaiter, life: Incarnation, tokens: Tokens): void {
    // A life that ended in between took the permits along.
    if (life.lives) this.#serve(waiter, life, tokens);
    else this.#ask(waiter.what);
  }

  /** Off the line before anything else: its time may be up, and it is not to give up what it is given here. */
  #serve(waiter: SemaphoreWaiter, life: Incarnation, tokens: Tokens, from?: Hold): void {
    const { what: wait } = waiter;
    this.#line.take(wait);
    this.#waits.delete(wait.id);
    waiter.resolve(this.#hold(wait, life, tokens, from));
    if (wait === this.#front) this.#decide(wait);
  }

  /** @param from the hold of another here that goes on as this one, under its name in Redis */
  #hold(wait: Wait, life: Incarnation, { token, last }: Tokens, from?: Hold): HeldLease {
    const { claim, shape, permits } = wait;
    const id = from?.id ?? wait.id;
    const end = (ended: HeldLease) => {
      const hold = this.#holds.get(id);
      if (hold?.lease !== ended || this.#passOn(hold)) return Promise.resolve();
      const given = hold.permits;
      this.#takeFrom(hold, given);
      return this.#giveBack(shape, [id, given], 0, ended);
    };
    const lease = new HeldLease(claim, token, life, end, undefined, from !== undefined);
    // Of a hold that goes on too: where it was not confirmed to the one before, it may be now.
    const first = from?.first ?? token;
    lease.confirmBy(this.#confirm(`${life.id}#${id}`, first));
    this.#holds.set(id, { id, wait, shape, life, lease, permits, first, token, last });
    lease.onOver(this.#core.deadlocks.holds(claim.owner, claim, id, () => token));
    return lease;
  }

  /** Whether replicas have the grant that Redis lists as `holder`, where they are to. */
  #confirm(holder: string, first: number): Promise<void> | undefined {
    const holders = this.#keys[semaphoreParts.indexOf('holders')] ?? '';
    return this.#core.confirmer?.confirm(this.#partition.site.sessions, {
      command: ['hget', holders, holder],
      // `permits first last`
      shows: (had) => typeof had === 'string' && had.split(' ')[1] === String(first),
    });
  }

  /** A hold of all goes to the next here who wants all, while its tokens last. */
  #passOn(hold: Hold): boolean {
    const [next] = this.#behind;
    const { life, token, last } = hold;
    const mayPass = hold.wait === this.#front && hold.permits === hold.shape.permits;
    const waiter = mayPass && token < last && life.valid && next ? this.#line.get(next) : undefined;
    if (waiter === undefined) return false;
    this.#behind.delete(waiter.what);
    this.#front = waiter.what;
    this.#serve(waiter, life, { token: token + 1, last }, hold);
    return true;
  }

  /** Its place in line goes to the next here who wants all; false where there is none, or no place yet. */
  #leavePlace(front: Wait): boolean {
    const [next] = this.#behind;
    if (next === undefined || front.asking || !front.life?.lives) return false;
    this.#behind.delete(next);
    [next.id, front.id] = [front.id, next.id];
    next.life = front.life;
    this.#waits.set(next.id, next);
    this.#waits.delete(front.id);
    this.#front = next;
    return true;
  }

  /** The one that asked for all has it no more, or asks no more: the next here asks. */
  #promote(): void {
    const [next] = this.#behind;
    this.#front = next;
    if (next === undefined) return;
    this.#behind.delete(next);
    this.#ask(next);
  }

  #promoteSoon(front: Wait): void {
    queueMicrotask(() => {
      if (this.#front === front) this.#promote();
    });
  }

  #takeFrom(hold: Hold, permits: number): void {
    hold.permits -= permits;
    if (hold.permits > 0) return;
    this.#holds.delete(hold.id);
    hold.lease.conclude();
    // Behind what gives it back, which is asked for before this turn ends.
    if (hold.wait === this.#front) this.#promoteSoon(hold.wait);
  }

  /**
   * Permits of holds go back under the life that holds them; where that ended they went back with it. Rejects where there
   * was nothing to give back, if that is to be told to whoever held `lease`.
   */
  #giveBack(
    shape: SemaphoreShape,
    pairs: readonly (string | number)[],
    raise: number,
    lease?: HeldLease,
  ): Promise<void> {
    const life = pairs.length > 0 ? this.#foothold.life : undefined;
    if (life === undefined) return this.#raise(shape, pairs, raise);
    this.#busy += 1;
    return this.#call(life, 'semaphore.release', this.#given(shape, pairs, raise)).then(
      (answer) => this.#givenBack(life, shape, answer, lease),
      (error: unknown) => this.#notGivenBack(shape, pairs, raise, error),
    );
  }

  #givenBack(
    life: Incarnation,
    shape: SemaphoreShape,
    answer: Answer,
    lease: HeldLease | undefined,
  ): void | Promise<void> {
    if (answer[0] === 'more') return this.#advance(life).finally(() => this.#free());
    this.#free();
    this.#refuse(answer, shape, 0);
    if (answer[0] !== 'gone' || lease === undefined) return;
    throw new LeaseLostError(
      `${this.#what} was not held any more when it was released; trust only what its token ${lease.token} guards`,
      { primitive: this.#name },
    );
  }

  #notGivenBack(
    shape: SemaphoreShape,
    pairs: readonly (string | number)[],
    raise: number,
    error: unknown,
  ): void | Promise<void> {
    if (isShortage(error)) {
      // Redis has them held still, by a session that lives: they are given back when it takes writes again.
      const again = () => this.#giveBack(shape, pairs, 0).catch(() => {});
      setTimeout(() => void again().finally(() => this.#free()), SHORTAGE_RETRY).unref();
    } else this.#free();
    if (!(error instanceof CallEnded)) throw error;
    if (raise === 0) return;
    if (error.sent) throw unknownOutcome(this.#what, error);
    this.#core.assertOpen(this.#what);
    return this.#raise(shape, [], raise);
  }

  /** What no hold of a life is given back with: it may be asked under whatever life there is. */
  async #raise(shape: SemaphoreShape, pairs: readonly (string | number)[], raise: number): Promise<void> {
    this.#busy += 1;
    try {
      for (;;) {
        const life =
          this.#partition.free ?? (await this.#core.patiently(this.#what, this.#partition.inTurn()));
        try {
          const answer = await this.#call(life, 'semaphore.release', this.#given(shape, pairs, raise));
          this.#refuse(answer, shape, 0);
          if (answer[0] === 'more') await this.#advance(life);
          return;
        } catch (error) {
          if (!(error instanceof CallEnded)) throw error;
          if (raise === 0) return;
          if (error.sent) throw unknownOutcome(this.#what, error);
          this.#core.assertOpen(this.#what);
        }
      }
    } finally {
      this.#free();
    }
  }

  #given(shape: SemaphoreShape, pairs: readonly (string | number)[], raise: number): (string | number)[] {
    return [this.#name, this.#kind, shapeText(shape), shape.permits, raise, ...pairs];
  }

  /** Leaves the line in Redis, and gives back what was granted meanwhile. */
  #gaveUp(wait: Wait): Promise<void> | undefined {
    this.#behind.delete(wait);
    if (wait === this.#front) {
      if (this.#leavePlace(wait)) return undefined;
      this.#promoteSoon(wait);
    }
    this.#waits.delete(wait.id);
    return this.#cancel(wait);
  }

  /** Leaves the line, by and by where Redis takes no writes; gives back what was granted meanwhile. */
  #cancel({ id, life, shape, permits }: Wait): Promise<void> | undefined {
    if (life === undefined || life.ended !== undefined) {
      this.#tidy();
      return undefined;
    }
    this.#busy += 1;
    const cancel = async (): Promise<void> => {
      try {
        const [was] = await this.#call(life, 'semaphore.cancel', [this.#name, this.#kind, id]);
        if (was === 'granted') await this.#giveBack(shape, [id, permits], 0);
        if (was === 'more') await this.#advance(life);
      } catch (error) {
        if (!isShortage(error)) return; // The life ended, and its place with it.
        await new Promise((resolve) => setTimeout(resolve, SHORTAGE_RETRY).unref());
        return cancel();
      }
    };
    return cancel().finally(() => this.#free());
  }

  async #advance(life: Incarnation): Promise<void> {
    for (;;) {
      const answer = await life
        .call('semaphore.advance', this.#keys, [this.#name, this.#kind])
        .catch(unlessEnded);
      if (answer?.[0] !== 'more') return;
    }
  }

  #call(life: Incarnation, operation: string, args: readonly (string | number)[]): Promise<Answer> {
    return life.call(operation, [...this.#keys, life.holds], args);
  }

  #asked({ id, permits, shape }: Wait, wait: 0 | 1): (string | number)[] {
    return [this.#name, this.#kind, id, permits, wait, shapeText(shape), shape.permits];
  }

  #waiterOf(id: string | undefined): SemaphoreWaiter | undefined {
    const wait = this.#waits.get(id ?? '');
    return wait && this.#line.get(wait);
  }

  #refuse([tag, value]: Answer, shape: SemaphoreShape, permits: number): void {
    if (tag === 'too many') throw tooMany(this.#what, permits, Number(value));
    if (tag === 'full') throw this.#tooManyPermits('only what was held was given back');
    if (tag !== 'mismatch') return;
    const [permitsText = '', bounded] = (value ?? '').split(' ');
    const existing: SemaphoreShape = { permits: Number(permitsText), bounded: bounded === 'bounded' };
    throw this.#mismatch(existing, shape);
  }

  #tooManyPermits(outcome: string): RangeError {
    return rangeError(`${this.#what} can't have more than ${MOST_PERMITS} permits; ${outcome}`);
  }

  #mismatch(existing: SemaphoreShape, requested: SemaphoreShape): ConfigMismatchError {
    return new ConfigMismatchError(
      `${this.#what} exists with ${shapeText(existing)} permits; ${shapeText(requested)} were named: use one shape for one name`,
      { existing, requested },
      { primitive: this.#name },
    );
  }

  #free(): void {
    this.#busy -= 1;
    this.#tidy();
  }

  /** Nothing is kept here for a name that nobody uses. */
  #tidy(): void {
    if (this.#line.size > 0 || this.#holds.size > 0 || this.#busy > 0) return;
    this.#foothold.leave();
    this.#core.leave(seatKey(this.#kind, this.#name), this);
  }
}

function shapeText({ permits, bounded }: SemaphoreShape): string {
  return bounded ? `${permits} bounded` : String(permits);
}

/** The error of a wish that can never be granted. */
export function tooMany(what: string, permits: number, limit: number): RangeError {
  return rangeError(
    `semaphore.acquire: permits must be at most ${limit}, all that ${what} has, not ${permits}: more are never free`,
  );
}

function unknownOutcome(what: string, cause: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(
    `${what}: the session ended before Redis answered; whether it took effect is not known`,
    { cause },
  );
}

/** Whether others are kept out, for good: of an unbounded semaphore the limit may be raised meanwhile. */
function wantsAll({ shape, permits }: Pick<Wait, 'shape' | 'permits'>): boolean {
  return shape.bounded && permits === shape.permits;
}

function parseTokens(first: string | undefined, last: string | undefined): Tokens | undefined {
  const tokens = { token: Number(first), last: Number(last) };
  const { token, last: end } = tokens;
  return Number.isSafeInteger(token) && Number.isSafeInteger(end) && 0 < token && token <= end
    ? tokens
    : undefined;
}

function tokensOf([is, first, last]: Answer): Tokens {
  const tokens = parseTokens(first, last);
  if (tokens !== undefined) return tokens;
  const said = JSON.stringify([is, first, last]);
  throw new RedisRefusedError(`Redis answered a semaphore operation out of form: ${said}; is it Redis?`);
}
