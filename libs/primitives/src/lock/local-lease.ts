/** The lease of every local primitive that is held: a token, and the right to end that one hold. */
import type { Lease } from './lock.ts';

/** What a lease came from. */
export interface LeaseSource {
  /** Whether the hold with this token goes on. */
  isHeld(token: number): boolean;
  /** Ends the hold with this token, or does nothing where it has ended. */
  endHold(token: number, permits: number): void;
}

const DONE: Promise<void> = Promise.resolve();

export class LocalLease implements Lease {
  #source: LeaseSource;
  #token: number;
  #permits: number;
  #released = false;
  #abandoned: boolean;
  #signal: AbortSignal | undefined;

  constructor(source: LeaseSource, token: number, permits = 1, abandoned = false) {
    this.#source = source;
    this.#token = token;
    this.#permits = permits;
    this.#abandoned = abandoned;
  }

  get token(): number {
    return this.#token;
  }

  /** A local lease is never lost: this never aborts. Made when first asked for. */
  get signal(): AbortSignal {
    this.#signal ??= new AbortController().signal;
    return this.#signal;
  }

  get valid(): boolean {
    return !this.#released && this.#source.isHeld(this.#token);
  }

  get abandoned(): boolean {
    return this.#abandoned;
  }

  release(): Promise<void> {
    if (!this.#released) {
      this.#released = true;
      try {
        this.#source.endHold(this.#token, this.#permits);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return DONE;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
