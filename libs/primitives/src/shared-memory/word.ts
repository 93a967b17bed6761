/**
 * Waiting on a word of shared memory, and waking those who wait: the one place that blocks.
 *
 * A waiter is a `Wish`: one try at what it wants which, where it fails, says at which value of the word waiting is
 * right. Whoever makes a waiting value wrong changes the word first and wakes afterwards, so no wake-up is lost.
 * Three things the platform does not do are done here (seen with Node 20 to 26):
 *
 * - `Atomics.waitAsync` can't be withdrawn: `notify` counts a waiter whose user has given up. So a thread keeps at
 *   most one entry per word, and its own list of the waiters behind it.
 * - A wake-up dies with a thread that was terminated after the `notify`. So no wait sleeps longer than a slice
 *   without a look at its word.
 * - A pending `waitAsync` does not keep the event loop alive (nodejs/node 61941). One timer does, which is at the
 *   same time the clock of the slices; a time-out given to `waitAsync` itself would leave a task behind in V8 for
 *   each entry (100,000 of them made an entry 30 times slower).
 */
import { availableParallelism } from 'node:os';
import type { Deadline } from '../deadline.ts';
import { relax, type WideWords, type Words } from './cells.ts';

/** The longest sleep without a look at the word, in ms. */
export const SLICE = 1000;

type Value = number | bigint;

/** One waiter's want. */
export abstract class Wish<T> {
  /** Wake-ups after which somebody else was quicker. */
  races = 0;
  /** Slices in a row that ended without a wake-up; from 2 on, at least one whole slice. */
  slices = 0;

  /** One try: `undefined` where it is fulfilled, else the value of the word at which waiting is right. */
  abstract attempt(): Value | undefined;
  /** What a fulfilled wish gives. */
  abstract granted(): T;
  /** What one gives whose time ran out: a value, or an exception. */
  abstract expired(): T;
  /** Called where the caller's signal ended the wait. */
  aborted(): void {}
  /** Whether it goes before one that was queued earlier. */
  precedes(_other: Wish<unknown>): boolean {
    return false;
  }
}

/** Blocks this thread for so many ms. */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Wakes up to `count` waiters of a word. */
export function wake(words: Words | WideWords, index: number, count: number): void {
  Atomics.notify(words as Int32Array<SharedArrayBuffer>, index, count);
}

/** Wakes all waiters of a word. */
export function wakeAll(words: Words | WideWords, index: number): void {
  Atomics.notify(words as Int32Array<SharedArrayBuffer>, index);
}

/** Blocks this thread until the wish is fulfilled (true) or the deadline has passed (false). */
export function waitSync(
  words: Words | WideWords,
  index: number,
  wish: Wish<unknown>,
  deadline: Deadline,
  slice = SLICE,
): boolean {
  for (;;) {
    const seen = wish.attempt();
    if (seen === undefined) return true;
    const left = deadline.remaining();
    if (left === 0) return false;
    const end = sleep(words, index, seen, Math.min(left, slice));
    if (end === 'timed-out') wish.slices += 1;
    else wish.slices = 0;
    if (end === 'ok') wish.races += 1;
  }
}

/** Blocks this thread for so many ms, unless the word is not `seen`, or a wake-up comes before. Says which, as `Atomics.wait`. */
export function sleep(words: Words | WideWords, index: number, seen: Value, ms: number): string {
  return typeof seen === 'bigint'
    ? Atomics.wait(words as WideWords, index, seen, ms)
    : Atomics.wait(words as Words, index, seen, ms);
}

/**
 * How long a blocking waiter looks before it sleeps, in pauses of the processor (some 30 ns each): about as long as
 * going to sleep and being woken takes, so that both together are never much more than twice the better of the two
 * (Karlin, Manasse, McGeoch, Owicki, "Competitive randomized algorithms for non-uniform problems", 1990). With one
 * processor looking can't help.
 */
const PAUSES = availableParallelism() > 1 ? 2000 : 0;
/** Where looking has not helped of late, it goes on no longer than this. */
const FEWEST = Math.min(32, PAUSES);
/** Each so-manieth time it is tried in full nevertheless: two threads that began to sleep in turn would stay so. */
const PROBE = 32;
/** The longest stretch between two looks: each takes the word's cache line from the thread that is to change it. */
const STRETCH = 32;

/** How long it is worth to look before sleeping: learned by one primitive in one thread, from whether it helped. */
export class Spin {
  #pauses = PAUSES;
  #times = 0;

  /** Looks, at ever longer intervals of which the `first` is so many pauses, for `ready`; gives whether it came. */
  until(ready: () => boolean, first = 1): boolean {
    this.#times += 1;
    const most = this.#times % PROBE === 0 ? PAUSES : this.#pauses;
    for (let spent = 0, stretch = first; spent < most; stretch = Math.min(2 * stretch, STRETCH)) {
      for (let pause = 0; pause < stretch; pause += 1) relax();
      spent += stretch;
      if (!ready()) continue;
      this.#pauses = Math.min(PAUSES, Math.max(this.#pauses, 2 * spent));
      return true;
    }
    this.#pauses = Math.max(FEWEST, this.#pauses >>> 1);
    return false;
  }
}

/** `Spin` for those who learn nothing from one wait for the next: a short look for `ready`; gives whether it came. */
export function spin(ready: () => boolean): boolean {
  for (let turn = 0; turn < PAUSES / 20; turn += 1) {
    if (ready()) return true;
    relax();
  }
  return false;
}

/** What follows it runs once the running code has ended, as with `queueMicrotask`, at a fraction of its cost. */
const SOON: Promise<void> = Promise.resolve();

/** What a list tells its primitive. */
export interface WaitListOwner {
  /**
   * The last waiter has given up, or a wake-up came when none was left: undo what they announced in the word, and
   * see that a wake-up goes to somebody else.
   */
  relinquish(): void;
  /** Whether those behind one that has to wait have something to try as well: each does then, in order. */
  readonly allTry?: boolean;
}

/** One waiter in the list. */
interface Waiter<T> {
  readonly wish: Wish<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
  stopWatching: (() => void) | undefined;
  previous: Waiter<unknown> | undefined;
  next: Waiter<unknown> | undefined;
  queued: boolean;
}

/** The asynchronous waiters of one thread on one word, first come, first served among themselves. */
export class WaitList {
  readonly #words: Words | WideWords;
  readonly #index: number;
  readonly #owner: WaitListOwner;
  #first: Waiter<unknown> | undefined;
  #last: Waiter<unknown> | undefined;
  /** Whether this list has an entry on the word that was not woken yet. */
  #entered = false;
  #kicked = false;
  readonly #kickedTurn = () => {
    this.#kicked = false;
    this.#turn();
  };

  constructor(words: Words | WideWords, index: number, owner: WaitListOwner) {
    this.#words = words;
    this.#index = index;
    this.#owner = owner;
  }

  get empty(): boolean {
    return this.#first === undefined;
  }

  /** Queues a wish: resolves to what it gives, fulfilled or expired; rejects on abort. */
  enqueue<T>(wish: Wish<T>, deadline: Deadline, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const waiter: Waiter<T> = {
        wish,
        resolve,
        reject,
        stopWatching: undefined,
        previous: this.#last,
        next: undefined,
        queued: true,
      };
      const asAny = waiter as unknown as Waiter<unknown>;
      while (waiter.previous !== undefined && wish.precedes(waiter.previous.wish)) {
        waiter.next = waiter.previous;
        waiter.previous = waiter.previous.previous;
      }
      if (waiter.previous === undefined) this.#first = asAny;
      else waiter.previous.next = asAny;
      if (waiter.next === undefined) this.#last = asAny;
      else waiter.next.previous = asAny;
      waiting.add(this);
      this.#watch(asAny, deadline, signal);
      if (this.#first === asAny) this.#turn();
    });
  }

  /** Has the first in line try again once the running code has ended: something was just given free here. */
  kick(): void {
    if (this.#kicked || this.#first === undefined) return;
    this.#kicked = true;
    void SOON.then(this.#kickedTurn);
  }

  /** The end of a slice: the word is looked at whether or not a wake-up came; an entry nobody needs is cleared. */
  look(): void {
    if (this.#first !== undefined) {
      this.#first.wish.slices += 1;
      this.#turn();
    } else if (this.#entered) {
      wakeAll(this.#words, this.#index);
    }
  }

  #watch(waiter: Waiter<unknown>, deadline: Deadline, signal: AbortSignal | undefined): void {
    if (signal === undefined && deadline.at === Number.POSITIVE_INFINITY) return;
    const stopClock = deadline.onExpiry(() => this.#expire(waiter));
    const onAbort = () =>
      this.#withdraw(waiter, () => {
        waiter.reject(signal?.reason);
        waiter.wish.aborted();
      });
    signal?.addEventListener('abort', onAbort, { once: true });
    waiter.stopWatching = () => {
      stopClock();
      signal?.removeEventListener('abort', onAbort);
    };
  }

  /** Serves from the front as far as it goes, and sees that this thread is woken for the next. */
  #turn(): void {
    for (let waiter = this.#first; waiter !== undefined; ) {
      const { next } = waiter;
      const seen = this.#try(waiter);
      if (seen === undefined) waiter = next;
      else if (!this.#entered && !this.#enter(seen))
        continue; // The word has changed meanwhile: once more.
      else if (this.#owner.allTry !== true) return;
      else waiter = next;
    }
  }

  /** One waiter's try: `undefined` where it is over, else the value of the word at which it waits. */
  #try(waiter: Waiter<unknown>): Value | undefined {
    try {
      const seen = waiter.wish.attempt();
      if (seen !== undefined) return seen;
      this.#unlink(waiter);
      waiter.resolve(waiter.wish.granted());
    } catch (error) {
      this.#unlink(waiter);
      waiter.reject(error);
    }
    return undefined;
  }

  /** Makes the entry on the word; false where the word has changed meanwhile. */
  #enter(seen: Value): boolean {
    const entry =
      typeof seen === 'bigint'
        ? Atomics.waitAsync(this.#words as WideWords, this.#index, seen)
        : Atomics.waitAsync(this.#words as Words, this.#index, seen);
    if (!entry.async) return false;
    this.#entered = true;
    waiting.addEntry(this);
    void entry.value.then(() => this.#woken());
    return true;
  }

  #woken(): void {
    this.#entered = false;
    waiting.removeEntry(this);
    if (this.#first === undefined) {
      this.#owner.relinquish();
      return;
    }
    this.#first.wish.races += 1;
    this.#first.wish.slices = 0;
    this.#turn();
  }

  /** What it waits for may have come while this loop stood still: then those before it are served, and it with them. */
  #expire(waiter: Waiter<unknown>): void {
    if (this.#owner.allTry === true) this.#try(waiter);
    else this.#turn();
    this.#withdraw(waiter, () => waiter.resolve(waiter.wish.expired()));
  }

  #withdraw(waiter: Waiter<unknown>, settle: () => void): void {
    if (!waiter.queued) return;
    const wasFirst = waiter === this.#first;
    this.#unlink(waiter);
    try {
      settle();
    } catch (error) {
      waiter.reject(error);
    }
    if (this.#first === undefined) this.#owner.relinquish();
    else if (wasFirst) this.#turn();
  }

  #unlink(waiter: Waiter<unknown>): void {
    waiter.queued = false;
    if (waiter.previous === undefined) this.#first = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === undefined) this.#last = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.previous = undefined;
    waiter.next = undefined;
    waiter.stopWatching?.();
    if (this.#first === undefined) waiting.remove(this);
  }
}

/**
 * The lists of this thread that have waiters, and those with an entry on their word. The timer that looks at them
 * each slice keeps the event loop alive as long as anybody waits, and only so long.
 */
class Waiting {
  readonly #lists = new Set<WaitList>();
  readonly #entered = new Set<WaitList>();
  #timer: NodeJS.Timeout | undefined;

  add(list: WaitList): void {
    if (this.#lists.has(list)) return;
    this.#lists.add(list);
    this.#timer ??= setInterval(() => this.#look(), SLICE);
    this.#timer.ref();
  }

  remove(list: WaitList): void {
    this.#lists.delete(list);
    if (this.#lists.size === 0) this.#timer?.unref();
  }

  addEntry(list: WaitList): void {
    this.#entered.add(list);
  }

  removeEntry(list: WaitList): void {
    this.#entered.delete(list);
  }

  #look(): void {
    for (const list of this.#lists) list.look();
    for (const list of this.#entered) if (list.empty) list.look();
    if (this.#lists.size > 0 || this.#entered.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const waiting = new Waiting();
