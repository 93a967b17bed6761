/** Whether a worker's Redis is out of reach, and what is logged of that: few lines, however long it lasts. */
import type { RedisRefusedError, RedisUnreachableError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { sayingOf } from '@heddle/primitives/internal-session';
import type { Logger } from 'pino';

/** Ms that the first line waits for the reason, which a host tells once it has tried again for a moment. */
const REASON_WITHIN = 1000;
/** Ms between reminders. */
const REMIND_EVERY = 60_000;

export interface RedisWatchTerms {
  /** Where Redis is, without a password. */
  readonly where: string;
  /** The worker's, in ms. */
  readonly stallTimeout: number;
}

export class RedisWatch implements Disposable {
  readonly #log: Logger;
  readonly #terms: RedisWatchTerms;
  /** By the wall clock, for people; `undefined`: Redis is there. */
  #since: number | undefined;
  #reason: string | undefined;
  /** The first line is still to come. */
  #untold: NodeJS.Timeout | undefined;
  #reminder: NodeJS.Timeout | undefined;

  #blip = 0;

  constructor(session: Session, log: Logger, terms: RedisWatchTerms) {
    this.#log = log;
    this.#terms = terms;
    session.on('reconnecting', () => this.#lost());
    session.on('ready', () => this.#back());
  }

  /** Whether it is out of reach, as far as the session knows. */
  get away(): boolean {
    return this.#since !== undefined;
  }

  /** An error of a connection: the reason for what is told here. */
  heard(error: RedisUnreachableError): void {
    if (this.#since === undefined) return this.#log.warn({ code: error.code }, error.message); // not the session's own
    this.#reason = reasonOf(error);
    if (this.#untold !== undefined) this.#tell();
  }

  /** Redis is there and lets nobody in: that is told as the reason. */
  denied(error: RedisRefusedError): boolean {
    if (this.#untold === undefined) return false;
    this.#reason = error.message;
    this.#tell();
    return true;
  }

  [Symbol.dispose](): void {
    if (this.#untold !== undefined) this.#tell();
    clearInterval(this.#reminder);
  }

  #lost(): void {
    if (this.#since !== undefined) return;
    this.#since = Date.now();
    this.#reminder = setInterval(() => this.#remind(), REMIND_EVERY).unref();
    this.#reason = undefined;
    this.#untold = setTimeout(() => this.#tell(), REASON_WITHIN);
  }

  #tell(): void {
    clearTimeout(this.#untold);
    this.#untold = undefined;
    this.#log.warn(
      this.#facts(),
      `Redis at ${this.#terms.where} is out of reach${this.#because()}; trying again every second. No new jobs until it is back; those that run go on, and may be run again elsewhere after ${this.#terms.stallTimeout} ms`,
    );
  }

  #remind(): void {
    const minutes = Math.round((Date.now() - (this.#since ?? 0)) / 60_000);
    this.#log.warn(
      this.#facts(),
      `Redis at ${this.#terms.where} has been out of reach for ${minutes} min${this.#because()}; still trying`,
    );
  }

  #back(): void {
    if (this.#since === undefined) return;
    const seconds = ((Date.now() - this.#since) / 1000).toFixed(1);
    if (this.#untold !== undefined) this.#tellBlip(seconds);
    else this.#log.info(`Redis is back, after ${seconds} s`);
    clearTimeout(this.#untold);
    clearInterval(this.#reminder);
    this.#untold = undefined;
    this.#since = undefined;
  }

  /** One after the other, as where a replica lets nobody write, they are told of now and then. */
  #tellBlip(seconds: string): void {
    if (Date.now() - this.#blip < REMIND_EVERY) return;
    this.#blip = Date.now();
    this.#log.info(`Redis is back: it was out of reach for ${seconds} s`);
  }

  #because(): string {
    return this.#reason === undefined ? '' : ` (${this.#reason})`;
  }

  #facts(): object {
    return { since: new Date(this.#since ?? 0).toISOString() };
  }
}

function reasonOf({ cause, message }: RedisUnreachableError): string {
  return cause === undefined ? message : sayingOf(cause);
}
