/** Tasks on the WorkerHosts of a queue, on whatever machines they run. */
import type { Session } from '@heddle/primitives/distributed';
import { checkCount, checkKnown, checkOptions, onAbort, show, typeError } from '@heddle/primitives/internal';
import { cancelledUnbegun } from '../future/cancelled.ts';
import { type Future, settling } from '../future/future.ts';
import { reportException } from '../future/report-exception.ts';
import { checkSize, LARGEST_INSIDE, queueAddress } from '../jobs/job-form.ts';
import { PlaceCount } from '../jobs/place-count.ts';
import { partsOf } from '../jobs/session-parts.ts';
import type { Submission } from '../jobs/submission.ts';
import { Submitter } from '../jobs/submitter.ts';
import { withinJob } from '../threads/running-job.ts';
import { type CallJob, finite, jobOfCall, KEEP } from './call-job.ts';
import { checkSchedule, checkSubmitOptions } from './check-options.ts';
import type {
  AnyTasks,
  Call,
  ExecutorCore,
  ScheduledTask,
  ScheduleOptions,
  SubmitOptions,
} from './executor.ts';
import { ExecutorFront } from './executor-front.ts';
import { type Limits, limit } from './limits.ts';

/** What a `DistributedExecutor` takes; what a submission can say is the default for all of its. */
export interface DistributedOptions
  extends Pick<SubmitOptions, 'retries' | 'backoff' | 'priority' | 'timeout' | 'ttl' | 'dedupe' | 'version'> {
  /** The session to submit through. It stays open when the executor is shut down. */
  readonly session: Session;
  /**
   * How many tasks the hosts run at once (default: as many as they announce, by threads and `concurrency`, and 16 at
   * least): `map` reads an async input so far ahead that twice as many are on their way.
   */
  readonly parallelism?: number | undefined;
  /**
   * How many jobs of the queue may wait to be begun, whoever submitted them, before this executor holds back
   * (default: any number). It is exact between executors that say so: room is granted in one step in Redis. Jobs that
   * tasks submit, retries and what repeats are not held back.
   */
  readonly maxPending?: number | undefined;
  /**
   * What becomes of a task beyond that: it waits in this process, in order, and `future.accepted` with it (default), or its
   * Future fails with QueueFullError.
   */
  readonly whenFull?: 'wait' | 'refuse' | undefined;
  /**
   * How long, in seconds, and how many outcomes are kept in Redis for those who missed the news of them (default: an hour,
   * the last 100 000). Results of more than 131 072 characters are fetched from there by whoever awaits them: where fewer
   * are kept than may end at about the same time, some are lost (OutcomeUnknownError).
   */
  readonly keep?: { readonly age?: number | undefined; readonly count?: number | undefined } | undefined;
}

/** The face of a DistributedExecutor, whatever the options of its submissions are. */
class DistributedFront<T> extends ExecutorFront<T> {
  readonly #core: DistributedCore;

  constructor(core: DistributedCore, options: SubmitOptions) {
    super(core, options);
    this.#core = core;
  }

  override with(options: SubmitOptions): DistributedExecutor<T> {
    return new DistributedFront<T>(this.#core, this.optionsWith(options));
  }

  /** The Future of a job submitted earlier, here or elsewhere, by its `future.id`. */
  future(id: string): Future<unknown> {
    if (typeof id !== 'string' || id === '')
      throw typeError(`future: id must be the id of a job, not ${show(id)}`);
    return this.#core.submitter.follow(id).future;
  }

  /** What was scheduled earlier, here or elsewhere, by its `id`: to cancel it from wherever that is needed. */
  scheduled(id: string): ScheduledTask {
    if (typeof id !== 'string' || id === '')
      throw typeError(`scheduled: id must be the id of a scheduled task, not ${show(id)}`);
    return { id, cancel: () => this.#core.submitter.unschedule(id) };
  }
}

/**
 * Submits tasks to a queue; WorkerHosts of that queue, in any process of any machine, run them. The same as
 * ThreadPoolExecutor otherwise, where arguments hold no local primitive and nothing to transfer.
 *
 * A job is run at least once: a host that dies has its jobs run again elsewhere. Each Future ends exactly once.
 *
 * ```ts
 * await using session = await connect();
 * await using executor = new DistributedExecutor<typeof import('./tasks.ts')>('images', { session, retries: 2 });
 * const size = await executor.submit('resize', key, 200);
 * ```
 */
export class DistributedExecutor<T = AnyTasks> extends DistributedFront<T> {
  constructor(queue: string, options: DistributedOptions) {
    const core = new DistributedCore(queue, options);
    super(core, core.defaults);
  }
}

/** Jobs at once that hosts are taken to have places for: with fewer ahead, the way to Redis and back would show. */
const FEWEST = 16;

class DistributedCore implements ExecutorCore {
  /** What was said of it, and else what is known of the hosts. */
  private readonly given: number | undefined;
  private readonly places: PlaceCount;
  readonly defaults: SubmitOptions;
  readonly submitter: Submitter;
  readonly readers: Set<() => void>;
  private readonly keep: { age: number; count: number };
  private closed: Promise<void> | undefined;
  /** What takes listeners off the signals of what repeats. */
  private readonly heeding = new Set<() => void>();

  constructor(queue: string, options: DistributedOptions) {
    const where = 'DistributedExecutor';
    const {
      session,
      parallelism,
      keep,
      maxPending,
      whenFull = 'wait',
      ...defaults
    } = checkOptions(options, where, '{ session }');
    const parts = partsOf(session, where);
    const address = queueAddress(parts.namespace, queue, where);
    const others = ['session', 'parallelism', 'keep', 'maxPending', 'whenFull'];
    this.defaults = checkSubmitOptions(defaults, where, others);
    this.given = parallelism === undefined ? undefined : checkCount(parallelism, `${where}: parallelism`);
    this.places = new PlaceCount(parts, queue, FEWEST);
    const { age = KEEP.age, count = KEEP.count } = checkKnown(keep, ['age', 'count'], `${where}: keep`);
    this.keep = {
      age: checkCount(age, `${where}: keep.age`),
      count: checkCount(count, `${where}: keep.count`),
    };
    if (whenFull !== 'wait' && whenFull !== 'refuse')
      throw typeError(`${where}: whenFull must be 'wait' or 'refuse', not ${show(whenFull)}`);
    if (maxPending !== undefined) checkCount(maxPending, `${where}: maxPending`);
    const admission = maxPending === undefined ? undefined : { maxPending, whenFull };
    this.submitter = new Submitter(parts, address, queue, { admission });
    this.readers = this.submitter.readers;
  }

  get parallelism(): number {
    return this.given ?? this.places.count;
  }

  assertOpen(): void {
    this.submitter.assertOpen();
  }

  submit(call: Call): Future<unknown> {
    const ttl = withinJob(call.options.ttl);
    const submission = this.submitter.submit(this.job(call), ttl);
    this.limit(submission, call.task, { signal: call.options.signal, ttl });
    return submission.future;
  }

  private limit(submission: Submission, task: string, limits: Limits): void {
    limit(submission.future, task, limits, (reason) => void submission.end(reason));
  }

  async schedule(call: Call, options: ScheduleOptions): Promise<ScheduledTask> {
    const { delay, every, cron } = checkSchedule(options, 'DistributedExecutor.schedule');
    const { signal } = call.options;
    const ttl = finite(call.options.ttl);
    if (every === undefined && cron === undefined) {
      const job = this.job({ ...call, options: { ...call.options, delay } });
      const submission = this.submitter.submit(job, ttl === undefined ? undefined : ttl + delay);
      this.limit(submission, call.task, { signal });
      await submission.accepted().catch((error: unknown) => {
        signal?.throwIfAborted();
        throw error;
      });
      return { id: submission.id, cancel: () => cancelOnce(submission) };
    }
    const { name, data, opts } = this.job(call);
    checkSize(data.args, 'the arguments', LARGEST_INSIDE);
    const repeat = cron ?? { every: every as number };
    const task = await this.submitter.repeat(
      { ...repeat, startDate: Date.now() + delay },
      {
        name,
        data: ttl === undefined ? data : { ...data, ttl },
        opts,
      },
    );
    if (signal === undefined) return task;
    if (!signal.aborted) return this.endingWith(signal, task);
    await task.cancel();
    throw signal.reason;
  }

  /** What repeats, and ends when the signal aborts, as long as this executor is there to hear of it. */
  private endingWith(signal: AbortSignal, { id, cancel }: ScheduledTask): ScheduledTask {
    const unheed = () => {
      stopHearing();
      this.heeding.delete(unheed);
    };
    const end = () => {
      unheed();
      return cancel();
    };
    // Where its session is closed nobody is there to end it any more.
    const abort = () => (this.submitter.parts.closed() ? unheed() : void end().catch(reportException));
    const stopHearing = onAbort(signal, abort);
    this.heeding.add(unheed);
    return { id, cancel: end };
  }

  async shutdown({ wait, cancelFutures }: { wait: boolean; cancelFutures: boolean }): Promise<void> {
    for (const unheed of [...this.heeding]) unheed();
    this.closed ??= this.submitter.close();
    if (cancelFutures) await Promise.all(this.submitter.unfinishedFutures().map((future) => future.cancel()));
    if (wait) await this.closed;
    else this.closed.catch(() => {});
  }

  private job(call: Call): CallJob {
    return jobOfCall(call, this.submitter.parts.id, this.keep);
  }
}

/** Unlike `future.cancel()`, which is true again for what is cancelled: this is what the first to ask has done. */
async function cancelOnce(submission: Submission): Promise<boolean> {
  const { future } = submission;
  if (future.done() || !(await submission.cancel())) return false;
  settling().cancelled(future, cancelledUnbegun());
  return true;
}
