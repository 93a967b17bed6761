/** One queue that a host takes jobs from: each job from BullMQ's hands into the pool's, and its outcome back. */
import {
  type BrokenExecutorError,
  HeddleError,
  RedisUnreachableError,
  TimeoutError,
} from '@heddle/primitives';
import { Deadline, show } from '@heddle/primitives/internal';
import { isOutOfReach, sayingOf } from '@heddle/primitives/internal-session';
import { DelayedError, type Job, WaitingError, type WorkerOptions } from 'bullmq';
import type { ChildCall } from '../threads/session-protocol.ts';
import type { ThreadPool } from '../threads/thread-pool.ts';
import type { ChildJobs } from './child-jobs.ts';
import { claimRun } from './claim-run.ts';
import { Fetching } from './fetching.ts';
import { headway } from './headway.ts';
import { HostNews } from './host-news.ts';
import type { WorkerHostOptions } from './host-options.ts';
import { bullFailure, type HostDesk, HostTask } from './host-task.ts';
import { HostWorker } from './host-worker.ts';
import { type JobPayload, type QueueAddress, readPayload } from './job-form.ts';
import { JobsInHand } from './jobs-in-hand.ts';
import { leaveToOthers } from './leave-to-others.ts';
import { LostJobs } from './lost-jobs.ts';
import type { Outbox } from './outbox.ts';
import { Parking } from './parking.ts';
import type { SessionParts } from './session-parts.ts';
import type { Turnstile } from './turnstile.ts';

/** How often a host looks at the jobs in its hands, in ms. One that runs at two looks is told to be running. */
export const LOOK_EVERY = 50;

/** What all queues of a host share. */
export interface HostShare {
  readonly options: WorkerHostOptions;
  readonly parts: SessionParts;
  readonly pool: ThreadPool;
  readonly outbox: Outbox;
  readonly children: ChildJobs;
  /** The host's. */
  readonly id: string;
  tasks(): readonly string[];
  /** There is a job to look at. */
  watch(): void;
  report(error: Error): void;
  /** A connection to Redis is there again. */
  back(): void;
  broken(error: BrokenExecutorError): void;
}

export class HostQueue implements HostDesk {
  readonly jobs: JobsInHand;
  readonly #share: HostShare;
  readonly #name: string;
  readonly #worker: HostWorker;
  readonly #news: HostNews;
  readonly #parking: Parking;
  readonly #fetching: Fetching;
  readonly #lost: LostJobs;
  readonly #turnstile: Turnstile;

  constructor(name: string, address: QueueAddress, share: HostShare, turnstile: Turnstile, weight: number) {
    this.#name = name;
    this.#share = share;
    this.#turnstile = turnstile;
    const options = workerOptions(share, address.prefix, turnstile.free);
    const news = new HostNews(share, (part) => this.#worker.toKey(part));
    this.#news = news;
    const ending = (job: Job, result: string) => news.ending(job, result);
    const has = (id: string, token: string | undefined) => this.jobs.get(id)?.job.token === token;
    const shared = { turnstile, weight, parts: share.parts, ending, has };
    const worker = new HostWorker(address.name, (job) => this.#run(job), options, shared);
    this.#worker = worker;
    this.#fetching = new Fetching(share.parts);
    this.#parking = new Parking(share.parts, {
      lend: () => worker.lend(),
      takeBack: () => worker.takeBack(),
      begin: (task) => share.pool.submit(task),
      lost: (task, reason) => share.pool.abort(task, reason),
    });
    this.jobs = new JobsInHand({
      parts: share.parts,
      pool: share.pool,
      parking: this.#parking,
      fetching: this.#fetching,
      turnstile,
      toKey: (part) => worker.toKey(part),
      report: share.report,
    });
    this.#lost = new LostJobs(name, options.lockDuration ?? 0, share.report);
    worker.on('error', (error) => this.#lost.hear(error));
    worker.onBack(share.back);
    worker.on('completed', (job, result: string) => news.done(job, result));
    worker.on('failed', (job, error) => news.broke(job, error));
    worker.on('lockRenewalFailed', (ids) => {
      for (const task of ids.map((id) => this.jobs.get(id))) {
        if (task === undefined) continue;
        this.jobs.lose(task);
        void this.#tellLost(task.job);
      }
    });
  }

  /** Jobs that have ended well, and attempts that have failed. */
  get counts(): Pick<HostNews, 'completed' | 'failed'> {
    return this.#news;
  }

  /** @throws RedisUnreachableError where Redis went away as BullMQ looked at it: its Worker is of no use then. */
  async start(): Promise<void> {
    try {
      await this.#worker.waitUntilReady();
    } catch (error) {
      if (!isOutOfReach(error)) throw error;
      throw new RedisUnreachableError(
        `WorkerHost.start: Redis went away as queue ${this.#name} was opened (${sayingOf(error)}); start another host when it is back`,
        { cause: error },
      );
    }
  }

  /** Begins to take jobs. */
  open(): void {
    this.#worker.run().catch((error: Error) => this.#share.report(error));
  }

  /** Takes no more jobs; resolves when it has none any more. */
  async close(): Promise<void> {
    await this.#worker.close();
  }

  /** Redis does not answer: ends what there is here; `close` may never resolve then. */
  abandon(): void {
    this.#worker.abandon();
  }

  /** Another host has left a job to this one. */
  offer(id: string): void {
    void this.#worker.take(id);
  }

  /** Tells of those that have been running for a while: quicker ones need not be told of. */
  tellRunning(): void {
    for (const task of this.jobs) {
      if (task.told || !this.#share.pool.isRunning(task)) continue;
      if (task.seen) this.#news.running(task);
      task.told = task.seen;
      task.seen = true;
    }
  }

  progressed(task: HostTask, text: string): void {
    this.#news.progressed(task, text);
  }

  logged(task: HostTask, line: string, context: Record<string, unknown>): Promise<unknown> {
    return this.#news.logged(task, line, context);
  }

  askedOfChild(task: HostTask, call: ChildCall): void {
    this.#share.children.hear(task, this.#name, call);
  }

  /** What it has submitted in this turn goes to Redis before another job is asked for in its place: it may be that. */
  lent(task: HostTask, place: boolean): void {
    if (place) {
      task.parting = setImmediate(() => {
        task.parting = undefined;
        this.#worker.lend();
      });
    } else if (task.parting === undefined) this.#worker.takeBack();
    else {
      clearImmediate(task.parting);
      task.parting = undefined;
    }
  }

  broken(error: BrokenExecutorError): void {
    this.#share.broken(error);
  }

  /** BullMQ's processor: runs a job to its end. */
  async #run(job: Job): Promise<string> {
    const payload = readPayload(job.data);
    if (payload === undefined)
      throw bullFailure(new HeddleError('the job was not submitted by Heddle', 'ERR_HEDDLE_MALFORMED_VALUE'));
    const left = this.#timeLeft(job, payload);
    if (left !== undefined && left <= 0) {
      throw bullFailure(new TimeoutError(`the task ${show(job.name)} was not begun within its ttl`));
    }
    const id = job.id ?? '';
    this.#lost.fetched(id);
    const older = this.jobs.get(id);
    if (older !== undefined) {
      // This host lost the job and got it anew; two runs of it at a time would not know of each other.
      this.jobs.lose(older);
      await older.ending;
      return this.#handBack(job);
    }
    const { tasks, options } = this.#share;
    if (!tasks().includes(job.name) || (payload.version ?? options.version) !== options.version)
      return this.#leave(job, payload.version, left);
    if (job.repeatJobKey !== undefined && !(await this.#claim(job))) throw new WaitingError();
    return this.#runTask(job, payload, Deadline.after(left));
  }

  /** False: it is not to begin, and in the queue no more. Where Redis cannot tell, it goes back. */
  async #claim(job: Job): Promise<boolean> {
    try {
      return await claimRun(this.#share.parts, (part) => this.#worker.toKey(part), job);
    } catch (error) {
      this.#share.report(error as Error);
      return this.#handBack(job);
    }
  }

  /** The task, or its version, is not here. */
  async #leave(job: Job, version: string | undefined, left: number | undefined): Promise<never> {
    const { parts, id, tasks, options } = this.#share;
    const terms = { id, queue: this.#name, version, own: options.version, known: tasks(), left };
    await leaveToOthers(parts, this.#worker.toKey(job.id ?? ''), job, terms);
    throw new DelayedError();
  }

  async #runTask(job: Job, payload: JobPayload, life: Deadline): Promise<string> {
    const id = job.id ?? '';
    const ends = life === Deadline.never ? undefined : life.at;
    const task = new HostTask(job, payload, this, this.#share.parts, ends);
    this.jobs.add(id, task);
    this.#share.watch();
    const stopClock = life.onExpiry(() => this.jobs.tooLate(task), { unref: true });
    try {
      const key = this.#worker.toKey(id);
      if (this.#fetching.concerns(task)) await this.#fetching.fetch(task, key);
      if (task.over) await task.ending;
      else if (payload.holding !== undefined)
        await this.#parking.hold(task, { job: key, meta: this.#worker.toKey('meta') }, payload.holding);
      else this.#share.pool.submit(task);
      const ending = await task.ending;
      this.#news.endsNow();
      if (ending.how !== 'returned') this.#lookAhead();
      if (ending.how === 'ok') return await this.#fetching.stow(job, key, ending.text);
      if (ending.how === 'error') throw ending.error;
    } finally {
      stopClock();
      this.#share.children.over(task);
      await task.clear();
      this.jobs.remove(id);
    }
    if (task.told) this.#news.pending(job);
    return this.#handBack(job);
  }

  /** To be called when a job has ended, before Redis is told and gives another. Where few may begin in a time, none is ahead. */
  #lookAhead(): void {
    if (this.#share.options.rateLimit !== undefined) return;
    const { pool } = this.#share;
    this.#turnstile.letAhead(headway(pool.pace, this.#turnstile.places));
  }

  /** Milliseconds until its time to live ends; `undefined`: it has none. */
  #timeLeft(job: Job, { until, ttl }: JobPayload): number | undefined {
    const end = ttl === undefined ? until : job.timestamp + (job.opts.delay ?? 0) + ttl;
    return end === undefined ? undefined : end - this.#share.parts.clock.now();
  }

  /** Where the job is another's by now, there is nothing to hand back. */
  async #handBack(job: Job): Promise<never> {
    await job.moveToWait(job.token).catch((error: Error) => this.#lost.hear(error));
    throw new WaitingError();
  }

  /** Its lock could not be renewed: Redis knows whether the job is there at all. */
  async #tellLost(job: Job): Promise<void> {
    const id = job.id ?? '';
    const there = await this.#share.parts.redis.exists(this.#worker.toKey(id)).catch(() => 1);
    this.#lost.lose(id, { there: there === 1 });
  }
}

function workerOptions({ options, parts }: HostShare, prefix: string, places: number): WorkerOptions {
  const { stallTimeout = 6000, maxStalls = 3, rateLimit } = options;
  return {
    connection: parts.redis,
    prefix,
    name: parts.id,
    autorun: false,
    concurrency: places,
    lockDuration: stallTimeout,
    lockRenewTime: Math.ceil(stallTimeout / 3),
    stalledInterval: Math.ceil(stallTimeout / 3), // Redis takes no fraction of a millisecond
    maxStalledCount: maxStalls,
    runRetryDelay: 500,
    ...(rateLimit === undefined ? {} : { limiter: { max: rateLimit.jobs, duration: rateLimit.per } }),
    // No skipVersionCheck: BullMQ would take Redis for an old one and wait whole seconds for delayed jobs.
  };
}
