/** The body of every `with`: acquire, run, release, in both scopes. */
import { LeaseLostError, TimeoutError, typeError } from '../errors.ts';
import { runWith } from '../identity.ts';
import { checkFunction } from '../options.ts';
import type { Lease } from './lock.ts';
import { inBlockingBody } from './own-body.ts';

/**
 * Runs `fn` under the lease that `acquire` gives, in a logical thread named after `what` unless the caller is in an
 * explicit one, and releases however it ends. A lost lease is told even where `fn` threw: its error is the `cause`.
 */
export async function useLease<T>(
  what: string,
  acquire: () => Promise<Lease | null>,
  fn: (lease: Lease) => T | PromiseLike<T>,
  primitive = what,
): Promise<T> {
  checkFunction(fn, `${what}: with(fn): fn`);
  return runWith(what, async (body) => {
    const lease = await acquire();
    if (lease === null) throw notInTime(what, primitive);
    let failure: { error: unknown } | undefined;
    try {
      body.lease = lease;
      return await fn(lease);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      body.over = true;
      await lease.release().catch((error: unknown) => {
        if (failure !== undefined && error instanceof LeaseLostError) {
          throw new LeaseLostError(error.message, { primitive: error.primitive, cause: failure.error });
        }
        if (failure === undefined) throw error;
      });
    }
  });
}

/** What `with` and `withSync` throw where the time-out passed first. */
export function notInTime(what: string, primitive = what): TimeoutError {
  return new TimeoutError(
    `${what} was not acquired in time; allow a longer timeout, or acquire it yourself and test for failure`,
    { primitive },
  );
}

/** The body of every `withSync` of a lock: see `callSync`. */
export function useLeaseSync<T>(what: string, lease: Lease, fn: () => T): T {
  return callSync(
    what,
    () => inBlockingBody(what, lease, fn),
    () => void lease.release(),
  );
}

/** Runs `fn`, then `release`, however `fn` ends. An async `fn` is refused. */
export function callSync<T>(what: string, fn: () => T, release: () => void): T {
  try {
    const value = fn();
    if (value instanceof Promise) {
      value.catch(() => {});
      throw typeError(`${what}: withSync(fn): fn is asynchronous and would outlive the hold; use with(fn)`);
    }
    return value;
  } finally {
    release();
  }
}
