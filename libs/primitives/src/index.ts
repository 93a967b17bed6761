/** The contracts, the errors and every local primitive. Imports nothing but Node itself. */
export type { AnyBarrier, BarrierOptions } from './barrier/barrier.ts';
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
  OutcomeUnknownError,
  OverReleaseError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  RedisRefusedError,
  RedisUnreachableError,
  SessionClosedError,
  ThreadCrashedError,
  TimeoutError,
  UnknownTaskError,
} from './errors.ts';
export type { AnyEvent } from './event/event.ts';
export { type LogicalThread, runAs } from './identity.ts';
export type { AnyLock, Lease } from './lock/lock.ts';
export type {
  AcquireOptions,
  BlockingOptions,
  ForeverOptions,
  MaybePromise,
  WaitOptions,
} from './options.ts';
export type {
  AnySemaphore,
  SemaphoreAcquireOptions,
  SemaphoreForeverOptions,
} from './semaphore/semaphore.ts';
