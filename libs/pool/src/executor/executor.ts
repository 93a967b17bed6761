/** The contract of executors: `concurrent.futures.Executor`, on one host's threads or on those of many. */
import type { Future } from '../future/future.ts';
import type { Backoff } from '../threads/pooled-task.ts';

/** A module whose exports are not known to the compiler: any name, any arguments. */
export type AnyTasks = Record<string, (...args: unknown[]) => unknown>;

/** The names of a task module's tasks: its function exports. `T` is `typeof import('./tasks.ts')`. */
export type TaskName<T> = {
  [K in keyof T]: T[K] extends (...args: never[]) => unknown ? K : never;
}[keyof T] &
  string;

/** What a task takes. */
export type TaskArgs<T, K extends keyof T> = T[K] extends (...args: infer A) => unknown ? A : never;

/** What a task gives, its promise awaited. */
export type TaskResult<T, K extends keyof T> = T[K] extends (...args: never[]) => infer R
  ? Awaited<R>
  : never;

/** The one argument that `map` gives; none will do for a task that needs more than one. */
export type TaskInput<T, K extends keyof T> =
  TaskArgs<T, K> extends readonly [unknown, unknown, ...unknown[]] ? never : TaskArgs<T, K>[0];

/** How a task is to be run. An executor refuses by name (TypeError) what it cannot do. */
export interface SubmitOptions {
  /**
   * Aborts the task, as `future.abort(signal.reason)` does; ends a `map`, also one that waits for inputs; ends what is
   * scheduled, while its executor is there.
   */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds one attempt may run; then it fails with TimeoutError, and its thread is ended if it goes on. */
  readonly timeout?: number | undefined;
  /** Milliseconds from `submit` until it must be done; then it fails with TimeoutError, wherever it is. 0: at once. */
  readonly ttl?: number | undefined;
  /** Objects in the arguments to be moved instead of copied: it is not retried. ThreadPoolExecutor only. */
  readonly transfer?: readonly object[] | undefined;
  /** Lower runs first (0 to 2 097 151, default 0), first in first out among equals. */
  readonly priority?: number | undefined;
  /** Milliseconds to wait before it may run. */
  readonly delay?: number | undefined;
  /**
   * While a task with this key is not done, submitting another gives a Future of that one: a `signal` or `ttl` of the later
   * submission ends its Future, and the task goes on. A run of a schedule is left out. Chunks of a `map` are one task with
   * chunks of as many inputs alone.
   */
  readonly dedupe?: string | undefined;
  /**
   * How often it is run again after an error or a crash of its thread (default 0). A time-out is final. A chunk of `map` is
   * run again as a whole, also those of its inputs that had a result.
   */
  readonly retries?: number | undefined;
  /** How long to wait before each such run (default 0 ms). */
  readonly backoff?: Backoff | undefined;
  /**
   * What to hold while it runs, of the session's namespace; it waits for that without occupying a thread.
   * DistributedExecutor only.
   */
  readonly holding?: Holding | undefined;
  /** Run it only on hosts of this `version`. DistributedExecutor only. */
  readonly version?: string | undefined;
}

/** A lock by its name, or one permit of a semaphore that has `permits` in all (default 1). */
export type Holding =
  | string
  | { readonly lock: string }
  | { readonly semaphore: string; readonly permits?: number | undefined };

/** What `map` takes. */
export interface MapOptions {
  /**
   * Milliseconds from the call of `map` after which nobody waits any more, as in Python: a result that is there by the time
   * it is asked for is given, however late that is; where it is not, `next` rejects with TimeoutError.
   */
  readonly timeout?: number | undefined;
  /**
   * How many inputs go in one job (default 1). More cost less each; a crash, a cancellation or another attempt meets them
   * together. In its last attempt, a job gives the results before the first error.
   */
  readonly chunksize?: number | undefined;
  /**
   * How many inputs may be submitted whose results have not been taken. Default: all of a plain iterable, at once;
   * 2 × workers × chunksize of an async one, which so is never read further ahead than the workers can use. Jobs have no
   * more inputs than that either, whatever `chunksize` says.
   */
  readonly buffersize?: number | undefined;
  /** Results in the order of the inputs (default), or each as it comes. */
  readonly ordered?: boolean | undefined;
}

/** When a scheduled task runs: `delay`, `at` and `cron` exclude each other. */
export interface ScheduleOptions {
  /** Milliseconds until the first run. */
  readonly delay?: number | undefined;
  /** The time of the first run: a Date, or ms since 1970. */
  readonly at?: Date | number | undefined;
  /** Milliseconds from one run to the next; left out: it runs once. */
  readonly every?: number | undefined;
  /** A cron expression instead. DistributedExecutor only. */
  readonly cron?: string | undefined;
  /** The time zone that `cron` is read in, for every run: an IANA name (default: the one of this process). */
  readonly timeZone?: string | undefined;
}

/** A task that is yet to run, once or again and again. */
export interface ScheduledTask {
  /** For `executor.scheduled(id)`, from wherever that is needed. */
  readonly id: string;
  /** No further run begins. True: there would have been one. */
  cancel(): Promise<boolean>;
}

/** What `shutdown` takes. */
export interface ShutdownOptions {
  /** Resolve only when all accepted tasks are done and everything is closed (default: true). */
  readonly wait?: boolean | undefined;
  /** Cancel the tasks that have not begun (default: false). */
  readonly cancelFutures?: boolean | undefined;
}

/** Runs tasks by name, on whatever threads. Both executors are one, so that only a constructor's line tells them apart. */
export interface Executor<T = AnyTasks> extends AsyncDisposable {
  /**
   * Runs one of the module's tasks. Arguments are copied at the call, and so is the context: each propagating
   * ContextVar set here is set around the task.
   * @throws NotCloneableError where an argument cannot travel; InvalidStateError after `shutdown`. An unknown task
   * rejects its Future with UnknownTaskError.
   */
  submit<K extends TaskName<T>>(task: K, ...args: TaskArgs<T, K>): Future<TaskResult<T, K>>;
  /** The same executor, whose `submit`, `map` and `schedule` use these options too; one that is `undefined` stays as it was. */
  with(options: SubmitOptions): Executor<T>;
  /**
   * Calls a task with each input; gives the results. The first error ends the iteration, and so does leaving it early:
   * what has not begun by then is cancelled, and whoever gives the inputs is told; a read of them that is under way is not
   * waited for. Inputs are read, and submitted, in the context around this call, whenever that is.
   * @throws InvalidStateError after `shutdown`, as `submit`, also where there are no inputs. Where it comes while an async
   * input is read, the iteration ends with it, after the results of the inputs before, also of a chunk that was not full.
   */
  map<K extends TaskName<T>>(
    task: K,
    inputs: Iterable<TaskInput<T, K>> | AsyncIterable<TaskInput<T, K>>,
    options?: MapOptions,
  ): AsyncIterableIterator<TaskResult<T, K>> & AsyncDisposable;
  /**
   * Runs a task later, or again and again. Shutting down ends what repeats in a ThreadPoolExecutor; a DistributedExecutor's
   * goes on, until it is cancelled.
   * @throws InvalidStateError after `shutdown`; HeddleError in `currentJob().executor()`, which schedules nothing
   */
  schedule<K extends TaskName<T>>(
    task: K,
    args: TaskArgs<T, K>,
    options?: ScheduleOptions,
  ): Promise<ScheduledTask>;
  /** Takes no new tasks and ends what belongs to the executor, once the accepted ones are done. Twice: no-op. */
  shutdown(options?: ShutdownOptions): Promise<void>;
}

/** One submission, as the shared front passes it to the executor behind. */
export interface Call {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly options: SubmitOptions;
  /** `args` are inputs, the task is called with each; the Future is of a ChunkOutcome. */
  readonly chunk: boolean;
}

/**
 * One who waits for what it would submit. Told what ends that; or nothing: then it submits what it has read, where
 * `assertOpen` still allows it, and is ended by what that throws where it does not.
 */
export type Reader = (over?: Error) => void;

/** What makes an executor, behind the front that all share. */
export interface ExecutorCore {
  /** How many tasks run at once, at a guess where that is not known. */
  readonly parallelism: number;
  /** Called before and after the executor is shut down, and when anything else keeps it from taking more. */
  readonly readers: Set<Reader>;
  /** Why nothing that it takes will be run any more, where it knows. */
  readonly broken?: Error | undefined;
  /** @throws InvalidStateError after `shutdown`, SessionClosedError after its session's end. */
  assertOpen(): void;
  submit(call: Call): Future<unknown>;
  schedule(call: Call, options: ScheduleOptions): Promise<ScheduledTask>;
  shutdown(options: { readonly wait: boolean; readonly cancelFutures: boolean }): Promise<void>;
}
