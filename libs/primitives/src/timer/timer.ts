/** `threading.Timer`: a call that comes later, unless it is cancelled. */
import { Deadline } from '../deadline.ts';
import { InvalidStateError, rangeError, show, typeError } from '../errors.ts';
import { runAs } from '../identity.ts';
import { checkFunction } from '../options.ts';
import { tellUncaught } from '../thread/except-hook.ts';

let made = 0;

/**
 * Calls `fn(...args)` once, `ms` milliseconds after `start()`. Unlike `threading.Timer` it is called on the event loop
 * of the thread that started it, as a logical thread of its own; so it comes later where that loop is busy. What it
 * throws, or its promise rejects with, goes to the hook that `setExceptHook` sets. A started timer keeps the process
 * alive until it has called or was cancelled; a delay of `Infinity` never ends.
 */
export class Timer<A extends readonly unknown[] = readonly unknown[]> {
  readonly #ms: number;
  readonly #call: () => unknown;
  readonly #name: string;
  #started = false;
  #cancelled = false;
  #stop: (() => void) | undefined;

  /** `TypeError` or `RangeError` where `ms` is no number, negative or NaN, or `fn` no function. */
  constructor(ms: number, fn: (...args: A) => unknown, ...args: A) {
    if (typeof ms !== 'number') {
      throw typeError(`new Timer(ms, fn): ms must be a number of milliseconds, not ${show(ms)}`);
    }
    if (Number.isNaN(ms) || ms < 0) {
      throw rangeError(`new Timer(ms, fn): ms must be 0 or more milliseconds, not ${ms}`);
    }
    checkFunction(fn, 'new Timer(ms, fn): fn');
    made += 1;
    this.#ms = Math.min(ms, Number.MAX_VALUE);
    this.#call = () => fn(...args);
    this.#name = `Timer-${made}`;
  }

  /** Begins to count. Once only: `InvalidStateError` after that. Where it was cancelled before, it never calls. */
  start(): void {
    if (this.#started) {
      throw new InvalidStateError(`${this.#name} was started already; make a new Timer for another call`, {
        primitive: this.#name,
      });
    }
    this.#started = true;
    if (!this.#cancelled) this.#stop = Deadline.after(this.#ms).onExpiry(() => this.#run());
  }

  /** Sees that it never calls; where it has called, or was cancelled, nothing happens. */
  cancel(): void {
    this.#cancelled = true;
    this.#stop?.();
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  #run(): void {
    void runAs(this.#name, async () => this.#call()).catch((error: unknown) =>
      tellUncaught({ error, thread: null }),
    );
  }
}
