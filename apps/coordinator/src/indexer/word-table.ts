/**
 * Counts words by their bytes: a hash table with open addressing over one arena. No string is made for a word that is
 * counted, which is what makes counting run at the speed of reading.
 */

const emptySlot = -1;

/** FNV-1a, 32 bit (Fowler, Noll, Vo): the start value and the step for one byte. */
export const hashStart = 0x811c9dc5;
export const hashStep = (hash: number, byte: number): number => Math.imul(hash ^ byte, 0x01000193);

/** The hash of whole bytes. */
export function hashOf(bytes: Uint8Array): number {
  let hash = hashStart;
  for (const byte of bytes) hash = hashStep(hash, byte);
  return hash;
}

/** Spreads FNV's entropy to the low bits, which choose the slot and the partition (the finaliser of MurmurHash3). */
function mix(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

export class WordTable {
  #slots = new Int32Array(1 << 14).fill(emptySlot);
  #hashes = new Uint32Array(1 << 13);
  #starts = new Uint32Array(1 << 13);
  #lengths = new Uint16Array(1 << 13);
  /** Doubles: exact up to 2⁵³, where 32 bits would wrap on a big tree. */
  #counts = new Float64Array(1 << 13);
  #arena = Buffer.allocUnsafe(1 << 17);
  #arenaUsed = 0;
  #size = 0;

  /** How many distinct words. */
  get size(): number {
    return this.#size;
  }

  /** Counts the word `bytes[start…end)`, whose FNV-1a hash the caller has, `count` times. */
  add(bytes: Uint8Array, start: number, end: number, hash: number, count = 1): void {
    const mixed = mix(hash);
    const mask = this.#slots.length - 1;
    let slot = mixed & mask;
    for (;;) {
      // In bounds: the mask keeps it so.
      const entry = this.#slots[slot] as number;
      if (entry === emptySlot) break;
      if (this.#hashes[entry] === mixed && this.#isAt(entry, bytes, start, end)) {
        this.#counts[entry] = (this.#counts[entry] as number) + count;
        return;
      }
      slot = (slot + 1) & mask;
    }
    this.#insert(slot, mixed, bytes, start, end, count);
  }

  /** Forgets every word and keeps the memory. */
  clear(): void {
    this.#slots.fill(emptySlot);
    this.#size = 0;
    this.#arenaUsed = 0;
  }

  /** Calls `visit` for each word; its bytes are valid until the table changes. */
  forEach(visit: (bytes: Buffer, count: number, mixedHash: number) => void): void {
    for (let entry = 0; entry < this.#size; entry += 1) {
      const start = this.#starts[entry] as number;
      const bytes = this.#arena.subarray(start, start + (this.#lengths[entry] as number));
      visit(bytes, this.#counts[entry] as number, this.#hashes[entry] as number);
    }
  }

  #isAt(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#lengths[entry] !== end - start) return false;
    let at = this.#starts[entry] as number;
    for (let i = start; i < end; i += 1, at += 1) if (this.#arena[at] !== bytes[i]) return false;
    return true;
  }

  #insert(slot: number, mixed: number, bytes: Uint8Array, start: number, end: number, count: number): void {
    const entry = this.#size;
    if (entry === this.#counts.length) this.#growEntries();
    const length = end - start;
    if (this.#arenaUsed + length > this.#arena.length) this.#growArena(length);
    for (let i = 0; i < length; i += 1) this.#arena[this.#arenaUsed + i] = bytes[start + i] as number;
    this.#hashes[entry] = mixed;
    this.#starts[entry] = this.#arenaUsed;
    this.#lengths[entry] = length;
    this.#counts[entry] = count;
    this.#slots[slot] = entry;
    this.#arenaUsed += length;
    this.#size += 1;
    if (this.#size * 2 > this.#slots.length) this.#growSlots();
  }

  #growEntries(): void {
    const size = this.#counts.length * 2;
    this.#hashes = grown(this.#hashes, new Uint32Array(size));
    this.#starts = grown(this.#starts, new Uint32Array(size));
    this.#lengths = grown(this.#lengths, new Uint16Array(size));
    this.#counts = grown(this.#counts, new Float64Array(size));
  }

  #growArena(wanted: number): void {
    const arena = Buffer.allocUnsafe(Math.max(this.#arena.length * 2, this.#arenaUsed + wanted));
    this.#arena.copy(arena, 0, 0, this.#arenaUsed);
    this.#arena = arena;
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(emptySlot);
    const mask = slots.length - 1;
    for (let entry = 0; entry < this.#size; entry += 1) {
      let slot = (this.#hashes[entry] as number) & mask;
      while (slots[slot] !== emptySlot) slot = (slot + 1) & mask;
      slots[slot] = entry;
    }
    this.#slots = slots;
  }
}

function grown<T extends Uint32Array | Uint16Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
