/** Submit, map and schedule options, checked at the call. */
import {
  checkCount,
  checkKnown,
  checkTimeout,
  rangeError,
  show,
  typeError,
} from '@heddle/primitives/internal';
import { checkName } from '../primitive-name.ts';
import type { Backoff } from '../threads/pooled-task.ts';
import type { HandleForm } from '../threads/session-protocol.ts';
import type { ScheduleOptions, SubmitOptions } from './executor.ts';

const SUBMIT_OPTIONS = [
  'signal',
  'timeout',
  'ttl',
  'transfer',
  'priority',
  'delay',
  'dedupe',
  'retries',
  'backoff',
  'holding',
  'version',
] satisfies (keyof SubmitOptions)[];

const SCHEDULE_OPTIONS = ['delay', 'at', 'every', 'cron', 'timeZone'] satisfies (keyof ScheduleOptions)[];

/** BullMQ's largest: it counts in 21 bits. */
const LOWEST_PRIORITY = 2_097_151;
/** The longest, in ms, after which something can be put off to: 30 000 years, of which a `Date` can tell the end. */
const LONGEST_DELAY = 1e15;

/** @param others options that there are besides, checked elsewhere */
export function checkSubmitOptions(
  options: SubmitOptions | undefined,
  where: string,
  others: readonly string[] = [],
): SubmitOptions {
  const given = checkKnown(options, [...others, ...SUBMIT_OPTIONS], where);
  checkTimeout(given.timeout, where);
  checkNamed(given.ttl, where, 'ttl');
  checkDelay(given.delay, where, 'delay', 'leave a task out that is never to run');
  if (given.signal !== undefined && !(given.signal instanceof AbortSignal)) {
    throw typeError(`${where}: signal must be an AbortSignal, not ${show(given.signal)}`);
  }
  if (given.priority !== undefined) {
    checkCount(given.priority, `${where}: priority`, { min: 0, max: LOWEST_PRIORITY });
  }
  if (given.retries !== undefined) checkCount(given.retries, `${where}: retries`, { min: 0 });
  if (given.backoff !== undefined) checkBackoff(given.backoff, where);
  if (given.dedupe !== undefined && (typeof given.dedupe !== 'string' || given.dedupe === '')) {
    throw typeError(`${where}: dedupe must be a string of 1 character or more, not ${show(given.dedupe)}`);
  }
  if (given.version !== undefined && (typeof given.version !== 'string' || given.version === '')) {
    throw typeError(`${where}: version must be a string of 1 character or more, not ${show(given.version)}`);
  }
  if (given.transfer !== undefined && !Array.isArray(given.transfer)) {
    throw typeError(
      `${where}: transfer must be an array of transferable objects, not ${show(given.transfer)}`,
    );
  }
  if (given.holding !== undefined) holdingForm(given.holding, `${where}: holding`);
  return given;
}

/** What `holding` names, as a handle of a session. */
export function holdingForm(holding: unknown, where: string): HandleForm {
  if (typeof holding === 'string') return { make: 'lock', name: checkName(holding, where), args: [] };
  const given: Record<string, unknown> =
    holding !== null && typeof holding === 'object' ? { ...holding } : {};
  const { lock, semaphore, permits, ...others } = given;
  const either = (lock === undefined) !== (semaphore === undefined);
  if (!either || Object.keys(others).length > 0 || (lock !== undefined && permits !== undefined)) {
    throw typeError(
      `${where} must be the name of a lock, { lock: name } or { semaphore: name, permits }, not ${show(holding)}`,
    );
  }
  if (lock !== undefined) return { make: 'lock', name: checkName(lock, `${where}.lock`), args: [] };
  const limit = checkCount(permits === undefined ? 1 : permits, `${where}.permits`);
  return { make: 'semaphore', name: checkName(semaphore, `${where}.semaphore`), args: [limit] };
}

/** True or false, and nothing that counts as either. */
export function checkFlag(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw typeError(`${what} must be true or false, not ${show(value)}`);
  return value;
}

/** Milliseconds, 0 or more. */
export function checkNamed(value: unknown, where: string, name: string): void {
  if (value === undefined) return;
  if (typeof value !== 'number')
    throw typeError(`${where}: ${name} must be a number of ms, not ${show(value)}`);
  if (!(value >= 0)) throw rangeError(`${where}: ${name} must be 0 or more ms, not ${value}`);
}

/** Milliseconds until something happens, which Redis must be able to tell. */
function checkDelay(value: number | undefined, where: string, name: string, instead: string): void {
  checkNamed(value, where, name);
  if (value !== undefined && value > LONGEST_DELAY)
    throw rangeError(`${where}: ${name} must be ${LONGEST_DELAY} ms or less, not ${value}; ${instead}`);
}

function checkBackoff(backoff: Backoff, where: string): void {
  const instead = 'retries: 0 never runs it again';
  if (typeof backoff === 'number') return checkDelay(backoff, where, 'backoff', instead);
  const { type, delay, jitter } = checkKnown(backoff, ['type', 'delay', 'jitter'], `${where}: backoff`);
  if (type !== 'fixed' && type !== 'exponential') {
    throw typeError(`${where}: backoff.type must be 'fixed' or 'exponential', not ${show(type)}`);
  }
  if (delay === undefined) throw typeError(`${where}: backoff.delay must be a number of ms`);
  checkDelay(delay, where, 'backoff.delay', instead);
  if (jitter === undefined) return;
  if (typeof jitter !== 'number')
    throw typeError(`${where}: backoff.jitter must be a number, not ${show(jitter)}`);
  if (!(jitter >= 0 && jitter <= 1))
    throw rangeError(`${where}: backoff.jitter must be from 0 to 1, not ${jitter}`);
}

/** How a schedule begins and repeats. */
export interface CheckedSchedule {
  /** Milliseconds until the first run. */
  readonly delay: number;
  readonly every: number | undefined;
  /** A cron expression, and the time zone it is read in. */
  readonly cron: { readonly pattern: string; readonly tz: string } | undefined;
}

export function checkSchedule(options: ScheduleOptions | undefined, where: string): CheckedSchedule {
  const { delay, at, every, cron, timeZone } = checkKnown(options, SCHEDULE_OPTIONS, where);
  checkDelay(delay, where, 'delay', 'leave a task out that is never to run');
  checkDelay(every, where, 'every', 'leave it out to run once');
  if (every === 0) throw rangeError(`${where}: every must be more than 0 ms`);
  const time = at instanceof Date ? at.getTime() : at;
  if (time !== undefined && (typeof time !== 'number' || Number.isNaN(time))) {
    throw typeError(`${where}: at must be a Date, or ms since 1970, not ${show(at)}`);
  }
  const wait = time === undefined ? 0 : Math.max(0, time - Date.now());
  if (wait > LONGEST_DELAY) {
    throw rangeError(
      `${where}: at must be ${LONGEST_DELAY} ms from now or sooner, not ${time}; leave a task out that is never to run`,
    );
  }
  if (cron !== undefined && typeof cron !== 'string') {
    throw typeError(`${where}: cron must be a cron expression, not ${show(cron)}`);
  }
  if ([delay, time, cron].filter((way) => way !== undefined).length > 1) {
    throw typeError(`${where}: delay, at and cron exclude each other; give one`);
  }
  if (cron !== undefined && every !== undefined)
    throw typeError(`${where}: every and cron exclude each other; give one`);
  if (cron === undefined && timeZone !== undefined)
    throw typeError(`${where}: timeZone goes with cron, and nothing else`);
  const zoned = cron === undefined ? undefined : { pattern: cron, tz: checkTimeZone(timeZone, where) };
  return { delay: delay ?? wait, every, cron: zoned };
}

/** This process's, where none is given. */
function checkTimeZone(timeZone: unknown, where: string): string {
  if (timeZone !== undefined && typeof timeZone !== 'string')
    throw typeError(`${where}: timeZone must be the name of a time zone, not ${show(timeZone)}`);
  try {
    const { timeZone: own } = new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions();
    return timeZone ?? own;
  } catch {
    throw rangeError(
      `${where}: timeZone must be an IANA time zone such as 'Europe/Berlin', not ${show(timeZone)}`,
    );
  }
}
