/**
 * How queues keep their items in shared memory: records in one area of words, in one of three orders. A record begins
 * with the length of its bytes; records begin at whole words. What puts is done holding `PUT_MUTEX`, what takes holding
 * `TAKE_MUTEX`, which are two for the ring and one for the others (`queue-words.ts`). What is written under one mutex is
 * read plainly under the same: an atomic read is a call, and takes longer than what it reads is worth.
 */
import { load, store, type Words } from '../shared-memory/cells.ts';
import type { ItemBytes } from './item-bytes.ts';
import { toRead, toReadWords } from './plain-bytes.ts';
import { compareKeys } from './priority-key.ts';
import {
  AREA,
  PUT_AT,
  PUT_WORDS,
  PUTS,
  SEEN_PUTS,
  SEEN_TAKEN,
  SEEN_TAKES,
  TAKE_AT,
  TAKEN_WORDS,
  TAKES,
} from './queue-words.ts';

/** Up to this many words are copied one by one: sooner done than asked for. */
const FEW = 64;

/** Words that `bytes` bytes take. */
const wordsFor = (bytes: number) => (bytes + 3) >>> 2;

/** The area of a queue, and the words that count what is in it. */
export abstract class ItemStore {
  protected readonly words: Words;
  protected readonly area: Words;
  protected readonly bytes: Uint8Array;
  /** What `pop` took: the first `length` of `taken`, which is `toRead` where they are few. */
  taken: Uint8Array = toRead;
  length = 0;

  constructor(words: Words) {
    this.words = words;
    this.area = words.subarray(AREA);
    this.bytes = new Uint8Array(this.area.buffer, this.area.byteOffset, this.area.byteLength);
  }

  /** How many items there are at one moment. */
  get count(): number {
    for (;;) {
      const takes = load(this.words, TAKES);
      const puts = load(this.words, PUTS);
      if (load(this.words, TAKES) === takes) return (puts - takes) | 0;
    }
  }

  /** Whether there are none, or were a moment ago. */
  get empty(): boolean {
    return load(this.words, TAKES) === load(this.words, PUTS);
  }

  /** Bytes in all. */
  get capacity(): number {
    return this.bytes.length;
  }

  /** Whether there is not even room for the smallest item. */
  get crowded(): boolean {
    const taken = load(this.words, TAKEN_WORDS);
    return this.area.length - ((load(this.words, PUT_WORDS) - taken) | 0) < this.overhead + 1;
  }

  /** Bytes that an item of such a length takes. */
  sizeOf(item: ItemBytes, key: Uint8Array): number {
    return 4 * (this.overhead + wordsFor(item.length) + wordsFor(key.length));
  }

  /** For who puts: whether there are fewer items than `most`. */
  below(most: number): boolean {
    const { words } = this;
    const puts = words[PUTS] as number;
    if (((puts - (words[SEEN_TAKES] as number)) | 0) < most) return true;
    words[SEEN_TAKES] = load(words, TAKES);
    return ((puts - words[SEEN_TAKES]) | 0) < most;
  }

  /** For who puts: whether there is room. */
  fits(item: ItemBytes, key: Uint8Array): boolean {
    const { words } = this;
    const most = this.area.length - this.overhead - wordsFor(item.length) - wordsFor(key.length);
    const given = words[PUT_WORDS] as number;
    if (((given - (words[SEEN_TAKEN] as number)) | 0) <= most) return true;
    // Whoever sees that an item was taken sees of which length it was.
    load(words, TAKES);
    words[SEEN_TAKEN] = words[TAKEN_WORDS] as number;
    return ((given - words[SEEN_TAKEN]) | 0) <= most;
  }

  /** For who takes: whether there are at least so many items. */
  has(least: number): boolean {
    const { words } = this;
    const takes = words[TAKES] as number;
    if ((((words[SEEN_PUTS] as number) - takes) | 0) >= least) return true;
    words[SEEN_PUTS] = load(words, PUTS);
    return ((words[SEEN_PUTS] - takes) | 0) >= least;
  }

  /** Puts an item that fits. */
  abstract push(item: ItemBytes, key: Uint8Array): void;
  /** Takes the next item; there is one. It is `taken`, until the next is. */
  abstract pop(): void;

  /** With both mutexes: drops all items. */
  clear(): void {
    const { words } = this;
    this.restart();
    words[SEEN_PUTS] = words[PUTS] as number;
    words[TAKEN_WORDS] = words[PUT_WORDS] as number;
    store(words, TAKES, words[SEEN_PUTS]);
  }

  /** Sets where items go to where an empty store has it. */
  protected abstract restart(): void;

  /** Words beside the item's own. */
  protected abstract readonly overhead: number;

  /** Copies an item to where word `at` of the area is, and on from the area's start where it ends. */
  protected copyIn(at: number, { bytes, words, length }: ItemBytes): void {
    const count = wordsFor(length);
    const whole = at + count <= this.area.length;
    if (words !== undefined && count <= FEW && whole) {
      for (let word = 0; word < count; word += 1) this.area[at + word] = words[word] as number;
      return;
    }
    const first = Math.min(length, this.bytes.length - 4 * at);
    this.bytes.set(bytes.subarray(0, first), 4 * at);
    if (first < length) this.bytes.set(bytes.subarray(first, length), 0);
  }

  /** Copies `length` bytes from there to `taken`. */
  protected copyOut(at: number, length: number): void {
    const count = wordsFor(length);
    this.taken = length <= toRead.length ? toRead : new Uint8Array(length);
    this.length = length;
    if (count <= FEW && at + count <= this.area.length) {
      for (let word = 0; word < count; word += 1) toReadWords[word] = this.area[at + word] as number;
      return;
    }
    const first = Math.min(length, this.bytes.length - 4 * at);
    this.taken.set(this.bytes.subarray(4 * at, 4 * at + first));
    if (first < length) this.taken.set(this.bytes.subarray(0, length - first), first);
  }

  /** An item of so many words has been written: now it is there. */
  protected gave(words: number): void {
    this.words[PUT_WORDS] = (this.words[PUT_WORDS] as number) + words;
    store(this.words, PUTS, (this.words[PUTS] as number) + 1);
  }

  /** An item of so many words has been copied: its place is free. */
  protected took(words: number): void {
    this.words[TAKEN_WORDS] = (this.words[TAKEN_WORDS] as number) + words;
    store(this.words, TAKES, (this.words[TAKES] as number) + 1);
  }
}

/**
 * First in, first out: a ring. A record that does not fit before the end of the area goes on at its start. Who puts and
 * who takes have a mutex each, as in the two-lock queue of Maged Michael and Michael Scott, "Simple, Fast, and Practical
 * Non-Blocking and Blocking Concurrent Queue Algorithms" (1996), and keep what they know of each other (`SEEN_…`), as in
 * John Giacomoni et al., "FastForward for Efficient Pipeline Parallelism" (2008), and its kin.
 */
export class RingStore extends ItemStore {
  protected readonly overhead = 1;

  push(item: ItemBytes): void {
    const at = this.words[PUT_AT] as number;
    const size = 1 + wordsFor(item.length);
    this.area[at] = item.length;
    this.copyIn(this.#after(at + 1), item);
    this.words[PUT_AT] = this.#after(at + size);
    this.gave(size);
  }

  pop(): void {
    const at = this.words[TAKE_AT] as number;
    const length = this.area[at] as number;
    const size = 1 + wordsFor(length);
    this.copyOut(this.#after(at + 1), length);
    this.words[TAKE_AT] = this.#after(at + size);
    this.took(size);
  }

  protected restart(): void {
    this.words[TAKE_AT] = this.words[PUT_AT] as number;
  }

  #after(at: number): number {
    return at < this.area.length ? at : at - this.area.length;
  }
}

/** Last in, first out: a stack, the length behind each item. */
export class StackStore extends ItemStore {
  protected readonly overhead = 1;

  push(item: ItemBytes): void {
    const at = this.words[PUT_AT] as number;
    const end = at + wordsFor(item.length);
    this.copyIn(at, item);
    this.area[end] = item.length;
    this.words[PUT_AT] = end + 1;
    this.gave(end + 1 - at);
  }

  pop(): void {
    const end = (this.words[PUT_AT] as number) - 1;
    const length = this.area[end] as number;
    const at = end - wordsFor(length);
    this.copyOut(at, length);
    this.words[PUT_AT] = at;
    this.took(end + 1 - at);
  }

  protected restart(): void {
    this.words[PUT_AT] = 0;
  }
}

/** Of a record in the heap's area: its length, when it was put, its place in the heap, the length of its key. */
const LENGTH = 0;
const SERIAL = 1;
const PLACE = 2;
const KEY_LENGTH = 3;
const KEY = 4;
/** In `PLACE` of a record that is gone. */
const GONE = -1;

/**
 * The least first: a binary heap of the places of records, which grows from the end of the area down, and the records
 * from its start up. What records leave behind is collected once the two meet.
 */
export class HeapStore extends ItemStore {
  protected readonly overhead = KEY + 1;

  push(item: ItemBytes, key: Uint8Array): void {
    const size = KEY + wordsFor(key.length) + wordsFor(item.length);
    if ((this.words[PUT_AT] as number) + size > this.area.length - this.#inside - 1) this.#collect();
    const at = this.words[PUT_AT] as number;
    this.area[at + LENGTH] = item.length;
    this.area[at + SERIAL] = this.words[PUTS] as number;
    this.area[at + KEY_LENGTH] = key.length;
    this.bytes.set(key, 4 * (at + KEY));
    this.copyIn(at + KEY + wordsFor(key.length), item);
    this.words[PUT_AT] = at + size;
    this.gave(size + 1);
    this.#place(at, this.#inside - 1);
    this.#rise(this.#inside - 1);
  }

  pop(): void {
    const at = this.#recordAt(0);
    const size = this.#sizeAt(at);
    this.copyOut(at + KEY + wordsFor(this.area[at + KEY_LENGTH] as number), this.area[at + LENGTH] as number);
    this.area[at + PLACE] = GONE;
    const last = this.#recordAt(this.#inside - 1);
    this.took(size + 1);
    if (this.#inside > 0) {
      this.#place(last, 0);
      this.#sink();
    } else this.restart();
  }

  protected restart(): void {
    this.words[PUT_AT] = 0;
  }

  /** Moves what is left together, at the start of the area. */
  #collect(): void {
    const end = this.words[PUT_AT] as number;
    let to = 0;
    for (let at = 0; at < end; ) {
      const size = this.#sizeAt(at);
      const place = this.area[at + PLACE] as number;
      if (place !== GONE) {
        this.area.copyWithin(to, at, at + size);
        this.#place(to, place);
        to += size;
      }
      at += size;
    }
    this.words[PUT_AT] = to;
  }

  get #inside(): number {
    return ((this.words[PUTS] as number) - (this.words[TAKES] as number)) | 0;
  }

  #sizeAt(at: number): number {
    return KEY + wordsFor(this.area[at + KEY_LENGTH] as number) + wordsFor(this.area[at + LENGTH] as number);
  }

  #recordAt(place: number): number {
    return this.area[this.area.length - 1 - place] as number;
  }

  #place(at: number, place: number): void {
    this.area[this.area.length - 1 - place] = at;
    this.area[at + PLACE] = place;
  }

  #rise(from: number): void {
    for (let place = from; place > 0; ) {
      const parent = (place - 1) >>> 1;
      if (!this.#before(place, parent)) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #sink(): void {
    for (let place = 0; ; ) {
      let least = 2 * place + 1;
      if (least >= this.#inside) return;
      if (least + 1 < this.#inside && this.#before(least + 1, least)) least += 1;
      if (!this.#before(least, place)) return;
      this.#swap(place, least);
      place = least;
    }
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#recordAt(a), this.#recordAt(b)];
    this.#place(second, a);
    this.#place(first, b);
  }

  /** Equal keys go by when they were put; the difference is right across the wrap of the count. */
  #before(a: number, b: number): boolean {
    const [first, second] = [this.#recordAt(a), this.#recordAt(b)];
    const order = compareKeys(this.#keyAt(first), this.#keyAt(second));
    if (order !== 0) return order < 0;
    return (((this.area[first + SERIAL] as number) - (this.area[second + SERIAL] as number)) | 0) < 0;
  }

  #keyAt(at: number): Uint8Array {
    const start = 4 * (at + KEY);
    return this.bytes.subarray(start, start + (this.area[at + KEY_LENGTH] as number));
  }
}
