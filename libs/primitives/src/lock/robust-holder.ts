/**
 * Who holds a robust lock, so that others can tell when its thread has ended. Four words: the number and the system's id
 * of the thread, the hold that both are said of, and a mutex. Whoever takes the lock writes them after taking, both
 * under the mutex, which knows its holder at every moment: where it is free and the words speak of another hold, who took
 * the lock ended in between.
 */
import { threadId } from 'node:worker_threads';
import { load, store, type Words } from '../shared-memory/cells.ts';
import { Mutex } from '../shared-memory/mutex.ts';
import { hasEnded, nativeThreadId } from '../shared-memory/thread-life.ts';

export class RobustHolder {
  readonly #words: Words;
  readonly #thread: number;
  readonly #native: number;
  readonly #hold: number;
  /** Where the system numbers threads. */
  readonly #taking: Mutex | undefined;

  /** @param at where the four words begin */
  constructor(words: Words, at: number) {
    this.#words = words;
    this.#thread = at;
    this.#native = at + 1;
    this.#hold = at + 2;
    if (nativeThreadId() !== undefined) this.#taking = new Mutex(words, at + 3);
  }

  /** This thread is about to try: others know of it until `done`, by when it has written down what it has. */
  begin(): void {
    this.#taking?.enter();
  }

  done(): void {
    this.#taking?.leave();
  }

  /** This thread has it; `hold` is what tells this hold from the others. */
  write(hold: number): void {
    store(this.#words, this.#thread, threadId);
    store(this.#words, this.#native, nativeThreadId() ?? 0);
    store(this.#words, this.#hold, hold);
  }

  /** Calls `free` where the thread that has this hold has ended, and gives what that says. */
  freeIfEnded(hold: number, free: () => boolean): boolean {
    if (this.#tells(hold)) return hasEnded(load(this.#words, this.#native)) && free();
    this.#taking?.relieve();
    // Who is at it lives, and will have written it down.
    if (this.#taking === undefined || this.#taking.held) return false;
    return this.#taking.run(() => !this.#tells(hold) && free());
  }

  /** The same where the thread of that number is known to have ended. */
  freeAfter(thread: number, hold: number, free: () => boolean): boolean {
    return this.#tells(hold)
      ? load(this.#words, this.#thread) === thread && free()
      : this.freeIfEnded(hold, free);
  }

  #tells(hold: number): boolean {
    return load(this.#words, this.#hold) === hold;
  }
}
