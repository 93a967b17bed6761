/**
 * What of a host's errors is news. A connection that is away, and a Redis that refuses, say the same again at each attempt:
 * that is told once.
 */
import { RedisRefusedError, RedisUnreachableError } from '@heddle/primitives';
import { now } from '@heddle/primitives/internal';
import { isOutOfReach, sayingOf } from '@heddle/primitives/internal-session';
import { asRefusal } from './refusal.ts';
import type { SessionParts } from './session-parts.ts';

/**
 * So long, in ms, a connection has to come back before it is told of: and what the last attempt said by then tells more than
 * how it broke.
 */
const SOON = 300;
/** So long, in ms, a refusal for the same reason is no news. */
const SAME_REFUSAL = 60_000;
/** Reasons that are remembered at most. */
const MOST = 100;

/** What Redis says to who waits for jobs as it becomes a replica, or a master again. */
const UNBLOCKED = /^UNBLOCKED\b/;

export class Trouble {
  readonly #parts: SessionParts;
  readonly #what: string;
  readonly #tell: (error: Error) => void;
  /** Why a connection is away, as the last attempt said; `undefined`: none is. */
  #cause: Error | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** By their reasons, when refusals were told. */
  readonly #refusals = new Map<string, number>();

  /** @param what it is that Redis may refuse */
  constructor(parts: SessionParts, what: string, tell: (error: Error) => void) {
    this.#parts = parts;
    this.#what = what;
    this.#tell = tell;
  }

  /** Ends what it listens to. */
  watch(): () => void {
    const back = () => this.back();
    this.#parts.redis.on('ready', back);
    return () => {
      this.#parts.redis.off('ready', back);
      clearTimeout(this.#soon);
    };
  }

  /** A connection is there again. */
  back(): void {
    clearTimeout(this.#soon);
    this.#cause = undefined;
  }

  /** Tells of an error in our terms, as far as that is news. */
  hear(raised: Error): void {
    if (isOutOfReach(raised)) return this.#broke(raised);
    if (UNBLOCKED.test(raised.message)) return; // it asks again
    const error = asRefusal(raised, this.#what) as Error;
    if (!(error instanceof RedisRefusedError && this.#isToldLately(reasonOf(raised)))) this.#tell(error);
  }

  #broke(cause: Error): void {
    if (this.#cause === undefined) this.#soon = setTimeout(() => this.#tellAway(), SOON).unref();
    this.#cause = cause;
  }

  #tellAway(): void {
    const cause = this.#cause;
    this.#tell(
      new RedisUnreachableError(
        `Redis at ${this.#parts.where} is out of reach (${sayingOf(cause)}); the host tries again every second, and takes jobs once it is back`,
        { cause },
      ),
    );
  }

  #isToldLately(reason: string): boolean {
    const told = this.#refusals.get(reason);
    if (told !== undefined && now() - told < SAME_REFUSAL) return true;
    this.#refusals.delete(reason);
    this.#refusals.set(reason, now());
    for (const oldest of this.#refusals.keys()) if (this.#refusals.size > MOST) this.#refusals.delete(oldest);
    return false;
  }
}

/** What Redis refuses begins with the kind of it; the rest may name the script or the command. */
function reasonOf({ message }: Error): string {
  return /^[A-Z]+\b/.exec(message)?.[0] ?? message;
}
