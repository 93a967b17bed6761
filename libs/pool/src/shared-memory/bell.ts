/**
 * How a pool wakes a thread of it that sleeps on shared memory: two words.
 *
 * | word   | means                                                                     | set by                         |
 * |--------|---------------------------------------------------------------------------|--------------------------------|
 * | SENT   | how many messages the pool has sent, and wraps                            | the pool, after each           |
 * | ASLEEP | 1: the thread sleeps, or is about to, until SENT is another than it knows | the thread                     |
 *
 * The thread says ASLEEP and then looks at SENT; the pool counts in SENT and then looks at ASLEEP. So one of them sees the
 * other, and no message lies there unheard.
 */
import { sleep, wake } from '@heddle/primitives/internal';

const SENT = 0;
const ASLEEP = 1;

export class Bell {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(memory = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** The pool's: a message has been sent. */
  ring(): void {
    Atomics.add(this.#words, SENT, 1);
    if (Atomics.load(this.#words, ASLEEP) === 1) wake(this.#words, SENT, 1);
  }

  /** The thread's, which has heard so many messages: sleeps up to `ms` until there are more; true: there are. */
  await(heard: number, ms: number): boolean {
    Atomics.store(this.#words, ASLEEP, 1);
    sleep(this.#words, SENT, heard, ms);
    Atomics.store(this.#words, ASLEEP, 0);
    return Atomics.load(this.#words, SENT) !== heard;
  }
}
