/** The items of a queue that were put and that nobody has said to be done yet. Who joins sleeps on `DONE` until none is. */
import type { Deadline } from '../deadline.ts';
import { compareExchange, load, type Words } from '../shared-memory/cells.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import { DONE, PUTS } from './queue-words.ts';

export class Unfinished implements WaitListOwner {
  readonly #words: Words;
  readonly #refuseBroken: () => void;
  #list: WaitList | undefined;

  /** `refuseBroken` throws where nobody knows any more what was put. */
  constructor(words: Words, refuseBroken: () => void) {
    this.#words = words;
    this.#refuseBroken = refuseBroken;
  }

  get count(): number {
    const done = load(this.#words, DONE);
    return (load(this.#words, PUTS) - done) | 0;
  }

  /** Says that so many items have been dealt with, or as many as were not; gives how many that were. */
  finish(most: number): number {
    for (;;) {
      const done = load(this.#words, DONE);
      const left = (load(this.#words, PUTS) - done) | 0;
      const items = Math.min(most, left);
      if (items === 0) return 0;
      if (compareExchange(this.#words, DONE, done, (done + items) | 0) !== done) continue;
      if (items === left) this.tell();
      return items;
    }
  }

  /** Waits until there is none. */
  ended(deadline: Deadline, signal: AbortSignal | undefined): Promise<boolean> {
    this.#list ??= new WaitList(this.#words, DONE, this);
    return this.#list.enqueue(this.#wish(), deadline, signal);
  }

  endedSync(deadline: Deadline): boolean {
    return waitSync(this.#words, DONE, this.#wish(), deadline);
  }

  /** Has all who join look again. */
  tell(): void {
    wakeAll(this.#words, DONE);
    this.#list?.kick();
  }

  /** The last of all wakes everybody who joins: nothing is owed. */
  relinquish(): void {}

  #wish(): JoinWish {
    return new JoinWish(this.#words, this.#refuseBroken);
  }
}

class JoinWish extends Wish<boolean> {
  readonly #words: Words;
  readonly #refuseBroken: () => void;

  constructor(words: Words, refuseBroken: () => void) {
    super();
    this.#words = words;
    this.#refuseBroken = refuseBroken;
  }

  attempt(): number | undefined {
    this.#refuseBroken();
    const done = load(this.#words, DONE);
    return load(this.#words, PUTS) === done ? undefined : done;
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
