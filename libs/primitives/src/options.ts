/** What callers pass, checked once at the door: a wrong value is refused before anything is queued or changed. */
import { rangeError, show, typeError } from './errors.ts';

/** A value locally, a promise distributed. Always `await` it; never test it unawaited: a promise is always true. */
export type MaybePromise<T> = T | Promise<T>;

/** What every blocking (`…Sync`) wait takes. */
export interface BlockingOptions {
  /** Milliseconds. Left out or `Infinity`: for ever. 0: do not wait. */
  readonly timeout?: number | undefined;
}

/** What every asynchronous wait takes. */
export interface WaitOptions extends BlockingOptions {
  /** Ends the wait: the promise rejects with `signal.reason`, and nothing is left queued or held. */
  readonly signal?: AbortSignal | undefined;
}

/** `acquire`'s options. */
export type AcquireOptions = WaitOptions;

/** Options without a time-out: such an `acquire` always ends with a lease (or an exception). */
export interface ForeverOptions {
  /** Ends the wait: the promise rejects with `signal.reason`, and nothing is left queued or held. */
  readonly signal?: AbortSignal | undefined;
  /** None: with one, `acquire` may give `null`. */
  readonly timeout?: undefined;
}

/** Options, or `undefined`, as an object; anything else is refused. `example`: of them, or their names. */
export function checkOptions<T extends object>(
  options: T | undefined,
  where: string,
  example: string | readonly string[] = '{ timeout: 1000 }',
): Partial<T> {
  if (options === undefined) return {};
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    const such = typeof example === 'string' ? example : `{ ${example.slice(0, 3).join(', ')} }`;
    throw typeError(`${where}: options must be an object such as ${such}, not ${show(options)}`);
  }
  return options;
}

/** The same, and none of them unknown. */
export function checkKnown<T extends object>(
  options: T | undefined,
  known: readonly string[],
  where: string,
): Partial<T> {
  const given = checkOptions(options, where, known);
  refuseUnknown(given, known, where);
  return given;
}

/** Refuses options that nobody here reads: a misspelt one, or one that promises what is not built, must not pass in silence. */
export function refuseUnknown(options: object, known: readonly string[], where: string): void {
  const unknown = Object.keys(options).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  const names = unknown.map((key) => show(key)).join(', ');
  throw typeError(`${where}: unknown option ${names}; known are ${known.join(', ')}`);
}

/** Refuses what is given besides a name, or what `takes` says: options that nobody here reads must not pass in silence either. */
export function checkAlone(further: readonly unknown[], what: string, takes = 'a name'): void {
  for (const one of further) {
    if (one === undefined) continue;
    const names = typeof one === 'object' && one !== null && !Array.isArray(one) ? Object.keys(one) : [];
    const given = names.length > 0 ? `{ ${names.join(', ')} }` : show(one);
    throw typeError(`${what} takes ${takes} alone, not ${given}; leave that out`);
  }
}

/** Checks a time-out in milliseconds; `Infinity` and `undefined` both come back as `undefined`: for ever. */
export function checkTimeout(timeout: unknown, where: string): number | undefined {
  if (timeout === undefined) return undefined;
  if (typeof timeout !== 'number') {
    throw typeError(
      `${where}: timeout must be a number of milliseconds, not ${show(timeout)}; leave it out to wait for ever`,
    );
  }
  if (Number.isNaN(timeout) || timeout < 0) {
    throw rangeError(
      `${where}: timeout must be 0 or more milliseconds, not ${timeout}; leave it out to wait for ever`,
    );
  }
  return timeout === Number.POSITIVE_INFINITY ? undefined : timeout;
}

/** Checks an `AbortSignal` and throws its reason where it has aborted already. */
export function checkSignal(signal: unknown, where: string): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  if (!(signal instanceof AbortSignal)) {
    throw typeError(`${where}: signal must be an AbortSignal, not ${show(signal)}`);
  }
  signal.throwIfAborted();
  return signal;
}

export interface CheckedWait {
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Refuses what a wait does not read where nothing that it does read would end it: with a misspelt time-out it would last
 * for ever. Where one is given nobody looks, since a look takes half as long as a lock.
 */
function checkEndless(given: WaitOptions, where: string, also?: string): void {
  for (const key in given) {
    if (key === 'timeout' || key === 'signal' || key === also) continue;
    if (given[key as keyof WaitOptions] !== undefined)
      refuseUnknown({ [key]: 0 }, ['timeout', 'signal', ...(also ? [also] : [])], where);
  }
}

/** Both of the above, for the asynchronous waits. */
export function checkWait(options: WaitOptions | undefined, where: string, also?: string): CheckedWait {
  const given = checkOptions(options, where);
  if (given.timeout === undefined && given.signal === undefined) checkEndless(given, where, also);
  return { timeout: checkTimeout(given.timeout, where), signal: checkSignal(given.signal, where) };
}

/** For the blocking waits: the checked time-out. They can't be aborted, so a `signal` is refused. */
export function checkBlocking(
  options: BlockingOptions | undefined,
  where: string,
  also?: string,
): number | undefined {
  const given: WaitOptions = checkOptions(options, where);
  if (given.signal !== undefined) {
    throw typeError(`${where}: a blocked thread can't see a signal; use the asynchronous form`);
  }
  if (given.timeout === undefined) checkEndless(given, where, also);
  return checkTimeout(given.timeout, where);
}

/** A whole number from `min` to `max`. */
export function checkCount(
  value: unknown,
  what: string,
  { min = 1, max = Number.MAX_SAFE_INTEGER } = {},
): number {
  if (typeof value !== 'number') throw typeError(`${what} must be a number, not ${show(value)}`);
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw rangeError(`${what} must be a whole number from ${min} to ${max}, not ${value}`);
  }
  return value;
}

/** Checks the ms that a hold may last; `Infinity` and `undefined` both come back as `undefined`: for ever. */
export function checkMaxHold(maxHold: unknown): number | undefined {
  if (maxHold === undefined || maxHold === Number.POSITIVE_INFINITY) return undefined;
  return checkCount(maxHold, 'lock: maxHold, in ms,');
}

/** A function, or it is refused. */
export function checkFunction(value: unknown, what: string): void {
  if (typeof value !== 'function') throw typeError(`${what} must be a function, not ${show(value)}`);
}
