/** A task's function is called: as the job it is, in the context and the trace of its submitter, with each of its inputs. */
import { enterJob } from '@heddle/primitives/internal';
import { restoreContext } from '../context/context-var.ts';
import { restoreTrace } from '../context/trace-context.ts';
import type { ChunkOutcome, TaskExtra } from './protocol.ts';
import type { RunningJob } from './running-job.ts';
import type { Task } from './task-module.ts';
import { asError, type ThreadCodec } from './thread-codec.ts';

/** To be called in an async scope of its own, in which it leaves the job. */
export function callTask(
  job: RunningJob,
  call: Task,
  given: unknown[],
  extra: TaskExtra | undefined,
  decode: ThreadCodec['decode'],
): unknown {
  enterJob(job.task, job);
  if (extra === undefined) return call(...given);
  const context =
    extra.context === undefined ? undefined : (decode(extra.context) as Record<string, unknown>);
  return restoreContext(context, () =>
    restoreTrace(extra.trace, () => (extra.chunk ? callWithEach(call, given, extra.again) : call(...given))),
  );
}

/** Each input in turn; what has been done before the first error is kept, unless all of it is to be done again. */
async function callWithEach(call: Task, inputs: readonly unknown[], again = false): Promise<ChunkOutcome> {
  const values: unknown[] = [];
  const goesOn = isThenable; // V8 looks an exported function up anew at each call
  for (const input of inputs) {
    try {
      const value = call(input);
      values.push(goesOn(value) ? await value : value);
    } catch (error) {
      if (again) throw error;
      return { values, error: asError(error) };
    }
  }
  return { values };
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null && typeof value === 'object' && typeof (value as { then?: unknown }).then === 'function'
  );
}
