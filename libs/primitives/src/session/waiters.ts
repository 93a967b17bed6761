/** Those of one session who wait for one thing, first come, first served; each may give up. */
import { Deadline, now } from '../deadline.ts';
import { onAbort } from '../on-abort.ts';

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
 * Ms that one whose time was up before the first answer came waits for that (what is free is granted, however short the
 * time-out), and that one who gave up waits to see its place gone; where there was no answer, both together. It is ms of
 * silence, where it is known when others in the line were answered: of thousands at once the last are in turn later.
 */
const GRACE = 250;
/** Ms between the end of that and the last look: where this loop itself stood still, what has arrived is read in between. */
const SECOND_LOOK = 20;

export class Waiters<T, W extends object> {
  /** In order of arrival: a Map remembers it, and forgets one in constant time. */
  readonly #line = new Map<W, Place<T, W>>();
  /** Those without an answer yet. */
  readonly #undecided = new Set<Place<T, W>>();
  /** Monotonic ms at which one was answered last, as far as that is told. */
  #heard = Number.NEGATIVE_INFINITY;

  get size(): number {
    return this.#line.size;
  }

  [Symbol.iterator](): Iterator<Waiter<T, W>> {
    return this.#line.values();
  }

  /** Stands in line; settles when served, timed out, or aborted. The event loop is kept alive until then. */
  add(what: W, terms: WaitTerms<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const place = new Place<T, W>(what, terms, { resolve, reject }, this);
      this.#line.set(what, place);
      if (terms.decided !== true) this.#undecided.add(place);
      place.watch();
    });
  }

  /** An answer came, and it was not yes: `what`, or everybody, has indeed to wait, as far as time allows. */
  decide(what?: W): void {
    if (this.#undecided.size === 0) return;
    const of = what && this.#line.get(what);
    for (const place of what === undefined ? [...this.#undecided] : of === undefined ? [] : [of])
      if (this.#undecided.delete(place)) place.decided();
  }

  /** Redis has answered one of them. */
  answered(): void {
    this.#heard = now();
  }

  /** Calls `fn` once there was no answer to any for so long; gives back what cancels it. */
  onSilence(grace: number, fn: () => void): () => void {
    let suspected = false;
    const look = () => {
      const left = this.#heard + grace - now();
      if (left <= 0 && suspected) return fn();
      suspected = left <= 0;
      timer = setTimeout(look, suspected ? SECOND_LOOK : left);
    };
    let timer = setTimeout(look, grace);
    return () => clearTimeout(timer);
  }

  /** Whether an answer is still to come. */
  isUndecided(place: Place<T, W>): boolean {
    return this.#undecided.has(place);
  }

  /** Off the line, for good. */
  leave(place: Place<T, W>): void {
    if (this.#line.get(place.what) === place) this.#line.delete(place.what);
    this.#undecided.delete(place);
  }

  /** Takes the first off the line, to be served: it can't give up any more. */
  shift(): Waiter<T, W> | undefined {
    for (const place of this.#line.values()) return this.take(place.what);
    return undefined;
  }

  /** Takes the waiter for `what` off the line, to be served: it can't give up any more. */
  take(what: W): Waiter<T, W> | undefined {
    const place = this.#line.get(what);
    if (place !== undefined) this.leave(place);
    return place;
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

/** One of them. */
class Place<T, W extends object> implements Waiter<T, W> {
  readonly what: W;
  readonly #terms: WaitTerms<T>;
  readonly #settle: Pick<PromiseWithResolvers<T>, 'resolve' | 'reject'>;
  readonly #line: Waiters<T, W>;
  #cancelTimer: (() => void) | undefined;
  #stopHearing: (() => void) | undefined;
  /** Its time was up before the first answer came: it waits on for that. */
  #late = false;

  constructor(
    what: W,
    terms: WaitTerms<T>,
    settle: Pick<PromiseWithResolvers<T>, 'resolve' | 'reject'>,
    line: Waiters<T, W>,
  ) {
    this.what = what;
    this.#terms = terms;
    this.#settle = settle;
    this.#line = line;
  }

  /** From here on it gives up when its time is up, or its signal aborts. */
  watch(): void {
    const { timeout, signal } = this.#terms;
    if (signal !== undefined) this.#stopHearing = onAbort(signal, () => this.giveUp(signal.reason));
    if (timeout !== undefined) this.#cancelTimer = Deadline.after(timeout).onExpiry(() => this.#timeIsUp());
  }

  resolve(value: T): void {
    this.#stop();
    this.#settle.resolve(value);
  }

  reject(error: unknown): void {
    this.#stop();
    this.#settle.reject(error);
  }

  giveUp(reason: unknown): void {
    this.#late = false; // What is told is that nothing is left: its leave has all the time there is for that.
    this.#leave(() => this.#settle.reject(reason));
  }

  /** An answer came, and it was not yes. */
  decided(): void {
    if (!this.#late) return;
    this.#late = false; // Redis answers: it may take as long for the leave.
    this.#expire();
  }

  #timeIsUp(): void {
    if (!this.#line.isUndecided(this)) return this.#expire();
    this.#late = true;
    this.#cancelTimer = this.#line.onSilence(GRACE, () => this.#expire());
  }

  #expire(): void {
    const { onTimeout } = this.#terms;
    this.#leave((served) => {
      if (served !== undefined) this.#settle.resolve(served);
      else if (onTimeout instanceof Error) this.#settle.reject(onTimeout);
      else this.#settle.resolve(onTimeout);
    });
  }

  #leave(settle: (served?: T) => void): void {
    this.#stop();
    const leaving = this.#terms.gaveUp() as Promise<T | undefined> | undefined;
    if (leaving === undefined) return settle();
    const cancelTimer = this.#line.onSilence(this.#late ? 0 : GRACE, settle);
    const done = (served?: T) => {
      cancelTimer();
      settle(served);
    };
    leaving.then(done, () => done());
  }

  #stop(): void {
    this.#cancelTimer?.();
    this.#stopHearing?.();
    this.#line.leave(this);
  }
}
