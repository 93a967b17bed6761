/**
 * A mutex for moments: one shared word, after the three-state mutex of Ulrich Drepper, "Futexes Are Tricky" (2011),
 * https://www.akkadia.org/drepper/futex.pdf, mutex 3, with its holder beside the state. By bits:
 *
 * | bits | name | set by | cleared by |
 * |---|---|---|---|
 * | 0 | `HELD` | who takes | who gives back |
 * | 1 | `SLEEPERS`: threads may sleep on the word | who goes to sleep, or slept and takes | who gives back, and wakes one |
 * | 2–31 | the system's number of the holding thread, below 0 where threads have none | who takes | who gives back |
 *
 * Where a thread ended while it held, the next takes it over: what it guards must be readable then, half written or
 * not, or be seen to by `repair`. For bookkeeping inside primitives and beside them: it has no fairness, no time-outs.
 */
import { threadId } from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { compareExchange, exchange, load, type Words } from './cells.ts';
import { Spin } from './spin.ts';
import { hasEnded, nativeThreadId } from './thread-life.ts';
import { Wish, waitSync, wake } from './word.ts';

const HELD = 1;
const SLEEPERS = 2;
const HOLDER = 2;

/** How often who waits looks whether the holder's thread lives, in ms. */
const LOOK = 50;

export class Mutex {
  readonly #words: Words;
  readonly #index: number;
  readonly #mine: number;
  readonly #repair: () => void;
  readonly #spin = new Spin();

  /** `repair` is called by who takes it over from a thread that ended, holding it. */
  constructor(words: Words, index: number, repair: () => void = () => {}) {
    this.#words = words;
    this.#index = index;
    // Where the operating system does not number threads, the end of one can't be seen, nor needs to be told apart.
    this.#mine = ((nativeThreadId() ?? -1 - threadId) << HOLDER) | HELD;
    this.#repair = repair;
  }

  /** Runs `body`, which must not wait and not come here again, holding it. */
  run<T>(body: () => T): T {
    this.enter();
    try {
      return body();
    } finally {
      this.leave();
    }
  }

  /** Takes it, for a moment only: so that blocking for it is no harm to an event loop. */
  enter(): void {
    if (compareExchange(this.#words, this.#index, 0, this.#mine) !== 0) this.#wait();
  }

  leave(): void {
    if (compareExchange(this.#words, this.#index, this.#mine, 0) === this.#mine) return;
    exchange(this.#words, this.#index, 0);
    wake(this.#words, this.#index, 1);
  }

  get held(): boolean {
    return load(this.#words, this.#index) !== 0;
  }

  /** Takes it over, and gives it back, where a thread ended while it held it. */
  relieve(): void {
    const seen = load(this.#words, this.#index);
    if (seen !== 0 && hasEnded(seen >> HOLDER)) this.run(() => {});
  }

  #wait(): void {
    const free = () =>
      load(this.#words, this.#index) === 0 && compareExchange(this.#words, this.#index, 0, this.#mine) === 0;
    if (this.#spin.until(free)) return;
    const wish = new MutexWish(this.#words, this.#index, this.#mine);
    waitSync(this.#words, this.#index, wish, Deadline.never, LOOK);
    if (wish.takenOver) this.#repair();
  }
}

class MutexWish extends Wish<void> {
  readonly #words: Words;
  readonly #index: number;
  readonly #mine: number;
  #slept = false;
  takenOver = false;

  constructor(words: Words, index: number, mine: number) {
    super();
    this.#words = words;
    this.#index = index;
    this.#mine = mine;
  }

  attempt(): number | undefined {
    // Whoever was woken alone answers for those who sleep on.
    const taken = this.#slept ? this.#mine | SLEEPERS : this.#mine;
    for (;;) {
      const seen = compareExchange(this.#words, this.#index, 0, taken);
      if (seen === 0) return undefined;
      if (this.slices > 0 && hasEnded(seen >> HOLDER)) {
        if (compareExchange(this.#words, this.#index, seen, this.#mine | SLEEPERS) !== seen) continue;
        this.takenOver = true;
        return undefined;
      }
      const awaited = seen | SLEEPERS;
      if (seen !== awaited && compareExchange(this.#words, this.#index, seen, awaited) !== seen) continue;
      this.#slept = true;
      return awaited;
    }
  }

  granted(): void {}

  expired(): void {}
}
