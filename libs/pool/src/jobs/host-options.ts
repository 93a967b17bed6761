/** What a WorkerHost takes, checked where it is made. */
import type { ResourceLimits } from 'node:worker_threads';
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkKnown, rangeError, show, typeError } from '@heddle/primitives/internal';
import { checkNamed } from '../executor/check-options.ts';
import type { TaskLog } from '../executor/thread-pool.options.ts';
import { checkName } from '../primitive-name.ts';
import type { TaskOutput } from '../threads/output.ts';
import { checkResourceLimits } from '../threads/resource-limits.ts';

/** What a `WorkerHost` takes. Anything else is a `TypeError`. */
export interface WorkerHostOptions {
  /** The session the host goes by. It stays open when the host is closed; close the host first. */
  readonly session: Session;
  /** The task module: its function exports are the tasks. Imported once in each thread. */
  readonly tasks: URL;
  /** How many threads (default: `os.availableParallelism()`). */
  readonly threads?: number | undefined;
  /** How many jobs each thread runs at once (default 1). More than one helps only tasks that wait. */
  readonly concurrency?: number | undefined;
  /** An export of the task module, called once in each thread before its first task. */
  readonly initializer?: string | undefined;
  /** Its arguments. */
  readonly initargs?: readonly unknown[] | undefined;
  /** Node's limits of a worker thread's memory. A task that exceeds them fails, and its thread is replaced. */
  readonly resourceLimits?: ResourceLimits | undefined;
  /** Threads are named prefix, `-`, number (default: the queue's name, or those of all). */
  readonly threadNamePrefix?: string | undefined;
  /** Milliseconds an aborted or timed-out task has to end before its thread is ended (default 1000). */
  readonly gracePeriod?: number | undefined;
  /**
   * Milliseconds after which the jobs of a host that gives no sign of life are given to others (default 6000);
   * twice that passes at the most.
   */
  readonly stallTimeout?: number | undefined;
  /** How often a job may be given to another host because its own died, before it fails (default 3). */
  readonly maxStalls?: number | undefined;
  /**
   * At most so many jobs are begun in so many ms, over all hosts of the queue (default: any number). Give all of them
   * the same. Of several queues, each has this limit.
   */
  readonly rateLimit?: { readonly jobs: number; readonly per: number } | undefined;
  /** The version of its tasks: jobs that ask for another are left to other hosts, and the fleet's list shows it. */
  readonly version?: string | undefined;
  /** Where `currentJob().log` goes, beside the job's own log in Redis (default: nowhere else). */
  readonly onLog?: ((entry: TaskLog) => void) | undefined;
  /**
   * Where what tasks and their module print goes, by `console` or `process.stdout` and `stderr`, line by line and with the
   * job (default: to the outputs of this process, as it comes). What a child process prints, or is written to the file
   * descriptors themselves, does not come here.
   */
  readonly onOutput?: ((entry: TaskOutput) => void) | undefined;
  /**
   * What fails and belongs to no job, a stray error in a thread for one (default: a warning). A Redis that is out of reach is told
   * once, until it is back (RedisUnreachableError); what it refuses for the same reason once a minute; a job that is no more this
   * host's once (LeaseLostError). What it throws itself, or rejects with, goes to the exception hook.
   */
  readonly onError?: ((error: Error) => void) | undefined;
}

const OPTIONS = [
  'session',
  'tasks',
  'threads',
  'concurrency',
  'initializer',
  'initargs',
  'resourceLimits',
  'threadNamePrefix',
  'gracePeriod',
  'stallTimeout',
  'maxStalls',
  'rateLimit',
  'version',
  'onLog',
  'onOutput',
  'onError',
] satisfies (keyof WorkerHostOptions)[];

const where = 'WorkerHost';

/** One queue's name, or several with their weights. */
export type Queues = string | Readonly<Record<string, number>>;

/** The queues by name, with their weights; of a single one it says nothing. */
export function checkQueues(queues: unknown): ReadonlyMap<string, number> {
  if (queues === null || typeof queues !== 'object')
    return new Map([[checkName(queues, `${where}: queue`), 1]]);
  const entries = Object.entries(queues);
  if (entries.length === 0)
    throw typeError(`${where}: queue must be a name, or an object of names and weights such as { mail: 1 }`);
  for (const [name, weight] of entries) {
    checkName(name, `${where}: queue`);
    if (typeof weight !== 'number')
      throw typeError(`${where}: the weight of ${show(name)} must be a number, not ${show(weight)}`);
    if (!(weight > 0 && weight < Number.POSITIVE_INFINITY))
      throw rangeError(`${where}: the weight of ${show(name)} must be more than 0, not ${weight}`);
  }
  return new Map(entries);
}

export function checkHostOptions(options: WorkerHostOptions): WorkerHostOptions {
  const given = checkKnown(options, OPTIONS, where);
  if (!(given.tasks instanceof URL)) {
    throw typeError(
      `${where}: tasks must be the URL of a task module, such as new URL('./tasks.ts', import.meta.url), not ${show(given.tasks)}`,
    );
  }
  for (const name of ['threads', 'concurrency', 'maxStalls'] as const) {
    if (given[name] !== undefined) checkCount(given[name], `${where}: ${name}`);
  }
  if (given.stallTimeout !== undefined)
    checkCount(given.stallTimeout, `${where}: stallTimeout`, { min: 300 });
  checkNamed(given.gracePeriod, where, 'gracePeriod');
  checkRateLimit(given.rateLimit);
  checkKinds(given);
  return options;
}

function checkRateLimit(rateLimit: WorkerHostOptions['rateLimit']): void {
  if (rateLimit === undefined) return;
  const { jobs, per } = checkKnown(rateLimit, ['jobs', 'per'], `${where}: rateLimit`);
  checkCount(jobs, `${where}: rateLimit.jobs`);
  checkCount(per, `${where}: rateLimit.per, in ms,`);
}

function checkKinds(given: Partial<WorkerHostOptions>): void {
  for (const name of ['initializer', 'threadNamePrefix', 'version'] as const) {
    const value = given[name];
    if (value !== undefined && typeof value !== 'string')
      throw typeError(`${where}: ${name} must be a string, not ${show(value)}`);
  }
  if (given.initargs !== undefined && !Array.isArray(given.initargs))
    throw typeError(`${where}: initargs must be an array, not ${show(given.initargs)}`);
  checkResourceLimits(given.resourceLimits, `${where}: resourceLimits`);
  for (const name of ['onLog', 'onOutput', 'onError'] as const) {
    if (given[name] !== undefined && typeof given[name] !== 'function')
      throw typeError(`${where}: ${name} must be a function, not ${show(given[name])}`);
  }
}
