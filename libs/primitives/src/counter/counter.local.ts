/** The counter between threads: one 64-bit word, changed by compare-and-exchange. */
import { rangeError } from '../errors.ts';
import { checkCount } from '../options.ts';
import { compareExchangeWide, loadWide, storeWide, type WideWords } from '../shared-memory/cells.ts';
import { FIRST_WIDE, MEMORY, Memory } from '../shared-memory/memory.ts';
import type { AnyCounter } from './counter.ts';

const VALUE = FIRST_WIDE;
const WORDS = 2;

/** A counter between the threads of one process. */
export class Counter implements AnyCounter {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly #words: WideWords;

  /** Begins at `initial`, a safe integer. */
  constructor(initial?: number);
  /** @internal The counter that this memory is. */
  constructor(memory: Memory);
  constructor(initial: number | Memory = 0) {
    const memory = initial instanceof Memory ? initial : makeMemory(initial);
    this[MEMORY] = memory;
    this.#words = memory.wide();
  }

  add(n = 1): number {
    checkWhole(n, 'Counter.add(n): n');
    for (;;) {
      const seen = loadWide(this.#words, VALUE);
      const next = Number(seen) + n;
      if (!Number.isSafeInteger(next)) {
        throw rangeError(`${this[MEMORY].label} is ${seen}; with ${n} more it would leave the safe integers`);
      }
      if (compareExchangeWide(this.#words, VALUE, seen, BigInt(next)) === seen) return next;
    }
  }

  value(): number {
    return Number(loadWide(this.#words, VALUE));
  }

  compareAndSet(expected: number, next: number): boolean {
    const from = BigInt(checkWhole(expected, 'Counter.compareAndSet(expected, next): expected'));
    const to = BigInt(checkWhole(next, 'Counter.compareAndSet(expected, next): next'));
    return compareExchangeWide(this.#words, VALUE, from, to) === from;
  }
}

function makeMemory(initial: number): Memory {
  checkWhole(initial, 'new Counter(initial): initial');
  const memory = Memory.make('Counter', WORDS);
  storeWide(memory.wide(), VALUE, BigInt(initial));
  return memory;
}

function checkWhole(value: unknown, what: string): number {
  return checkCount(value, what, { min: Number.MIN_SAFE_INTEGER });
}
