/**
 * The thread-safe counter: as a class of one's own, number and lock together, and as it comes with the package.
 *
 *     a class around a Lock: 4000
 *     Counter: 4000
 */
import { Counter, Lock, Thread } from '@heddle/primitives';

/** Threads share memory and locks, not objects: each has a Tally of its own, over the same two. */
class Tally {
  readonly #lock: Lock;
  readonly #cell: Int32Array;

  constructor(lock: Lock, cell: Int32Array) {
    this.#lock = lock;
    this.#cell = cell;
  }

  increment(): void {
    this.#lock.withSync(() => {
      this.#cell[0] = this.value + 1;
    });
  }

  get value(): number {
    return Number(this.#cell[0]);
  }
}

/** In a thread of its own. */
export function count(lock: Lock, cell: Int32Array, counter: Counter): void {
  const tally = new Tally(lock, cell);
  for (let n = 0; n < 1000; n += 1) {
    tally.increment();
    counter.add();
  }
}

if (import.meta.main) {
  const lock = new Lock();
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const counter = new Counter();
  const threads = [1, 2, 3, 4].map(
    () => new Thread({ target: import.meta.url, export: 'count', args: [lock, cell, counter] }),
  );
  for (const thread of threads) thread.start();
  for (const thread of threads) await thread.result;
  console.log(`a class around a Lock: ${new Tally(lock, cell).value}`);
  console.log(`Counter: ${counter.value()}`);
}
