/** One wait for a lock, blocking or not: what it tries, and what it says in the lock's word before it sleeps. */
import { Wish } from '../shared-memory/word.ts';

/** Lost races after which the lock is handed over: an event loop is slower than a blocked thread. */
const PATIENCE = { async: 3, sync: 32 };

/** What a wish asks of its lock. */
export interface LockDoor<T> {
  /** One try; the state it made, 0 where the lock was not to be had. @param sleepersRemain whether others may sleep on it */
  take(sleepersRemain: boolean): number;
  /** Says in the word that it is about to sleep; gives the value to sleep on, 0 where the lock got free. */
  announce(wish: LockWish<unknown>): number;
  granted(taken: number): T;
}

export class LockWish<T> extends Wish<T | null> {
  /** Whether its thread blocks. */
  readonly blocks: boolean;
  readonly #door: LockDoor<T>;
  /** The state it took. */
  taken = 0;
  /** The value it slept on last. */
  seen = 0;
  #slept = false;

  constructor(blocks: boolean, door: LockDoor<T>) {
    super();
    this.blocks = blocks;
    this.#door = door;
  }

  get impatient(): boolean {
    return this.races >= (this.blocks ? PATIENCE.sync : PATIENCE.async);
  }

  attempt(): number | undefined {
    for (;;) {
      // Whoever was woken alone answers for those who sleep on: it takes the lock as one that is waited for.
      this.taken = this.#door.take(this.#slept && this.blocks);
      if (this.taken !== 0) return undefined;
      const seen = this.#door.announce(this);
      if (seen === 0) continue;
      this.#slept = true;
      return seen;
    }
  }

  granted(): T {
    return this.#door.granted(this.taken);
  }

  expired(): null {
    return null;
  }
}
