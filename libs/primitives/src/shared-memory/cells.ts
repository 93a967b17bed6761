/**
 * The memory that threads share, and the atomic operations on it. Every read and write of a shared word goes through
 * these few functions, so that a model can stand in their place and step the algorithms through all interleavings.
 */

/** 32-bit words: what the hot paths change. */
export type Words = Int32Array<SharedArrayBuffer>;
/** 64-bit words: where a count must not wrap. */
export type WideWords = BigInt64Array<SharedArrayBuffer>;

export function load(words: Words, index: number): number {
  return Atomics.load(words, index);
}

/** `load`, save where no other thread can see the memory: a plain read does the same then. See `change`. */
export function peek(shared: boolean, words: Words, index: number): number {
  return shared ? Atomics.load(words, index) : (words[index] as number);
}

export function store(words: Words, index: number, value: number): void {
  Atomics.store(words, index, value);
}

/** Puts `next` where `expected` stands; gives what stood there: `expected` if it was changed. */
export function compareExchange(words: Words, index: number, expected: number, next: number): number {
  return Atomics.compareExchange(words, index, expected, next);
}

/**
 * `compareExchange`, save where no other thread can see the memory: a plain write does the same then, as nothing can
 * have come in between since `expected` was read, and takes a tenth of the time.
 */
export function change(shared: boolean, words: Words, index: number, expected: number, next: number): number {
  if (shared) return Atomics.compareExchange(words, index, expected, next);
  words[index] = next;
  return expected;
}

export function exchange(words: Words, index: number, value: number): number {
  return Atomics.exchange(words, index, value);
}

/** Gives what stood there before. */
export function add(words: Words, index: number, value: number): number {
  return Atomics.add(words, index, value);
}

/** Which half of a 64-bit word counts its units. */
const LOW = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1;

/**
 * Adds 1 to the 64-bit word at `wide[index]`; gives what is there then, as a number. Where no other thread can see the
 * memory both halves are counted by hand: numbers of 64 bits are objects to V8, and cost more than all the rest.
 */
export function increment(shared: boolean, words: Words, wide: WideWords, index: number): number {
  if (shared) return Number(Atomics.add(wide, index, 1n)) + 1;
  const low = 2 * index + LOW;
  const high = 2 * index + 1 - LOW;
  const units = ((words[low] as number) + 1) >>> 0;
  words[low] = units;
  if (units === 0) words[high] = (words[high] as number) + 1;
  return (words[high] as number) * 2 ** 32 + units;
}

export function loadWide(words: WideWords, index: number): bigint {
  return Atomics.load(words, index);
}

export function storeWide(words: WideWords, index: number, value: bigint): void {
  Atomics.store(words, index, value);
}

export function compareExchangeWide(words: WideWords, index: number, expected: bigint, next: bigint): bigint {
  return Atomics.compareExchange(words, index, expected, next);
}

export function addWide(words: WideWords, index: number, value: bigint): bigint {
  return Atomics.add(words, index, value);
}

/** Tells the processor that this is a busy wait, where the engine has a way to (`Atomics.pause`, V8 13.3). */
export const relax: () => void =
  (Atomics as { pause?: () => void }).pause === undefined
    ? () => {}
    : () => (Atomics as unknown as { pause(): void }).pause();
