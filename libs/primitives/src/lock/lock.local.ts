/**
 * The lock between threads: one shared word, after the three-state mutex of Ulrich Drepper, "Futexes Are Tricky"
 * (2011), https://www.akkadia.org/drepper/futex.pdf, mutex 3, with a generation beside the state.
 *
 * Who takes it sets `HELD` and the next generation in one step (`#tryToTake`), who releases it clears `HELD` in one
 * (`#free`): where nobody waits that is all. Who finds it held says in the word that it is about to sleep (`#announce`),
 * so that who releases knows that somebody is to be woken, and sleeps on the value which that made: if it has changed
 * since, nobody sleeps. Who wakes tries again, as does whoever comes by; who has lost too many of these races has the
 * next hold kept for it. A hold is known by its generation: a lease ends that one, or nothing.
 *
 * `STATE`, by bits:
 *
 * | bits | name | set by | cleared by |
 * |---|---|---|---|
 * | 0 | `HELD` | who takes | who releases |
 * | 1 | `SLEEPERS`: blocked threads may sleep on the word | who goes to sleep, or slept and takes | who releases, and wakes one |
 * | 2 | `CROWD`: threads with asynchronous waiters may | who goes to sleep | who releases, and wakes all |
 * | 3 | `RESERVED`: only the thread in `HEIR` may take it | a waiter who lost `PATIENCE` races (`patient-wish.ts`) | the heir, taking or giving up; anybody, where the heir slept on for slices |
 * | 4 | `ABANDONED`: the hold before ended with its thread | who finds that out, freeing it | who takes |
 * | 5–31 | the generation | who takes: one more | never |
 *
 * Why `CROWD` wakes all: a wake-up of one could go to a thread whose event loop is busy, and would be stuck there.
 * A thread has at most one entry and one sleep on a word, so all are few. While an entry exists `CROWD` is set.
 *
 * `EPOCH` counts half turns of the generation: its lowest bit equals the generation's highest, and whoever holds and
 * finds it otherwise adds 1. Both together are the fencing token: 2⁵³ of them.
 *
 * From `HOLDER` on it is written down who holds, where the lock is robust: see `RobustHolder`.
 */
import { threadId } from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { warnOfHoldLeft } from '../debug/warnings.ts';
import { watch } from '../debug/watch.ts';
import { AbandonedError, NotHeldError } from '../errors.ts';
import {
  type AcquireOptions,
  type BlockingOptions,
  checkBlocking,
  checkFunction,
  checkWait,
  type ForeverOptions,
} from '../options.ts';
import { change, compareExchange, load, peek, store, type Words } from '../shared-memory/cells.ts';
import { DEBUG, FIRST, MEMORY, Memory, ROBUST } from '../shared-memory/memory.ts';
import { Spin } from '../shared-memory/spin.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { waitSync, wake, wakeAll } from '../shared-memory/word.ts';
import { onThreadEnd } from '../thread/thread-end.ts';
import { type LeaseSource, LocalLease } from './local-lease.ts';
import type { AnyLock, Lease } from './lock.ts';
import { type LockOptions, makeLockMemory } from './lock-options.ts';
import { type LockDoor, LockWish } from './lock-wish.ts';
import { refuseOwn } from './own-body.ts';
import { Renewals, type SuspendedHold } from './renewals.ts';
import { RobustHolder } from './robust-holder.ts';
import { notInTime, useLease, useLeaseSync } from './use-lease.ts';

const STATE = FIRST;
const EPOCH = FIRST + 1;
const HEIR = FIRST + 2;
/** Where the four words of who holds begin. */
const HOLDER = FIRST + 3;
/** How many words of a memory a lock takes; locks of other kinds keep what is theirs behind them. */
export const LOCK_WORDS = 8;

const HELD = 1;
const SLEEPERS = 2;
const CROWD = 4;
const RESERVED = 8;
const ABANDONED = 16;
/** Somebody may have to be woken. */
const WAITED = SLEEPERS | CROWD | RESERVED;
const FLAGS = 31;
const GENERATION = 32;
/** How many generations half a turn has. */
const HALF_TURN = 2 ** 26;

/** A robust lock's waiters look more often whether its holder lives, in ms. */
const ROBUST_SLICE = 50;

/** By the lock's label, since the condition may have another handle to it than whoever holds. */
const renewals = new Map<string, Renewals>();

/** `threading.Lock` between the threads of one process. */
export class Lock implements AnyLock, LeaseSource, WaitListOwner {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly #memory: Memory;
  readonly #words: Words;
  /** Of a robust lock. */
  readonly #holder: RobustHolder | undefined;
  /** The state this handle made last: the first guess, which saves reading a word that other threads write. */
  #last = 0;
  #list: WaitList | undefined;
  #door: LockDoor<Lease> | undefined;
  #spin: Spin | undefined;

  /** A free lock. */
  constructor(options?: LockOptions);
  /** @internal The lock that this memory is. */
  constructor(memory: Memory);
  constructor(options?: LockOptions | Memory) {
    const memory = options instanceof Memory ? options : makeLockMemory('Lock', LOCK_WORDS, options);
    this[MEMORY] = memory;
    this.#memory = memory;
    this.#words = memory.words;
    if ((memory.traits & ROBUST) !== 0) {
      this.#holder = new RobustHolder(memory.words, HOLDER);
      onThreadEnd(this, (lock, thread, name) => lock.#freeAfter(thread, name));
    }
    // The sides of a read-write lock are watched, not the lock they stand on.
    if ((memory.traits & DEBUG) !== 0 && memory.kind !== 'ReadWriteLock') watch(this, memory);
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    if (options === undefined && (this.#list === undefined || this.#list.empty)) {
      const taken = this.#take(0);
      if (taken !== 0) return this.#granted(taken);
    }
    return this.#acquireChecked(options);
  }

  /**
   * Takes the lock and blocks the thread meanwhile; `false` where `timeout` ms passed first. Unlike `threading`, what
   * an event loop must do for the lock to get free is not done meanwhile. A robust lock whose holder's thread ended
   * throws `AbandonedError`, and is held.
   */
  acquireSync(options?: BlockingOptions): boolean {
    const timeout = options === undefined ? undefined : checkBlocking(options, 'Lock.acquireSync');
    let taken = this.#take(0);
    if (taken === 0) {
      if (timeout === 0) return false;
      const deadline = Deadline.after(timeout);
      this.#refuseOwn(deadline, true);
      taken = this.#block(deadline);
      if (taken === 0) return false;
    }
    if ((taken & ABANDONED) !== 0) throw this.#abandonedError();
    return true;
  }

  release(): void {
    const { shared } = this.#memory;
    if (shared && (this.#last & HELD) !== 0 && this.#free(this.#last)) return;
    const seen = peek(shared, this.#words, STATE);
    if ((seen & HELD) === 0 || !this.#free(seen)) {
      throw new NotHeldError(`${this[MEMORY].label} is not held; acquire it before release()`, {
        primitive: this[MEMORY].label,
      });
    }
  }

  locked(): boolean {
    return (load(this.#words, STATE) & HELD) !== 0;
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(this[MEMORY].label, () => this.acquire(options as AcquireOptions), fn);
  }

  /**
   * `with` for blocking code: `fn` is synchronous, and runs in the logical thread of the caller. Where `acquireSync` would
   * throw `AbandonedError`, this does, without running `fn` and with the lock held. Ends its own hold and no other: where
   * `fn` released the lock itself, nothing is left to end.
   */
  withSync<T>(fn: () => T, options?: BlockingOptions): T {
    checkFunction(fn, 'Lock.withSync(fn): fn');
    if (!this.acquireSync(options)) throw notInTime(this[MEMORY].label);
    return useLeaseSync(this[MEMORY].label, this.heldLease(), fn);
  }

  /** @internal For locks made of this one: waits, and gives what `granted` does in the very step that took it. */
  enqueue<T>(granted: () => T, deadline: Deadline, signal: AbortSignal | undefined): Promise<T | null> {
    this.#list ??= new WaitList(this.#words, STATE, this);
    return this.#list.enqueue(new LockWish(false, this.#doorTo(granted)), deadline, signal);
  }

  /** @internal For locks made of this one: blocks until it is taken (true) or the deadline has passed (false). */
  blockUntil(deadline: Deadline): boolean {
    return (this.#take(0) || this.#block(deadline)) !== 0;
  }

  #acquireChecked(options: AcquireOptions | undefined): Promise<Lease | null> {
    try {
      const { timeout, signal } = checkWait(options, 'Lock.acquire');
      if (timeout === 0 || this.#list === undefined || this.#list.empty) {
        const taken = this.#take(0);
        if (taken !== 0) return this.#granted(taken);
        if (timeout === 0) return Promise.resolve(null);
      }
      const deadline = Deadline.after(timeout);
      this.#refuseOwn(deadline, false);
      this.#list ??= new WaitList(this.#words, STATE, this);
      return this.#list.enqueue(this.#wish(false), deadline, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #refuseOwn(deadline: Deadline, blocks: boolean): void {
    const { label } = this[MEMORY];
    refuseOwn(label, deadline, blocks, ({ what }) => what === label);
  }

  #block(deadline: Deadline): number {
    let taken = 0;
    this.#spin ??= new Spin();
    const found = this.#spin.until(() => {
      if ((load(this.#words, STATE) & HELD) === 0) taken = this.#take(0);
      return taken !== 0;
    });
    if (found) return taken;
    const wish = this.#wish(true);
    if (waitSync(this.#words, STATE, wish, deadline, this.#holder && ROBUST_SLICE)) return wish.taken;
    this.relinquish();
    return 0;
  }

  #wish(blocks: boolean): LockWish<Lease> {
    this.#door ??= this.#doorTo((taken) => this.#lease(taken));
    return new LockWish(blocks, this.#door);
  }

  #doorTo<T>(granted: (taken: number) => T): LockDoor<T> {
    return {
      take: (sleepersRemain) => this.#take(sleepersRemain ? SLEEPERS : 0),
      announce: (wish) => this.#announce(wish),
      granted,
    };
  }

  /** One try. The new state, with `ABANDONED` where that was so; 0 where it is not to be had. */
  #take(mark: number): number {
    const holder = this.#holder;
    if (holder === undefined || !this.#memory.shared) return this.#tryToTake(mark);
    if (this.locked()) return 0;
    holder.begin();
    const taken = this.#tryToTake(mark);
    holder.done();
    return taken;
  }

  #tryToTake(mark: number): number {
    const words = this.#words;
    const { shared } = this.#memory;
    let seen = shared && (this.#last & FLAGS) === 0 ? this.#last : peek(shared, words, STATE);
    while ((seen & HELD) === 0) {
      if ((seen & RESERVED) !== 0 && load(words, HEIR) !== threadId) return 0;
      const next = ((seen + GENERATION) & ~(RESERVED | ABANDONED)) | HELD | mark;
      const found = change(shared, words, STATE, seen, next);
      if (found === seen) {
        this.#last = next;
        if (((next >>> 5) & (HALF_TURN - 1)) === 0) this.#epoch(next);
        this.#holder?.write(next & ~FLAGS);
        return next | (seen & ABANDONED);
      }
      seen = found;
    }
    return 0;
  }

  /** Says in the word that somebody is about to sleep; gives the value to sleep on, `undefined` where the lock got free. */
  #announce(wish: LockWish<unknown>): number | undefined {
    for (;;) {
      const seen = load(this.#words, STATE);
      const free = (seen & HELD) === 0;
      if (free && ((seen & RESERVED) === 0 || load(this.#words, HEIR) === threadId)) return undefined;
      if (free && wish.slices >= 2 && wish.seen === seen) {
        // The heir slept through whole slices: its thread is gone, or its event loop stands still.
        compareExchange(this.#words, STATE, seen, seen & ~RESERVED);
        continue;
      }
      if (!free && this.#holder?.freeIfEnded(seen & ~FLAGS, () => this.#abandon(seen))) continue;
      let next = seen | (wish.blocks ? SLEEPERS : CROWD);
      if (!free && (seen & RESERVED) === 0 && wish.impatient) {
        store(this.#words, HEIR, threadId);
        next |= RESERVED;
      }
      if (next !== seen && compareExchange(this.#words, STATE, seen, next) !== seen) continue;
      wish.seen = next;
      return next;
    }
  }

  /** @internal A reservation of this thread is given up; a wake-up it may have had goes to somebody else. */
  relinquish(): void {
    for (;;) {
      const seen = load(this.#words, STATE);
      const reserved = (seen & RESERVED) !== 0 && load(this.#words, HEIR) === threadId;
      const next = (reserved ? seen & ~RESERVED : seen) | ((seen & HELD) !== 0 ? SLEEPERS : 0);
      if (next !== seen && compareExchange(this.#words, STATE, seen, next) !== seen) continue;
      if ((next & HELD) !== 0) return;
      if (reserved || (next & CROWD) !== 0) wakeAll(this.#words, STATE);
      else wake(this.#words, STATE, 1);
      return;
    }
  }

  /** Ends the hold in `seen`, however the flags beside it change; false where that hold has ended already. */
  #free(seen: number): boolean {
    for (let state = seen; ; ) {
      const next = state & ~(HELD | SLEEPERS | CROWD);
      const found = change(this.#memory.shared, this.#words, STATE, state, next);
      if (found === state) {
        this.#last = next;
        if ((state & WAITED) !== 0 || this.#list !== undefined || this.#renewals !== undefined)
          this.#freed(state);
        return true;
      }
      if ((found & HELD) === 0 || (found & ~FLAGS) !== (seen & ~FLAGS)) return false;
      state = found;
    }
  }

  /** Tells whoever is concerned that the hold in `state` has ended; what nobody waits for does without. */
  #freed(state: number): void {
    if ((state & (CROWD | RESERVED)) !== 0) wakeAll(this.#words, STATE);
    else if ((state & SLEEPERS) !== 0) wake(this.#words, STATE, 1);
    this.#list?.kick();
    const own = this.#renewals;
    own?.delete(this.#token(state));
    if (own?.size === 0) renewals.delete(this[MEMORY].label);
  }

  /** @internal The lease of a hold that `acquireSync` has begun, for who has just done so. */
  heldLease(): Lease {
    return new LocalLease(this, this.#token(load(this.#words, STATE)), 1);
  }

  /** @internal */
  isHeld(token: number): boolean {
    const seen = load(this.#words, STATE);
    return (seen & HELD) !== 0 && this.#token(seen) === this.tokenOf(token);
  }

  /** @internal */
  tokenOf(token: number): number {
    return this.#renewals?.of(token)?.now ?? token;
  }

  /** @internal */
  endHold(token: number): void {
    this.tryEndHold(token);
  }

  /** @internal Ends the hold granted with this token; false where it has ended. */
  tryEndHold(token: number): boolean {
    const renewal = this.#renewals?.of(token);
    if (renewal?.now === 0) renewal.released = true;
    const seen = peek(this.#memory.shared, this.#words, STATE);
    return (seen & HELD) !== 0 && this.#token(seen) === this.tokenOf(token) && this.#free(seen);
  }

  /** @internal The token of the hold there is; 0 where there is none. */
  currentToken(): number {
    const seen = load(this.#words, STATE);
    return (seen & HELD) === 0 ? 0 : this.#token(seen);
  }

  #granted(taken: number): Promise<LocalLease> {
    return (taken & ABANDONED) === 0
      ? LocalLease.granted(this, this.#token(taken), 1)
      : Promise.resolve(this.#lease(taken));
  }

  #lease(taken: number): LocalLease {
    const token = this.#token(taken);
    return (taken & ABANDONED) === 0
      ? new LocalLease(this, token, 1)
      : LocalLease.afterAbandoned(this, token);
  }

  /** The fencing token of the hold in `state`. Right as long as that hold lasts. */
  #token(state: number): number {
    return this.#epoch(state) * HALF_TURN + ((state >>> 5) & (HALF_TURN - 1));
  }

  #epoch(state: number): number {
    const epoch = peek(this.#memory.shared, this.#words, EPOCH);
    if ((epoch & 1) === state >>> 31) return epoch;
    compareExchange(this.#words, EPOCH, epoch, epoch + 1);
    return epoch + 1;
  }

  /** @internal Whether it is held: any hold of the process is the caller's to wait under. */
  isMine(): boolean {
    return this.locked();
  }

  /** @internal Gives back the hold there is, for as long as a condition waits. */
  suspend(): SuspendedHold {
    const seen = load(this.#words, STATE);
    const token = this.#token(seen);
    const granted = this.#renewals?.grantedAs(token) ?? token;
    this.#free(seen);
    const own = this.#renewals ?? new Renewals();
    renewals.set(this[MEMORY].label, own);
    const renewal = own.add(granted);
    const resumed = (now: number) => own.renew(renewal, now);
    return {
      resume: async (then) => {
        resumed((await this.acquire()).token);
        return then();
      },
      resumeSync: () => resumed(this.#token(this.#take(0) || this.#block(Deadline.never))),
      get released() {
        return renewal.released;
      },
      end: () => void this.#free(load(this.#words, STATE)),
    };
  }

  get #renewals(): Renewals | undefined {
    return renewals.size === 0 ? undefined : renewals.get(this[MEMORY].label);
  }

  /** The thread of that number has ended: what it held is free. */
  #freeAfter(thread: number, name: string): void {
    const seen = load(this.#words, STATE);
    if ((seen & HELD) === 0) return;
    const freed = this.#holder?.freeAfter(thread, seen & ~FLAGS, () => this.#abandon(seen));
    if (freed && (this.#memory.traits & DEBUG) === 0) warnOfHoldLeft(this[MEMORY].label, name, true);
  }

  #abandon(seen: number): boolean {
    const next = (seen & ~(HELD | SLEEPERS | CROWD)) | ABANDONED;
    if (compareExchange(this.#words, STATE, seen, next) !== seen) return false;
    wakeAll(this.#words, STATE);
    this.#list?.kick();
    return true;
  }

  #abandonedError(): AbandonedError {
    const primitive = this[MEMORY].label;
    return new AbandonedError(
      `${primitive} is yours now, but the thread that held it ended while it did: check what it guards, then release it`,
      { primitive },
    );
  }
}
