/** How a task ended without a result, as it is told from one thread or process to another. */
import { CancelledError } from '@heddle/primitives';
import { type Future, settling } from './future.ts';

/** Its task threw, whatever that was; or nobody wanted it any more. */
export interface Failure {
  readonly what: 'error' | 'cancelled';
  readonly error: Error;
}

/** The same of an error that no task threw. */
export function asFailure(error: Error): Failure {
  return { what: error instanceof CancelledError ? 'cancelled' : 'error', error };
}

export function settleFailure(future: Future<unknown>, { what, error }: Failure): void {
  if (what === 'cancelled' && error instanceof CancelledError) settling().cancelled(future, error);
  else settling().error(future, error);
}
