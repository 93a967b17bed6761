/**
 * The event between threads: a flag and the number of times it went up, in one shared word.
 *
 * `STATE`, by bits:
 *
 * | bits | name | set by | cleared by |
 * |---|---|---|---|
 * | 0 | `UP`: the flag | `set` | `clear` |
 * | 1 | `WAITED`: somebody may sleep on the word | who goes to sleep | the `set` that wakes all |
 * | 2–31 | how often the flag went up | `set`, where it was down | never |
 *
 * A waiter remembers the count it came at and goes once that has moved, so that a `clear` right after the `set`
 * strands nobody (the sequence counter of an event count). It would have to sleep through exactly 2³⁰ sets to be
 * mistaken, and it looks once a second.
 */
import { Deadline } from '../deadline.ts';
import { show, typeError } from '../errors.ts';
import { type BlockingOptions, checkBlocking, checkWait, type WaitOptions } from '../options.ts';
import { compareExchange, load, type Words } from '../shared-memory/cells.ts';
import { FIRST, MEMORY, Memory } from '../shared-memory/memory.ts';
import { Spin } from '../shared-memory/spin.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import type { AnyEvent } from './event.ts';

const STATE = FIRST;
const WORDS = 1;

const UP = 1;
const WAITED = 2;
const ONCE_UP = 4;
const COUNT = ~3;

/** `threading.Event` between the threads of one process. */
export class Event implements AnyEvent, WaitListOwner {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly #words: Words;
  #list: WaitList | undefined;
  #spin: Spin | undefined;

  /** An event whose flag is down. */
  constructor();
  /** @internal The event that this memory is. */
  constructor(memory: Memory);
  constructor(memory: Memory = Memory.make('Event', WORDS)) {
    if (!(memory instanceof Memory))
      throw typeError(`new Event() takes nothing, not ${show(memory)}; leave that out`);
    this[MEMORY] = memory;
    this.#words = memory.words;
  }

  isSet(): boolean {
    return (load(this.#words, STATE) & UP) !== 0;
  }

  set(): void {
    for (;;) {
      const seen = load(this.#words, STATE);
      if ((seen & UP) !== 0) return;
      const next = ((seen + ONCE_UP) & COUNT) | UP;
      if (compareExchange(this.#words, STATE, seen, next) !== seen) continue;
      if ((seen & WAITED) !== 0) wakeAll(this.#words, STATE);
      this.#list?.kick();
      return;
    }
  }

  clear(): void {
    for (;;) {
      const seen = load(this.#words, STATE);
      if ((seen & UP) === 0 || compareExchange(this.#words, STATE, seen, seen & ~UP) === seen) return;
    }
  }

  wait(options?: WaitOptions): Promise<boolean> {
    try {
      const { timeout, signal } = checkWait(options, 'Event.wait');
      if (this.isSet()) return Promise.resolve(true);
      if (timeout === 0) return Promise.resolve(false);
      this.#list ??= new WaitList(this.#words, STATE, this);
      return this.#list.enqueue(new SetWish(this.#words), Deadline.after(timeout), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Blocks the thread until the flag is up: `true`; `false` where `timeout` ms passed first. */
  waitSync(options?: BlockingOptions): boolean {
    const timeout = checkBlocking(options, 'Event.waitSync');
    if (this.isSet()) return true;
    if (timeout === 0) return false;
    const wish = new SetWish(this.#words);
    this.#spin ??= new Spin();
    if (this.#spin.until(() => wish.fulfilled())) return true;
    return waitSync(this.#words, STATE, wish, Deadline.after(timeout));
  }

  /** @internal Every `set` wakes all: nothing is owed to anybody. */
  relinquish(): void {}
}

class SetWish extends Wish<boolean> {
  readonly #words: Words;
  readonly #since: number;

  constructor(words: Words) {
    super();
    this.#words = words;
    this.#since = load(words, STATE) & COUNT;
  }

  fulfilled(): boolean {
    const seen = load(this.#words, STATE);
    return (seen & UP) !== 0 || (seen & COUNT) !== this.#since;
  }

  attempt(): number | undefined {
    for (;;) {
      if (this.fulfilled()) return undefined;
      const seen = load(this.#words, STATE);
      if ((seen & UP) !== 0 || (seen & COUNT) !== this.#since) continue;
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
