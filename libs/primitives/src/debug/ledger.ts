/**
 * What debug mode knows, for all threads of the process, in one block of shared memory: who holds which lock and who
 * waits for which (`claims`), and in which order locks were taken (`orders`). One mutex guards it all, so that whoever
 * reads sees one moment. Its threads find it in three ways: from the thread that started them, as Node's environment
 * data; in the handle of a lock; else the first lock made with `debug` makes it.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { Mutex } from '../shared-memory/mutex.ts';
import { type Placed, Slots } from './slots.ts';

/** Which lock. */
export interface LockName {
  /** The lock's own numbers: both together are unique in the process. */
  readonly maker: number;
  readonly serial: number;
  /** `Lock#3`. */
  readonly label: string;
  /** Where it was made. */
  readonly site: string;
  readonly robust: boolean;
}

/** Who: a logical thread, in the thread that runs it. */
export interface Line {
  readonly ident: number;
  readonly thread: number;
  /** The operating system's number of that thread; 0 where unknown. */
  readonly native: number;
  readonly name: string;
}

/** The whole of a lock, or a side of a read-write lock. */
export type Side = 'whole' | 'read' | 'write';

/** That somebody holds a lock, or waits for it. */
export interface Claim {
  readonly what: 'hold' | 'wait';
  readonly lock: LockName;
  readonly side: Side;
  readonly line: Line;
  /** Of a hold: whether what its line waits for meanwhile keeps it up, as in a `with` or an explicit logical thread. */
  readonly surrounding: boolean;
  /** Of a wait: whether it blocks its whole thread. */
  readonly blocking: boolean;
  /** Of a wait: the moment it gives up at, in monotonic ms; `null`: never. */
  readonly until: number | null;
  readonly stack: string;
  /** That the end of its thread has been told. */
  readonly told?: boolean;
}

/** That `second` was taken while `first` was held. */
export interface Order {
  readonly first: string;
  readonly second: string;
  readonly line: string;
  /** Where either was taken. */
  readonly stacks: readonly [string, string];
  /** Whether both were taken for reading. */
  readonly reading: boolean;
  readonly told?: boolean;
}

export type PlacedClaim = Placed<Claim>;

/** What a claim is, as its first key. */
const HOLD = 1;
const WAIT = 2;
const BLOCKING = 3;

const MUTEX = 0;
/** Tells ledgers apart: one that came twice is two objects over one memory. */
const SIGN = 1;
/** The last number given to a record, as a float. */
const LAST = 1;
const HEAD = 16;
const CLAIMS = 1024;
const CLAIM_BYTES = 2048;
const ORDERS = 256;
const ORDER_BYTES = 4096;
const BYTES = HEAD + CLAIMS * CLAIM_BYTES + ORDERS * ORDER_BYTES;

export class Ledger {
  readonly buffer: SharedArrayBuffer;
  readonly sign: number;
  readonly #mutex: Mutex;
  readonly #numbers: Float64Array<SharedArrayBuffer>;
  readonly #claims: Slots<Claim>;
  readonly #orders: Slots<Order>;

  /** New, or the one in this memory. */
  constructor(buffer?: SharedArrayBuffer) {
    const words = new Int32Array(buffer ?? new SharedArrayBuffer(BYTES));
    if (buffer === undefined) words[SIGN] = 1 + Math.floor(Math.random() * (2 ** 31 - 1));
    this.buffer = words.buffer;
    this.sign = words[SIGN] as number;
    this.#mutex = new Mutex(words, MUTEX);
    this.#numbers = new Float64Array(this.buffer);
    this.#claims = new Slots(this.buffer, HEAD, CLAIM_BYTES, CLAIMS);
    this.#orders = new Slots(this.buffer, HEAD + CLAIMS * CLAIM_BYTES, ORDER_BYTES, ORDERS);
  }

  /** Runs `body`, which must not wait, while nobody else reads or writes; everything below belongs in one. */
  exclusive<T>(body: () => T): T {
    return this.#mutex.run(body);
  }

  /** Notes a claim. Where the ledger is full, it is not seen by others: what debug mode tells is then less, never wrong. */
  note(claim: Claim): PlacedClaim {
    const { lock, line } = claim;
    const kind = claim.what === 'hold' ? HOLD : claim.blocking ? BLOCKING : WAIT;
    const keys = [kind, line.thread, keyOf(lock), line.ident] as const;
    const number = this.#next();
    const short = { ...claim, stack: '' };
    const placed = this.#claims.add(keys, number, claim) ?? this.#claims.add(keys, number, short);
    return placed ?? { slot: 0, number, record: claim };
  }

  strike(claim: PlacedClaim): void {
    this.#claims.remove(claim);
  }

  holdsOn(lock: LockName): PlacedClaim[] {
    return this.#claims.find([HOLD, undefined, keyOf(lock)]);
  }

  waitsOn(lock: LockName): PlacedClaim[] {
    const key = keyOf(lock);
    return [...this.#claims.find([WAIT, undefined, key]), ...this.#claims.find([BLOCKING, undefined, key])];
  }

  holdsIn(thread: number): PlacedClaim[] {
    return this.#claims.find([HOLD, thread]);
  }

  holdsOf(line: Line): PlacedClaim[] {
    return this.#claims.find([HOLD, line.thread, undefined, line.ident]);
  }

  waitsIn(thread: number): PlacedClaim[] {
    return [...this.#claims.find([WAIT, thread]), ...this.#claims.find([BLOCKING, thread])];
  }

  /** The waits that keep this line from going on: its own, and the one that blocks its thread. */
  waitsOf(line: Line): PlacedClaim[] {
    const own = this.#claims.find([WAIT, line.thread, undefined, line.ident]);
    return [...own, ...this.#claims.find([BLOCKING, line.thread])];
  }

  /** Notes an order; where the ledger is full, in the place of the oldest. */
  noteOrder(first: LockName, second: LockName, order: Order): void {
    const keys = [keyOf(first), keyOf(second), 0, 0] as const;
    const full = this.#orders.find([]);
    const oldest = full.length < ORDERS ? undefined : full[0]?.slot;
    this.#orders.add(keys, this.#next(), order, oldest);
  }

  order(first: LockName, second: LockName): Placed<Order> | undefined {
    return this.#orders.find([keyOf(first), keyOf(second)])[0];
  }

  strikeOrder(order: Placed<Order>): void {
    this.#orders.remove(order);
  }

  #next(): number {
    const next = (this.#numbers[LAST] as number) + 1;
    this.#numbers[LAST] = next;
    return next;
  }
}

/** Both numbers of a lock in one; makers are few. */
function keyOf({ maker, serial }: LockName): number {
  return maker * 2 ** 32 + (serial >>> 0);
}

const KEY = 'heddle.ledger';
let own: Ledger | undefined;
/** The ledgers of locks that came from a thread which had another one already, by the lock's memory. */
const foreign = new WeakMap<SharedArrayBuffer, Ledger>();

/** This thread's ledger, where there is one by now. */
export function ledgerIfAny(): Ledger | undefined {
  if (own !== undefined) return own;
  const given: unknown = getEnvironmentData(KEY);
  if (given instanceof SharedArrayBuffer) own = new Ledger(given);
  return own;
}

/** This thread's ledger; the threads it starts from now on have the same. */
export function ledgerHere(): Ledger {
  return ledgerIfAny() ?? adopt(new Ledger());
}

/** The ledger that the lock in this memory is kept in. */
export function ledgerOf(memory: SharedArrayBuffer): Ledger {
  return foreign.get(memory) ?? ledgerHere();
}

/** A lock came, in that memory, whose maker keeps it in this ledger. */
export function adoptLedger(memory: SharedArrayBuffer, buffer: unknown): void {
  if (!(buffer instanceof SharedArrayBuffer) || buffer.byteLength !== BYTES) return;
  const theirs = new Ledger(buffer);
  const mine = ledgerIfAny() ?? adopt(theirs);
  if (mine.sign !== theirs.sign) foreign.set(memory, theirs);
}

function adopt(ledger: Ledger): Ledger {
  own = ledger;
  setEnvironmentData(KEY, ledger.buffer);
  return ledger;
}
