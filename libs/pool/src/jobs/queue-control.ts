/** What can be done to a queue as a whole, from anywhere. */
import { CancelledError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkOptions, show, typeError } from '@heddle/primitives/internal';
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

/**
 * Takes all jobs out of the queue that have not begun; their Futures end with CancelledError. Gives how many there were.
 * @param options `delayed`: those that were put off too, by a delay or between two attempts (default: false)
 */
export function drainQueue(
  session: Session,
  queue: string,
  options?: { readonly delayed?: boolean | undefined },
): Promise<number> {
  const where = 'drainQueue';
  const { delayed = false } = checkOptions(options, where);
  if (typeof delayed !== 'boolean')
    throw typeError(`${where}: delayed must be a boolean, not ${show(delayed)}`);
  return withQueue(session, queue, where, async (jobs) => {
    const states = delayed
      ? (['wait', 'prioritized', 'delayed'] as const)
      : (['wait', 'prioritized'] as const);
    const error = new CancelledError('the queue was drained');
    const { redis } = partsOf(session, where);
    let drained = 0;
    for (let taken = 1; taken > 0; drained += taken) {
      taken = 0;
      for (const job of await jobs.bull.getJobs([...states], 0, 499)) {
        if (job?.id !== undefined && (await jobs.cancel(job.id, error))) taken += 1;
      }
    }
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
  const { start = 0, limit = 1000 } = checkOptions(options, where);
  checkCount(start, `${where}: start`, { min: 0 });
  checkCount(limit, `${where}: limit`);
  if (typeof id !== 'string' || id === '')
    throw typeError(`${where}: id must be the id of a job, not ${show(id)}`);
  return withQueue(session, queue, where, async ({ bull }) => {
    const { logs } = await bull.getJobLogs(id, start, start + limit - 1);
    return logs;
  });
}
