/** The contracts, the errors and every local primitive. Imports nothing but Node itself. */
export { Barrier } from './barrier/barrier.local.ts';
export type { AnyBarrier, BarrierOptions } from './barrier/barrier.ts';
export { Condition } from './condition/condition.local.ts';
export type { AnyCondition } from './condition/condition.ts';
export { Counter } from './counter/counter.local.ts';
export type { AnyCounter } from './counter/counter.ts';
export {
  AbandonedError,
  BrokenBarrierError,
  BrokenExecutorError,
  CancelledError,
  ConfigMismatchError,
  type DeadlockEdge,
  DeadlockError,
  HeddleError,
  InvalidStateError,
  LeaseLostError,
  NotCloneableError,
  NotHeldError,
  NotReplicatedError,
  OutcomeUnknownError,
  OverReleaseError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  RedisRefusedError,
  RedisUnreachableError,
  SessionClosedError,
  StaleTokenError,
  ThreadCrashedError,
  TimeoutError,
  UnknownTaskError,
} from './errors.ts';
export { Event } from './event/event.local.ts';
export type { AnyEvent } from './event/event.ts';
export { type LogicalThread, runAs } from './identity.ts';
export { CountDownLatch } from './latch/latch.local.ts';
export type { AnyCountDownLatch } from './latch/latch.ts';
export { type Acquirable, acquireAll } from './lock/acquire-all.ts';
export { Lock } from './lock/lock.local.ts';
export type { AnyLock, Lease } from './lock/lock.ts';
export type { LockOptions } from './lock/lock-options.ts';
export type {
  AcquireOptions,
  BlockingOptions,
  ForeverOptions,
  MaybePromise,
  WaitOptions,
} from './options.ts';
export { LifoQueue, PriorityQueue, Queue, SimpleQueue } from './queue/queue.local.ts';
export type { AnyQueue, AnySimpleQueue, ShutdownOptions } from './queue/queue.ts';
export type { QueueOptions, SimpleQueueOptions } from './queue/queue-memory.ts';
export {
  type LockSide,
  ReadWriteLock,
  type ReadWriteLockOptions,
} from './read-write-lock/read-write-lock.local.ts';
export type { AnyReadWriteLock } from './read-write-lock/read-write-lock.ts';
export { RLock } from './rlock/rlock.local.ts';
export type { AnyRLock } from './rlock/rlock.ts';
export { BoundedSemaphore, Semaphore, type SemaphoreBlockingOptions } from './semaphore/semaphore.local.ts';
export type {
  AnySemaphore,
  SemaphoreAcquireOptions,
  SemaphoreForeverOptions,
} from './semaphore/semaphore.ts';
export type { AttachOptions } from './sharing/makers.ts';
export { attach, type Handle, type Shareable, share } from './sharing/share.ts';
export { type ExceptHook, setExceptHook, type UncaughtInThread } from './thread/except-hook.ts';
export { Thread } from './thread/thread.local.ts';
export type { AnyThread, ThreadOptions } from './thread/thread.ts';
export {
  activeCount,
  currentThread,
  enumerate,
  getIdent,
  getNativeId,
  mainThread,
} from './thread/threads.ts';
export { ThreadLocal, type ThreadLocalConstructor } from './thread-local/thread-local.ts';
export { Timer } from './timer/timer.ts';
