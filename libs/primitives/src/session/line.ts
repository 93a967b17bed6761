/**
 * A client for scripts that finds out when its connection is dead though nobody said so: a cable pulled, a firewall that
 * forgot. Without that, a call would wait for TCP to give up, a quarter of an hour.
 */
import { now } from '../deadline.ts';
import type { ScriptClient } from './lua.ts';

/** What a line stands on. */
export interface Connection extends ScriptClient {
  readonly status: string;
  disconnect(reconnect?: boolean): void;
}

/**
 * Ms between the suspicion and the verdict: where this loop itself stood still, what has arrived meanwhile is read in
 * between.
 */
const SECOND_LOOK = 20;

export class Line implements ScriptClient {
  readonly #connection: Connection;
  readonly #silence: number;
  #owed = 0;
  /** When something was heard, or first owed, last. */
  #heard = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param silence ms without an answer, while one is owed, after which the connection is made anew */
  constructor(connection: Connection, silence: number) {
    this.#connection = connection;
    this.#silence = silence;
  }

  get status(): string {
    return this.#connection.status;
  }

  evalsha(sha: string, keys: number, ...rest: (string | number)[]): Promise<unknown> {
    return this.#listen(this.#connection.evalsha(sha, keys, ...rest));
  }

  eval(source: string, keys: number, ...rest: (string | number)[]): Promise<unknown> {
    return this.#listen(this.#connection.eval(source, keys, ...rest));
  }

  #listen<T>(answer: Promise<T>): Promise<T> {
    this.#owed += 1;
    if (this.#owed === 1) {
      this.#heard = now();
      this.#timer ??= setTimeout(() => this.#look(), this.#silence).unref();
    }
    answer.then(this.#answered, this.#answered);
    return answer;
  }

  readonly #answered = (): void => {
    this.#owed -= 1;
    this.#heard = now();
  };

  /** One timer for any number of calls: it comes round, and goes when nothing is owed. */
  #look(suspected = false): void {
    this.#timer = undefined;
    if (this.#owed === 0) return;
    const left = this.#heard + this.#silence - now();
    if (left <= 0 && suspected) this.#connection.disconnect(true);
    const next = left > 0 ? left : suspected ? this.#silence : SECOND_LOOK;
    this.#timer = setTimeout(() => this.#look(left <= 0 && !suspected), Math.ceil(next)).unref();
  }
}
