/**
 * Which texts have been seen, by 64 bits of each: a set that holds tens of millions. Two different ones are taken for one
 * with a chance of about n² / 2⁶⁵ in a whole search: below one in 10⁵ for 10 million (hash compaction: Stern and Dill,
 * "Improved Probabilistic Verification by Hash Compaction", 1995).
 */
export class Seen {
  #table = new Uint32Array(2 ** 17);
  size = 0;

  /** True where it was not in there. */
  add(text: string): boolean {
    let low = 0x9e3779b9;
    let high = 0x243f6a88;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      low = Math.imul(low ^ code, 0x85ebca77);
      low = (low << 15) | (low >>> 17);
      high = Math.imul(high ^ code, 0xc2b2ae3d);
      high = (high << 13) | (high >>> 19);
    }
    low = Math.imul(low ^ (high >>> 16), 0x21f0aaad);
    high = Math.imul(high ^ (low >>> 15), 0x735a2d97);
    low ^= high >>> 15;
    // Two zeros stand for an empty place.
    if (!this.#put(low >>> 0, high >>> 0 || 1)) return false;
    this.size += 1;
    if (this.size * 3 > this.#table.length) this.#grow();
    return true;
  }

  #put(low: number, high: number): boolean {
    const table = this.#table;
    const mask = table.length / 2 - 1;
    for (let place = low & mask; ; place = (place + 1) & mask) {
      const [its, other] = [table[2 * place], table[2 * place + 1]];
      if (its === low && other === high) return false;
      if (its !== 0 || other !== 0) continue;
      table[2 * place] = low;
      table[2 * place + 1] = high;
      return true;
    }
  }

  #grow(): void {
    const before = this.#table;
    this.#table = new Uint32Array(2 * before.length);
    for (let at = 0; at < before.length; at += 2) {
      const [low = 0, high = 0] = [before[at], before[at + 1]];
      if (low !== 0 || high !== 0) this.#put(low, high);
    }
  }
}
