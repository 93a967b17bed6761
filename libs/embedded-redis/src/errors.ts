/** Where a Redis can come from, in the order in which it is looked for. */
export type RedisSource = 'url' | 'process' | 'docker';

/** One way that was tried, and why it gave no Redis. */
export interface RedisAttempt {
  /** Which of the ways. */
  readonly source: RedisSource;
  /** What exactly was tried: a URL without its password, a program's path, an image. */
  readonly target: string;
  /** Why it failed, for people. */
  readonly reason: string;
}

/** The code of every error that this package throws of its own accord. */
export type EmbeddedRedisErrorCode =
  | 'ERR_HEDDLE_REDIS_UNAVAILABLE'
  | 'ERR_HEDDLE_REDIS_START'
  | 'ERR_HEDDLE_REDIS_NOT_RUNNING'
  | 'ERR_HEDDLE_REDIS_CLOSED'
  | 'ERR_HEDDLE_REDIS_SETUP';

/** A server that didn't start, isn't running or couldn't be set up; `code` says which. */
export class EmbeddedRedisError extends Error {
  override readonly name: string = 'EmbeddedRedisError';
  /** Stable, for programs; the message is for people and may change. */
  readonly code: EmbeddedRedisErrorCode;

  constructor(code: EmbeddedRedisErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** No Redis was found and none could be started: `attempts` has every way tried, `remedy` what to do. */
export class RedisUnavailableError extends EmbeddedRedisError {
  override readonly name = 'RedisUnavailableError';
  /** Every way that was tried, in order. */
  readonly attempts: readonly RedisAttempt[];
  /** What to do about it: as a rule, the command that installs redis-server here. */
  readonly remedy: string;

  constructor(attempts: readonly RedisAttempt[], remedy: string, options?: ErrorOptions) {
    const tried = attempts.map(({ source, target, reason }) => `  - ${source} (${target}): ${reason}`);
    super(
      'ERR_HEDDLE_REDIS_UNAVAILABLE',
      ['No Redis (7 or later) to be had. Tried:', ...tried, remedy].join('\n'),
      options,
    );
    this.attempts = attempts;
    this.remedy = remedy;
  }
}

/** A TypeError for an option of the wrong kind. */
export function wrongType(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_HEDDLE_INVALID_ARG_TYPE' as const });
}

/** A RangeError for an option of the right kind with a value that can't be. */
export function outOfRange(message: string): RangeError {
  return Object.assign(new RangeError(message), { code: 'ERR_HEDDLE_OUT_OF_RANGE' as const });
}

/** The message of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
