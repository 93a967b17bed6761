/** The distributed scope: `connect` and what a session offers. Needs ioredis. */
export type { DistributedBarrier } from './barrier/barrier.distributed.ts';
export type { DistributedCondition, DistributedConditionOptions } from './condition/condition.distributed.ts';
export type { DistributedCounter } from './counter/counter.distributed.ts';
export type { DistributedEvent } from './event/event.distributed.ts';
export {
  type FencedClient,
  type FencedOptions,
  fencedDelete,
  fencedGet,
  fencedSet,
} from './fencing/fenced.distributed.ts';
export type { DistributedCountDownLatch } from './latch/latch.distributed.ts';
export type { DistributedAcquirable } from './lock/acquire-all.distributed.ts';
export type { DistributedLock, DistributedLockOptions } from './lock/lock.distributed.ts';
export type {
  DistributedQueue,
  DistributedQueueOptions,
  DistributedSimpleQueue,
} from './queue/queue.distributed.ts';
export type { DistributedQuorumLock, QuorumLockOptions } from './quorum-lock/quorum-lock.distributed.ts';
export type {
  DistributedLockSide,
  DistributedReadWriteLock,
} from './read-write-lock/read-write-lock.distributed.ts';
export type { DistributedRLock } from './rlock/rlock.distributed.ts';
export type { DistributedSemaphore } from './semaphore/semaphore.distributed.ts';
export type { Durability } from './session/durability.ts';
export { type InspectedLock, inspectLocks, type LockParty } from './session/inspect.distributed.ts';
export type { ConnectOptions, Logger } from './session/options.ts';
export { connect, type Member, Session, type SessionEvents } from './session.distributed.ts';
