/**
 * A mutex for moments, in one word: 0, or who holds it. Where a thread ended while it held, the next takes it over; what
 * it guards must be readable then, half written or not. For bookkeeping beside the primitives: they have their own.
 */
import { threadId } from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { compareExchange, store, type Words } from './cells.ts';
import { hasEnded, nativeThreadId } from './thread-life.ts';
import { Wish, waitSync, wake } from './word.ts';

/** How often who waits looks whether the holder's thread lives, in ms. */
const LOOK = 20;

export class Mutex {
  readonly #words: Words;
  readonly #index: number;

  constructor(words: Words, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** Runs `body`, which must not wait and not come here again, holding it. */
  run<T>(body: () => T): T {
    const words = this.#words;
    const index = this.#index;
    // Where the operating system does not number threads, the end of one can't be seen, nor needs to be told apart.
    const me = nativeThreadId() ?? -1 - threadId;
    if (compareExchange(words, index, 0, me) !== 0) {
      waitSync(words, index, new MutexWish(words, index, me), Deadline.never, LOOK);
    }
    try {
      return body();
    } finally {
      store(words, index, 0);
      wake(words, index, 1);
    }
  }
}

class MutexWish extends Wish<void> {
  readonly #words: Words;
  readonly #index: number;
  readonly #me: number;

  constructor(words: Words, index: number, me: number) {
    super();
    this.#words = words;
    this.#index = index;
    this.#me = me;
  }

  attempt(): number | undefined {
    const holder = compareExchange(this.#words, this.#index, 0, this.#me);
    if (holder === 0) return undefined;
    const left = this.slices > 0 && hasEnded(holder);
    if (left && compareExchange(this.#words, this.#index, holder, this.#me) === holder) return undefined;
    return holder;
  }

  granted(): void {}

  expired(): void {}
}
