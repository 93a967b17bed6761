/**
 * A lease of the host's session, in the hands of a job. Whether it is valid is read off the session's own deadline,
 * in memory that the host shares, so that it is false in time even where the host's event loop or this one's is busy.
 */
import { type Lease, LeaseLostError } from '@heddle/primitives';

import { LeaseWords, now } from '@heddle/primitives/internal';
import type { LeaseTerms } from './session-protocol.ts';

const DONE: Promise<void> = Promise.resolve();

/** What a lease needs of the job that holds it. */
export interface LeaseHome {
  /** Has the host give it back. */
  giveBack(lease: number): Promise<void>;
  /** It is over, or lost: nothing more will be told of it. */
  forget(lease: number): void;
}

export class LentLease implements Lease {
  readonly id: number;
  /** The names it holds, for a condition that gives one up while it waits. */
  readonly names: readonly string[];
  readonly #home: LeaseHome;
  #token = 0;
  #until = 0;
  #lives: readonly LeaseWords[] = [];
  #suspended = false;
  #over = false;
  #lost: Error | undefined;
  #controller: AbortController | undefined;

  constructor(home: LeaseHome, terms: LeaseTerms, names: readonly string[]) {
    this.#home = home;
    this.id = terms.lease;
    this.names = names;
    this.resume(terms);
  }

  get token(): number {
    return this.#token;
  }

  get signal(): AbortSignal {
    if (!this.#over && !this.#suspended && !this.#lives.every(({ deadline }) => now() < deadline))
      this.lose();
    this.#controller ??= new AbortController();
    if (this.#lost !== undefined && !this.#controller.signal.aborted) this.#controller.abort(this.#lost);
    return this.#controller.signal;
  }

  get valid(): boolean {
    if (this.#over || this.#suspended || this.#lost !== undefined || this.#lives.length === 0) return false;
    const at = now();
    return at < this.#until && this.#lives.every(({ deadline }) => at < deadline);
  }

  get abandoned(): boolean {
    return false;
  }

  /** A condition waits: the hold is given up, and this is its handle still. */
  suspend(): void {
    this.#suspended = true;
  }

  /** It holds, on these terms. */
  resume({ token, until, lives }: LeaseTerms): void {
    this.#token = token;
    this.#until = until;
    this.#lives = lives.map((life) => new LeaseWords(life));
    this.#suspended = false;
  }

  /** Another call has released it, or its job is over. */
  conclude(): void {
    this.#over = true;
    this.#home.forget(this.id);
  }

  lose(
    error: Error = new LeaseLostError(
      `a lease of ${this.names.join(', ')} was lost: the host's session ended; stop, and trust only what its token ${this.#token} guards`,
      { primitive: this.names.join(', ') },
    ),
  ): void {
    if (this.#over || this.#lost !== undefined) return;
    this.#lost = error;
    this.#home.forget(this.id);
    this.#controller?.abort(error);
  }

  release(): Promise<void> {
    if (this.#over || this.#suspended) return DONE;
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    this.conclude();
    return this.#home.giveBack(this.id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
