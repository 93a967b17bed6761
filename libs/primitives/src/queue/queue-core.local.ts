/**
 * What every queue between threads is made of: a lock, an area of items under it (`item-store.ts`), and two bells
 * (`bell.ts`), one rung when an item has come and one when there is room: Python's `queue.Queue`, whose two conditions
 * these are, in shared memory.
 *
 * A thread may end while it holds the lock. Who waits for that long looks whether it has, and gives the lock back for it;
 * if the items were just being changed, the queue is broken.
 *
 * The memory is that of a lock (`lock.local.ts`), then, all changed only by who holds the lock:
 *
 * | word | holds |
 * |---|---|
 * | `MAXSIZE` | how many items it takes, 0 where their number has no bound; never changed |
 * | `UNFINISHED` | items put for which nobody has said `taskDone`; who joins sleeps on it |
 * | `SHUT` | 1 once it takes no more items; 2 once it is broken |
 * | `HOLDER` | the system's number of the thread that holds the lock, 0 for none, or where there is no such number |
 * | `TORN` | 1 while the items are being changed |
 * | `FILLED`, `DRAINED` | the bells |
 * | `STORE` | the items |
 */
import { Deadline } from '../deadline.ts';
import {
  InvalidStateError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  rangeError,
} from '../errors.ts';
import { LOCK_WORDS, Lock } from '../lock/lock.local.ts';
import { checkCount, checkKnown, checkOptions } from '../options.ts';
import { compareExchange, load, store, type Words } from '../shared-memory/cells.ts';
import { FIRST, type Kind, Memory } from '../shared-memory/memory.ts';
import { hasEnded, nativeThreadId } from '../shared-memory/thread-life.ts';
import { Spin, WaitList, type WaitListOwner, Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import { BELL_WORDS, Bell } from './bell.ts';
import { fromBytes, type ItemBytes, toBytes } from './item-bytes.ts';
import { HeapStore, type ItemStore, RingStore, STORE_WORDS, StackStore } from './item-store.ts';
import { priorityKey } from './priority-key.ts';
import type { ShutdownOptions } from './queue.ts';

const MAXSIZE = FIRST + LOCK_WORDS;
const UNFINISHED = MAXSIZE + 1;
const SHUT = MAXSIZE + 2;
const HOLDER = MAXSIZE + 3;
const TORN = MAXSIZE + 4;
const FILLED = MAXSIZE + 5;
const DRAINED = FILLED + BELL_WORDS;
const STORE = DRAINED + BELL_WORDS;
const WORDS = STORE + STORE_WORDS - FIRST;

const DEFAULT_BYTES = 16 * 2 ** 20;
/** In `SHUT`. */
const BROKEN = 2;
const NO_KEY = new Uint8Array(0);

/** What a simple queue can be made with. */
export interface SimpleQueueOptions {
  /** Room for items, in bytes of their structured clone and a few for each; 64 to 2³⁰, 16 MiB unless given. */
  readonly maxBytes?: number | undefined;
}

/** What a queue can be made with. */
export interface QueueOptions extends SimpleQueueOptions {
  /** How many items it takes; 0, the default: as many as there is room for. */
  readonly maxsize?: number | undefined;
}

/** New memory for a queue. */
export function makeQueueMemory(kind: Kind, options: QueueOptions | undefined, bounded: boolean): Memory {
  const given = checkOptions(options, `new ${kind}`);
  checkKnown(given, bounded ? ['maxsize', 'maxBytes'] : ['maxBytes'], `new ${kind}`);
  const { maxsize = 0, maxBytes = DEFAULT_BYTES } = given;
  if (bounded) checkCount(maxsize, `new ${kind}: maxsize`, { min: 0, max: 2 ** 31 - 1 });
  checkCount(maxBytes, `new ${kind}: maxBytes`, { min: 64, max: 2 ** 30 });
  const memory = Memory.make(kind, WORDS + Math.ceil(maxBytes / 4));
  memory.words[MAXSIZE] = bounded ? maxsize : 0;
  return memory;
}

const STORES: Partial<Record<Kind, new (words: Words) => ItemStore>> = {
  LifoQueue: StackStore,
  PriorityQueue: HeapStore,
};

/** What a queue does under its lock. */
export class QueueCore implements WaitListOwner {
  readonly memory: Memory;
  readonly kind: Kind;
  readonly filled: Bell;
  readonly drained: Bell;
  readonly putSpin: Spin = new Spin();
  readonly getSpin: Spin = new Spin();
  readonly #words: Words;
  readonly #lock: Lock;
  readonly #store: ItemStore;
  readonly #maxsize: number;
  readonly #me: number = nativeThreadId() ?? 0;
  #joining: WaitList | undefined;

  constructor(memory: Memory) {
    this.memory = memory;
    this.kind = memory.kind;
    this.#words = memory.words;
    this.#lock = new Lock(memory);
    this.#lock.stuck = () => this.#leaveForEnded();
    this.#store = new (STORES[memory.kind] ?? RingStore)(memory.words.subarray(STORE));
    this.#maxsize = load(memory.words, MAXSIZE);
    const passOn = (bell: Bell, wanted: () => boolean) => this.locked(() => bell.ringOn(wanted()));
    this.filled = new Bell(memory.words, FILLED, () => passOn(this.filled, () => this.#store.count > 0));
    this.drained = new Bell(memory.words, DRAINED, () => passOn(this.drained, () => !this.full));
  }

  /** Runs `body` holding the lock: for a moment only, so that blocking for it is no harm to an event loop. */
  locked<R>(body: () => R): R {
    this.#enter();
    try {
      return body();
    } finally {
      this.#leave();
    }
  }

  #enter(): void {
    this.#lock.blockUntil(Deadline.never);
    this.#words[HOLDER] = this.#me;
  }

  #leave(): void {
    this.#words[HOLDER] = 0;
    this.#lock.release();
    this.filled.sound();
    this.drained.sound();
  }

  /** Gives the lock back in the place of a thread that ended holding it; false where none has. */
  #leaveForEnded(): boolean {
    const holder = load(this.#words, HOLDER);
    // As long as it stands there the hold goes on; whoever takes it off acts for the one that ended.
    if (!hasEnded(holder) || compareExchange(this.#words, HOLDER, holder, 0) !== holder) return false;
    if (load(this.#words, TORN) !== 0) {
      this.#store.clear();
      store(this.#words, SHUT, BROKEN);
      this.filled.ringForAll();
      this.drained.ringForAll();
      wakeAll(this.#words, UNFINISHED);
      store(this.#words, TORN, 0);
    }
    this.#leave();
    return true;
  }

  /** With the lock: the items are about to be changed. */
  tear(): void {
    this.#words[TORN] = 1;
  }

  /** Puts an item where there is room. */
  offer(bytes: ItemBytes, key: Uint8Array): boolean {
    this.#enter();
    try {
      return this.push(bytes, key);
    } finally {
      this.#leave();
    }
  }

  /** Takes the next item, where there is one: it is `taken`, and to be read at once. */
  take(): boolean {
    if (this.size === 0 && load(this.#words, SHUT) === 0) return false;
    this.#enter();
    try {
      return this.pop();
    } finally {
      this.#leave();
    }
  }

  /** The item that was taken last. */
  get taken(): unknown {
    return fromBytes(this.#store.taken, this.#store.length);
  }

  get size(): number {
    return this.#store.count;
  }

  get full(): boolean {
    return this.#filledUp || this.#store.crowded;
  }

  get #filledUp(): boolean {
    return this.#maxsize > 0 && this.#store.count >= this.#maxsize;
  }

  /** With the lock: false where there is no room. */
  push(bytes: ItemBytes, key: Uint8Array): boolean {
    if (load(this.#words, SHUT) !== 0) throw this.#shutDownError('put');
    if (this.#filledUp || !this.#store.fits(bytes, key) || !this.drained.admits()) return false;
    this.tear();
    this.#store.push(bytes, key);
    if (this.kind !== 'SimpleQueue') store(this.#words, UNFINISHED, this.unfinished + 1);
    this.#words[TORN] = 0;
    this.drained.admitted();
    this.filled.ring();
    return true;
  }

  /** With the lock: false where there is none. */
  pop(): boolean {
    if (this.#store.count === 0) {
      if (load(this.#words, SHUT) !== 0) throw this.#shutDownError('get');
      return false;
    }
    if (this.#store.count === 1 && !this.filled.admits()) return false;
    this.tear();
    this.#store.pop();
    this.#words[TORN] = 0;
    this.filled.admitted();
    // Items differ in size: room that is not enough for one that waits may be for another.
    this.drained.ringForAll();
    return true;
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
    const bytes = toBytes(item);
    const size = this.#store.sizeOf(bytes, key);
    const room = this.#store.capacity;
    if (size <= room) return bytes;
    throw rangeError(
      `${this.memory.label}: the item takes ${size} bytes, and the whole queue has ${room}: make it with a larger maxBytes, or put the item in parts`,
      'ERR_HEDDLE_ITEM_TOO_LARGE',
    );
  }

  get unfinished(): number {
    return load(this.#words, UNFINISHED);
  }

  /** With the lock: that many items have been dealt with. */
  finish(items: number): void {
    const left = this.unfinished - items;
    store(this.#words, UNFINISHED, left);
    if (left > 0) return;
    wakeAll(this.#words, UNFINISHED);
    this.#joining?.kick();
  }

  /** Waits until every item has been dealt with. */
  joined(deadline: Deadline, signal: AbortSignal | undefined): Promise<boolean> {
    this.#joining ??= new WaitList(this.#words, UNFINISHED, this);
    return this.#joining.enqueue(new JoinWish(this), deadline, signal);
  }

  joinedSync(deadline: Deadline): boolean {
    return waitSync(this.#words, UNFINISHED, new JoinWish(this), deadline);
  }

  shutdown({ immediate }: ShutdownOptions): void {
    this.locked(() => {
      if (load(this.#words, SHUT) === 0) store(this.#words, SHUT, 1);
      if (immediate === true && this.#store.count > 0) {
        const dropped = this.#store.count;
        this.#store.clear();
        // Some may have been told done before anybody took them.
        this.finish(Math.min(dropped, this.unfinished));
      }
      this.filled.ringForAll();
      this.drained.ringForAll();
    });
  }

  /** The last of all wakes everybody who joins: nothing is owed. */
  relinquish(): void {}

  fullError(): QueueFullError {
    const primitive = this.memory.label;
    return new QueueFullError(
      `${primitive} was full, with ${this.size} items, for as long as put could wait; take items, or allow a longer timeout`,
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

  /** Throws where the queue is broken. */
  checkWhole(): void {
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

class JoinWish extends Wish<boolean> {
  readonly #core: QueueCore;

  constructor(core: QueueCore) {
    super();
    this.#core = core;
  }

  attempt(): number | undefined {
    this.#core.checkWhole();
    return this.#core.unfinished || undefined;
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
