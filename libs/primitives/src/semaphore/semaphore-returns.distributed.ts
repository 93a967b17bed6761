/**
 * How permits go back to Redis: under the life that holds them, or, where there are none to give back and the limit is to
 * be raised, under whatever life there is. No permit is forgotten that Redis refuses to take for now, and no raise is
 * sent twice.
 */
import { OutcomeUnknownError } from '../errors.ts';
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import type { HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { Partition } from '../session/partition.ts';
import { isShortage, SHORTAGE_RETRY } from '../session/refused.ts';
import type { SemaphoreCalls, SemaphoreShape } from './semaphore-calls.distributed.ts';

/** What goes back: the names of holds in Redis, each with how many of its permits; and by how many the limit is raised. */
export interface Return {
  readonly shape: SemaphoreShape;
  readonly pairs: readonly (string | number)[];
  readonly raise: number;
}

export class Returns {
  readonly #core: SessionCore;
  readonly #what: string;
  readonly #partition: Partition;
  readonly #calls: SemaphoreCalls;
  readonly #busy: (by: 1 | -1) => void;

  /**
   * @param what the semaphore, for messages
   * @param busy called as something begins and as it is over
   */
  constructor(
    core: SessionCore,
    what: string,
    partition: Partition,
    calls: SemaphoreCalls,
    busy: (by: 1 | -1) => void,
  ) {
    this.#core = core;
    this.#what = what;
    this.#partition = partition;
    this.#calls = calls;
    this.#busy = busy;
  }

  /**
   * Permits of holds go back under the life that holds them; where that ended they went back with it. Rejects where there
   * was nothing to give back, if that is to be told to whoever held `lease`.
   */
  giveBack(life: Incarnation, given: Return, lease?: HeldLease): Promise<void> {
    const { shape, pairs, raise } = given;
    this.#busy(1);
    return this.#calls.release(life, shape, pairs, raise).then(
      (held) => {
        this.#busy(-1);
        if (!held && lease !== undefined) throw lease.notHeldThere();
      },
      (error: unknown) => {
        const lost = error instanceof CallEnded && !error.sent && lease?.lostThere(life);
        const left = this.#notGivenBack(life, given, error);
        if (lost) throw lost;
        return left;
      },
    );
  }

  /** What no hold of a life is given back with: it may be asked under whatever life there is. */
  async raise({ shape, pairs, raise }: Return): Promise<void> {
    this.#busy(1);
    try {
      for (;;) {
        const life =
          this.#partition.free ?? (await this.#core.patiently(this.#what, this.#partition.inTurn()));
        try {
          await this.#calls.release(life, shape, pairs, raise);
          return;
        } catch (error) {
          if (!this.#mayAskAnew(raise, error)) return;
        }
      }
    } finally {
      this.#busy(-1);
    }
  }

  #notGivenBack(life: Incarnation, { shape, pairs, raise }: Return, error: unknown): void | Promise<void> {
    if (isShortage(error)) {
      // Redis has them held still, by a session that lives: they are given back when it takes writes again.
      const again = () => this.giveBack(life, { shape, pairs, raise: 0 }).catch(() => {});
      setTimeout(() => void again().finally(() => this.#busy(-1)), SHORTAGE_RETRY).unref();
    } else this.#busy(-1);
    return this.#mayAskAnew(raise, error) ? this.raise({ shape, pairs: [], raise }) : undefined;
  }

  /** Whether a raise that was asked for is still to be made, and is known not to have been. */
  #mayAskAnew(raise: number, error: unknown): boolean {
    if (!(error instanceof CallEnded)) throw error;
    if (raise === 0) return false;
    if (error.sent) {
      throw new OutcomeUnknownError(
        `${this.#what}: the session ended before Redis answered; whether it took effect is not known`,
        { cause: error },
      );
    }
    this.#core.assertOpen(this.#what);
    return true;
  }
}
