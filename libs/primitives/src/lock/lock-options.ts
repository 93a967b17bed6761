/** What a local lock can be made with. */
import { InvalidStateError, show, typeError } from '../errors.ts';
import { checkOptions } from '../options.ts';

/** What `new Lock` and `new RLock` take. */
export interface LockOptions {
  /**
   * Passes on from a holder whose thread ended while it held: the next to acquire gets a lease with `abandoned` set
   * (`acquireSync` throws `AbandonedError`, holding the lock). Otherwise such a lock stays locked, as in Python.
   */
  readonly robust?: boolean | undefined;
  /** Tracks owners and reports cycles of waiters. Not available yet: `true` is refused. */
  readonly debug?: boolean | undefined;
}

/** Checks a local lock's options. */
export function checkLockOptions(options: LockOptions | undefined, where: string): { robust: boolean } {
  const { robust = false, debug = false } = checkOptions(options, `new ${where}`);
  if (typeof robust !== 'boolean') {
    throw typeError(`new ${where}: robust must be true or false, not ${show(robust)}`);
  }
  if (typeof debug !== 'boolean') {
    throw typeError(`new ${where}: debug must be true or false, not ${show(debug)}`);
  }
  if (debug) {
    throw new InvalidStateError(
      `new ${where}: this version can't track the owners of local locks; leave debug out`,
    );
  }
  return { robust };
}
