/** The lease of every local primitive that is held: a token, and the right to end that one hold. */
import type { Lease } from './lock.ts';

/** What a lease came from. */
export interface LeaseSource {
  /** The token that the hold granted with this one has now: a condition's wait renews it. */
  tokenOf(token: number): number;
  /** Whether the hold granted with this token goes on. */
  isHeld(token: number): boolean;
  /** Ends the hold granted with this token, or does nothing where it has ended. */
  endHold(token: number, permits: number): void;
}

const DONE: Promise<void> = Promise.resolve();

// What few leases need stands outside, so that the many stay small: one is made for each acquisition.
const signals = new WeakMap<LocalLease, AbortSignal>();
const afterAbandoned = new WeakSet<LocalLease>();

export class LocalLease implements Lease {
  readonly #source: LeaseSource;
  readonly #token: number;
  /** 0 once released. */
  #permits: number;

  constructor(source: LeaseSource, token: number, permits: number) {
    this.#source = source;
    this.#token = token;
    this.#permits = permits;
  }

  /**
   * A promise that has such a lease already. The write behind the constructor tells V8's compiler which class of
   * object the promise gets, so that it need not look for a `then` in it each time: a quarter of the whole cost.
   */
  static granted(source: LeaseSource, token: number, permits: number): Promise<LocalLease> {
    const lease = new LocalLease(source, token, 0);
    lease.#permits = permits;
    return Promise.resolve(lease);
  }

  /** The lease of a hold whose predecessor ended with its thread. */
  static afterAbandoned(source: LeaseSource, token: number): LocalLease {
    const lease = new LocalLease(source, token, 1);
    afterAbandoned.add(lease);
    return lease;
  }

  get token(): number {
    return this.#source.tokenOf(this.#token);
  }

  /** A local lease is never lost: this never aborts. Made when first asked for. */
  get signal(): AbortSignal {
    let signal = signals.get(this);
    if (signal === undefined) {
      signal = new AbortController().signal;
      signals.set(this, signal);
    }
    return signal;
  }

  get valid(): boolean {
    return this.#permits !== 0 && this.#source.isHeld(this.#token);
  }

  get abandoned(): boolean {
    return afterAbandoned.has(this);
  }

  release(): Promise<void> {
    const permits = this.#permits;
    if (permits === 0) return DONE;
    this.#permits = 0;
    try {
      this.#source.endHold(this.#token, permits);
    } catch (error) {
      this.#permits = permits; // Nothing was given back.
      return Promise.reject(error);
    }
    return DONE;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/**
 * One that lives for ever: where a collection found no lease alive, V8 would forget what one looks like, and throw away
 * all that was compiled for them, each time anew (seen with Node 24: three times the time of an acquisition).
 */
export const everlasting: LocalLease = new LocalLease(
  { tokenOf: (token) => token, isHeld: () => false, endHold: () => {} },
  0,
  1,
);
