/** The end of a hold that may last so long only: the lease is void first; then Redis hands the lock on. */
import { Deadline } from '../deadline.ts';
import type { HeldLease } from '../session/held-lease.ts';
import type { LockCalls } from './lock-calls.distributed.ts';

/** Ms by which this event loop may be late with that end before the keeper sees to it. */
const LATE = 50;

/** A limit that may have come to its end. */
export class HoldLimit {
  #stop: (() => boolean) | undefined;

  /**
   * @param first the first token of the grant that the hold is part of
   * @param over called once its time is up: it is lost, and to be given back
   */
  constructor(lease: HeldLease, maxHold: number, calls: LockCalls, first: number, over: () => void) {
    const deadline = Deadline.after(maxHold);
    const end = () => {
      lease.lose(`it was held for longer than its maxHold of ${maxHold} ms`);
      this.cancel();
      over();
    };
    const stopTimer = deadline.onExpiry(end, { unref: true });
    const stopKeeper = calls.expireAt(deadline.at + LATE, lease.incarnation, first);
    this.#stop = () => {
      stopTimer();
      return stopKeeper();
    };
  }

  /** False where it was too late: the keeper has ended the hold in Redis, or is about to. */
  cancel(): boolean {
    const stop = this.#stop;
    this.#stop = undefined;
    return stop?.() ?? true;
  }
}
