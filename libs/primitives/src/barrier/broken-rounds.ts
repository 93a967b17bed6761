/**
 * The last rounds that were broken and then reset: for who leaves so late that the barrier's word, some rounds further by
 * then, does not say any more how its own ended. First a word that counts them, then a ring of `REMEMBERED`, in which a
 * round stands with 1 added, as 0 is none.
 */
import { compareExchangeWide, loadWide, type WideWords } from '../shared-memory/cells.ts';

const REMEMBERED = 32n;
/** How many words of 64 bits it takes. */
export const BROKEN_ROUNDS_WORDS: number = 1 + Number(REMEMBERED);

export class BrokenRounds {
  readonly #words: WideWords;
  readonly #first: number;

  /** `first`: where its words begin. */
  constructor(words: WideWords, first: number) {
    this.#words = words;
    this.#first = first;
  }

  /** Notes it, once, however many come to do that. */
  note(round: bigint): void {
    for (;;) {
      const count = loadWide(this.#words, this.#first);
      // Others may be at the same: it is noted once.
      if (count > 0n && loadWide(this.#words, this.#place(count - 1n)) === round + 1n) return;
      const place = this.#place(count);
      const old = loadWide(this.#words, place);
      const noted = old === round + 1n || compareExchangeWide(this.#words, place, old, round + 1n) === old;
      if (!noted) continue;
      compareExchangeWide(this.#words, this.#first, count, count + 1n);
      return;
    }
  }

  has(round: bigint): boolean {
    for (let n = 1; n <= Number(REMEMBERED); n += 1) {
      if (loadWide(this.#words, this.#first + n) === round + 1n) return true;
    }
    return false;
  }

  #place(count: bigint): number {
    return this.#first + 1 + Number(count % REMEMBERED);
  }
}
