/** Bounds what must not hang where Redis is away: by time, by an abort, by the end of the session. */

import { Deadline } from '../deadline.ts';
import { onAbort } from '../on-abort.ts';

/** How one who has no patience for ever is told. */
export interface Terms {
  /** Where it is one step of several: when the time of all is up. */
  readonly deadline?: Deadline;
  /** The error once the time is up. */
  late(): Error;
  /** The error where the session closes; left out: its work is let end by itself. */
  readonly closed?: (() => Error) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Patience {
  readonly #ms: number;
  readonly #closers = new Set<() => void>();

  /** @param ms how long everybody waits at most */
  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Settles as `work` does, unless the time, the signal or the session ends first. */
  wait<T>(work: Promise<T>, { deadline, late, closed, signal }: Terms): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const end = () => {
        cancelTimer();
        stopHearing?.();
        this.#closers.delete(onClose);
      };
      const giveUp = (reason: unknown) => {
        end();
        reject(reason);
      };
      const onClose = () => giveUp(closed?.());
      const cancelTimer = (deadline ?? Deadline.after(this.#ms)).onExpiry(() => giveUp(late()));
      const stopHearing = signal && onAbort(signal, () => giveUp(signal.reason));
      if (closed !== undefined) this.#closers.add(onClose);
      work.then((value) => {
        end();
        resolve(value);
      }, giveUp);
      if (signal?.aborted) giveUp(signal.reason); // It aborted while the work began.
    });
  }

  /** The session closes: those who said what to be told then are told. */
  close(): void {
    for (const onClose of this.#closers) onClose();
  }
}
