/**
 * Several locks at once, without deadlock: everybody takes them in one order, the one in which they were made
 * (E. G. Coffman et al., "System Deadlocks", 1971: no circular wait).
 */
import { Deadline } from '../deadline.ts';
import { show, typeError } from '../errors.ts';
import { type AcquireOptions, type BlockingOptions, checkWait, type ForeverOptions } from '../options.ts';
import { INNER, MEMORY, Memory, WHOLE } from '../shared-memory/memory.ts';
import { takeInOrder } from './joined-lease.ts';
import type { AnyLock, Lease } from './lock.ts';

/** What `acquireAll` takes: anything local that leases: locks, semaphores, conditions, sides of a read-write lock. */
export interface Acquirable extends Pick<AnyLock, 'acquire'> {
  /** What distributed ones lack: they are taken by `session.acquireAll`. */
  acquireSync(options?: BlockingOptions): boolean;
}

/**
 * Takes all of them, or none, for one lease: whoever names them in whatever order, in whatever thread, nobody waits in
 * a circle. Waits for one after the other in the order they were made in, holding those it has. Resolves to `null`
 * where `timeout` ms passed first: for all together. Rejects with `signal.reason` on abort. Nothing is held then.
 * @throws TypeError (as a rejection) for what is no local lock, and for one that is named twice: it would wait for
 * itself. Distributed ones are taken by `session.acquireAll`.
 */
export function acquireAll(locks: readonly Acquirable[], options?: ForeverOptions): Promise<Lease>;
export function acquireAll(locks: readonly Acquirable[], options: AcquireOptions): Promise<Lease | null>;
export async function acquireAll(
  locks: readonly Acquirable[],
  options?: AcquireOptions,
): Promise<Lease | null> {
  const ordered = inOrder(locks);
  const { timeout, signal } = checkWait(options, 'acquireAll');
  const deadline = Deadline.after(timeout);
  return takeInOrder(ordered, (lock) => lock.acquire({ timeout: deadline.remaining(), signal }));
}

/** In the order they were made in, the same in every thread. */
function inOrder(locks: readonly Acquirable[]): Acquirable[] {
  if (!Array.isArray(locks)) throw typeError(`acquireAll: needs an array of locks, not ${show(locks)}`);
  const ranked = locks.map((lock: Acquirable, index) => ({ lock, memory: memoryOf(lock, index) }));
  ranked.sort((a, b) => a.memory.compare(b.memory));
  for (const [index, { memory }] of ranked.entries()) {
    if (index > 0 && ranked[index - 1]?.memory.compare(memory) === 0) {
      throw typeError(`acquireAll: ${memory.label} is named twice and would wait for itself; name it once`);
    }
  }
  return ranked.map(({ lock }) => lock);
}

/** The memory of what is waited for: of a condition its lock, of a side of a read-write lock the whole. */
function memoryOf(lock: unknown, index: number): Memory {
  const object = typeof lock === 'object' && lock !== null && 'acquire' in lock ? lock : {};
  const inner: unknown = Reflect.get(object, INNER) ?? object;
  const memory: unknown = Reflect.get(inner as object, MEMORY) ?? Reflect.get(object, WHOLE);
  if (memory instanceof Memory) return memory;
  throw typeError(
    `acquireAll: locks[${index}] must be a local lock, not ${show(lock)}; distributed ones are taken by session.acquireAll`,
  );
}
