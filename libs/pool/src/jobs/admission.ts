/** How many jobs of a queue may wait to be begun, and what becomes of one too many. */
export interface Admission {
  readonly maxPending: number;
  readonly whenFull: 'wait' | 'refuse';
}

/** Waits between looks at a full queue, in ms; each outcome that comes in is a reason to look at once. */
const LOOK_FIRST = 20;
const LOOK_LAST = 500;

/** Pauses that grow, and that something can cut short. */
export class Pause {
  #next = LOOK_FIRST;
  #wake: (() => void) | undefined;

  async take(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#next);
    this.#next = Math.min(this.#next * 2, LOOK_LAST);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  cut(): void {
    this.#next = LOOK_FIRST;
    this.#wake?.();
  }
}
