/**
 * What a thread prints, logs and tells of its progress goes to its pool no faster than that takes it: one word, how many
 * characters are on their way. The thread adds before it sends, the pool subtracts when it is done with it. Where the thread
 * finds it full it sleeps until there is room, as who writes to a pipe does; kept in the thread instead, what a task prints
 * without end ends the whole process: V8 does not survive every failed allocation of a thread that has reached its limit.
 */
import { now, sleep, wake } from '@heddle/primitives/internal';

/** So many characters may be on their way, and one message more. */
const MOST = 2 ** 18;
/** What a message counts for, beside its text. */
const MESSAGE = 256;
/** Ms that it waits for room at most: the pool's event loop may be blocked by one who waits for this very thread. */
const PATIENCE = 1000;

export class Flow {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  #heard = 0;
  /** The thread's: it has waited in vain, and waits no more while so much is under way. */
  #stuckAt = Number.POSITIVE_INFINITY;

  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** The thread's, before it sends so many characters: waits for room. */
  enter(length: number): void {
    let underWay = Atomics.load(this.#words, 0);
    if (underWay < this.#stuckAt) {
      for (const end = now() + PATIENCE; underWay >= MOST && now() < end; ) {
        sleep(this.#words, 0, underWay, end - now());
        underWay = Atomics.load(this.#words, 0);
      }
      this.#stuckAt = underWay < MOST ? Number.POSITIVE_INFINITY : underWay;
    }
    Atomics.add(this.#words, 0, length + MESSAGE);
    this.#stuckAt += length + MESSAGE;
  }

  /**
   * The pool's, which is done with it. It makes room once a turn of its event loop: so no thread that prints without end has
   * it hear more than that in a turn, and what else waits for the loop (renewals, outcomes) has its turn.
   */
  leave(length: number): void {
    if (this.#heard === 0) setImmediate(this.#makeRoom);
    this.#heard += length + MESSAGE;
  }

  readonly #makeRoom = () => {
    const before = Atomics.sub(this.#words, 0, this.#heard);
    this.#heard = 0;
    if (before >= MOST) wake(this.#words, 0, 1);
  };
}

/** Of what is no text its size is not known, and counts for nothing. */
export function lengthOf(encoded: unknown): number {
  return typeof encoded === 'string' ? encoded.length : 0;
}
