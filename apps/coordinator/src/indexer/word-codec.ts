/**
 * Word counts as bytes, for the way between map and reduce: for each word its length, its bytes, its count; both
 * numbers as LEB128, seven bits a byte, the lowest first.
 */
import { hashOf, type WordTable } from './word-table.ts';

const longestNumber = 8;

/** Packs the words of a table into `partitions` buffers, each word into the one that its hash names. */
export function packWords(table: WordTable, partitions: number): Buffer[] {
  const writers = Array.from({ length: partitions }, () => new ByteWriter());
  table.forEach((bytes, count, hash) => {
    // The quotient by 2³² and not the remainder: the table's slots use the low bits already.
    writers[Math.floor((hash / 2 ** 32) * partitions)]?.word(bytes, count);
  });
  return writers.map((writer) => writer.done());
}

/** Adds the words of a packed buffer to a table. */
export function unpackInto(table: WordTable, packed: Uint8Array): void {
  eachWord(packed, (start, end, count) =>
    table.add(packed, start, end, hashOf(packed.subarray(start, end)), count),
  );
}

/** Calls `visit` for each word of a packed buffer, with where its bytes are. A buffer that is cut short is an error. */
export function eachWord(
  packed: Uint8Array,
  visit: (start: number, end: number, count: number) => void,
): void {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = packed[at];
      if (byte === undefined) throw new RangeError('packed words end in the middle of a word');
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < packed.length) {
    const length = number();
    const start = at;
    at += length;
    visit(start, start + length, number());
  }
}

class ByteWriter {
  #bytes = Buffer.allocUnsafe(1 << 12);
  #used = 0;

  word(bytes: Uint8Array, count: number): void {
    const wanted = this.#used + bytes.length + 2 * longestNumber;
    if (wanted > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, wanted));
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    this.#number(bytes.length);
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#number(count);
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #number(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.#used++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#used++] = rest;
  }
}
