/** What a `ThreadPoolExecutor` takes, and what is wrong with what it is given. */
import type { ResourceLimits } from 'node:worker_threads';
import { checkCount, checkKnown, show, typeError } from '@heddle/primitives/internal';
import { checkResourceLimits } from '../threads/resource-limits.ts';
import { checkNamed } from './check-options.ts';

/** A line that a task wrote with `currentJob().log`. */
export interface TaskLog {
  /** The id of the job: `future.id`. */
  readonly job: string;
  /** The name of the task. */
  readonly task: string;
  /** Which attempt wrote it; 1 is the first. */
  readonly attempt: number;
  /** The text. */
  readonly line: string;
  /** The propagating context variables around it, by name. */
  readonly context: Readonly<Record<string, unknown>>;
}

/** What a `ThreadPoolExecutor` takes. Anything else is a `TypeError`. */
export interface ThreadPoolOptions {
  /** The most threads (default: `os.availableParallelism()`). They start as there are tasks for them. */
  readonly maxWorkers?: number | undefined;
  /** Threads are named prefix, `-`, number (default: `ThreadPoolExecutor-<n>`). */
  readonly threadNamePrefix?: string | undefined;
  /** An export of the task module, called once in each thread before its first task. If it fails, the pool is broken. */
  readonly initializer?: string | undefined;
  /** Its arguments. */
  readonly initargs?: readonly unknown[] | undefined;
  /** Node's limits of a worker thread's memory. A task that exceeds them fails, and its thread is replaced. */
  readonly resourceLimits?: ResourceLimits | undefined;
  /** Milliseconds after which a thread with nothing to do is ended (default: never). */
  readonly idleTimeout?: number | undefined;
  /** Milliseconds each task may run (default: for ever); `with({ timeout })` overrides it. */
  readonly taskTimeout?: number | undefined;
  /**
   * Milliseconds an aborted or timed-out task has to end before its thread is ended (default: 1000). A task that had
   * ended just before, of whose outcome the thread could not tell any more, is run again.
   */
  readonly gracePeriod?: number | undefined;
  /** How often a task is run again after an error or a crash of its thread (default: 0). */
  readonly retries?: number | undefined;
  /** Where `currentJob().log` goes (default: a line on the console). */
  readonly onLog?: ((entry: TaskLog) => void) | undefined;
}

const OPTIONS = [
  'maxWorkers',
  'threadNamePrefix',
  'initializer',
  'initargs',
  'resourceLimits',
  'idleTimeout',
  'taskTimeout',
  'gracePeriod',
  'retries',
  'onLog',
] satisfies (keyof ThreadPoolOptions)[];

export function checkPoolOptions(module: unknown, options: ThreadPoolOptions | undefined): ThreadPoolOptions {
  const where = 'ThreadPoolExecutor';
  if (!(module instanceof URL)) {
    throw typeError(
      `${where}: the task module must be a URL, such as new URL('./tasks.ts', import.meta.url), not ${show(module)}`,
    );
  }
  const given = checkKnown(options, OPTIONS, where);
  if (given.maxWorkers !== undefined) checkCount(given.maxWorkers, `${where}: maxWorkers`);
  if (given.retries !== undefined) checkCount(given.retries, `${where}: retries`, { min: 0 });
  for (const name of ['threadNamePrefix', 'initializer'] as const) {
    const value = given[name];
    if (value !== undefined && typeof value !== 'string')
      throw typeError(`${where}: ${name} must be a string, not ${show(value)}`);
  }
  if (given.initargs !== undefined && !Array.isArray(given.initargs)) {
    throw typeError(`${where}: initargs must be an array, not ${show(given.initargs)}`);
  }
  checkResourceLimits(given.resourceLimits, `${where}: resourceLimits`);
  for (const name of ['idleTimeout', 'taskTimeout', 'gracePeriod'] as const)
    checkNamed(given[name], where, name);
  if (given.onLog !== undefined && typeof given.onLog !== 'function') {
    throw typeError(`${where}: onLog must be a function, not ${show(given.onLog)}`);
  }
  return given;
}
