/** The limits that a submission sets itself: its signal, and its time to live. */
import { Deadline, onAbort } from '@heddle/primitives/internal';
import { aborted, outlived } from '../future/cancelled.ts';
import { type Future, settling } from '../future/future.ts';

/** What limits a task of that name. */
export interface Limits {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds. */
  readonly ttl?: number | undefined;
}

/** Ends the Future, and by `end` its task, when the signal aborts or the time to live is over: at once where that is so already. */
export function limit(
  future: Future<unknown>,
  task: string,
  { signal, ttl }: Limits,
  end: (reason: unknown) => void,
): void {
  if (signal === undefined && ttl === undefined) return;
  const abort = () => {
    settling().cancelled(future, aborted(signal?.reason));
    end(signal?.reason);
  };
  const late = () => {
    const error = outlived(task, ttl as number);
    settling().error(future, error);
    end(error);
  };
  if (signal?.aborted === true) return abort();
  if (ttl !== undefined && ttl <= 0) return late();
  if (signal !== undefined) settling().whenDone(future, onAbort(signal, abort));
  if (ttl !== undefined) settling().whenDone(future, Deadline.after(ttl).onExpiry(late));
}
