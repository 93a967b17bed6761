/** `connect`'s options: documented, with units, resolved once. */
import { LONGEST_TIMER } from '../deadline.ts';
import { rangeError, show, typeError } from '../errors.ts';
import { type Durability, type ResolvedDurability, resolveDurability } from './durability.ts';
import { checkName } from './keys.ts';
import { isDatabase, resolveTarget, type Target } from './server.ts';
import type { GivenOptions } from './taken-over.ts';
import { TOKEN_BLOCK } from './tokens.ts';

/** Where a session tells what nobody listens for; pino, `console` and their kin fit. */
export interface Logger {
  /** What is amiss and goes on by itself. */
  warn?(message: string): void;
  /** What failed. */
  error?(message: string): void;
}

/** What `connect` takes. Anything else is a `TypeError`. */
export interface ConnectOptions {
  /** What all names live in; 1 to 512 bytes, no braces. Default `heddle`. */
  readonly namespace?: string | undefined;
  /** Ms that all the session holds outlives its last sign of life: how long others wait after a crash. Default 10,000. */
  readonly ttl?: number | undefined;
  /** Ms that the event loop may stand still before the keeper lets the session die. Default 60,000. */
  readonly maxStall?: number | undefined;
  /** A label, shown by `members()`. */
  readonly name?: string | undefined;
  /** ioredis's own options, merged over the URL's or the client's: TLS, database, key prefix, a Cluster's natMap, … */
  readonly redis?: GivenOptions | undefined;
  /**
   * Ms within which `connect` succeeds or says why not; `Infinity`: as long as it takes. What a session asks afterwards
   * without waiting has as long; a connection that owes an answer for so long, 60,000 at the most, is made anew.
   * Default 5,000.
   */
  readonly connectTimeout?: number | undefined;
  /**
   * Ms that a wait for a lock or a permit lasts before it is looked at whether it is in a circle of such waits; the
   * youngest in one rejects with `DeadlockError`. `Infinity`: never. Default 1,000.
   */
  readonly deadlockAfter?: number | undefined;
  /**
   * How often in a row a lock, or a permit, goes from one waiter of this session to the next without Redis while other
   * sessions wait; then it is their turn. `0`: never, each hold is asked of Redis. At most 64, the default: a grant has as
   * many tokens, that of its first hold among them.
   */
  readonly maxLocalHandovers?: number | undefined;
  /**
   * What is granted to this session, lock or permit, is given to whoever asked once so many replicas have it; otherwise
   * it is given back, with `NotReplicatedError`. Its leases last no longer than signs of life that replicas have. So a
   * fail-over to one of them grants nothing twice. Left out: what a fail-over loses may be granted again, and the
   * fencing token is the guard.
   */
  readonly durability?: Durability | undefined;
  /** Told of warnings and of errors without a listener. Default: `console`. */
  readonly logger?: Logger | undefined;
}

export interface ResolvedOptions {
  readonly namespace: string;
  readonly ttl: number;
  readonly maxStall: number;
  readonly name: string | undefined;
  readonly connectTimeout: number;
  /** Ms without an answer that one is owed before a connection counts as dead. */
  readonly silence: number;
  readonly deadlockAfter: number;
  /** How many of the session may hold one after the other before others have their turn. */
  readonly localTurns: number;
  readonly durability: ResolvedDurability | undefined;
  readonly logger: Logger | undefined;
  readonly target: Target;
}

const DEFAULTS = {
  namespace: 'heddle',
  ttl: 10_000,
  maxStall: 60_000,
  connectTimeout: 5_000,
  deadlockAfter: 1_000,
  maxLocalHandovers: 64,
} as const;
const KNOWN = [
  'namespace',
  'ttl',
  'maxStall',
  'name',
  'redis',
  'connectTimeout',
  'deadlockAfter',
  'maxLocalHandovers',
  'durability',
  'logger',
];

function checkLogger(logger: unknown): Logger {
  if (logger === undefined) return console;
  if (logger === null || typeof logger !== 'object')
    throw typeError(
      `connect: logger must be an object with warn and error, such as console, not ${show(logger)}; {} logs nothing`,
    );
  return logger;
}

function duration(value: unknown, name: string, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number')
    throw typeError(`connect: ${name} must be a number of milliseconds, not ${show(value)}`);
  if (!(value >= min && value <= max)) {
    const range = max === Number.POSITIVE_INFINITY ? `${min} ms or more` : `${min} to ${max} ms`;
    throw rangeError(`connect: ${name} must be ${range}, not ${value}`);
  }
  return value;
}

function handovers(value: unknown): number {
  if (value === undefined) return DEFAULTS.maxLocalHandovers;
  if (typeof value !== 'number')
    throw typeError(`connect: maxLocalHandovers must be a whole number, not ${show(value)}`);
  if (!(Number.isInteger(value) && value >= 0 && value <= TOKEN_BLOCK))
    throw rangeError(
      `connect: maxLocalHandovers must be a whole number from 0 to ${TOKEN_BLOCK}, not ${value}; 0 hands nothing on inside the session`,
    );
  return value;
}

/** Ms without an answer that a connection which owes one has at most, however long `connect` may take. */
const LONGEST_SILENCE = 60_000;

/** Checks all options at once, before anything is connected. */
export function resolveOptions(redis: unknown, options: ConnectOptions = {}): ResolvedOptions {
  if (options === null || typeof options !== 'object' || Array.isArray(options))
    throw typeError(`connect: options must be an object, not ${show(options)}`);
  const unknown = Object.keys(options).filter((key) => !KNOWN.includes(key));
  if (unknown.length > 0) {
    throw typeError(
      `connect: unknown option ${unknown.map((key) => show(key)).join(', ')}; known are ${KNOWN.join(', ')} (ioredis's own go in "redis")`,
    );
  }
  if (options.name !== undefined) checkName(options.name, 'connect: name');
  const ioredis: unknown = options.redis === undefined ? {} : options.redis;
  if (ioredis === null || typeof ioredis !== 'object' || Array.isArray(ioredis)) {
    throw typeError(`connect: redis must be ioredis's options as an object, not ${show(options.redis)}`);
  }
  if (!isDatabase(options.redis?.db ?? 0)) {
    throw typeError(`connect: redis.db must be a whole number from 0 on, not ${show(options.redis?.db)}`);
  }
  const connectTimeout = duration(
    options.connectTimeout,
    'connectTimeout',
    DEFAULTS.connectTimeout,
    1,
    Number.POSITIVE_INFINITY,
  );
  const ttl = duration(options.ttl, 'ttl', DEFAULTS.ttl, 100, LONGEST_TIMER);
  return {
    namespace:
      options.namespace === undefined
        ? DEFAULTS.namespace
        : checkName(options.namespace, 'connect: namespace'),
    ttl,
    maxStall: duration(options.maxStall, 'maxStall', DEFAULTS.maxStall, 100, LONGEST_TIMER),
    name: options.name,
    connectTimeout,
    silence: Math.min(connectTimeout, LONGEST_SILENCE),
    deadlockAfter:
      options.deadlockAfter === Number.POSITIVE_INFINITY
        ? options.deadlockAfter
        : duration(options.deadlockAfter, 'deadlockAfter', DEFAULTS.deadlockAfter, 1, LONGEST_TIMER),
    localTurns: Math.min(handovers(options.maxLocalHandovers) + 1, TOKEN_BLOCK),
    durability: resolveDurability(options.durability, ttl),
    logger: checkLogger(options.logger),
    target: resolveTarget(
      redis === undefined ? process.env.REDIS_URL || 'redis://127.0.0.1:6379' : redis,
      options.redis,
      Math.min(connectTimeout, LONGEST_TIMER),
    ),
  };
}
