/** What the local primitives are measured against. */
const FREE = 0;
const HELD = 1;
const WAITED = 2;

/** The textbook mutex of three states (Drepper, "Futexes Are Tricky", mutex 3), with nothing else to it. */
export class FutexMutex {
  readonly #words: Int32Array;
  readonly #spins: number;

  constructor(words: Int32Array, spins = 0) {
    this.#words = words;
    this.#spins = spins;
  }

  lock(): void {
    const words = this.#words;
    let seen = Atomics.compareExchange(words, 0, FREE, HELD);
    if (seen === FREE) return;
    for (let turn = 0; turn < this.#spins; turn += 1) {
      if (Atomics.load(words, 0) === FREE && Atomics.compareExchange(words, 0, FREE, HELD) === FREE) return;
    }
    if (seen !== WAITED) seen = Atomics.exchange(words, 0, WAITED);
    while (seen !== FREE) {
      Atomics.wait(words, 0, WAITED);
      seen = Atomics.exchange(words, 0, WAITED);
    }
  }

  unlock(): void {
    if (Atomics.exchange(this.#words, 0, FREE) === WAITED) Atomics.notify(this.#words, 0, 1);
  }
}
