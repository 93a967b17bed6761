/** What can be done to a queue as a whole, from anywhere. */
import { CancelledError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkKnown, show, typeError } from '@heddle/primitives/internal';
import { partsOf } from './session-parts.ts';
import { withQueue } from './with-queue.ts';

/** Has no host begin a job of the queue until `resumeQueue`; those that run go on, and jobs can be submitted. */
export function pauseQueue(session: Session, queue: string): Promise<void> {
  return withQueue(session, queue, 'pauseQueue', ({ bull }) => bull.pause());
}

/** Ends a pause. Without effect where there is none. */
export function resumeQueue(session: Session, queue: string): Promise<void> {
  return withQueue(session, queue, 'resumeQueue', ({ bull }) => bull.resume());
}

/** Where a job waits that could begin. */
const DUE = ['prioritized', 'wait'] as const;

/**
 * Takes all jobs out of the queue that have not begun; their Futures end with CancelledError. Gives how many there were.
 * Schedules go on: of each the run that waits is taken out, and the one after it comes.
 * @param options `delayed`: those that were put off too, by a delay, between two attempts or until their schedule has them run
 *   (default: false)
 */
export function drainQueue(
  session: Session,
  queue: string,
  options?: { readonly delayed?: boolean | undefined },
): Promise<number> {
  const where = 'drainQueue';
  const { delayed = false } = checkKnown(options, ['delayed'], where);
  if (typeof delayed !== 'boolean')
    throw typeError(`${where}: delayed must be a boolean, not ${show(delayed)}`);
  return withQueue(session, queue, where, async (jobs) => {
    const error = new CancelledError('the queue was drained');
    const { redis } = partsOf(session, where);
    let drained = 0;
    for (const id of await jobs.ids(delayed ? ['delayed', ...DUE] : DUE))
      if (await jobs.cancel(id, error)) drained += 1;
    // To BullMQ those are active that wait in a host for what they are to hold.
    for (const { id = '' } of await jobs.bull.getActive()) {
      if ((await redis.hget(jobs.bull.toKey(id), 'parked')) === '1' && (await jobs.cancel(id, error)))
        drained += 1;
    }
    return drained;
  });
}

/** What a job has said by `currentJob().log`, in all its attempts, the first line first. */
export function jobLogs(
  session: Session,
  queue: string,
  id: string,
  options?: { readonly start?: number | undefined; readonly limit?: number | undefined },
): Promise<string[]> {
  const where = 'jobLogs';
  const { start = 0, limit = 1000 } = checkKnown(options, ['start', 'limit'], where);
  checkCount(start, `${where}: start`, { min: 0 });
  checkCount(limit, `${where}: limit`);
  if (typeof id !== 'string' || id === '')
    throw typeError(`${where}: id must be the id of a job, not ${show(id)}`);
  return withQueue(session, queue, where, async ({ bull }) => {
    const { logs } = await bull.getJobLogs(id, start, start + limit - 1);
    return logs;
  });
}
