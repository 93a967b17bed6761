/** Those of one session who wait for one thing, first come, first served; each may give up. */
import { Deadline } from '../deadline.ts';

export interface WaitTerms<T> {
  /** Ms; `undefined`: for ever. */
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** What a time-out resolves to, or the error it rejects with. */
  readonly onTimeout: T | Error;
  /** Whether it is known already that there is something to wait for; left out, `decide` will tell. */
  readonly decided?: boolean;
  /**
   * Called when this waiter gave up, off the list already; what it gives back is waited for, within reason. A value
   * there was served just before: one whose time is up gets it, one that was aborted does not.
   */
  gaveUp(): Promise<T | undefined> | Promise<void> | undefined;
}

export interface Waiter<T, W> {
  readonly what: W;
  resolve(value: T): void;
  reject(error: unknown): void;
  /** As its signal would: it gives up, and rejects once nothing is left of it. */
  giveUp(reason: unknown): void;
}

/**
 * Ms that one who gave up waits to see its place gone, and that one whose time was up before the first answer came
 * waits for that: what is free is granted, however short the time-out. A healthy server needs one round trip.
 */
const GRACE = 250;

export class Waiters<T, W extends object> {
  /** In order of arrival: a Map remembers it, and forgets one in constant time. */
  readonly #line = new Map<W, Waiter<T, W>>();
  /** Those without an answer yet, and what to do once they have one. */
  readonly #undecided = new Map<W, () => void>();

  get size(): number {
    return this.#line.size;
  }

  [Symbol.iterator](): Iterator<Waiter<T, W>> {
    return this.#line.values();
  }

  /** Stands in line; settles when served, timed out, or aborted. The event loop is kept alive until then. */
  add(what: W, { timeout, signal, onTimeout, decided = false, gaveUp }: WaitTerms<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let cancelTimer = () => {};
      const stop = () => {
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
        this.#line.delete(what);
        this.#undecided.delete(what);
      };
      const giveUp = (settle: (served?: T) => void) => {
        stop();
        const leaving = gaveUp();
        if (leaving === undefined) settle();
        else withGrace<T>(leaving, settle);
      };
      const giveUpFor = (reason: unknown) => giveUp(() => reject(reason));
      const onAbort = () => giveUpFor(signal?.reason);
      const waiter: Waiter<T, W> = {
        what,
        resolve: (value) => {
          stop();
          resolve(value);
        },
        reject: (error) => {
          stop();
          reject(error);
        },
        giveUp: giveUpFor,
      };
      this.#line.set(what, waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (!decided) this.#undecided.set(what, () => {});
      const expire = () =>
        giveUp((served) => {
          if (served !== undefined) resolve(served);
          else if (onTimeout instanceof Error) reject(onTimeout);
          else resolve(onTimeout);
        });
      cancelTimer = Deadline.after(timeout).onExpiry(() => {
        if (!this.#undecided.has(what)) return expire();
        const timer = setTimeout(expire, GRACE);
        cancelTimer = () => clearTimeout(timer);
        this.#undecided.set(what, expire);
      });
    });
  }

  /** An answer came, and it was not yes: `what`, or everybody, has indeed to wait, as far as time allows. */
  decide(what?: W): void {
    const decided = what === undefined ? [...this.#undecided] : [[what, this.#undecided.get(what)] as const];
    for (const [one, then] of decided) {
      this.#undecided.delete(one);
      then?.();
    }
  }

  /** Takes the first off the line, to be served: it can't give up any more. */
  shift(): Waiter<T, W> | undefined {
    const [first] = this.#line.values();
    return first && this.take(first.what);
  }

  /** Takes the waiter for `what` off the line, to be served: it can't give up any more. */
  take(what: W): Waiter<T, W> | undefined {
    const waiter = this.#line.get(what);
    this.#line.delete(what);
    this.#undecided.delete(what);
    return waiter;
  }

  /** The waiter for `what`, while it stands in line. */
  get(what: W): Waiter<T, W> | undefined {
    return this.#line.get(what);
  }

  resolveAll(value: T): void {
    for (const waiter of [...this.#line.values()]) waiter.resolve(value);
  }

  rejectAll(error: () => unknown): void {
    for (const waiter of [...this.#line.values()]) waiter.reject(error());
  }
}

function withGrace<T>(leaving: Promise<T | undefined> | Promise<void>, settle: (served?: T) => void): void {
  const timer = setTimeout(settle, GRACE);
  const done = (served?: T) => {
    clearTimeout(timer);
    settle(served);
  };
  (leaving as Promise<T | undefined>).then(done, () => done());
}
