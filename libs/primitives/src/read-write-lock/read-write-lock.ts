/** The contract of a read-write lock, in both scopes. */
import type { AnyLock } from '../lock/lock.ts';

/**
 * Java's `ReadWriteLock`, which `threading` has not: many may hold `read` at once, one alone may hold `write`, and
 * nobody else anything meanwhile. Neither re-enters: who holds `read` and waits for `write` waits for itself.
 */
export interface AnyReadWriteLock {
  /**
   * A lock that many hold at once. Waits while somebody holds `write` or waits for it: readers that keep coming do
   * not keep a writer out. `release()` ends one of the caller's holds; each lease ends its own.
   */
  readonly read: AnyLock;
  /** A lock that one holds alone. Waits until the readers of before have gone; those who come later wait for it. */
  readonly write: AnyLock;
}
