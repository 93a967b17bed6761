/** One life of a session in one partition: from its entry among the living until its end, never to come back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../deadline.ts';
import type { LeaseWords } from '../shared-memory/lease-words.ts';
import { CallEnded, type Calls } from './calls.ts';
import { type Loss, lossNumber } from './losses.ts';
import { isShortage, SHORTAGE_RETRY } from './refused.ts';
import type { Answer, Invocation } from './run-operations.ts';

/** What ends with a life. */
export interface Dependent {
  lose(reason: Loss): void;
}

export class Incarnation {
  /** The session's id and the count of its lives: never used again. */
  readonly id: string;
  /** The key under which is listed what it holds and waits for. */
  readonly holds: string;
  readonly words: LeaseWords;
  readonly calls: Calls;
  readonly #expired: () => void;
  readonly #dependents = new Set<Dependent>();
  #ended: Loss | undefined;

  constructor(id: string, holds: string, words: LeaseWords, calls: Calls, expired: () => void) {
    this.id = id;
    this.holds = holds;
    this.words = words;
    this.calls = calls;
    this.#expired = expired;
  }

  /** Why it ended; `undefined` while it lives. */
  get ended(): Loss | undefined {
    return this.#ended;
  }

  /** Whether what it holds is its own at this moment: read off the clock, asking nobody. */
  get valid(): boolean {
    return this.#ended === undefined && now() < this.words.deadline;
  }

  /** Before anything is done with what was received: an end that the event loop slept through is told first. */
  get lives(): boolean {
    if (this.#ended === undefined && now() >= this.words.deadline) this.#expired();
    return this.#ended === undefined;
  }

  /** Sends an operation. Rejects with `CallEnded` where this life ends before the answer. */
  call(operation: string, keys: readonly string[], args: readonly (string | number)[]): Promise<Answer> {
    return this.run({ operation, keys, args });
  }

  /** The same for what gives something back: where Redis takes no writes it is asked again until it does. */
  async giveBack(
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Answer> {
    for (;;) {
      try {
        return await this.call(operation, keys, args);
      } catch (error) {
        if (!isShortage(error)) throw error;
      }
      await sleep(SHORTAGE_RETRY, undefined, { ref: false });
    }
  }

  /** The same for what goes on in bounded steps, each of which says `more` last where another is to follow. */
  async giveBackAll(
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Answer> {
    for (;;) {
      const answer = await this.giveBack(operation, keys, args);
      if (answer.at(-1) !== 'more') return answer;
    }
  }

  /** The same as `call` for an operation that may be withdrawn (`calls.withdraw`). */
  run(invocation: Invocation): Promise<Answer> {
    if (!this.lives) return Promise.reject(new CallEnded(false));
    return this.calls.call(invocation);
  }

  /** Sends an operation along with the next call: tidying that nobody waits for (see `Calls.later`). */
  later(...terms: Parameters<Calls['later']>): void {
    this.calls.later(...terms);
  }

  /** Told of the end of this life, at once where that has come. */
  attach(dependent: Dependent): void {
    if (this.#ended === undefined) this.#dependents.add(dependent);
    else dependent.lose(this.#ended);
  }

  /** Not told any more. */
  detach(dependent: Dependent): void {
    this.#dependents.delete(dependent);
  }

  /** Ends it: first all that it held knows, then its calls are given up. */
  end(reason: Loss): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.words.end(lossNumber(reason));
    for (const dependent of [...this.#dependents]) dependent.lose(reason);
    this.#dependents.clear();
    this.calls.end();
  }
}
