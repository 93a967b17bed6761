/** Jobs that have failed for good: looked at, and put back to be run once more. */
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkOptions, show, typeError } from '@heddle/primitives/internal';
import type { Job } from 'bullmq';
import { readPayload, unpackFailure } from './job-form.ts';
import { partsOf } from './session-parts.ts';
import { withQueue } from './with-queue.ts';

/** A job whose last attempt failed; one that was cancelled or came too late is among them. */
export interface DeadLetter {
  readonly id: string;
  readonly task: string;
  /** How often it was begun. */
  readonly attempts: number;
  /** What its last attempt ended with. */
  readonly error: Error;
  readonly failedAt: Date;
}

/**
 * A queue's failed jobs, the last to fail first, for as long as executors keep outcomes (`keep`: an hour).
 * @param options `start`, how many to pass over (default 0), and `limit`, how many to give (default 100)
 */
export function deadLetters(
  session: Session,
  queue: string,
  options?: { readonly start?: number | undefined; readonly limit?: number | undefined },
): Promise<DeadLetter[]> {
  const where = 'deadLetters';
  const { start = 0, limit = 100 } = checkOptions(options, where);
  checkCount(start, `${where}: start`, { min: 0 });
  checkCount(limit, `${where}: limit`);
  return withQueue(session, queue, where, async ({ bull }) => {
    const jobs = await bull.getFailed(start, start + limit - 1);
    return jobs.filter((job) => job !== undefined).map(letterOf);
  });
}

/**
 * Puts failed jobs back into their queue, with all their attempts, and without the time to live they had. Gives the ids of
 * those that were there to be put back; `executor.future(id)` finds each again.
 */
export function replay(session: Session, queue: string, ids: readonly string[]): Promise<string[]> {
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string'))
    throw typeError(`replay: ids must be an array of the ids of jobs, not ${show(ids)}`);
  return withQueue(session, queue, 'replay', async ({ bull }) => {
    const replayed: string[] = [];
    for (const id of ids) {
      const job: Job | undefined = await bull.getJob(id);
      if (job === undefined || !(await job.isFailed())) continue;
      const payload = readPayload(job.data);
      if (payload !== undefined) {
        const { until: _, ...immortal } = payload;
        // Its children are new ones, as those of any attempt after a failure.
        await job.updateData({ ...immortal, before: (payload.before ?? 0) + Math.max(1, job.attemptsMade) });
      }
      // Where it was cancelled while it waited, or aborted.
      await partsOf(session, 'replay').redis.hdel(bull.toKey(id), 'parked', 'aborted');
      await job.retry('failed', { resetAttemptsMade: true });
      replayed.push(id);
    }
    return replayed;
  });
}

function letterOf(job: Job): DeadLetter {
  return {
    id: job.id ?? '',
    task: job.name,
    attempts: job.attemptsStarted,
    error: unpackFailure(job.stacktrace?.at(-1), job.failedReason).error,
    failedAt: new Date(job.finishedOn ?? job.timestamp),
  };
}
