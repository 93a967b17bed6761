/**
 * A wait for a word that can be reserved, as that of a lock: what it says there before it sleeps, and how many races it
 * loses before what is free next is kept for it. Locks may be barged, as in Python; but whoever comes first by barging
 * alone would keep an event loop waiting for ever, which is slower than a blocked thread.
 */
import { Wish } from './word.ts';

/** Lost races after which the word is reserved for a waiter. */
const PATIENCE = { async: 3, sync: 32 };

export abstract class PatientWish<T> extends Wish<T | null> {
  /** Whether its thread blocks. */
  readonly blocks: boolean;
  /** The value it slept on last. */
  seen = 0;
  #slept = false;

  constructor(blocks: boolean) {
    super();
    this.blocks = blocks;
  }

  get impatient(): boolean {
    return this.races >= (this.blocks ? PATIENCE.sync : PATIENCE.async);
  }

  attempt(): number | undefined {
    for (;;) {
      if (this.take(this.#slept)) return undefined;
      const seen = this.announce();
      if (seen === undefined) continue;
      this.#slept = true;
      return seen;
    }
  }

  expired(): null {
    return null;
  }

  /** One try. `slept`: it has slept on the word, so that others may be asleep there still. */
  protected abstract take(slept: boolean): boolean;
  /** Says in the word that it is about to sleep; gives the value to sleep on, `undefined` where a try may help. */
  protected abstract announce(): number | undefined;
}
