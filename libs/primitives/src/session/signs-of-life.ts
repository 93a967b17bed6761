/**
 * Who gives the sign of a life: this loop at first, and the keeper thread once anything is held or waited for, so that a
 * loop that stands still loses nothing.
 */
import { now } from '../deadline.ts';
import type { Confirmer } from './durability.ts';
import type { Incarnation } from './incarnation.ts';
import { type Kept, keepInThread } from './keeper.ts';
import type { Line } from './line.ts';
import { Pulse, type PulseConfig, type PulseEvents } from './pulse.ts';
import type { Invocation } from './run-operations.ts';
import type { Target } from './server.ts';

/** What they need of their session. */
export interface SignsHost {
  /** The command connection, for scripts. */
  readonly line: Line;
  readonly target: Target;
  readonly maxStall: number;
  /** Ms without an answer that one is owed before a connection counts as dead. */
  readonly silence: number;
  /** Asks whether replicas have what was written; `undefined` where nobody wants to know. */
  readonly confirmer: Confirmer | undefined;
  warn(message: string): void;
}

/** What they are needed for: a life, what a pulse is to know of it, and who is told. */
interface Ward {
  readonly life: Incarnation;
  readonly config: PulseConfig;
  readonly events: PulseEvents;
}

export class SignsOfLife {
  readonly #host: SignsHost;
  #ward: Ward | undefined;
  #pulse: Pulse | undefined;
  #kept: Kept | undefined;
  #guarding: Promise<void> | undefined;
  #guardTried = false;
  #guarded = false;
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(host: SignsHost) {
    this.#host = host;
  }

  /** Whether the keeper thread gives them. */
  get guarded(): boolean {
    return this.#guarded;
  }

  /** Gives them for a life from here on; those of the one before were stopped. */
  begin(life: Incarnation, config: PulseConfig, events: PulseEvents): void {
    this.#ward = { life, config, events };
    this.#beatHere(this.#ward);
    this.#watchDeadline(life);
  }

  async stop(): Promise<void> {
    this.#ward = undefined;
    clearTimeout(this.#deadlineTimer);
    this.#pulse?.stop();
    this.#pulse = undefined;
    const kept = this.#kept;
    this.#kept = undefined;
    this.#guarding = undefined;
    this.#guardTried = false;
    this.#guarded = false;
    await kept?.stop();
  }

  /** The connection is there (again). */
  connected(): void {
    this.#pulse?.connected();
  }

  /** A session after ours in the ring is to be watched from now on; see `Pulse.watch`. */
  watch(id: string, remaining: number, keep: number): void {
    // While the keeper begins, both may; a pulse that was stopped does not.
    this.#kept?.watch(id, remaining, keep);
    this.#pulse?.watch(id, remaining, keep);
  }

  /**
   * Makes sure that a busy event loop loses nothing from here on. Gives what settles once the keeper has beaten: no lease
   * is handed out before that. Nothing where it has, or where it can't, as while Redis is out of reach.
   */
  guard(): Promise<void> | undefined {
    const ward = this.#ward;
    if (this.#guardTried || !ward?.life.lives) return undefined;
    if (this.#guarding === undefined) {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, this.#host.silence);
      const guarding = Promise.race([this.#startKeeper(ward), late]).then(() => {
        clearTimeout(timer);
        if (this.#guarding === guarding) this.#guardTried = true;
      });
      this.#guarding = guarding;
    }
    return this.#guarding;
  }

  /**
   * Has the keeper run an operation at a moment (monotonic ms), whatever this loop does then; gives back what cancels it,
   * and says whether that came in time: false where the operation has run, or runs now.
   */
  runAt(at: number, invocation: Invocation): () => boolean {
    let cancel: (() => boolean) | undefined;
    let cancelled = false;
    const hand = () => {
      if (!cancelled) cancel = this.#kept?.runAt(at, invocation);
    };
    const guarding = this.guard();
    if (guarding === undefined) hand();
    else void guarding.then(hand);
    return () => {
      cancelled = true;
      return cancel?.() ?? true;
    };
  }

  #beatHere({ life, config, events }: Ward): void {
    const { line, confirmer } = this.#host;
    this.#pulse?.stop();
    this.#pulse = new Pulse(line, config, life.words, events, confirmer);
    void this.#pulse.start();
  }

  async #startKeeper(ward: Ward): Promise<void> {
    const { life, config, events } = ward;
    const { target, maxStall } = this.#host;
    let begun: Kept | undefined;
    try {
      const kept = keepInThread(target, { ...config, maxStall }, life.words, {
        ...events,
        orphaned: (error) => {
          if (this.#kept !== kept) return;
          this.#host.warn(
            `the keeper thread ended (${String(error)}); this loop gives the sign of life from here on`,
          );
          this.#guarded = false;
          this.#kept = undefined;
          if (life.ended === undefined) this.#beatHere(ward);
        },
      });
      this.#kept = begun = kept;
      await kept.started;
      if (this.#ward !== ward) return;
      this.#pulse?.stop();
      this.#guarded = life.ended === undefined;
    } catch (error) {
      if (this.#ward !== ward || life.ended !== undefined) return;
      this.#kept = undefined;
      void begun?.stop();
      this.#host.warn(
        `no keeper thread (${String(error)}): a busy event loop can lose this session's leases`,
      );
    }
  }

  /** Tells of the end when it comes, as far as the event loop turns; where it does not, `lives` and `valid` do. */
  #watchDeadline(life: Incarnation): void {
    const look = () => {
      if (!life.lives) return;
      this.#deadlineTimer = setTimeout(look, Math.max(1, Math.ceil(life.words.deadline - now())));
      this.#deadlineTimer.unref();
    };
    look();
  }
}
