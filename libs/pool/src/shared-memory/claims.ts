/**
 * Who has which task, agreed between a pool and one of its threads without a message: one word a slot.
 *
 * | word    | means                                                        | set by             |
 * |---------|--------------------------------------------------------------|--------------------|
 * | OFFERED | sent to the thread, not begun                                | the pool, sending  |
 * | TAKEN   | the thread has begun it: it can be aborted, not taken back   | the thread         |
 * | REVOKED | the pool took it back; the thread passes over it             | the pool           |
 * | DONE    | its outcome is known in the thread, and sent or about to be  | the thread         |
 *
 * OFFERED → TAKEN and OFFERED → REVOKED exclude each other by compare-exchange. So a thread that hangs in one task
 * keeps none of those behind it, a cancelled task never begins, and a crash shows which task it was.
 */
const OFFERED = 0;
const TAKEN = 1;
const REVOKED = 2;
const DONE = 3;

export class Claims {
  readonly memory: SharedArrayBuffer;
  private readonly words: Int32Array;

  constructor(slots: number | SharedArrayBuffer) {
    this.memory =
      typeof slots === 'number' ? new SharedArrayBuffer(slots * Int32Array.BYTES_PER_ELEMENT) : slots;
    this.words = new Int32Array(this.memory);
  }

  /** The pool's: before the task is sent. */
  offer(slot: number): void {
    Atomics.store(this.words, slot, OFFERED);
  }

  /** The thread's: begin it; false where it has been taken back. */
  take(slot: number): boolean {
    return Atomics.compareExchange(this.words, slot, OFFERED, TAKEN) === OFFERED;
  }

  /** The pool's: take it back; false where the thread has begun it. */
  revoke(slot: number): boolean {
    return Atomics.compareExchange(this.words, slot, OFFERED, REVOKED) === OFFERED;
  }

  /** The thread's: it has ended. */
  finish(slot: number): void {
    Atomics.store(this.words, slot, DONE);
  }

  isRunning(slot: number): boolean {
    return Atomics.load(this.words, slot) === TAKEN;
  }

  /** The thread has begun it, and perhaps ended it too. */
  begun(slot: number): boolean {
    const word = Atomics.load(this.words, slot);
    return word === TAKEN || word === DONE;
  }
}
