/**
 * Records in shared memory: a few numbers to find them by, and the rest as JSON. Read and written by who holds the mutex
 * of the whole; that a slot is in use is written last, so that one left half written by a thread that ended is free.
 *
 * | of a slot | holds |
 * |---|---|
 * | bytes 0–7 | a number that no record ever had before; 0 while the slot is free |
 * | bytes 8–39 | four keys |
 * | bytes 40–43 | the length of the text |
 * | from byte 44 on | the text, in UTF-8 |
 */

/** A record, and where it stands. */
export interface Placed<T> {
  readonly slot: number;
  readonly number: number;
  readonly record: T;
}

/** What a record is found by; left out: whatever it is. */
export type Keys = readonly (number | undefined)[];

const NUMBER = 0;
const KEYS = 1;
const LENGTH = 40;
const TEXT = 44;

export class Slots<T> {
  readonly #buffer: SharedArrayBuffer;
  readonly #numbers: Float64Array<SharedArrayBuffer>;
  readonly #lengths: Int32Array<SharedArrayBuffer>;
  readonly #offset: number;
  readonly #size: number;
  readonly #count: number;

  /** `count` slots of `size` bytes, a multiple of 8, from byte `offset` on, a multiple of 8. */
  constructor(buffer: SharedArrayBuffer, offset: number, size: number, count: number) {
    this.#buffer = buffer;
    this.#numbers = new Float64Array(buffer);
    this.#lengths = new Int32Array(buffer);
    this.#offset = offset;
    this.#size = size;
    this.#count = count;
  }

  /** Bytes that a record's text may take. */
  get room(): number {
    return this.#size - TEXT;
  }

  /** Puts a record in a free slot, else in the one at `instead`; `undefined` where neither is or its text has no room. */
  add(
    keys: readonly [number, number, number, number],
    number: number,
    record: T,
    instead?: number,
  ): Placed<T> | undefined {
    const text = JSON.stringify(record);
    const slot = this.#free() ?? instead;
    if (slot === undefined || Buffer.byteLength(text) > this.room) return undefined;
    const at = this.#at(slot);
    this.#numbers[at / 8 + NUMBER] = 0;
    this.#numbers.set(keys, at / 8 + KEYS);
    this.#lengths[(at + LENGTH) / 4] = Buffer.from(this.#buffer, at + TEXT, this.room).write(text);
    this.#numbers[at / 8 + NUMBER] = number;
    return { slot, number, record };
  }

  /** Frees the slot, unless another record has it by now. */
  remove({ slot, number }: Placed<unknown>): void {
    const at = this.#at(slot) / 8 + NUMBER;
    if (this.#numbers[at] === number) this.#numbers[at] = 0;
  }

  /** The records with these keys, the oldest first. */
  find(keys: Keys): Placed<T>[] {
    const found: Placed<T>[] = [];
    for (let slot = 0; slot < this.#count; slot += 1) {
      const at = this.#at(slot) / 8;
      const number = this.#numbers[at + NUMBER] as number;
      if (number === 0) continue;
      if (keys.every((key, n) => key === undefined || key === this.#numbers[at + KEYS + n])) {
        found.push({ slot, number, record: this.#read(slot) });
      }
    }
    return found.sort((a, b) => a.number - b.number);
  }

  #free(): number | undefined {
    for (let slot = 0; slot < this.#count; slot += 1) {
      if (this.#numbers[this.#at(slot) / 8 + NUMBER] === 0) return slot;
    }
    return undefined;
  }

  #at(slot: number): number {
    return this.#offset + slot * this.#size;
  }

  #read(slot: number): T {
    const at = this.#at(slot);
    const length = this.#lengths[(at + LENGTH) / 4] as number;
    return JSON.parse(Buffer.from(this.#buffer, at + TEXT, length).toString()) as T;
  }
}
