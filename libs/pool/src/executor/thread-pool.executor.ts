/** Tasks on the worker threads of this process. */
import { availableParallelism } from 'node:os';
import type { ResourceLimits } from 'node:worker_threads';
import { TimeoutError } from '@heddle/primitives';
import {
  checkCount,
  checkOptions,
  Deadline,
  fromPortable,
  show,
  toPortable,
  typeError,
} from '@heddle/primitives/internal';
import { captureContext } from '../context/context-var.ts';
import { captureTrace } from '../context/trace-context.ts';
import { aborted } from '../future/cancelled.ts';
import { type Future, type FutureSource, makeFuture, settling } from '../future/future.ts';
import { callUser, reportException } from '../future/report-exception.ts';
import { PooledTask } from '../threads/pooled-task.ts';
import { checkResourceLimits } from '../threads/resource-limits.ts';
import { withinJob } from '../threads/running-job.ts';
import { attach, share } from '../threads/sharing.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import { checkNamed, checkSchedule } from './check-options.ts';
import type {
  AnyTasks,
  Call,
  ExecutorCore,
  ScheduledTask,
  ScheduleOptions,
  SubmitOptions,
} from './executor.ts';
import { ExecutorFront } from './executor-front.ts';

/** A line that a task wrote with `currentJob().log`. */
export interface TaskLog {
  readonly job: string;
  readonly task: string;
  readonly attempt: number;
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

const OPTIONS: ReadonlySet<string> = new Set([
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
] satisfies (keyof ThreadPoolOptions)[]);

let pools = 0;
let scheduled = 0;

/**
 * Runs the tasks of a module in worker threads, like `concurrent.futures.ThreadPoolExecutor`, only truly at once.
 * An idle pool does not keep the process alive, accepted tasks do.
 *
 * ```ts
 * await using pool = new ThreadPoolExecutor<typeof import('./tasks.ts')>(new URL('./tasks.ts', import.meta.url));
 * const size = await pool.submit('resize', image, 200);
 * for await (const hash of pool.map('hash', files, { chunksize: 16 })) console.log(hash);
 * ```
 */
export class ThreadPoolExecutor<T = AnyTasks> extends ExecutorFront<T> {
  /** @param module The task module: its function exports are the tasks. Imported once in each thread. */
  constructor(module: URL, options?: ThreadPoolOptions) {
    super(new ThreadPoolCore(module, checkPoolOptions(module, options)), {});
  }
}

function checkPoolOptions(module: unknown, options: ThreadPoolOptions | undefined): ThreadPoolOptions {
  const where = 'ThreadPoolExecutor';
  if (!(module instanceof URL)) {
    throw typeError(
      `${where}: the task module must be a URL, such as new URL('./tasks.ts', import.meta.url), not ${show(module)}`,
    );
  }
  const given = checkOptions(options, where);
  for (const key of Object.keys(given)) {
    if (!OPTIONS.has(key))
      throw typeError(`${where}: there is no option ${show(key)}; there are ${[...OPTIONS].join(', ')}`);
  }
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

class ThreadPoolCore implements ExecutorCore {
  readonly parallelism: number;
  private readonly pool: ThreadPool;
  private readonly options: ThreadPoolOptions;
  private readonly byKey = new Map<string, Future<unknown>>();
  /** What ends each of those that repeat. */
  private readonly schedules = new Set<() => boolean>();
  private closed: Promise<void> | undefined;

  constructor(module: URL, options: ThreadPoolOptions) {
    pools += 1;
    this.options = options;
    this.parallelism = options.maxWorkers ?? availableParallelism();
    this.pool = new ThreadPool({
      module: module.href,
      codec: 'portable',
      concurrency: 1,
      maxWorkers: this.parallelism,
      threadNamePrefix: options.threadNamePrefix ?? `ThreadPoolExecutor-${pools}`,
      initializer: options.initializer,
      initargs: toPortable(options.initargs ?? [], 'initargs', { share }),
      resourceLimits: options.resourceLimits,
      idleTimeout: options.idleTimeout,
      gracePeriod: options.gracePeriod ?? 1000,
      session: undefined,
    });
  }

  submit(call: Call): Future<unknown> {
    const ttl = withinJob(call.options.ttl);
    return this.start(ttl === call.options.ttl ? call : { ...call, options: { ...call.options, ttl } });
  }

  assertOpen(): void {
    this.pool.assertOpen();
  }

  /** @param parcel what travels, where that was packed before */
  private start(call: Call, parcel?: Parcel): Future<unknown> {
    const { signal, dedupe, delay, ttl } = call.options;
    this.assertOpen();
    refuseDistributed(call.options);
    const known = this.known(dedupe);
    if (known !== undefined) return known;
    const task = new LocalTask(this.pool, call, parcel ?? pack(call), this.options);
    const { future } = task;
    if (signal?.aborted === true) {
      settling().cancelled(future, aborted(signal.reason));
      return future;
    }
    this.pool.submit(task, delay);
    if (dedupe !== undefined) this.keepUnique(dedupe, future);
    if (signal !== undefined) abortWith(future, signal);
    if (ttl !== undefined) limitLife(task, ttl);
    return future;
  }

  async schedule(call: Call, options: ScheduleOptions): Promise<ScheduledTask> {
    const { delay, every, cron } = checkSchedule(options, 'ThreadPoolExecutor.schedule');
    if (cron !== undefined) {
      throw typeError(
        'ThreadPoolExecutor.schedule: cron needs a DistributedExecutor; use every',
        'ERR_HEDDLE_NOT_BUILT',
      );
    }
    return every === undefined ? this.once(call, delay) : this.repeat(call, delay, every);
  }

  private once(call: Call, delay: number): ScheduledTask {
    const ttl = call.options.ttl === undefined ? undefined : call.options.ttl + delay;
    const future = this.start({ ...call, options: { ...call.options, delay, ttl } });
    return { id: future.id, cancel: async () => !future.done() && future.cancel() };
  }

  private repeat(given: Call, delay: number, every: number): ScheduledTask {
    const call = { ...given, options: { ...given.options, delay: undefined } };
    const { dedupe, transfer, signal } = call.options;
    this.assertOpen();
    refuseDistributed(call.options);
    if (transfer !== undefined && transfer.length > 0) {
      throw typeError(
        'ThreadPoolExecutor.schedule: what is transferred is gone after the first run; leave out transfer, or every',
      );
    }
    const parcel = pack(call); // what is wrong with it is told now
    /** Those that are not done. */
    const runs = new Set<Future<unknown>>();
    let stop: () => void = () => {};
    const end = () => {
      signal?.removeEventListener('abort', abort);
      stop();
      return this.schedules.delete(end);
    };
    const abort = () => void end();
    signal?.addEventListener('abort', abort);
    const run = () => {
      stop = Deadline.after(every).onExpiry(run);
      // One waits at most: where they come faster than they can be run, they are not to pile up before everything else.
      if (this.known(dedupe) !== undefined || [...runs].some((future) => !future.running())) return;
      const future = this.start(call, parcel);
      runs.add(future);
      settling().whenDone(future, () => runs.delete(future));
    };
    stop = Deadline.after(delay).onExpiry(run);
    this.schedules.add(end);
    const cancel = async () => {
      const lived = end();
      const taken = await Promise.all([...runs].map((future) => future.cancel()));
      return lived || taken.includes(true);
    };
    scheduled += 1;
    return { id: `schedule:${scheduled}`, cancel };
  }

  async shutdown({ wait, cancelFutures }: { wait: boolean; cancelFutures: boolean }): Promise<void> {
    for (const end of [...this.schedules]) end();
    if (cancelFutures) for (const task of this.pool.unfinished()) void (task as LocalTask).future.cancel();
    this.closed ??= this.pool.close();
    if (wait) await this.closed;
    else this.closed.catch(reportException);
  }

  /** The task of that key that is not done. */
  private known(dedupe: string | undefined): Future<unknown> | undefined {
    return dedupe === undefined ? undefined : this.byKey.get(dedupe);
  }

  private keepUnique(key: string, future: Future<unknown>): void {
    this.byKey.set(key, future);
    settling().whenDone(future, () => this.byKey.delete(key));
  }
}

function refuseDistributed({ version, holding }: SubmitOptions): void {
  if (version !== undefined) {
    throw typeError(
      'ThreadPoolExecutor: version needs a DistributedExecutor; a pool has one module of tasks',
      'ERR_HEDDLE_NOT_SUPPORTED',
    );
  }
  if (holding !== undefined) {
    throw typeError(
      'ThreadPoolExecutor: holding needs a DistributedExecutor; acquire a local lock inside the task',
      'ERR_HEDDLE_NOT_BUILT',
    );
  }
}

function abortWith(future: Future<unknown>, signal: AbortSignal): void {
  const abort = () => void future.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  settling().whenDone(future, () => signal.removeEventListener('abort', abort));
}

function limitLife(task: LocalTask, ttl: number): void {
  const end = () => {
    const error = new TimeoutError(
      `the task ${JSON.stringify(task.name)} was not done within its ttl of ${ttl} ms`,
    );
    task.failed(error);
    void task.abort(error);
  };
  settling().whenDone(task.future, Deadline.after(ttl).onExpiry(end));
}

let submitted = 0;

class LocalTask extends PooledTask implements FutureSource {
  readonly future: Future<unknown>;
  private readonly pool: ThreadPool;
  private readonly onLog: ((entry: TaskLog) => void) | undefined;

  constructor(pool: ThreadPool, call: Call, parcel: Parcel, defaults: ThreadPoolOptions) {
    const { options, chunk } = call;
    const timeout = options.timeout ?? defaults.taskTimeout;
    const { args, transfer, context, trace } = parcel;
    const { ttl } = options;
    const plain = (timeout ?? context ?? trace ?? ttl) === undefined && !chunk;
    submitted += 1;
    super(call.task, submitted, args, {
      extra: plain
        ? undefined
        : {
            attempt: 1,
            context,
            chunk,
            timed: timeout !== undefined,
            timeout,
            trace,
            ends: ttl === undefined ? undefined : Deadline.after(ttl).at,
          },
      transfer,
      priority: options.priority,
      timeout,
      retries: options.retries ?? defaults.retries,
      backoff: options.backoff,
    });
    this.pool = pool;
    this.onLog = defaults.onLog;
    this.future = makeFuture<unknown>(this);
  }

  get id(): string {
    return `local:${this.jobId}`;
  }

  async accepted(): Promise<void> {}

  async cancel(): Promise<boolean> {
    return this.pool.cancel(this);
  }

  async abort(reason: unknown): Promise<void> {
    this.pool.abort(this, reason);
  }

  isRunning(): boolean {
    return this.pool.isRunning(this);
  }

  settled(ok: boolean, value: unknown): void {
    let decoded: unknown;
    try {
      decoded = fromPortable(value, { attach });
    } catch (error) {
      return this.failed(error as Error);
    }
    if (ok) settling().result(this.future, decoded);
    else settling().error(this.future, decoded as Error);
  }

  failed(error: Error): void {
    settling().error(this.future, error);
  }

  retried(): void {
    settling().pending(this.future);
  }

  progressed(value: unknown): void {
    settling().progress(this.future, fromPortable(value, { attach }));
  }

  logged(line: string, context: Record<string, unknown> | undefined): undefined {
    const entry = {
      job: this.id,
      task: this.name,
      attempt: this.extra?.attempt ?? 1,
      line,
      context: context ?? {},
    };
    callUser(this.onLog ?? printLine, reportException, entry);
  }
}

function printLine({ job, task, attempt, line }: TaskLog): void {
  console.log(`[${job} ${task} #${attempt}] ${line}`);
}

/** What travels with a task, as it was at the call. */
interface Parcel {
  readonly args: unknown;
  readonly transfer: readonly object[] | undefined;
  readonly context: unknown;
  readonly trace: Readonly<Record<string, string>> | undefined;
}

/** @throws NotCloneableError, TypeError for what can't go to another thread; nothing is taken from the caller then. */
function pack({ args, options }: Call): Parcel {
  const captured = captureContext();
  const context = captured === undefined ? undefined : toPortable(captured, 'context', { share });
  const [own, transfer] = ownArguments(args, options.transfer);
  return { args: own, transfer, context, trace: captureTrace() };
}

/** The arguments as they are now; what is to be transferred is taken from the caller at once. */
function ownArguments(
  args: readonly unknown[],
  transfer: readonly object[] | undefined,
): [args: unknown, transfer: readonly object[] | undefined] {
  if (transfer === undefined || transfer.length === 0)
    return [toPortable(args, 'args', { share }), undefined];
  checkTransfer(transfer);
  const portable = toPortable(args, 'args', { share, transfer: new Set(transfer) });
  try {
    const taken = structuredClone({ portable, transfer }, { transfer: transfer as ArrayBuffer[] });
    return [taken.portable, taken.transfer];
  } catch (error) {
    throw typeError(`transfer: not all of it can be transferred: ${(error as Error).message}`);
  }
}

function checkTransfer(transfer: readonly unknown[]): void {
  for (const [at, each] of transfer.entries()) {
    if (each === null || typeof each !== 'object')
      throw typeError(`transfer[${at}] must be a transferable object, not ${show(each)}`);
    if (transfer.indexOf(each) < at) throw typeError(`transfer[${at}] stands there twice`);
    if (each instanceof ArrayBuffer && each.detached)
      throw typeError(`transfer[${at}] was transferred before, and nothing is left of it`);
  }
}
