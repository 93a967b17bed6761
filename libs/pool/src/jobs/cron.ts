/** Cron expressions, read as BullMQ reads them, before anything goes to Redis. */
import { rangeError, show } from '@heddle/primitives/internal';
import { defaultRepeatStrategy } from 'bullmq';

/** A cron expression, the time zone it is read in, and from when on. */
export interface CronTerms {
  readonly pattern: string;
  readonly tz: string;
  readonly startDate: number;
}

/** @throws RangeError for what is no cron expression, or none that ever comes from then on */
export function checkCron(terms: CronTerms): void {
  const { pattern, startDate } = terms;
  let cause: unknown;
  try {
    if (pattern !== '' && defaultRepeatStrategy(startDate, terms) !== undefined) return;
  } catch (error) {
    cause = error;
  }
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  const error = rangeError(
    `schedule: cron must be a cron expression such as '0 3 * * 1-5', minute, hour, day, month and weekday, not ${show(pattern)}${why}`,
  );
  if (cause !== undefined) error.cause = cause;
  throw error;
}
