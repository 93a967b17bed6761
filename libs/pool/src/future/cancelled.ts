/** What a Future ends with where its task was not to be run, or to go on: the same words wherever that is found out. */
import { CancelledError, TimeoutError } from '@heddle/primitives';

/** Taken back in time. */
export function cancelledUnbegun(): CancelledError {
  return new CancelledError('the task was cancelled before it began');
}

/** Told to end, whether it had begun or not; `cause` is the reason given. */
export function aborted(cause: unknown): CancelledError {
  return new CancelledError('the task was aborted', { cause });
}

/** Not done within its time to live, in ms. */
export function outlived(task: string, ttl: number): TimeoutError {
  return new TimeoutError(`the task ${JSON.stringify(task)} was not done within its ttl of ${ttl} ms`);
}
