/**
 * Where those wait who find a queue empty, or full: a word to sleep on, and one that says who may sleep. All but the
 * sleeping is done by who holds the mutex of those who wait there, as with a condition variable.
 *
 * | word | holds |
 * |---|---|
 * | `RINGS` | how often the bell was rung; who waits sleeps on it |
 * | `ASLEEP` | bit 0: blocked threads may sleep; bit 1: threads with asynchronous waiters may |
 * | `HEIR` | 1 and the number of the thread that goes next, if there is only one to go; 0: whoever comes |
 * | `SINCE` | since when, in ms of the monotonic clock, cut to 32 bits |
 *
 * What they wait for comes without their mutex, from the other side. So who is about to sleep says so first
 * (`announce`), and looks once more; who brings something does that first, and then looks whether anybody is
 * `awaiting` it: of the two one sees the other. Only then is the mutex taken, to ring (Doug Lea's `LinkedBlockingQueue`).
 *
 * A ring wakes one blocked thread, or all where asynchronous waiters may be among them: a wake-up of one could go to a
 * thread whose event loop is busy. One that was woken alone rings on, for those who sleep behind it. The waking itself
 * is done when the mutex has been given back (`sound`): who wakes would find it held, and sleep again.
 *
 * An event loop is slower than a blocked thread: an asynchronous waiter that others were before `PATIENCE` times has its
 * thread made heir. Who is heir and does not come for `LAPSE` ms has lost that: its thread is gone, or its loop stands.
 */
import { threadId } from 'node:worker_threads';
import { type Deadline, now } from '../deadline.ts';
import type { Words } from '../shared-memory/cells.ts';
import { load, store } from '../shared-memory/cells.ts';
import { WaitList } from '../shared-memory/wait-list.ts';
import { type Wish, waitSync, wake } from '../shared-memory/word.ts';

const PATIENCE = 3;
const LAPSE = 1_000;
const ME = threadId + 1;

const SLEEPERS = 1;
const CROWD = 2;

export class Bell {
  readonly #words: Words;
  readonly #rings: number;
  readonly #asleep: number;
  readonly #heir: number;
  readonly #since: number;
  readonly #passOn: () => void;
  /** How many are to be woken. */
  #due = 0;
  #list: WaitList | undefined;

  /** `passOn`: a wake-up came and nobody here needs it; take the mutex, and `ringOn`. */
  constructor(words: Words, index: number, passOn: () => void) {
    this.#words = words;
    this.#rings = index;
    this.#asleep = index + 1;
    this.#heir = index + 2;
    this.#since = index + 3;
    this.#passOn = passOn;
  }

  /** Whether no asynchronous waiter of this handle stands in line. */
  get clear(): boolean {
    return this.#list === undefined || this.#list.empty;
  }

  /** Whether anybody may sleep. */
  get awaiting(): boolean {
    return load(this.#words, this.#asleep) !== 0;
  }

  /** Whether this thread may have the only one there is: it is not kept for another. */
  get admitting(): boolean {
    const heir = load(this.#words, this.#heir);
    return heir === 0 || heir === ME || this.#lapsed();
  }

  /** With the mutex: the same. */
  admits(): boolean {
    const heir = this.#words[this.#heir];
    return heir === 0 || heir === ME || this.#lapsed();
  }

  /** With the mutex: this thread has had one. */
  admitted(): void {
    if (this.#words[this.#heir] !== ME) return;
    store(this.#words, this.#heir, 0);
    this.ringForAll();
  }

  /**
   * With the mutex: says that somebody, who was too late so often, is about to sleep if another look is in vain; gives
   * the value to sleep on.
   */
  announce(blocking: boolean, races: number): number {
    if (!blocking && races >= PATIENCE && (load(this.#words, this.#heir) === 0 || this.#lapsed())) {
      store(this.#words, this.#heir, ME);
      store(this.#words, this.#since, now() | 0);
    }
    const seen = load(this.#words, this.#asleep);
    store(this.#words, this.#asleep, seen | (blocking ? SLEEPERS : CROWD));
    return load(this.#words, this.#rings);
  }

  /** With the mutex: what they wait for has come. */
  ring(): void {
    const asleep = load(this.#words, this.#asleep);
    if (asleep !== 0) {
      store(this.#words, this.#asleep, 0);
      store(this.#words, this.#rings, (load(this.#words, this.#rings) + 1) | 0);
      this.#due = asleep === SLEEPERS ? this.#due + 1 : Number.POSITIVE_INFINITY;
    }
    if (this.#list !== undefined) this.#list.kick();
  }

  /** Without the mutex, after it: wakes those for whom it was rung. */
  sound(): void {
    if (this.#due === 0) return;
    const due = this.#due;
    this.#due = 0;
    wake(this.#words, this.#rings, due);
  }

  #lapsed(): boolean {
    return ((now() - load(this.#words, this.#since)) | 0) > LAPSE;
  }

  /** With the mutex: one that slept has gone; others may sleep on, and go too where there is `more`, now that it says so. */
  ringOn(more: () => boolean): void {
    if (load(this.#words, this.#heir) === ME && this.clear) store(this.#words, this.#heir, 0);
    store(this.#words, this.#asleep, load(this.#words, this.#asleep) | SLEEPERS);
    if (more()) this.ring();
  }

  /** With the mutex: everybody is to look. */
  ringForAll(): void {
    const asleep = load(this.#words, this.#asleep);
    if (asleep !== 0) store(this.#words, this.#asleep, asleep | CROWD);
    this.ring();
  }

  enqueue<T>(wish: Wish<T>, deadline: Deadline, signal: AbortSignal | undefined): Promise<T> {
    this.#list ??= new WaitList(this.#words, this.#rings, { relinquish: () => this.#passOn() });
    return this.#list.enqueue(wish, deadline, signal);
  }

  block(wish: Wish<unknown>, deadline: Deadline): boolean {
    return waitSync(this.#words, this.#rings, wish, deadline);
  }
}
