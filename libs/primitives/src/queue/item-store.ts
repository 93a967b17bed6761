/**
 * How queues keep their items in shared memory: records in one area of words, in one of three orders. Every call is
 * made by who holds the queue's lock. A record begins with the length of its bytes; records begin at whole words.
 *
 * | word | holds |
 * |---|---|
 * | `COUNT` | how many items there are |
 * | `HEAD` | where the first record begins (ring); where the free space begins (stack, heap) |
 * | `USED` | words taken by records, with what the order needs beside them |
 * | `PUTS` | items put so far (heap): first in, first out among equals |
 */
import { load, store, type Words } from '../shared-memory/cells.ts';
import type { ItemBytes } from './item-bytes.ts';
import { toRead, toReadWords } from './plain-bytes.ts';
import { compareKeys } from './priority-key.ts';

const COUNT = 0;
const HEAD = 1;
const USED = 2;
const PUTS = 3;
export const STORE_WORDS = 4;

/** Up to this many words are copied one by one: sooner done than asked for. */
const FEW = 64;

/** Words that `bytes` bytes take. */
const wordsFor = (bytes: number) => (bytes + 3) >>> 2;

/** An area with its four words in front. */
export abstract class ItemStore {
  protected readonly words: Words;
  protected readonly area: Words;
  protected readonly bytes: Uint8Array;
  /** What `pop` took: the first `length` of `taken`, which is `toRead` where they are few. */
  taken: Uint8Array = toRead;
  length = 0;

  constructor(words: Words) {
    this.words = words.subarray(0, STORE_WORDS);
    this.area = words.subarray(STORE_WORDS);
    this.bytes = new Uint8Array(this.area.buffer, this.area.byteOffset, this.area.byteLength);
  }

  get count(): number {
    return load(this.words, COUNT);
  }

  /** Bytes in all. */
  get capacity(): number {
    return this.bytes.length;
  }

  /** Whether there is not even room for the smallest item. */
  get crowded(): boolean {
    return this.free < this.overhead + 1;
  }

  /** Bytes that an item of such a length takes. */
  sizeOf(item: ItemBytes, key: Uint8Array): number {
    return 4 * (this.overhead + wordsFor(item.length) + wordsFor(key.length));
  }

  fits(item: ItemBytes, key: Uint8Array): boolean {
    return this.sizeOf(item, key) <= 4 * this.free;
  }

  /** Puts an item that fits. */
  abstract push(item: ItemBytes, key: Uint8Array): void;
  /** Takes the next item; there is one. It is `taken`, until the next is. */
  abstract pop(): void;

  clear(): void {
    this.words.fill(0, COUNT, PUTS);
  }

  /** Words beside the item's own. */
  protected abstract readonly overhead: number;

  protected get free(): number {
    return this.area.length - (this.words[USED] as number);
  }

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

  protected account(items: 1 | -1, words: number): void {
    store(this.words, COUNT, this.count + items);
    this.words[USED] = (this.words[USED] as number) + words;
  }
}

/** First in, first out: a ring. A record that does not fit before the end of the area goes on at its start. */
export class RingStore extends ItemStore {
  protected readonly overhead = 1;

  push(item: ItemBytes): void {
    const at = this.#after((this.words[HEAD] as number) + (this.words[USED] as number));
    this.area[at] = item.length;
    this.copyIn(this.#after(at + 1), item);
    this.account(1, 1 + wordsFor(item.length));
  }

  pop(): void {
    const at = this.words[HEAD] as number;
    const length = this.area[at] as number;
    this.copyOut(this.#after(at + 1), length);
    this.words[HEAD] = this.#after(at + 1 + wordsFor(length));
    this.account(-1, -1 - wordsFor(length));
  }

  #after(at: number): number {
    return at < this.area.length ? at : at - this.area.length;
  }
}

/** Last in, first out: a stack, the length behind each item. */
export class StackStore extends ItemStore {
  protected readonly overhead = 1;

  push(item: ItemBytes): void {
    const at = this.words[HEAD] as number;
    const end = at + wordsFor(item.length);
    this.copyIn(at, item);
    this.area[end] = item.length;
    this.words[HEAD] = end + 1;
    this.account(1, end + 1 - at);
  }

  pop(): void {
    const end = (this.words[HEAD] as number) - 1;
    const length = this.area[end] as number;
    const at = end - wordsFor(length);
    this.words[HEAD] = at;
    this.account(-1, at - end - 1);
    this.copyOut(at, length);
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
    if ((this.words[HEAD] as number) + size > this.area.length - this.count - 1) this.#collect();
    const at = this.words[HEAD] as number;
    this.words[PUTS] = (this.words[PUTS] as number) + 1;
    this.area[at + LENGTH] = item.length;
    this.area[at + SERIAL] = this.words[PUTS];
    this.area[at + KEY_LENGTH] = key.length;
    this.bytes.set(key, 4 * (at + KEY));
    this.copyIn(at + KEY + wordsFor(key.length), item);
    this.words[HEAD] = at + size;
    this.account(1, size + 1);
    this.#place(at, this.count - 1);
    this.#rise(this.count - 1);
  }

  pop(): void {
    const at = this.#recordAt(0);
    const size = this.#sizeAt(at);
    this.copyOut(at + KEY + wordsFor(this.area[at + KEY_LENGTH] as number), this.area[at + LENGTH] as number);
    this.area[at + PLACE] = GONE;
    const last = this.#recordAt(this.count - 1);
    this.account(-1, -size - 1);
    if (this.count > 0) {
      this.#place(last, 0);
      this.#sink();
    } else this.words[HEAD] = 0;
  }

  /** Moves what is left together, at the start of the area. */
  #collect(): void {
    const end = this.words[HEAD] as number;
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
    this.words[HEAD] = to;
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
      if (least >= this.count) return;
      if (least + 1 < this.count && this.#before(least + 1, least)) least += 1;
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
