/** Looking before sleeping: what a blocking waiter does first, since who holds is often about to be done. */
import { availableParallelism } from 'node:os';
import { relax } from './cells.ts';

/**
 * How long a blocking waiter looks before it sleeps, in pauses of the processor (some 30 ns each): about as long as
 * going to sleep and being woken takes, so that both together are never much more than twice the better of the two
 * (Karlin, Manasse, McGeoch, Owicki, "Competitive randomized algorithms for non-uniform problems", 1990). With one
 * processor looking can't help.
 */
const PAUSES = availableParallelism() > 1 ? 2000 : 0;
/** Where looking has not helped of late, it goes on no longer than this. */
const FEWEST = Math.min(32, PAUSES);
/** Each so-manieth time it is tried in full nevertheless: two threads that began to sleep in turn would stay so. */
const PROBE = 32;
/** The longest stretch between two looks: each takes the word's cache line from the thread that is to change it. */
const STRETCH = 32;

/** How long it is worth to look before sleeping: learned by one primitive in one thread, from whether it helped. */
export class Spin {
  #pauses = PAUSES;
  #times = 0;

  /** Looks, at ever longer intervals of which the `first` is so many pauses, for `ready`; gives whether it came. */
  until(ready: () => boolean, first = 1): boolean {
    this.#times += 1;
    const most = this.#times % PROBE === 0 ? PAUSES : this.#pauses;
    for (let spent = 0, stretch = first; spent < most; stretch = Math.min(2 * stretch, STRETCH)) {
      for (let pause = 0; pause < stretch; pause += 1) relax();
      spent += stretch;
      if (!ready()) continue;
      this.#pauses = Math.min(PAUSES, Math.max(this.#pauses, 2 * spent));
      return true;
    }
    this.#pauses = Math.max(FEWEST, this.#pauses >>> 1);
    return false;
  }
}

/** `Spin` for those who learn nothing from one wait for the next: a short look for `ready`; gives whether it came. */
export function spin(ready: () => boolean): boolean {
  for (let turn = 0; turn < PAUSES / 20; turn += 1) {
    if (ready()) return true;
    relax();
  }
  return false;
}
