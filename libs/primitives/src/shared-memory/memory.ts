/**
 * The block of shared memory behind one local primitive. It starts with four words that say what it is:
 *
 * | word | holds |
 * |---|---|
 * | 0 `SIGN` | a constant of ours in the upper 24 bits, the kind of the primitive in the lower 8 |
 * | 1 `MAKER` | number of the thread that made it |
 * | 2 `SERIAL` | the how-manieth that thread made; with `MAKER` a name unique in the process |
 * | 3 `TRAITS` | what it was made with, by bits: `ROBUST`, `DEBUG`, and what a kind declares itself from bit 8 on |
 *
 * What the kind needs follows from word 4 (`FIRST`) on.
 */
import { threadId } from 'node:worker_threads';
import { show, typeError } from '../errors.ts';
import { load, store, type WideWords, type Words } from './cells.ts';

/** Every kind of local primitive, by the name of its class. The numbers are part of the layout. */
export const KINDS = {
  Lock: 1,
  RLock: 2,
  Condition: 3,
  Semaphore: 4,
  BoundedSemaphore: 5,
  Event: 6,
  Barrier: 7,
  CountDownLatch: 8,
  ReadWriteLock: 9,
  Counter: 10,
  Queue: 11,
  LifoQueue: 12,
  PriorityQueue: 13,
  SimpleQueue: 14,
} as const;
export type Kind = keyof typeof KINDS;

const SIGN = 0;
const MAKER = 1;
const SERIAL = 2;
const TRAITS = 3;
/** The first word of what belongs to the kind. */
export const FIRST = 4;
/** The same, counted in 64-bit words. */
export const FIRST_WIDE = 2;

/** In `TRAITS`: a lock that passes on from a holder whose thread ended. */
export const ROBUST = 1;
/** In `TRAITS`: a lock that debug mode watches. */
export const DEBUG = 2;
/** In `TRAITS`, the first bit that a kind may use for itself. */
export const FIRST_OWN_TRAIT = 1 << 8;

/** Where a primitive keeps its memory, for `share`. */
export const MEMORY: unique symbol = Symbol('heddle.memory');

/** Where a primitive that stands on another one given to it keeps that, for `share`. */
export const INNER: unique symbol = Symbol('heddle.inner');

/** Where a part of a primitive (a side of a read-write lock) keeps the memory of the whole. */
export const WHOLE: unique symbol = Symbol('heddle.whole');

const OURS = 0x4ed1e0 << 8;
let made = 0;

/** One primitive's shared memory, as seen by one thread. */
export class Memory {
  readonly kind: Kind;
  readonly buffer: SharedArrayBuffer;
  readonly words: Words;
  /** Whether other threads may see it: from the first `share` on. */
  shared = false;

  private constructor(kind: Kind, buffer: SharedArrayBuffer) {
    this.kind = kind;
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
  }

  /** New memory, all zero, for `words` words of 32 bits after the header. */
  static make(kind: Kind, words: number, traits = 0): Memory {
    const memory = new Memory(kind, new SharedArrayBuffer(8 * Math.ceil((FIRST + words) / 2)));
    made += 1;
    memory.words[MAKER] = threadId;
    memory.words[SERIAL] = made;
    memory.words[TRAITS] = traits;
    store(memory.words, SIGN, OURS | KINDS[kind]);
    return memory;
  }

  /** The memory in a handle, seen from this thread. `TypeError` where it is not that of a `kind`. */
  static adopt(kind: Kind, buffer: unknown): Memory {
    if (!(buffer instanceof SharedArrayBuffer)) {
      throw typeError(
        `attach: the handle of a ${kind} must hold a SharedArrayBuffer, not ${show(buffer)}; pass what share() gave`,
      );
    }
    const found = kindIn(buffer);
    if (found !== kind) {
      throw typeError(
        `attach: the handle says ${kind}, but its memory is ${found === undefined ? 'none of a primitive' : `that of a ${found}`}; pass what share() gave, unchanged`,
      );
    }
    const memory = new Memory(kind, buffer);
    memory.shared = true;
    return memory;
  }

  get traits(): number {
    return this.words[TRAITS] ?? 0;
  }

  /** For messages: the kind, and which of them; the same in every thread. */
  get label(): string {
    const maker = this.words[MAKER];
    return `${this.kind}#${maker === 0 ? '' : `${maker}.`}${this.words[SERIAL]}`;
  }

  /** `MAKER` and `SERIAL`. */
  get numbers(): readonly [maker: number, serial: number] {
    return [this.words[MAKER] ?? 0, this.words[SERIAL] ?? 0];
  }

  /** For a global order: below 0 where this one comes before `other`, 0 where they are one. By maker, then serial. */
  compare(other: Memory): number {
    const by = (index: number) => (this.words[index] ?? 0) - (other.words[index] ?? 0);
    return by(MAKER) || by(SERIAL);
  }

  wide(): WideWords {
    return new BigInt64Array(this.buffer);
  }
}

function kindIn(buffer: SharedArrayBuffer): Kind | undefined {
  if (buffer.byteLength < FIRST * 4) return undefined;
  const sign = load(new Int32Array(buffer, 0, FIRST), SIGN);
  return (Object.keys(KINDS) as Kind[]).find((kind) => (OURS | KINDS[kind]) === sign);
}
