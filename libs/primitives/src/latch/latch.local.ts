/**
 * The latch between threads: in one shared word, bit 0 (`WAITED`: somebody may sleep on the word) and above it the count
 * that is left. The one who takes it to 0 wakes all; no waiting value ever comes back after that.
 */
import { Deadline } from '../deadline.ts';
import { type BlockingOptions, checkBlocking, checkCount, checkWait, type WaitOptions } from '../options.ts';
import { compareExchange, load, store, type Words } from '../shared-memory/cells.ts';
import { FIRST, MEMORY, Memory } from '../shared-memory/memory.ts';
import { spin } from '../shared-memory/spin.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import type { AnyCountDownLatch } from './latch.ts';

const STATE = FIRST;
const WORDS = 1;

const WAITED = 1;
const SHIFT = 1;
/** The most the word has room for. */
const MOST = 2 ** 30 - 1;

/** A count-down latch between the threads of one process. */
export class CountDownLatch implements AnyCountDownLatch, WaitListOwner {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly #words: Words;
  #list: WaitList | undefined;

  /** To be counted down from `count`, 0 to 1,073,741,823. */
  constructor(count: number);
  /** @internal The latch that this memory is. */
  constructor(memory: Memory);
  constructor(count: number | Memory) {
    const memory = count instanceof Memory ? count : makeMemory(count);
    this[MEMORY] = memory;
    this.#words = memory.words;
  }

  countDown(n = 1): void {
    checkCount(n, 'CountDownLatch.countDown(n): n');
    for (;;) {
      const seen = load(this.#words, STATE);
      const left = seen >>> SHIFT;
      if (left === 0) return;
      const next = n >= left ? 0 : ((left - n) << SHIFT) | (seen & WAITED);
      if (compareExchange(this.#words, STATE, seen, next) !== seen) continue;
      if (next === 0 && (seen & WAITED) !== 0) wakeAll(this.#words, STATE);
      this.#list?.kick();
      return;
    }
  }

  wait(options?: WaitOptions): Promise<boolean> {
    try {
      const { timeout, signal } = checkWait(options, 'CountDownLatch.wait');
      if (this.count() === 0) return Promise.resolve(true);
      if (timeout === 0) return Promise.resolve(false);
      this.#list ??= new WaitList(this.#words, STATE, this);
      return this.#list.enqueue(new OpenWish(this.#words), Deadline.after(timeout), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `wait`, blocking the thread. */
  waitSync(options?: BlockingOptions): boolean {
    const timeout = checkBlocking(options, 'CountDownLatch.waitSync');
    if (this.count() === 0) return true;
    if (timeout === 0) return false;
    if (spin(() => this.count() === 0)) return true;
    return waitSync(this.#words, STATE, new OpenWish(this.#words), Deadline.after(timeout));
  }

  count(): number {
    return load(this.#words, STATE) >>> SHIFT;
  }

  /** @internal The last count wakes all: nothing is owed to anybody. */
  relinquish(): void {}
}

function makeMemory(count: number): Memory {
  checkCount(count, 'new CountDownLatch(count): count', { min: 0, max: MOST });
  const memory = Memory.make('CountDownLatch', WORDS);
  store(memory.words, STATE, count << SHIFT);
  return memory;
}

class OpenWish extends Wish<boolean> {
  readonly #words: Words;

  constructor(words: Words) {
    super();
    this.#words = words;
  }

  attempt(): number | undefined {
    for (;;) {
      const seen = load(this.#words, STATE);
      if (seen >>> SHIFT === 0) return undefined;
      const next = seen | WAITED;
      if (next === seen || compareExchange(this.#words, STATE, seen, next) === seen) return next;
    }
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
