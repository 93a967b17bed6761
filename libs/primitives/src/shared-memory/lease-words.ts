/**
 * Two moments of the monotonic clock that a session shares with its keeper thread.
 *
 * | word | written by | meaning |
 * |---|---|---|
 * | 0 `deadline` | the keeper, µs, only ever later; or −1 − the number of a reason, for good | what the session holds is its own until then |
 * | 1 `beat` | the session's event loop | when that loop turned last |
 */
const DEADLINE = 0;
const BEAT = 1;

export class LeaseWords {
  readonly buffer: SharedArrayBuffer;
  readonly #words: BigInt64Array;

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer;
    this.#words = new BigInt64Array(buffer);
  }

  /** Monotonic ms; 0 before the first sign of life, negative once ended. */
  get deadline(): number {
    return Number(Atomics.load(this.#words, DEADLINE)) / 1000;
  }

  /** Moves the deadline on. False where it had ended: it stays so. */
  extendTo(at: number): boolean {
    const next = BigInt(Math.floor(at * 1000));
    for (;;) {
      const seen = Atomics.load(this.#words, DEADLINE);
      if (seen < 0n) return false;
      if (seen >= next || Atomics.compareExchange(this.#words, DEADLINE, seen, next) === seen) return true;
    }
  }

  /** Ends all that depends on this deadline, for good, leaving the number of a reason; the first one stays. */
  end(reason: number): void {
    const ended = BigInt(-1 - reason);
    for (;;) {
      const seen = Atomics.load(this.#words, DEADLINE);
      if (seen < 0n || Atomics.compareExchange(this.#words, DEADLINE, seen, ended) === seen) return;
    }
  }

  /** The number left by `end`. */
  get reason(): number | undefined {
    const seen = Atomics.load(this.#words, DEADLINE);
    return seen < 0n ? -1 - Number(seen) : undefined;
  }

  get beat(): number {
    return Number(Atomics.load(this.#words, BEAT)) / 1000;
  }

  beatAt(at: number): void {
    Atomics.store(this.#words, BEAT, BigInt(Math.floor(at * 1000)));
  }
}
