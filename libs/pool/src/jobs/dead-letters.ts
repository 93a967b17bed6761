/** Jobs that have failed for good: looked at, and put back to be run once more. */
import { readFileSync } from 'node:fs';
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkKnown, show, typeError } from '@heddle/primitives/internal';
import type { Job, Queue } from 'bullmq';
import { readPayload, unpackFailure } from './job-form.ts';
import { argumentsKey } from './large-texts.ts';
import { partsOf, type SessionParts } from './session-parts.ts';
import { withQueue } from './with-queue.ts';

const REPLAY = readFileSync(new URL('./job.replay.lua', import.meta.url), 'utf8');

/** A job whose last attempt failed; one that was aborted or had no more time after it had begun is among them: `error` tells. */
export interface DeadLetter {
  /** The job's: what `replay` and `executor.future` take. */
  readonly id: string;
  /** The name of the task. */
  readonly task: string;
  /** How often it was begun. */
  readonly attempts: number;
  /** What its last attempt ended with. */
  readonly error: Error;
  /** When its last attempt ended. */
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
  const { start = 0, limit = 100 } = checkKnown(options, ['start', 'limit'], where);
  checkCount(start, `${where}: start`, { min: 0 });
  checkCount(limit, `${where}: limit`);
  return withQueue(session, queue, where, async ({ bull }) => {
    const jobs = await bull.getFailed(start, start + limit - 1);
    return jobs.filter((job) => job !== undefined).map(letterOf);
  });
}

/**
 * Puts failed jobs back into their queue, with all their attempts, with their `dedupe` keys where nobody else has those, and
 * without the time to live they had. Gives the ids of
 * those that were there to be put back, and that nobody else puts back at the same time; `executor.future(id)` finds each
 * again.
 */
export function replay(session: Session, queue: string, ids: readonly string[]): Promise<string[]> {
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string'))
    throw typeError(`replay: ids must be an array of the ids of jobs, not ${show(ids)}`);
  return withQueue(session, queue, 'replay', async ({ bull }) => {
    const replayed: string[] = [];
    for (const id of ids) if (await putBack(bull, partsOf(session, 'replay').redis, id)) replayed.push(id);
    return replayed;
  });
}

/** True: it had failed, and is in the queue again by this. */
async function putBack(bull: Queue, redis: SessionParts['redis'], id: string): Promise<boolean> {
  const failedAt = await redis.zscore(bull.toKey('failed'), id);
  const job: Job | undefined = failedAt === null ? undefined : await bull.getJob(id);
  if (failedAt === null || job === undefined) return false;
  const keys = [id, 'failed', 'wait', 'prioritized', 'pc', 'marker', 'meta'].map((part) => bull.toKey(part));
  keys.push(argumentsKey(bull.toKey(id)));
  const data = JSON.stringify(anew(job));
  const push = job.opts.lifo === true ? 'RPUSH' : 'LPUSH';
  return (await redis.eval(REPLAY, keys.length, ...keys, id, failedAt, data, push, bull.toKey('de:'))) === 1;
}

/** A job's data as they are to be when it is replayed: its children are new ones, as those of any attempt after a failure. */
function anew(job: Job): unknown {
  const payload = readPayload(job.data);
  if (payload === undefined) return job.data;
  const { until: _until, ttl: _ttl, ...immortal } = payload;
  return { ...immortal, before: (payload.before ?? 0) + Math.max(1, job.attemptsMade) };
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
