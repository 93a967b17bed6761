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
/** So long, in ms, a refusal in the same words is no news. */
const SAME_REFUSAL = 60_000;
/** Words that are remembered at most. */
const MOST = 100;

export class Trouble {
  readonly #parts: SessionParts;
  readonly #tell: (error: Error) => void;
  /** Why a connection is away, as the last attempt said; `undefined`: none is. */
  #cause: Error | undefined;
  #soon: NodeJS.Timeout | undefined;
  /** By their words, when refusals were told. */
  readonly #refusals = new Map<string, number>();

  constructor(parts: SessionParts, tell: (error: Error) => void) {
    this.#parts = parts;
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
    const error = asRefusal(raised, 'a host of jobs') as Error;
    if (!(error instanceof RedisRefusedError && this.#isToldLately(error.message))) this.#tell(error);
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

  #isToldLately(words: string): boolean {
    const told = this.#refusals.get(words);
    if (told !== undefined && now() - told < SAME_REFUSAL) return true;
    this.#refusals.delete(words);
    this.#refusals.set(words, now());
    for (const oldest of this.#refusals.keys()) if (this.#refusals.size > MOST) this.#refusals.delete(oldest);
    return false;
  }
}
