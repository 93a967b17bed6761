import { onAbort } from './on-abort.ts';

/**
 * Has `controller` abort with `signal`, for its reason; gives what ends that. Not `AbortSignal.any`: of a signal that outlives
 * many others Node keeps an entry for each that was ever made of it.
 */
export function abortWith(controller: AbortController, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) controller.abort(signal.reason);
  return onAbort(signal, () => controller.abort(signal.reason));
}
