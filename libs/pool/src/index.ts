/** `concurrent.futures`: executors on the threads of this process and of many hosts, their Futures, and context that travels. */
export {
  BrokenExecutorError,
  CancelledError,
  InvalidStateError,
  LeaseLostError,
  NotCloneableError,
  OutcomeUnknownError,
  QueueFullError,
  RedisRefusedError,
  SessionClosedError,
  ThreadCrashedError,
  TimeoutError,
  UnknownTaskError,
} from '@heddle/primitives';
export {
  ContextVar,
  type ContextVarConstructor,
  type ContextVarOptions,
  type ContextVarWithDefault,
} from './context/context-var.ts';
export { DistributedExecutor, type DistributedOptions } from './executor/distributed.executor.ts';
export type {
  AnyTasks,
  Executor,
  Holding,
  MapOptions,
  ScheduledTask,
  ScheduleOptions,
  ShutdownOptions,
  SubmitOptions,
  TaskArgs,
  TaskInput,
  TaskName,
  TaskResult,
} from './executor/executor.ts';
export { ThreadPoolExecutor } from './executor/thread-pool.executor.ts';
export type { TaskLog, ThreadPoolOptions } from './executor/thread-pool.options.ts';
export { Future } from './future/future.ts';
export {
  asCompleted,
  type CompletedFutures,
  type ResultOf,
  type ReturnWhen,
  type WaitForOptions,
  type WaitResult,
  wait,
} from './future/wait.ts';
export { type DeadLetter, deadLetters, replay } from './jobs/dead-letters.ts';
export { type Fleet, fleet, type HostStatus, type QueueStatus, removeQueue } from './jobs/fleet.ts';
export type { Queues, WorkerHostOptions } from './jobs/host-options.ts';
export { drainQueue, jobLogs, pauseQueue, resumeQueue } from './jobs/queue-control.ts';
export { WorkerHost } from './jobs/worker-host.ts';
export type { OutputStream, TaskOutput } from './threads/output.ts';
export type { Backoff } from './threads/pooled-task.ts';
