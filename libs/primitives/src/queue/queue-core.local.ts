/**
 * What every queue between threads is made of: an area of items (`item-store.ts`), a mutex for those who put and one for
 * those who take, and two bells (`bell.ts`), one rung when an item has come and one when there is room: Python's
 * `queue.Queue`, whose two conditions these are, in shared memory. Every word is described in `queue-words.ts`.
 *
 * Who puts takes the mutex of putting, and where there is room the item goes in; then, the mutex given back, the bell of
 * those who take is rung if anybody waits there. Where there is no room, it says at the other bell that it will sleep,
 * looks once more, and sleeps until that rings. Who takes does the same the other way round.
 *
 * Nobody takes a mutex while holding the other, but for both, that of putting first; where the order of items is not that
 * of coming, both are one. A thread may end while it holds one. Who waits for that long looks whether it has, and takes it
 * over; if it was just changing what the mutex guards, the queue is broken.
 */
import {
  InvalidStateError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  rangeError,
} from '../errors.ts';
import { load, store, type Words } from '../shared-memory/cells.ts';
import type { Kind, Memory } from '../shared-memory/memory.ts';
import { Mutex } from '../shared-memory/mutex.ts';
import { Spin } from '../shared-memory/spin.ts';
import { Bell } from './bell.ts';
import { fromBytes, type ItemBytes, toBytes } from './item-bytes.ts';
import { HeapStore, type ItemStore, RingStore, StackStore } from './item-store.ts';
import { priorityKey } from './priority-key.ts';
import type { ShutdownOptions } from './queue.ts';
import {
  BROKEN,
  DRAINED,
  FILLED,
  MAXSIZE,
  PUT_MUTEX,
  PUT_TORN,
  SHUT,
  TAKE_MUTEX,
  TAKE_TORN,
} from './queue-words.ts';
import { Unfinished } from './unfinished.ts';

const NO_KEY = new Uint8Array(0);

const STORES: Partial<Record<Kind, new (words: Words) => ItemStore>> = {
  LifoQueue: StackStore,
  PriorityQueue: HeapStore,
};

/** What a queue does holding its mutexes. */
export class QueueCore {
  readonly memory: Memory;
  readonly kind: Kind;
  readonly filled: Bell;
  readonly drained: Bell;
  readonly unfinished: Unfinished;
  readonly putSpin: Spin = new Spin();
  readonly getSpin: Spin = new Spin();
  readonly #words: Words;
  readonly #putting: Mutex;
  readonly #taking: Mutex;
  readonly #store: ItemStore;
  readonly #maxsize: number;
  /** Found broken, and those who wait do not know yet. */
  #alarm = false;

  constructor(memory: Memory) {
    this.memory = memory;
    this.kind = memory.kind;
    const { words } = memory;
    this.#words = words;
    this.#store = new (STORES[memory.kind] ?? RingStore)(words);
    this.#putting = new Mutex(words, PUT_MUTEX, () => this.#inspect());
    this.#taking =
      this.#store instanceof RingStore ? new Mutex(words, TAKE_MUTEX, () => this.#inspect()) : this.#putting;
    this.#maxsize = load(words, MAXSIZE);
    this.unfinished = new Unfinished(words, () => this.#refuseBroken());
    this.filled = new Bell(words, FILLED, () =>
      this.taking(() => this.filled.ringOn(() => !this.#store.empty)),
    );
    this.drained = new Bell(words, DRAINED, () => this.putting(() => this.drained.ringOn(() => !this.full)));
  }

  /** Puts an item where there is room. */
  offer(bytes: ItemBytes, key: Uint8Array): boolean {
    let given = false;
    this.#putting.enter();
    try {
      given = this.#push(bytes, key);
    } finally {
      this.#leave(this.#putting, this.drained);
    }
    if (given && this.filled.awaiting) this.taking(() => this.filled.ring());
    return given;
  }

  /** `offer`, or else the value to sleep on for room. */
  offerOrSleep(bytes: ItemBytes, key: Uint8Array, blocking: boolean, races: number): number | undefined {
    const seen = this.putting(() => {
      if (this.#push(bytes, key)) return undefined;
      const rings = this.drained.announce(blocking, races);
      return this.#push(bytes, key) ? undefined : rings;
    });
    if (seen === undefined && this.filled.awaiting) this.taking(() => this.filled.ring());
    return seen;
  }

  /** Holding the mutex of those who put: false where there is no room. */
  #push(bytes: ItemBytes, key: Uint8Array): boolean {
    const words = this.#words;
    if (words[SHUT] !== 0) throw this.#shutDownError('put');
    if (this.#maxsize > 0 && !this.#store.below(this.#maxsize)) return false;
    if (!this.#store.fits(bytes, key) || !this.drained.admits()) return false;
    words[PUT_TORN] = 1;
    this.#store.push(bytes, key);
    words[PUT_TORN] = 0;
    this.drained.admitted();
    return true;
  }

  /** Takes the next item, where there is one: it is `taken`, and to be read at once. */
  take(): boolean {
    let had = false;
    this.#taking.enter();
    try {
      had = this.#pop();
    } finally {
      this.#leave(this.#taking, this.filled);
    }
    // Items differ in size: room that is not enough for one that waits may be for another.
    if (had && this.drained.awaiting) this.putting(() => this.drained.ringForAll());
    return had;
  }

  /** `take`, or else the value to sleep on for an item. `woken`: has slept, alone perhaps. */
  takeOrSleep(blocking: boolean, races: number, woken: boolean): number | undefined {
    const seen = this.taking(() => {
      let rings: number | undefined;
      if (!this.#pop()) {
        rings = this.filled.announce(blocking, races);
        if (this.#pop()) rings = undefined;
      }
      if (rings === undefined && woken && blocking) this.filled.ringOn(() => !this.#store.empty);
      return rings;
    });
    if (seen === undefined && this.drained.awaiting) this.putting(() => this.drained.ringForAll());
    return seen;
  }

  /** Holding the mutex of those who take: false where there is none. */
  #pop(): boolean {
    const words = this.#words;
    const shut = words[SHUT];
    if (shut === BROKEN) throw this.#brokenError();
    if (!this.#store.has(1)) {
      if (shut !== 0) throw this.#shutDownError('get');
      return false;
    }
    if (!this.filled.admits() && !this.#store.has(2)) return false;
    words[TAKE_TORN] = 1;
    this.#store.pop();
    words[TAKE_TORN] = 0;
    this.filled.admitted();
    return true;
  }

  /** The item that was taken last. */
  get taken(): unknown {
    return fromBytes(this.#store.taken, this.#store.length);
  }

  /** Whether there is something to be had, or to be told. */
  get worthTaking(): boolean {
    return !this.#store.empty || load(this.#words, SHUT) !== 0;
  }

  /** How many items there are for this thread: one that is kept for an heir is not. */
  get size(): number {
    if (load(this.#words, SHUT) === BROKEN) return 0;
    const { count } = this.#store;
    return count > 0 && !this.filled.admitting ? count - 1 : count;
  }

  /** Whether this thread could put nothing: room that is kept for an heir is none. */
  get full(): boolean {
    const filledUp = this.#maxsize > 0 && this.#store.count >= this.#maxsize;
    return filledUp || this.#store.crowded || !this.drained.admitting;
  }

  /** An item's place in the order, as bytes; none where that is the order of coming. */
  keyOf(item: unknown): Uint8Array {
    return this.kind === 'PriorityQueue' ? priorityKey(item) : NO_KEY;
  }

  /**
   * The bytes of an item: good until the next call in this thread, unless kept.
   * @throws RangeError for an item that could never fit.
   */
  bytesOf(item: unknown, key: Uint8Array): ItemBytes {
    const bytes = toBytes(item, this.memory);
    const size = this.#store.sizeOf(bytes, key);
    const room = this.#store.capacity;
    if (size <= room) return bytes;
    throw rangeError(
      `${this.memory.label}: the item takes ${size} bytes, and the whole queue has ${room}: make it with a larger maxBytes, or put the item in parts`,
      'ERR_HEDDLE_ITEM_TOO_LARGE',
    );
  }

  shutdown({ immediate }: ShutdownOptions): void {
    const shut = () => {
      if (load(this.#words, SHUT) === 0) store(this.#words, SHUT, 1);
      if (immediate === true) {
        const dropped = this.#store.count;
        this.#store.clear();
        // Some may have been told done before anybody took them.
        this.unfinished.finish(dropped);
      }
      this.filled.ringForAll();
      this.drained.ringForAll();
    };
    // Not `taking`, which may go on to ring for both.
    this.putting(() => (this.#taking === this.#putting ? shut() : this.#taking.run(shut)));
    this.filled.sound();
  }

  /** Runs `body` holding the mutex of those who put. */
  putting<R>(body: () => R): R {
    this.#putting.enter();
    try {
      return body();
    } finally {
      this.#leave(this.#putting, this.drained);
    }
  }

  /** Runs `body` holding the mutex of those who take. */
  taking<R>(body: () => R): R {
    this.#taking.enter();
    try {
      return body();
    } finally {
      this.#leave(this.#taking, this.filled);
    }
  }

  #leave(mutex: Mutex, bell: Bell): void {
    mutex.leave();
    bell.sound();
    if (this.#alarm) this.#raiseAlarm();
  }

  /** Holding what a thread held that ended: if it was at work, nobody knows what is there. */
  #inspect(): void {
    if (load(this.#words, PUT_TORN) === 0 && load(this.#words, TAKE_TORN) === 0) return;
    store(this.#words, SHUT, BROKEN);
    this.#alarm = true;
  }

  #raiseAlarm(): void {
    this.#alarm = false;
    this.putting(() => this.drained.ringForAll());
    this.taking(() => this.filled.ringForAll());
    this.unfinished.tell();
  }

  /** For who has long waited for what others do: looks whether they ended at it. */
  lookForEnded(): void {
    this.#putting.relieve();
    this.#taking.relieve();
  }

  /** Holding the mutex of those who put: what it guards is about to be changed. */
  tear(): void {
    this.#words[PUT_TORN] = 1;
  }

  fullError(): QueueFullError {
    const primitive = this.memory.label;
    return new QueueFullError(
      `${primitive} was full, with ${this.#store.count} items, for as long as put could wait; take items, or allow a longer timeout`,
      { primitive },
    );
  }

  emptyError(): QueueEmptyError {
    const primitive = this.memory.label;
    return new QueueEmptyError(
      `${primitive} was empty for as long as get could wait; put items, or allow a longer timeout`,
      { primitive },
    );
  }

  #shutDownError(method: string): QueueShutDownError | InvalidStateError {
    const primitive = this.memory.label;
    if (load(this.#words, SHUT) === BROKEN) return this.#brokenError();
    return new QueueShutDownError(
      `${primitive} was shut down${method === 'get' ? ' and is empty' : ''}: no ${method} any more; make a new queue`,
      { primitive },
    );
  }

  #refuseBroken(): void {
    if (load(this.#words, SHUT) === BROKEN) throw this.#brokenError();
  }

  #brokenError(): InvalidStateError {
    const primitive = this.memory.label;
    return new InvalidStateError(
      `${primitive} is broken: a thread ended while it was changing its items, which are lost; make a new queue`,
      { primitive },
    );
  }
}
