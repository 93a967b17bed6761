/** Operations that are to be run at a moment, whatever their session does then: the end of a hold that has a limit. */
import { LONGEST_TIMER, now } from '../deadline.ts';
import type { OnceWord } from '../shared-memory/once-word.ts';
import type { Answer, Invocation } from './run-operations.ts';

export class TimedOperations {
  readonly #run: (invocation: Invocation) => Promise<Answer | undefined>;
  readonly #warn: (message: string) => void;
  /** By the number that each was given by who asked for it. */
  readonly #timers = new Map<number, NodeJS.Timeout>();

  constructor(run: (invocation: Invocation) => Promise<Answer | undefined>, warn: (message: string) => void) {
    this.#run = run;
    this.#warn = warn;
  }

  /** Runs an operation at a moment of the monotonic clock, and not before, unless somebody else has taken `once`. */
  runAt(job: number, at: number, invocation: Invocation, once: OnceWord): void {
    const run = () => {
      // A timer counts from when its loop turned last, and no further than so far: it may come early.
      if (now() < at) return this.runAt(job, at, invocation, once);
      this.#timers.delete(job);
      if (!once.take()) return;
      this.#runAll(invocation).catch((error: unknown) =>
        this.#warn(`${invocation.operation} failed: ${String(error)}`),
      );
    };
    const left = Math.max(0, Math.ceil(at - now()));
    this.#timers.set(job, setTimeout(run, Math.min(left, LONGEST_TIMER)));
  }

  cancel(job: number): void {
    clearTimeout(this.#timers.get(job));
    this.#timers.delete(job);
  }

  cancelAll(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** In as many steps as it takes. */
  async #runAll(invocation: Invocation): Promise<void> {
    for (;;) {
      const answer = await this.#run(invocation);
      if (answer?.[0] !== 'more') return;
    }
  }
}
