/**
 * The condition between threads: counts that are changed only under the lock, and a sequence number to sleep on, after
 * the condition variables of glibc before 2.25 (Ulrich Drepper's `pthread_cond_wait`).
 *
 * | word | holds | changed, always under the lock, by |
 * |---|---|---|
 * | `SIGNALS` | how many signals were ever given | `notify`; who waits sleeps on it |
 * | `PENDING` | signals given that nobody has taken yet | `notify`; who goes with one |
 * | `WAITING` | waiters there is no signal for yet | who begins to wait; `notify`; who gives up |
 *
 * A waiter remembers `SIGNALS` from when it came and may take a pending signal once that has moved: none that was given
 * before it came. Who wakes takes the lock first and the signal then; if somebody else eligible took it, it waits on.
 * A signal whose waiter ended with its thread is left to another one that was there, at its next look.
 */
import { Deadline } from '../deadline.ts';
import { NotHeldError, typeError } from '../errors.ts';
import { Lock } from '../lock/lock.local.ts';
import type { Lease } from '../lock/lock.ts';
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
import { WaitList, type WaitListOwner, Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import type { AnyCondition } from './condition.ts';

const SIGNALS = FIRST;
const PENDING = FIRST + 1;
const WAITING = FIRST + 2;
const WORDS = 3;

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
        'new Condition(lock): lock must be a local Lock or RLock; leave it out to get one of its own',
      );
    }
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
      if (deadline.expired || !(await this.#wait(deadline, signal))) return Boolean(await predicate());
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
    const since = this.#join();
    let held = this.#lock.suspend();
    let failure: { reason: unknown } | undefined;
    for (;;) {
      this.#list ??= new WaitList(this.#words, SIGNALS, this);
      const woken = await this.#list
        .enqueue(new SignalWish(this.#words, since), deadline, signal)
        .catch((reason: unknown) => {
          failure = { reason };
          return false;
        });
      await held.resume();
      if (failure !== undefined) {
        this.#giveUp(since);
        throw failure.reason;
      }
      if (this.#take(since)) return true;
      if (!woken || signal?.aborted) {
        this.#giveUp(since);
        signal?.throwIfAborted();
        return false;
      }
      held = this.#lock.suspend();
    }
  }

  #waitSync(deadline: Deadline): boolean {
    const since = this.#join();
    let held = this.#lock.suspend();
    for (;;) {
      const woken = waitSync(this.#words, SIGNALS, new SignalWish(this.#words, since), deadline);
      held.resumeSync();
      if (this.#take(since)) return true;
      if (!woken) return this.#giveUp(since);
      held = this.#lock.suspend();
    }
  }

  #join(): number {
    store(this.#words, WAITING, load(this.#words, WAITING) + 1);
    return load(this.#words, SIGNALS);
  }

  #take(since: number): boolean {
    const pending = load(this.#words, PENDING);
    if (pending === 0 || load(this.#words, SIGNALS) === since) return false;
    store(this.#words, PENDING, pending - 1);
    return true;
  }

  /** No longer one of those that wait: a signal that came for it by chance goes to another who may have it. */
  #giveUp(since: number): false {
    const waiting = load(this.#words, WAITING);
    const pending = load(this.#words, PENDING);
    if (waiting > 0) store(this.#words, WAITING, waiting - 1);
    else if (pending > 0 && load(this.#words, SIGNALS) !== since) store(this.#words, PENDING, pending - 1);
    return false;
  }

  #signal(n: number): void {
    const waiting = load(this.#words, WAITING);
    const signals = Math.min(n, waiting);
    if (signals === 0) return;
    store(this.#words, WAITING, waiting - signals);
    store(this.#words, PENDING, load(this.#words, PENDING) + signals);
    store(this.#words, SIGNALS, load(this.#words, SIGNALS) + signals);
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
  readonly #since: number;

  constructor(words: Words, since: number) {
    super();
    this.#words = words;
    this.#since = since;
  }

  attempt(): number | undefined {
    const signals = load(this.#words, SIGNALS);
    return signals !== this.#since && load(this.#words, PENDING) > 0 ? undefined : signals;
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
