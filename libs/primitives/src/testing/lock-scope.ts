/** What the suites that every lock has to pass are bound with. */
import type { AnyLock, Lease } from '../lock/lock.ts';

export interface LockScope {
  make(): Promise<AnyLock>;
  /** The same lock by another handle. */
  another(lock: AnyLock): Promise<AnyLock>;
  /** Waiters of different handles are served first come, first served. */
  readonly fifo: boolean;
  /** `another` gives one that can't release the first handle's hold. */
  readonly separateOwners: boolean;
  /** Not even the waiters of one handle are. */
  readonly unordered?: boolean;
}

/** Takes a lock that must be free. */
export async function taken(lock: AnyLock): Promise<Lease> {
  const lease = await lock.acquire({ timeout: 0 });
  if (lease === null) throw new Error('the lock should have been free');
  return lease;
}
