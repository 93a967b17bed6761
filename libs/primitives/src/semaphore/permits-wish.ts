/** One wait for permits, blocking or not. */
import type { Lease } from '../lock/lock.ts';
import { PatientWish } from '../shared-memory/patient-wish.ts';

/** What a wish asks of its semaphore. */
export interface SemaphoreDoor {
  /** One try. @param sleepersRemain whether others may sleep on the word, each to be woken alone */
  take(permits: number, sleepersRemain: boolean): boolean;
  /** Says in the word that it is about to sleep; gives the value to sleep on, `undefined` where a try may help. */
  announce(wish: PermitsWish): number | undefined;
  lease(permits: number): Lease;
}

export class PermitsWish extends PatientWish<Lease> {
  readonly permits: number;
  readonly #door: SemaphoreDoor;

  constructor(permits: number, blocks: boolean, door: SemaphoreDoor) {
    super(blocks);
    this.permits = permits;
    this.#door = door;
  }

  /** Whether it may be woken alone: a thread that wants one permit, and nothing else. */
  get alone(): boolean {
    return this.blocks && this.permits === 1;
  }

  protected take(slept: boolean): boolean {
    // Whoever was woken alone answers for those who sleep on.
    return this.#door.take(this.permits, slept && this.alone);
  }

  protected announce(): number | undefined {
    return this.#door.announce(this);
  }

  granted(): Lease {
    return this.#door.lease(this.permits);
  }
}
