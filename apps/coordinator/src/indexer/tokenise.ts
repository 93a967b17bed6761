/**
 * Finds the words of a text in its bytes, piece by piece, and counts them in a table. Runs of ASCII, which is nearly
 * all, never become strings; a run that holds any other byte takes the slow way through Unicode's own tables. Since no
 * multi-byte character of UTF-8 contains an ASCII byte, both ways agree on where runs end.
 */
import { longestWord, runPattern, wordOf } from './word.ts';
import { hashOf, hashStart, hashStep, type WordTable } from './word-table.ts';

const separator = 0;
const digit = 1;
const letter = 2;
const beyondAscii = 4;

const classOf = new Uint8Array(256);
const lower = new Uint8Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  const isUpper = byte >= 65 && byte <= 90;
  lower[byte] = isUpper ? byte + 32 : byte;
  if (byte >= 48 && byte <= 57) classOf[byte] = digit;
  else if (isUpper || (byte >= 97 && byte <= 122)) classOf[byte] = letter;
  else if (byte >= 128) classOf[byte] = beyondAscii;
  else classOf[byte] = separator;
}

export class Tokeniser {
  readonly #table: WordTable;
  /** Words found since `start`. */
  words = 0;
  /** Runs too long to be words, since `start`. */
  overlong = 0;

  constructor(table: WordTable) {
    this.#table = table;
  }

  /** Begins a new text. */
  start(): void {
    this.words = 0;
    this.overlong = 0;
  }

  /**
   * Counts the words in `bytes[0…end)` and gives how many bytes at its end must stand again before the next piece,
   * moved to the front of the buffer, since the run that they begin may go on. With `last`, none. Changes the bytes.
   */
  take(bytes: Buffer, end: number, last: boolean): number {
    const whole = last ? end : this.#endOfLastSeparator(bytes, end);
    this.#scan(bytes, whole);
    const rest = end - whole;
    if (rest > 0) bytes.copyWithin(0, whole, end);
    return rest < bytes.length ? rest : this.#takeEndlessRun(bytes, rest);
  }

  #endOfLastSeparator(bytes: Buffer, end: number): number {
    let at = end;
    while (at > 0 && classOf[bytes[at - 1] as number] !== separator) at -= 1;
    return at;
  }

  #scan(bytes: Buffer, end: number): void {
    let at = 0;
    while (at < end) {
      // Reads in bounds: `at` is below `end`, the tables have 256 fields.
      let kind = classOf[bytes[at] as number] as number;
      if (kind === separator) {
        at += 1;
        continue;
      }
      const start = at;
      let seen = 0;
      let hash = hashStart;
      do {
        seen |= kind;
        const byte = lower[bytes[at] as number] as number;
        bytes[at] = byte;
        hash = hashStep(hash, byte);
        at += 1;
        kind = at < end ? (classOf[bytes[at] as number] as number) : separator;
      } while (kind !== separator);
      if (seen >= beyondAscii) this.#countUnicode(bytes.toString('utf8', start, at));
      else if (seen >= letter) this.#countAscii(bytes, start, at, hash);
    }
  }

  #countAscii(bytes: Buffer, start: number, end: number, hash: number): void {
    if (end - start > longestWord) {
      this.overlong += 1;
      return;
    }
    this.words += 1;
    this.#table.add(bytes, start, end, hash);
  }

  #countUnicode(text: string): void {
    for (const [run] of text.matchAll(runPattern)) this.#countRun(run);
  }

  #countRun(run: string): void {
    const word = wordOf(run);
    if (word === undefined) return;
    if (word === null) {
      this.overlong += 1;
      return;
    }
    const bytes = Buffer.from(word);
    this.words += 1;
    this.#table.add(bytes, 0, bytes.length, hashOf(bytes));
  }

  /** A buffer full without one ASCII separator: all but its last run is counted, and that one shortened, so that reading goes on. */
  #takeEndlessRun(bytes: Buffer, end: number): number {
    const whole = endOfWholeCharacters(bytes, end);
    const text = bytes.toString('utf8', 0, whole);
    let lastRun = '';
    for (const { 0: run, index } of text.matchAll(runPattern)) {
      if (index + run.length === text.length) lastRun = run;
      else this.#countRun(run);
    }
    const broken = Buffer.from(bytes.subarray(whole, end));
    const kept = Buffer.from(shorten(lastRun));
    kept.copy(bytes, 0);
    broken.copy(bytes, kept.length);
    return kept.length + broken.length;
  }
}

/** Keeps what decides the fate of a run that goes on: whether it is overlong, and whether it has a letter. */
function shorten(run: string): string {
  if (run.length <= longestWord + 3) return run;
  const head = [...run.slice(0, longestWord + 3)];
  head.pop(); // it may be half a surrogate pair; what stays is longer than a word either way
  const kept = head.join('');
  return wordOf(kept) === undefined && wordOf(run) !== undefined ? `${kept}a` : kept;
}

/** Where the last character of UTF-8 that is not cut short ends. */
function endOfWholeCharacters(bytes: Buffer, end: number): number {
  for (let back = 1; back <= 3 && back <= end; back += 1) {
    const byte = bytes[end - back] as number;
    if (byte < 0x80) return end;
    if (byte >= 0xc0) {
      const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return wanted > back ? end - back : end;
    }
  }
  return end;
}
