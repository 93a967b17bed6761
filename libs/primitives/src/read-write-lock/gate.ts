/**
 * The read-write lock between threads: a lock that writers hold, and a count of readers. It is the readers–writers
 * solution with a turnstile of Allen Downey, "The Little Book of Semaphores" (2016), section 4.2.3,
 * https://greenteapress.com/semaphores/LittleBookOfSemaphores.pdf, with a way past the turnstile while it is free.
 *
 * - Who writes holds the lock (the gate), and waits behind it until the readers that are in have gone.
 * - Who reads adds itself to `READERS`, and looks whether the gate is free. If it is not, it takes itself off again,
 *   waits for the gate like everybody else, and holds it for as long as it takes to add itself.
 *
 * A reader writes `READERS` and then reads the gate, a writer the other way round: one of the two sees the other.
 *
 * The memory is that of a lock (`lock.local.ts`), then:
 *
 * | word | holds | changed by |
 * |---|---|---|
 * | `READERS` | bit 0: the writer at the gate may sleep on this word; bits 1–21: how many read; above them the round, which ends where the last of them goes | a reader coming or going; the writer before it sleeps |
 * | `WRITER` | the lower half of the gate's token, where its holder may write; 0 while it only passes, or waits | who has taken the gate |
 * | `ENDED` | how many rounds have ended, counted just after: the bits of the round come again every 1,024 | who has ended one |
 * | `GRANTS` | leases given, 64 bits wide: their tokens | who is granted one |
 *
 * Who reads is counted, not known; each thread knows what it has itself, and in which round it got that. Any thread may
 * end a hold by `release()`, and the count alone tells the others. Where it falls to 0 all holds have ended, and the
 * round with them: what a thread believes to have of an earlier round is gone, whoever reads now.
 */
import type { Deadline } from '../deadline.ts';
import { rangeError } from '../errors.ts';
import { LOCK_WORDS, Lock } from '../lock/lock.local.ts';
import {
  add,
  compareExchange,
  increment,
  load,
  store,
  type WideWords,
  type Words,
} from '../shared-memory/cells.ts';
import { FIRST, FIRST_WIDE, type Memory } from '../shared-memory/memory.ts';
import { spin } from '../shared-memory/spin.ts';
import { WaitList } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';

const GRANTS = FIRST_WIDE + LOCK_WORDS / 2;
const READERS = FIRST + LOCK_WORDS + 2;
const WRITER = READERS + 1;
const ENDED = READERS + 2;
export const WORDS = LOCK_WORDS + 5;

const WAITED = 1;
const ONE = 2;
const COUNT = 2 ** 22 - 2;
const ROUND = 22;
/** Half of the rounds that those bits tell apart: so many threads may be about to count one. */
const FEW = 2 ** 9;
/** Room is left above it: every thread may add one before it sees that there are too many. */
const MOST = 2 ** 20;

/** What both sides share: the lock that writers hold, and the readers. */
export class Gate {
  readonly memory: Memory;
  readonly words: Words;
  readonly lock: Lock;
  readonly #wide: WideWords;
  #list: WaitList | undefined;

  constructor(memory: Memory) {
    this.memory = memory;
    this.words = memory.words;
    this.lock = new Lock(memory);
    this.#wide = memory.wide();
  }

  get readers(): number {
    return (load(this.words, READERS) & COUNT) / ONE;
  }

  get round(): number {
    return load(this.words, READERS) >>> ROUND;
  }

  /** How many rounds have ended by now, for `goesOn`. */
  get ended(): number {
    return load(this.words, ENDED);
  }

  /** Whether the round with these bits, in which somebody came when so many had `ended`, is the present one. */
  goesOn(round: number, ended: number): boolean {
    return this.round === round && (this.ended - ended) >>> 0 < FEW;
  }

  nextToken(): number {
    return increment(this.memory.shared, this.words, this.#wide, GRANTS);
  }

  /** One try to be a reader without passing the gate. Gives the round in which it reads. */
  enter(): number | undefined {
    if (this.lock.locked()) return undefined;
    const before = add(this.words, READERS, ONE);
    if (!this.lock.locked() && (before & COUNT) < MOST * ONE) return before >>> ROUND;
    this.leave(before >>> ROUND);
    if ((before & COUNT) < MOST * ONE) return undefined;
    throw rangeError(
      `${this.memory.label} is read ${MOST} times at once; release some before more acquire it`,
    );
  }

  /** For who has just taken the gate in order to read. Gives the round in which it reads. */
  pass(): number {
    store(this.words, WRITER, 0);
    const round = add(this.words, READERS, ONE) >>> ROUND;
    this.lock.release();
    return round;
  }

  /** One reader less, if that round goes on where one is given; false where there was none. */
  leave(round?: number): boolean {
    for (;;) {
      const seen = load(this.words, READERS);
      if ((seen & COUNT) === 0 || (round !== undefined && seen >>> ROUND !== round)) return false;
      const last = (seen & COUNT) === ONE;
      const next = last ? ((seen >>> ROUND) + 1) << ROUND : seen - ONE;
      if (compareExchange(this.words, READERS, seen, next) !== seen) continue;
      if (last) add(this.words, ENDED, 1);
      if (last && (seen & WAITED) !== 0) wakeAll(this.words, READERS);
      if (last) this.#list?.kick();
      return true;
    }
  }

  /** For who has just taken the gate in order to write: whether it may at once. */
  claim(): boolean {
    store(this.words, WRITER, 0);
    return this.readers === 0;
  }

  /** The readers have gone: who holds the gate may write. Gives the hold's token at the gate. */
  admit(): number {
    const held = this.lock.currentToken();
    store(this.words, WRITER, held | 0 || 1);
    return held;
  }

  /** Whether the gate is held by one who may write. */
  get writing(): boolean {
    const held = this.lock.currentToken();
    return held !== 0 && load(this.words, WRITER) === (held | 0 || 1);
  }

  /** Waits until no reader is left: true; false where the deadline passed first. */
  cleared(deadline: Deadline, signal: AbortSignal | undefined): Promise<boolean> {
    this.#list ??= new WaitList(this.words, READERS, { relinquish: () => {} });
    return this.#list.enqueue(new ClearedWish(this.words), deadline, signal);
  }

  clearedSync(deadline: Deadline): boolean {
    return (
      spin(() => this.readers === 0) || waitSync(this.words, READERS, new ClearedWish(this.words), deadline)
    );
  }
}

class ClearedWish extends Wish<boolean> {
  readonly #words: Words;

  constructor(words: Words) {
    super();
    this.#words = words;
  }

  attempt(): number | undefined {
    for (;;) {
      const seen = load(this.#words, READERS);
      if ((seen & COUNT) === 0) return undefined;
      const next = seen | WAITED;
      if (next === seen || compareExchange(this.#words, READERS, seen, next) === seen) return next;
    }
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
