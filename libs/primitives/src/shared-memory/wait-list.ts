/**
 * Waiting on a word without blocking: each thread's asynchronous waiters stand in a list of its own, first come, first
 * served, and the list sleeps on the word for them all. Two things that the platform does not do are done here (seen
 * with Node 20 to 26):
 *
 * - `Atomics.waitAsync` can't be withdrawn: `notify` counts a waiter whose user has given up. So a list has at most one
 *   entry on its word, which stays until it is woken; a wake-up that comes when nobody is left is passed on.
 * - A pending `waitAsync` does not keep the event loop alive (nodejs/node 61941). One timer does, which is at the
 *   same time the clock of the slices; a time-out given to `waitAsync` itself would leave a task behind in V8 for
 *   each entry (100,000 of them made an entry 30 times slower).
 *
 * A list turns when it is woken, when something is given free in its own thread (`kick`), and at the end of each slice:
 * the first tries, and as long as one has what it wants, the next.
 */
import type { Deadline } from '../deadline.ts';
import { onAbort } from '../on-abort.ts';
import type { WideWords, Words } from './cells.ts';
import { enter, SLICE, type Value, type Wish, wakeAll } from './word.ts';

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
      this.#link(asAny);
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
    const stopHearing = signal && onAbort(signal, () => this.#abort(waiter, signal.reason));
    waiter.stopWatching = () => {
      stopClock();
      stopHearing?.();
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
    const woken = enter(this.#words, this.#index, seen);
    if (woken === undefined) return false;
    this.#entered = true;
    waiting.addEntry(this);
    void woken.then(() => this.#woken());
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

  #abort(waiter: Waiter<unknown>, reason: unknown): void {
    this.#withdraw(waiter, () => {
      waiter.reject(reason);
      waiter.wish.aborted();
    });
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

  #link(waiter: Waiter<unknown>): void {
    while (waiter.previous !== undefined && waiter.wish.precedes(waiter.previous.wish)) {
      waiter.next = waiter.previous;
      waiter.previous = waiter.previous.previous;
    }
    if (waiter.previous === undefined) this.#first = waiter;
    else waiter.previous.next = waiter;
    if (waiter.next === undefined) this.#last = waiter;
    else waiter.next.previous = waiter;
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
