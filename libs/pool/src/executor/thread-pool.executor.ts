/** Tasks on the worker threads of this process. */
import { availableParallelism } from 'node:os';
import { Deadline, onAbort, toPortable, typeError } from '@heddle/primitives/internal';
import { type Future, settling } from '../future/future.ts';
import { reportException } from '../future/report-exception.ts';
import { withinJob } from '../threads/running-job.ts';
import { share } from '../threads/sharing.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import { checkSchedule } from './check-options.ts';
import type {
  AnyTasks,
  Call,
  ExecutorCore,
  Reader,
  ScheduledTask,
  ScheduleOptions,
  SubmitOptions,
} from './executor.ts';
import { ExecutorFront } from './executor-front.ts';
import { join } from './joined-future.ts';
import { limit } from './limits.ts';
import { LocalTask, type Parcel, pack } from './local-task.ts';
import { checkPoolOptions, type ThreadPoolOptions } from './thread-pool.options.ts';

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

class ThreadPoolCore implements ExecutorCore {
  readonly parallelism: number;
  readonly readers: Set<Reader>;
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
    this.readers = this.pool.readers;
  }

  get broken(): Error | undefined {
    return this.pool.breakdown;
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
    const { dedupe, delay } = call.options;
    this.assertOpen();
    refuseDistributed(call.options);
    const known = this.known(dedupe);
    if (known !== undefined) return joined(known, call);
    const task = new LocalTask(this.pool, call, parcel ?? pack(call), this.options);
    const { future } = task;
    let begun = false;
    limit(future, call.task, call.options, (reason) => begun && void task.abort(reason));
    if (future.done()) return future;
    begun = true;
    this.pool.submit(task, delay);
    if (dedupe !== undefined) this.keepUnique(dedupe, future);
    return future;
  }

  async schedule(call: Call, options: ScheduleOptions): Promise<ScheduledTask> {
    const { delay, every, cron } = checkSchedule(options, 'ThreadPoolExecutor.schedule');
    if (cron !== undefined) {
      throw typeError(
        'ThreadPoolExecutor.schedule: cron needs a DistributedExecutor; use every',
        'ERR_HEDDLE_NOT_SUPPORTED',
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
      stopHearing?.();
      stop();
      return this.schedules.delete(end);
    };
    const stopHearing = signal && onAbort(signal, () => void end());
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
      'ERR_HEDDLE_NOT_SUPPORTED',
    );
  }
}

/** The Future of a task that has this key already: with limits of its own where it has any. */
function joined(known: Future<unknown>, { task, options }: Call): Future<unknown> {
  if (options.signal === undefined && options.ttl === undefined) return known;
  const future = join(known);
  limit(future, task, options, () => {});
  return future;
}
