/** What a task module imports: the job it runs in. */
export {
  ContextVar,
  type ContextVarConstructor,
  type ContextVarOptions,
  type ContextVarWithDefault,
} from './context/context-var.ts';
export type { AnyTasks, Executor } from './executor/executor.ts';
export type { JobSession } from './threads/job-session.ts';
export { type CurrentJob, currentJob } from './threads/running-job.ts';
