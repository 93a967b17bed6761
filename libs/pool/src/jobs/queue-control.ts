/** What can be done to a queue as a whole, from anywhere. */
import { CancelledError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkOptions, encodeText, show, typeError } from '@heddle/primitives/internal';
import type { Job } from 'bullmq';
import { readPayload } from './job-form.ts';
import { Outbox } from './outbox.ts';
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
    const outbox = new Outbox(partsOf(session, where), () => {}); // who misses the news asks
    const text = encodeText(new CancelledError('the queue was drained'), 'error');
    let drained = 0;
    for (let taken = 1; taken > 0; drained += taken) {
      taken = 0;
      for (const job of await jobs.bull.getJobs([...states], 0, 499)) {
        if (job?.id === undefined || !(await jobs.cancel(job.id))) continue;
        taken += 1;
        tellEnd(outbox, job, text);
      }
    }
    await outbox.flush();
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

function tellEnd(outbox: Outbox, { id, data }: Job, text: string): void {
  const payload = readPayload(data);
  if (payload !== undefined) outbox.post(payload.from, id ?? '', 'error', text);
}
