/**
 * Has `controller` abort with `signal`, for its reason; gives what ends that. Not `AbortSignal.any`: of a signal that outlives
 * many others Node keeps an entry for each that was ever made of it.
 */
export function abortWith(controller: AbortController, signal: AbortSignal | undefined): () => void {
  const onAbort = () => controller.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  return () => signal?.removeEventListener('abort', onAbort);
}
