/** What a submission becomes in Redis. */
import { encodeText, isShareable, typeError } from '@heddle/primitives/internal';
import { captureContext } from '../context/context-var.ts';
import { captureTrace } from '../context/trace-context.ts';
import { checkSize, type JobPayload } from '../jobs/job-form.ts';
import type { Backoff } from '../threads/pooled-task.ts';
import { holdingForm } from './check-options.ts';
import type { Call } from './executor.ts';

/** How long, in seconds, and how many outcomes are kept. */
export interface Keep {
  readonly age: number;
  readonly count: number;
}

/** Kept an hour, and no more than the last 100 000. */
export const KEEP: Keep = { age: 3600, count: 100_000 };

/** A job as BullMQ is given it, without its id. */
export interface CallJob {
  readonly name: string;
  readonly data: JobPayload;
  readonly opts: Readonly<Record<string, unknown>>;
}

/**
 * Encodes arguments and context here and now.
 * @param from the session that wants to hear of it
 * @throws TypeError, NotCloneableError, RangeError for what can't go through Redis
 */
export function jobOfCall({ task, args, options, chunk }: Call, from: string, keep: Keep): CallJob {
  if (options.transfer !== undefined && options.transfer.length > 0) {
    throw typeError(
      'transfer: nothing can be transferred to another process; leave it out',
      'ERR_HEDDLE_LOCAL_ONLY',
    );
  }
  const context = captureContext();
  const trace = captureTrace();
  const { retries = 0, backoff, priority, delay, dedupe, holding, version } = options;
  const timeout = finite(options.timeout);
  return {
    name: task,
    data: {
      args: checkSize(encodeText(args, 'args', { share: refuseLocal }), 'the arguments'),
      from,
      ...(context === undefined ? {} : { context: encodeText(context, 'context', { share: refuseLocal }) }),
      ...(chunk ? { chunk: true as const } : {}),
      ...(timeout === undefined ? {} : { timeout }),
      ...(holding === undefined ? {} : { holding: holdingForm(holding, 'holding') }),
      ...(version === undefined ? {} : { version }),
      ...(trace === undefined ? {} : { trace }),
    },
    opts: {
      attempts: retries + 1,
      stackTraceLimit: 3,
      removeOnComplete: keep,
      removeOnFail: keep,
      ...(backoff === undefined ? {} : { backoff: bullBackoff(backoff) }),
      ...(priority === undefined ? {} : { priority }),
      ...(delay === undefined ? {} : { delay }),
      ...(dedupe === undefined ? {} : { deduplication: { id: dedupe } }),
    },
  };
}

/** A limit in ms as it goes through Redis: none is left out, for JSON has no Infinity. */
export function finite(limit: number | undefined): number | undefined {
  return limit === Number.POSITIVE_INFINITY ? undefined : limit;
}

function bullBackoff(backoff: Backoff): { type: string; delay: number; jitter?: number } {
  if (typeof backoff === 'number') return { type: 'fixed', delay: backoff };
  const { type, delay, jitter } = backoff;
  return { type, delay, ...(jitter === undefined ? {} : { jitter }) };
}

/** What lives in the memory of this process cannot go to another. */
function refuseLocal(object: object): undefined {
  const what = isShareable(object)
    ? `a local ${object.constructor.name}: use the distributed one of the session`
    : object instanceof SharedArrayBuffer ||
        (ArrayBuffer.isView(object) && object.buffer instanceof SharedArrayBuffer)
      ? 'shared memory'
      : object instanceof MessagePort
        ? 'a MessagePort'
        : undefined;
  if (what === undefined) return undefined;
  throw typeError(`the arguments hold what cannot leave this process: ${what}`, 'ERR_HEDDLE_LOCAL_ONLY');
}
