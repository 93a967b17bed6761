/**
 * One family of errors. Each says by its class and `code` what happened, names the primitive it happened to,
 * and tells in its message what to do about it. Wrong arguments are the built-in `TypeError` and `RangeError`,
 * with a `code` too; see `typeError` and `rangeError`.
 */

/** What every error of the family can be given beside its message. */
export interface HeddleErrorOptions extends ErrorOptions {
  /** The name of the primitive concerned, where it has one. */
  readonly primitive?: string | undefined;
}

/** The root of everything Heddle throws that is not a wrong argument. */
export class HeddleError extends Error {
  /** `ERR_HEDDLE_…`: stable, for programs; the message is for people and may change. */
  readonly code: string;
  /** The primitive's name, where it has one. */
  readonly primitive: string | undefined;

  constructor(message: string, code = 'ERR_HEDDLE', options: HeddleErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.primitive = options.primitive;
  }
}

/** A wait that has to be told as an exception (`with`, `Future.result`, …) took longer than its `timeout`. */
export class TimeoutError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_TIMEOUT', options);
  }
}

/** Something was released, or waited on, by one who does not hold it. Nothing was changed. */
export class NotHeldError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_NOT_HELD', options);
  }
}

/** A bounded count would have passed its bound: one release (or `taskDone`) too many. Nothing was changed. */
export class OverReleaseError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_OVER_RELEASE', options);
  }
}

/** The barrier is broken: a party timed out, aborted or died, its action threw, or it was reset or aborted. */
export class BrokenBarrierError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_BROKEN_BARRIER', options);
  }
}

/** A lease ended before its holder released it; what it guarded may be held by another now. */
export class LeaseLostError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_LEASE_LOST', options);
  }
}

/** A fenced write came too late: a later token has written. Nothing was changed. */
export class StaleTokenError extends HeddleError {
  /** The token of the write. */
  readonly token: number;
  /** The largest that has written. */
  readonly seen: number;
  constructor(
    message: string,
    { token, seen, ...options }: HeddleErrorOptions & { token: number; seen: number },
  ) {
    super(message, 'ERR_HEDDLE_STALE_TOKEN', options);
    this.token = token;
    this.seen = seen;
  }
}

/** `acquireSync` of a robust lock got it from a thread that ended while it held it. The lock is held. */
export class AbandonedError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_ABANDONED', options);
  }
}

/** One edge of a cycle of waiters: who waits for what, and who holds it. */
export interface DeadlockEdge {
  /** The logical thread that waits. */
  readonly waiter: string;
  /** The primitive it waits for. */
  readonly waitsFor: string;
  /** Who has that: the waiter of another edge. */
  readonly heldBy: string;
  /** Local debug mode: where in the code `heldBy` took it. */
  readonly stack?: string | undefined;
}

/** The wait that failed was in a circle of waits: locally the one that closed it, else the youngest. `cycle` lists it. */
export class DeadlockError extends HeddleError {
  /** The waits of the circle. */
  readonly cycle: readonly DeadlockEdge[];
  constructor(message: string, cycle: readonly DeadlockEdge[], options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_DEADLOCK', options);
    this.cycle = cycle;
  }
}

/** The name is in use with another shape (permits, parties, maxsize, count); both shapes are given. */
export class ConfigMismatchError extends HeddleError {
  /** The shape in Redis, set by whoever came first. */
  readonly existing: unknown;
  /** The shape that this handle named. */
  readonly requested: unknown;
  constructor(
    message: string,
    shapes: { existing: unknown; requested: unknown },
    options?: HeddleErrorOptions,
  ) {
    super(message, 'ERR_HEDDLE_CONFIG_MISMATCH', options);
    this.existing = shapes.existing;
    this.requested = shapes.requested;
  }
}

/** `put` found no room within its `timeout`. */
export class QueueFullError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_QUEUE_FULL', options);
  }
}

/** `get` found no item within its `timeout`. */
export class QueueEmptyError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_QUEUE_EMPTY', options);
  }
}

/** The queue was shut down. */
export class QueueShutDownError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_QUEUE_SHUT_DOWN', options);
  }
}

/** A value cannot travel; `path` leads to the part that can't (`args[0].items[3].fn`). */
export class NotCloneableError extends HeddleError {
  /** The part of the value that can't travel. */
  readonly path: string;
  constructor(message: string, path: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_NOT_CLONEABLE', options);
    this.path = path;
  }
}

/** Python's `concurrent.futures.CancelledError`: the future was cancelled or aborted; `cause` is the reason. */
export class CancelledError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_CANCELLED', options);
  }
}

/** Python's `InvalidStateError` and `RuntimeError`: the call does not fit the state (started twice, shut down, …). */
export class InvalidStateError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_INVALID_STATE', options);
  }
}

/** Python's `BrokenExecutor`: the pool can run nothing any more. */
export class BrokenExecutorError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_BROKEN_EXECUTOR', options);
  }
}

/** A thread ended under the task or the function that it ran: that exited, ran out of memory, or the thread was terminated. */
export class ThreadCrashedError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_THREAD_CRASHED', options);
  }
}

/** The task module has no such task; `known` lists those it has. */
export class UnknownTaskError extends HeddleError {
  /** The tasks there are. */
  readonly known: readonly string[];
  constructor(message: string, known: readonly string[], options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_UNKNOWN_TASK', options);
    this.known = known;
  }
}

/** The session is closed or closing; it takes no new work, and its waiters end with this. */
export class SessionClosedError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_SESSION_CLOSED', options);
  }
}

/** Redis could not be reached in time; nothing is known to have happened. */
export class RedisUnreachableError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_REDIS_UNREACHABLE', options);
  }
}

/** Redis was reached and said no: a wrong password, missing permissions, too old, one that evicts keys, is full or a replica, … */
export class RedisRefusedError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_REDIS_REFUSED', options);
  }
}

/** A grant that its session's `durability` asks replicas to confirm was not, in time; it was given back. */
export class NotReplicatedError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_NOT_REPLICATED', options);
  }
}

/** A command was sent and its session ended before the answer came: it may or may not have taken effect. */
export class OutcomeUnknownError extends HeddleError {
  constructor(message: string, options?: HeddleErrorOptions) {
    super(message, 'ERR_HEDDLE_OUTCOME_UNKNOWN', options);
  }
}

/** A built-in `TypeError` with a `code`: an argument of the wrong kind. */
export function typeError(message: string, code = 'ERR_HEDDLE_INVALID_ARG_TYPE'): TypeError {
  return Object.assign(new TypeError(message), { code });
}

/** A built-in `RangeError` with a `code`: an argument of the right kind, out of its range. */
export function rangeError(message: string, code = 'ERR_HEDDLE_OUT_OF_RANGE'): RangeError {
  return Object.assign(new RangeError(message), { code });
}

/** How a value is shown in an error message: short, and never throwing. */
export function show(value: unknown): string {
  try {
    return shown(value);
  } catch {
    return `[${typeof value}]`; // A proxy or a getter of its own mind.
  }
}

function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}…` : value);
    case 'bigint':
      return `${value}n`;
    case 'function':
      return value.name ? `[function ${value.name}]` : '[function]';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? `[array of ${value.length}]` : `[${value.constructor?.name ?? 'object'}]`;
    default:
      return String(value);
  }
}
