/**
 * The only monotonic clock of the package, and time-outs counted on it.
 * `process.hrtime` reads the operating system's monotonic clock: one origin for all threads of the process,
 * which `performance.now` does not have.
 */

/** Milliseconds, monotonic, the same in every thread of this process. */
export function now(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Node's timers take a signed 32-bit count of milliseconds; longer waits are cut in pieces. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** A moment on the monotonic clock; `Infinity` means never. */
export class Deadline {
  static readonly never: Deadline = new Deadline(Number.POSITIVE_INFINITY);
  readonly at: number;

  private constructor(at: number) {
    this.at = at;
  }

  /** `timeout` milliseconds from now; left out: never. */
  static after(timeout: number | undefined): Deadline {
    return timeout === undefined || timeout === Number.POSITIVE_INFINITY
      ? Deadline.never
      : new Deadline(now() + timeout);
  }

  /** Milliseconds left, never below 0. */
  remaining(): number {
    return this.at === Number.POSITIVE_INFINITY ? this.at : Math.max(0, this.at - now());
  }

  get expired(): boolean {
    return this.at !== Number.POSITIVE_INFINITY && now() >= this.at;
  }

  /** Calls `fn` once at this moment; gives back what cancels it. The timer keeps the event loop alive unless `unref`. */
  onExpiry(fn: () => void, { unref = false } = {}): () => void {
    if (this.at === Number.POSITIVE_INFINITY) return () => {};
    let timer: NodeJS.Timeout;
    const arm = () => {
      timer = setTimeout(ring, Math.min(Math.ceil(this.remaining()), LONGEST_TIMER));
      if (unref) timer.unref();
    };
    const ring = () => (this.expired ? fn() : arm());
    arm();
    return () => clearTimeout(timer);
  }
}
