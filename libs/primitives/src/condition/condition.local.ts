/**
 * The condition between threads: counts that are changed only under the lock, and a sequence number to sleep on, after
 * the condition variables of glibc before 2.25 (Ulrich Drepper's `pthread_cond_wait`), with tickets, so that whoever
 * comes later takes no signal from those who came before.
 *
 * | word | holds | changed, always under the lock, by |
 * |---|---|---|
 * | `SIGNALS` | grows whenever somebody may go who might not before; who waits sleeps on it | `notify`; who gives up |
 * | `TICKETS` | how many have ever begun to wait: each has its number as its ticket | who begins to wait |
 * | `LIVE` | how many of them have neither gone nor given up | who begins to wait, goes, or gives up |
 * | `PENDING` | signals given that nobody has taken yet | `notify`; who goes with one; who gives up |
 * | `FRONT` | who has a lower ticket may take a pending signal | `notify`; who gives up |
 *
 * `FRONT` keeps the last `LIVE` - `PENDING` of those who wait out: in order of arrival, unless others gave up behind them.
 * Who wakes takes the lock first and the signal then; if somebody else before `FRONT` took it, it waits on. A signal whose
 * waiter ended with its thread is left, after a whole slice, to any that was there when a later one was given.
 */
import { Deadline } from '../deadline.ts';
import { NotHeldError, show, typeError } from '../errors.ts';
import { Lock } from '../lock/lock.local.ts';
import type { Lease } from '../lock/lock.ts';
import type { SuspendedHold } from '../lock/renewals.ts';
import {
  type AcquireOptions,
  type BlockingOptions,
  checkBlocking,
  checkCount,
  checkFunction,
  checkWait,
  type ForeverOptions,
  type WaitOptions,
} from '../options.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { load, store, type Words } from '../shared-memory/cells.ts';
import { FIRST, INNER, MEMORY, Memory } from '../shared-memory/memory.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import type { AnyCondition } from './condition.ts';

const SIGNALS = FIRST;
const TICKETS = FIRST + 1;
const LIVE = FIRST + 2;
const PENDING = FIRST + 3;
const FRONT = FIRST + 4;
const WORDS = 5;

/** `threading.Condition` between the threads of one process. */
export class Condition implements AnyCondition, WaitListOwner {
  /** @internal */
  readonly [MEMORY]: Memory;
  /** @internal */
  readonly [INNER]: Lock | RLock;
  readonly #words: Words;
  readonly #lock: Lock | RLock;
  #list: WaitList | undefined;

  /** On that lock, or on an `RLock` of its own. */
  constructor(lock?: Lock | RLock);
  /** @internal The condition that this memory is. */
  constructor(lock: Lock | RLock, memory: Memory);
  constructor(lock: Lock | RLock = new RLock(), memory = Memory.make('Condition', WORDS)) {
    if (!(lock instanceof Lock || lock instanceof RLock)) {
      throw typeError(
        `new Condition(lock): lock must be a local Lock or RLock, not ${show(lock)}; leave it out to get one of its own`,
      );
    }
    if (!(memory instanceof Memory))
      throw typeError(`new Condition(lock) takes a lock alone, not ${show(memory)} too; leave that out`);
    this[MEMORY] = memory;
    this[INNER] = lock;
    this.#words = memory.words;
    this.#lock = lock;
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    return this.#lock.acquire(options as AcquireOptions);
  }

  /** `acquire`, blocking the thread; `false` where `timeout` ms passed first. */
  acquireSync(options?: BlockingOptions): boolean {
    return this.#lock.acquireSync(options);
  }

  release(): void {
    this.#lock.release();
  }

  locked(): boolean {
    return this.#lock.locked();
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return this.#lock.with(fn, options);
  }

  /** `with` for blocking code: `fn` is synchronous. */
  withSync<T>(fn: () => T, options?: BlockingOptions): T {
    return this.#lock.withSync(fn, options);
  }

  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, 'Condition.wait');
    this.#checkHeld('wait');
    return this.#wait(Deadline.after(timeout), signal);
  }

  async waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean> {
    checkFunction(predicate, 'Condition.waitFor(predicate): predicate');
    const { timeout, signal } = checkWait(options, 'Condition.waitFor');
    this.#checkHeld('waitFor');
    const deadline = Deadline.after(timeout);
    while (!(await predicate())) {
      const woken = !deadline.expired && (await this.#wait(deadline, signal));
      this.#checkHeld('waitFor');
      if (!woken) return Boolean(await predicate());
    }
    return true;
  }

  /** `wait`, blocking the thread. */
  waitSync(options?: BlockingOptions): boolean {
    const timeout = checkBlocking(options, 'Condition.waitSync');
    this.#checkHeld('waitSync');
    return this.#waitSync(Deadline.after(timeout));
  }

  /** `waitFor`, blocking the thread. `TypeError` for a predicate that gives a promise: nobody could wait for that. */
  waitForSync(predicate: () => unknown, options?: BlockingOptions): boolean {
    checkFunction(predicate, 'Condition.waitForSync(predicate): predicate');
    const timeout = checkBlocking(options, 'Condition.waitForSync');
    this.#checkHeld('waitForSync');
    const deadline = Deadline.after(timeout);
    const holds = () => checkPlain(predicate());
    while (!holds()) {
      if (deadline.expired || !this.#waitSync(deadline)) return Boolean(holds());
    }
    return true;
  }

  notify(n = 1): void {
    checkCount(n, 'Condition.notify(n): n');
    this.#checkHeld('notify');
    this.#signal(n);
  }

  notifyAll(): void {
    this.#checkHeld('notifyAll');
    this.#signal(Number.MAX_SAFE_INTEGER);
  }

  /** @internal A wake-up that nobody here needs any more: others that may go are woken in its place. */
  relinquish(): void {
    if (load(this.#words, PENDING) > 0) wakeAll(this.#words, SIGNALS);
  }

  async #wait(deadline: Deadline, signal: AbortSignal | undefined): Promise<boolean> {
    signal?.throwIfAborted();
    const wish = this.#join();
    let held = this.#lock.suspend();
    let failure: { reason: unknown } | undefined;
    for (;;) {
      this.#list ??= new WaitList(this.#words, SIGNALS, this);
      const woken = await this.#list.enqueue(wish, deadline, signal).catch((reason: unknown) => {
        failure = { reason };
        return false;
      });
      const suspended = held;
      const outcome = await held.resume(() => {
        if (suspended.released) return this.#leave(wish, suspended, failure);
        if (failure === undefined && this.#take(wish)) return true;
        if (woken && !signal?.aborted) return this.#lock.suspend(); // It was not for this one.
        this.#giveUp(wish);
        if (failure !== undefined) throw failure.reason;
        signal?.throwIfAborted();
        return false;
      });
      if (typeof outcome === 'boolean') return outcome;
      held = outcome;
    }
  }

  #waitSync(deadline: Deadline): boolean {
    const wish = this.#join();
    let held = this.#lock.suspend();
    for (;;) {
      const woken = waitSync(this.#words, SIGNALS, wish, deadline);
      held.resumeSync();
      if (held.released) this.#leave(wish, held);
      if (this.#take(wish)) return true;
      if (!woken) return this.#giveUp(wish);
      held = this.#lock.suspend();
    }
  }

  /** Its hold was released while it waited, by one that has its lease: nobody would give the lock back. */
  #leave(wish: SignalWish, held: SuspendedHold, failure?: { reason: unknown }): never {
    this.#giveUp(wish);
    held.end();
    if (failure !== undefined) throw failure.reason;
    const primitive = this[MEMORY].label;
    throw new NotHeldError(
      `${primitive}: its lock was released while it waited, so it is not held any more; release it after the wait`,
      { primitive },
    );
  }

  #join(): SignalWish {
    const ticket = load(this.#words, TICKETS);
    store(this.#words, TICKETS, (ticket + 1) | 0);
    store(this.#words, LIVE, load(this.#words, LIVE) + 1);
    return new SignalWish(this.#words, ticket);
  }

  #take(wish: SignalWish): boolean {
    if (!wish.mayGo()) return false;
    store(this.#words, PENDING, load(this.#words, PENDING) - 1);
    store(this.#words, LIVE, load(this.#words, LIVE) - 1);
    return true;
  }

  /** No longer one of those that wait: a signal that may have come for it is for another, if there is one. */
  #giveUp(wish: SignalWish): false {
    const passesOn = wish.isAdmitted() && load(this.#words, PENDING) > 0;
    store(this.#words, LIVE, load(this.#words, LIVE) - 1);
    if (passesOn) this.#admit(Math.min(load(this.#words, PENDING), load(this.#words, LIVE)));
    return false;
  }

  #signal(n: number): void {
    const pending = load(this.#words, PENDING);
    const signals = Math.min(n, load(this.#words, LIVE) - pending);
    if (signals > 0) this.#admit(pending + signals);
  }

  /** So many of those who wait may go: the first, as far as nobody has given up behind them. */
  #admit(pending: number): void {
    const others = load(this.#words, LIVE) - pending;
    store(this.#words, PENDING, pending);
    store(this.#words, FRONT, (load(this.#words, TICKETS) - others) | 0);
    store(this.#words, SIGNALS, (load(this.#words, SIGNALS) + 1) | 0);
    // Asynchronous waiters share one sleep a thread, so those to wake are few; all look, as many as signals go.
    wakeAll(this.#words, SIGNALS);
    this.#list?.kick();
  }

  #checkHeld(method: string): void {
    if (this.#lock.isMine()) return;
    const primitive = this[MEMORY].label;
    throw new NotHeldError(`${primitive}.${method}() needs its lock held by the caller; acquire it first`, {
      primitive,
    });
  }
}

function checkPlain(answer: unknown): unknown {
  if (!(answer instanceof Promise)) return answer;
  answer.catch(() => {});
  throw typeError(
    'Condition.waitForSync(predicate): predicate is asynchronous and would always be true; use waitFor(predicate)',
  );
}

class SignalWish extends Wish<boolean> {
  readonly #words: Words;
  readonly #ticket: number;
  readonly #since: number;
  /** What `SIGNALS` was at its last look. */
  #seen: number;

  constructor(words: Words, ticket: number) {
    super();
    this.#words = words;
    this.#ticket = ticket;
    this.#since = load(words, SIGNALS);
    this.#seen = this.#since;
  }

  /** Of those who came first; tickets go round. */
  isAdmitted(): boolean {
    return ((this.#ticket - load(this.#words, FRONT)) | 0) < 0;
  }

  mayGo(): boolean {
    if (load(this.#words, PENDING) === 0) return false;
    // Whoever is to have it may have ended with its thread.
    const left = this.slices > 1 && load(this.#words, SIGNALS) !== this.#since;
    return left || this.isAdmitted();
  }

  attempt(): number | undefined {
    const signals = load(this.#words, SIGNALS);
    if (signals !== this.#seen) this.slices = 0; // Whoever it is for has had no time yet.
    this.#seen = signals;
    return this.mayGo() ? undefined : signals;
  }

  /** Who waits on stands where it stood. */
  override precedes(other: Wish<unknown>): boolean {
    return other instanceof SignalWish && ((this.#ticket - other.#ticket) | 0) < 0;
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
