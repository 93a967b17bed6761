/** The body of every `with`: acquire, run, release, in both scopes. */
import { LeaseLostError, TimeoutError } from '../errors.ts';
import { currentLogicalThread, runAs } from '../identity.ts';
import { checkFunction } from '../options.ts';
import type { Lease } from './lock.ts';

/**
 * Runs `fn` under the lease that `acquire` gives, in a logical thread named after `what` unless the caller is in an
 * explicit one, and releases however it ends. A lost lease is told even where `fn` threw: its error is the `cause`.
 */
export async function useLease<T>(
  what: string,
  acquire: () => Promise<Lease | null>,
  fn: (lease: Lease) => T | PromiseLike<T>,
): Promise<T> {
  checkFunction(fn, `${what}: with(fn): fn`);
  const body = async (): Promise<T> => {
    const lease = await acquire();
    if (lease === null)
      throw new TimeoutError(
        `${what} was not acquired in time; allow a longer timeout, or use acquire() and test for null`,
        { primitive: what },
      );
    let failure: { error: unknown } | undefined;
    try {
      return await fn(lease);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      await lease.release().catch((error: unknown) => {
        if (failure !== undefined && error instanceof LeaseLostError) {
          throw new LeaseLostError(error.message, { primitive: error.primitive, cause: failure.error });
        }
        if (failure === undefined) throw error;
      });
    }
  };
  return currentLogicalThread().explicit ? body() : runAs(`with ${what}`, body);
}
