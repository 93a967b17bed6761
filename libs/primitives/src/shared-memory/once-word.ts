/** A word of which two threads ask at once who is the first: what the one does, the other leaves undone. */
export class OnceWord {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer = new SharedArrayBuffer(4)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** True for the first who asks, in whatever thread, and for nobody after that. */
  take(): boolean {
    return Atomics.exchange(this.#words, 0, 1) === 0;
  }
}
