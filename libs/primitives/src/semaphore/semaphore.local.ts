/**
 * The semaphore between threads: the free permits and the flags of those who wait, in one shared word.
 *
 * `STATE`, by bits:
 *
 * | bits | name | set by | cleared by |
 * |---|---|---|---|
 * | 0 | `SLEEPERS`: blocked threads may sleep on the word, each for one permit | who goes to sleep, or slept and takes | who wakes as many as there are new permits |
 * | 1 | `CROWD`: threads with asynchronous waiters may, or ones that wish for several | who goes to sleep | who wakes all |
 * | 2 | `RESERVED`: only the thread in `HEIR` may take | a waiter who lost `PATIENCE` races (`patient-wish.ts`) | the heir, taking or giving up; anybody, where the heir slept on for slices |
 * | 3–31 | the permits free | who takes, who releases | |
 *
 * The rules of sleeping and waking are the lock's (`lock.local.ts`), with one more: since permits may be left when a
 * woken one has taken its own, it wakes the next. A release thus wakes no more threads than it has permits for, and
 * those that come too early are woken one by the other.
 *
 * `LIMIT` is the most permits that were ever free: a wish for more could never be granted. Of a bounded semaphore it
 * is the bound. `GRANTS` counts leases: their tokens.
 */
import { threadId } from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { OverReleaseError, rangeError } from '../errors.ts';
import { type LeaseSource, LocalLease } from '../lock/local-lease.ts';
import type { Lease } from '../lock/lock.ts';
import { callSync, notInTime, useLease } from '../lock/use-lease.ts';
import { type BlockingOptions, checkBlocking, checkCount, checkFunction, checkWait } from '../options.ts';
import {
  change,
  compareExchange,
  increment,
  load,
  peek,
  store,
  type WideWords,
  type Words,
} from '../shared-memory/cells.ts';
import { FIRST, FIRST_WIDE, type Kind, MEMORY, Memory } from '../shared-memory/memory.ts';
import { Spin } from '../shared-memory/spin.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { waitSync, wake, wakeAll } from '../shared-memory/word.ts';
import { PermitsWish, type SemaphoreDoor } from './permits-wish.ts';
import type { AnySemaphore, SemaphoreAcquireOptions, SemaphoreForeverOptions } from './semaphore.ts';

const GRANTS = FIRST_WIDE;
const STATE = FIRST + 2;
const HEIR = FIRST + 3;
const LIMIT = FIRST + 4;
const WORDS = 5;

const SLEEPERS = 1;
const CROWD = 2;
const RESERVED = 4;
const FLAGS = 7;
const SHIFT = 3;
/** The most permits the word has room for. */
const MOST = 2 ** 29 - 1;

/** What a blocking `acquireSync` takes. */
export interface SemaphoreBlockingOptions extends BlockingOptions {
  /** How many permits at once, all or none; 1 unless given. */
  readonly permits?: number | undefined;
}

/** `threading.Semaphore` between the threads of one process, whose permits can be taken several at once. */
export class Semaphore implements AnySemaphore, LeaseSource, WaitListOwner {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly #memory: Memory;
  readonly #words: Words;
  readonly #wide: WideWords;
  readonly #bounded: boolean;
  #list: WaitList | undefined;
  #door: SemaphoreDoor | undefined;
  #spin: Spin | undefined;

  /** `permits`: how many are free at first, 0 to 536,870,911. */
  constructor(permits?: number);
  /** @internal The semaphore that this memory is. */
  constructor(memory: Memory);
  constructor(permits: number | Memory = 1) {
    const memory = permits instanceof Memory ? permits : makeMemory('Semaphore', permits);
    this[MEMORY] = memory;
    this.#memory = memory;
    this.#words = memory.words;
    this.#wide = memory.wide();
    this.#bounded = memory.kind === 'BoundedSemaphore';
  }

  acquire(options?: SemaphoreForeverOptions): Promise<Lease>;
  acquire(options: SemaphoreAcquireOptions): Promise<Lease | null>;
  acquire(options?: SemaphoreAcquireOptions): Promise<Lease | null> {
    if (options === undefined && (this.#list === undefined || this.#list.empty) && this.#take(1, 0)) {
      return this.#granted(1);
    }
    return this.#acquireChecked(options);
  }

  /** Takes `permits` and blocks the thread meanwhile; `false` where `timeout` ms passed first. */
  acquireSync(options?: SemaphoreBlockingOptions): boolean {
    if (options === undefined && this.#take(1, 0)) return true;
    const timeout = checkBlocking(options, `${this[MEMORY].kind}.acquireSync`, 'permits');
    const permits = this.#checkPermits(options?.permits, 'acquireSync');
    if (this.#take(permits, 0)) return true;
    if (timeout === 0) return false;
    this.#spin ??= new Spin();
    if (this.#spin.until(() => this.#take(permits, 0))) return true;
    const wish = this.#wish(permits, true);
    if (waitSync(this.#words, STATE, wish, Deadline.after(timeout))) return true;
    this.relinquish();
    return false;
  }

  release(n = 1): void {
    if (n !== 1) checkCount(n, `${this[MEMORY].kind}.release(n): n`, { max: MOST });
    this.#give(n);
  }

  value(): number {
    return load(this.#words, STATE) >>> SHIFT;
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: SemaphoreAcquireOptions): Promise<T> {
    return useLease(this[MEMORY].label, () => this.acquire(options as SemaphoreAcquireOptions), fn);
  }

  /** `with` for blocking code: `fn` is synchronous. */
  withSync<T>(fn: () => T, options?: SemaphoreBlockingOptions): T {
    checkFunction(fn, `${this[MEMORY].kind}.withSync(fn): fn`);
    const permits = options?.permits;
    if (!this.acquireSync(options)) throw notInTime(this[MEMORY].label);
    return callSync(this[MEMORY].label, fn, () => this.release(permits));
  }

  /** @internal */
  tokenOf(token: number): number {
    return token;
  }

  /** @internal Permits have no owner: a lease's are its own until it gives them back. */
  isHeld(): boolean {
    return true;
  }

  /** @internal */
  endHold(_token: number, permits: number): void {
    this.#give(permits);
  }

  /** @internal A reservation of this thread is given up; a wake-up it may have had goes to somebody else. */
  relinquish(): void {
    for (;;) {
      const seen = load(this.#words, STATE);
      const reserved = this.#reservedHere(seen);
      const left = seen >>> SHIFT;
      const next = left > 0 ? seen & ~(FLAGS & ~RESERVED) : seen | SLEEPERS;
      const settled = reserved ? next & ~RESERVED : next;
      if (settled !== seen && compareExchange(this.#words, STATE, seen, settled) !== seen) continue;
      if (left > 0) this.#wake(reserved ? seen | CROWD : seen | SLEEPERS, 1);
      return;
    }
  }

  #acquireChecked(options: SemaphoreAcquireOptions | undefined): Promise<Lease | null> {
    try {
      const { timeout, signal } = checkWait(options, `${this[MEMORY].kind}.acquire`, 'permits');
      const permits = this.#checkPermits(options?.permits, 'acquire');
      if (timeout === 0 || this.#list === undefined || this.#list.empty) {
        if (this.#take(permits, 0)) return this.#granted(permits);
        if (timeout === 0) return Promise.resolve(null);
      }
      this.#list ??= new WaitList(this.#words, STATE, this);
      const wish = this.#wish(permits, false);
      return this.#list.enqueue(wish, Deadline.after(timeout), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #checkPermits(permits: unknown, method: string): number {
    const most = load(this.#words, LIMIT);
    if (permits === undefined && most > 0) return 1;
    const { kind } = this[MEMORY];
    const where = `${kind}.${method}: permits`;
    const limit = kind === 'BoundedSemaphore' ? most : Math.max(1, most); // Another's may be raised.
    const checked = permits === undefined ? 1 : checkCount(permits, where);
    if (checked <= limit) return checked;
    throw rangeError(
      `${where} must be at most ${limit}, all that ${this[MEMORY].label} has, not ${checked}: more are never free`,
    );
  }

  #wish(permits: number, blocks: boolean): PermitsWish {
    this.#door ??= {
      take: (wished, sleepersRemain) => this.#take(wished, sleepersRemain ? SLEEPERS : 0),
      announce: (wish) => this.#announce(wish),
      lease: (wished) => this.#lease(wished),
    };
    return new PermitsWish(permits, blocks, this.#door);
  }

  #reservedHere(state: number): boolean {
    return (state & RESERVED) !== 0 && load(this.#words, HEIR) === threadId;
  }

  #take(permits: number, mark: number): boolean {
    const { shared } = this.#memory;
    let seen = peek(shared, this.#words, STATE);
    while (seen >>> SHIFT >= permits) {
      if ((seen & RESERVED) !== 0 && load(this.#words, HEIR) !== threadId) return false;
      const next = ((seen - (permits << SHIFT)) & ~RESERVED) | mark;
      const found = change(shared, this.#words, STATE, seen, next);
      if (found === seen) {
        if (mark !== 0 || (seen & RESERVED) !== 0) this.#wakeNext();
        return true;
      }
      seen = found;
    }
    return false;
  }

  #give(n: number): void {
    const { shared } = this.#memory;
    for (;;) {
      const seen = peek(shared, this.#words, STATE);
      const permits = (seen >>> SHIFT) + n;
      if (permits > peek(shared, this.#words, LIMIT)) this.#raiseLimit(permits);
      if (change(shared, this.#words, STATE, seen, (permits << SHIFT) | (seen & RESERVED)) !== seen) continue;
      if ((seen & FLAGS) !== 0) this.#wake(seen, n);
      if (this.#list !== undefined) this.#list.kick();
      return;
    }
  }

  /** Permits are left and others may sleep: wakes them, as a release would. */
  #wakeNext(): void {
    for (;;) {
      const seen = load(this.#words, STATE);
      if (seen >>> SHIFT === 0 || (seen & (SLEEPERS | CROWD)) === 0) return;
      if (compareExchange(this.#words, STATE, seen, seen & ~(SLEEPERS | CROWD)) !== seen) continue;
      this.#wake(seen, 1);
      return;
    }
  }

  /** Wakes whoever the flags speak of, and `n` of them where each wishes for one permit. */
  #wake(flags: number, n: number): void {
    if ((flags & (CROWD | RESERVED)) !== 0) wakeAll(this.#words, STATE);
    else if ((flags & SLEEPERS) !== 0) wake(this.#words, STATE, n);
  }

  /** Says in the word that somebody is about to sleep; gives the value to sleep on, `undefined` where a try may help. */
  #announce(wish: PermitsWish): number | undefined {
    for (;;) {
      const seen = load(this.#words, STATE);
      const enough = seen >>> SHIFT >= wish.permits;
      if (enough && ((seen & RESERVED) === 0 || this.#reservedHere(seen))) return undefined;
      if ((seen & RESERVED) !== 0 && enough && wish.slices >= 2 && wish.seen === seen) {
        // The heir slept through whole slices: its thread is gone, or its event loop stands still.
        compareExchange(this.#words, STATE, seen, seen & ~RESERVED);
        continue;
      }
      let next = seen | (wish.alone ? SLEEPERS : CROWD);
      if ((seen & RESERVED) === 0 && wish.impatient) {
        store(this.#words, HEIR, threadId);
        next |= RESERVED;
      }
      if (next !== seen && compareExchange(this.#words, STATE, seen, next) !== seen) continue;
      wish.seen = next;
      return next;
    }
  }

  #raiseLimit(permits: number): void {
    for (;;) {
      const limit = load(this.#words, LIMIT);
      if (permits <= limit) return;
      const primitive = this[MEMORY].label;
      if (this.#bounded) {
        throw new OverReleaseError(
          `${primitive} was released more often than acquired: ${permits} permits of ${limit}; nothing was changed`,
          { primitive },
        );
      }
      if (permits > MOST) {
        throw rangeError(`${primitive} can't have more than ${MOST} permits; nothing was changed`);
      }
      if (compareExchange(this.#words, LIMIT, limit, permits) === limit) return;
    }
  }

  #granted(permits: number): Promise<LocalLease> {
    return LocalLease.granted(this, this.#nextToken(), permits);
  }

  #lease(permits: number): LocalLease {
    return new LocalLease(this, this.#nextToken(), permits);
  }

  #nextToken(): number {
    return increment(this.#memory.shared, this.#words, this.#wide, GRANTS);
  }
}

/** `threading.BoundedSemaphore`: a release beyond the permits it was made with throws, and changes nothing. */
export class BoundedSemaphore extends Semaphore {
  /** `permits`: how many there are, 0 to 536,870,911. */
  constructor(permits?: number);
  /** @internal The semaphore that this memory is. */
  constructor(memory: Memory);
  constructor(permits: number | Memory = 1) {
    super(permits instanceof Memory ? permits : makeMemory('BoundedSemaphore', permits));
  }
}

function makeMemory(kind: Kind, permits: number): Memory {
  checkCount(permits, `new ${kind}(permits): permits`, { min: 0, max: MOST });
  const memory = Memory.make(kind, WORDS);
  store(memory.words, STATE, permits << SHIFT);
  store(memory.words, LIMIT, permits);
  return memory;
}
