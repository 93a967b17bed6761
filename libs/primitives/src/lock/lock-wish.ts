/** One wait for a lock, blocking or not. */
import { PatientWish } from '../shared-memory/patient-wish.ts';

/** What a wish asks of its lock. */
export interface LockDoor<T> {
  /** One try; the state it made, 0 where the lock was not to be had. @param sleepersRemain whether others may sleep on it */
  take(sleepersRemain: boolean): number;
  /** Says in the word that it is about to sleep; gives the value to sleep on, `undefined` where the lock got free. */
  announce(wish: LockWish<unknown>): number | undefined;
  granted(taken: number): T;
}

export class LockWish<T> extends PatientWish<T> {
  readonly #door: LockDoor<T>;
  /** The state it took. */
  taken = 0;

  constructor(blocks: boolean, door: LockDoor<T>) {
    super(blocks);
    this.#door = door;
  }

  protected take(slept: boolean): boolean {
    // Whoever was woken alone answers for those who sleep on: it takes the lock as one that is waited for.
    this.taken = this.#door.take(slept && this.blocks);
    return this.taken !== 0;
  }

  protected announce(): number | undefined {
    return this.#door.announce(this);
  }

  granted(): T {
    return this.#door.granted(this.taken);
  }
}
