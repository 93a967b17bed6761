/** One queue that a host takes jobs from: each job from BullMQ's hands into the pool's, and its outcome back. */
import { readFileSync } from 'node:fs';
import {
  type BrokenExecutorError,
  HeddleError,
  LeaseLostError,
  OutcomeUnknownError,
  RedisUnreachableError,
  TimeoutError,
} from '@heddle/primitives';
import { Deadline, decodeText, now, show } from '@heddle/primitives/internal';
import { DelayedError, isNotConnectionError, type Job, WaitingError, type WorkerOptions } from 'bullmq';
import { aborted, cancelledUnbegun } from '../future/cancelled.ts';
import type { ChildCall } from '../threads/session-protocol.ts';
import type { ThreadPool } from '../threads/thread-pool.ts';
import type { ChildJobs } from './child-jobs.ts';
import { claimRun } from './claim-run.ts';
import { BACK_AFTER, headway } from './headway.ts';
import { HostNews } from './host-news.ts';
import type { WorkerHostOptions } from './host-options.ts';
import { bullFailure, type HostDesk, HostTask } from './host-task.ts';
import { HostWorker } from './host-worker.ts';
import { type CancelAnswer, type JobPayload, type QueueAddress, readPayload } from './job-form.ts';
import { argumentsKey, getText, isMark, keptFor, LARGEST_IN_JOB, putText, resultKey } from './large-texts.ts';
import { leaveToOthers } from './leave-to-others.ts';
import type { Outbox } from './outbox.ts';
import { Parking } from './parking.ts';
import type { SessionParts } from './session-parts.ts';
import type { Turnstile } from './turnstile.ts';

const FREE = readFileSync(new URL('./job.free.lua', import.meta.url), 'utf8');
const UNBEGUN = readFileSync(new URL('./job.unbegun.lua', import.meta.url), 'utf8');

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
  broken(error: BrokenExecutorError): void;
}

export class HostQueue implements HostDesk {
  readonly #share: HostShare;
  readonly #name: string;
  readonly #worker: HostWorker;
  readonly #news: HostNews;
  readonly #parking: Parking;
  readonly #tasks = new Map<string, HostTask>();
  /** Whose arguments are on their way. */
  readonly #bringing = new Set<HostTask>();
  readonly #turnstile: Turnstile;

  constructor(name: string, address: QueueAddress, share: HostShare, turnstile: Turnstile, weight: number) {
    this.#name = name;
    this.#share = share;
    this.#turnstile = turnstile;
    const options = workerOptions(share, address.prefix, turnstile.free);
    const news = new HostNews(share, (part) => this.#worker.toKey(part));
    this.#news = news;
    const ending = (job: Job, result: string) => news.ending(job, result);
    const has = (id: string, token: string | undefined) => this.#tasks.get(id)?.job.token === token;
    const shared = { turnstile, weight, parts: share.parts, ending, has };
    const worker = new HostWorker(address.name, (job) => this.#run(job), options, shared);
    this.#worker = worker;
    this.#parking = new Parking(share.parts, {
      lend: () => worker.lend(),
      takeBack: () => worker.takeBack(),
      begin: (task) => share.pool.submit(task),
      lost: (task, reason) => share.pool.abort(task, reason),
    });
    worker.on('error', (error) => share.report(error));
    worker.on('completed', (job, result: string) => news.done(job, result));
    worker.on('failed', (job, error) => news.broke(job, error));
    worker.on('lockRenewalFailed', (ids) => {
      for (const task of ids.map((id) => this.#tasks.get(id))) if (task !== undefined) this.#lose(task);
    });
  }

  /** Jobs that have ended well, and attempts that have failed. */
  get counts(): Pick<HostNews, 'completed' | 'failed'> {
    return this.#news;
  }

  /** Jobs it has in hand. */
  get running(): number {
    return this.#tasks.size;
  }

  /** @throws RedisUnreachableError where Redis went away as BullMQ looked at it: its Worker is of no use then. */
  async start(): Promise<void> {
    try {
      await this.#worker.waitUntilReady();
    } catch (error) {
      if (isNotConnectionError(error as Error)) throw error;
      throw new RedisUnreachableError(
        `WorkerHost.start: Redis went away as queue ${this.#name} was opened (${(error as Error).message}); start another host when it is back`,
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

  /** All it has goes back to the queue: what has not begun at once, the rest when it has ended or been ended. */
  sendBack(): void {
    const reason = new HeddleError(
      'the host is shutting down; the job goes back to the queue',
      'ERR_HEDDLE_HOST_CLOSING',
    );
    for (const [id, task] of this.#tasks) {
      if (this.#takeBack(task)) this.#unbegun(id);
      task.giveBack();
      this.#stop(task, reason);
    }
  }

  abort(id: string, reason: string): boolean {
    const task = this.#tasks.get(id);
    if (task === undefined) return false;
    const cause = decodeText(reason);
    task.failed(aborted(cause));
    this.#stop(task, cause);
    return true;
  }

  /** Messages may have been lost, those that told of aborts among them. */
  askAgain(): void {
    for (const id of this.#tasks.keys()) {
      this.#share.parts.redis
        .hget(this.#worker.toKey(id), 'aborted')
        .then((reason) => reason !== null && this.abort(id, reason))
        .catch((error: Error) => this.#share.report(error));
    }
  }

  /** Takes a job back that no thread has begun: fetched ahead, or waiting for what it is to hold. */
  cancel(id: string): CancelAnswer {
    const task = this.#tasks.get(id);
    if (task === undefined) return 'unknown';
    if (!this.#takeBack(task)) return task.place === 'gone' ? 'unknown' : 'begun';
    const error = cancelledUnbegun();
    task.failed(error);
    this.#parking.stop(task, error);
    this.#free(task);
    return 'cancelled';
  }

  /** Another host has left a job to this one. */
  offer(id: string): void {
    void this.#worker.take(id);
  }

  /** Tells of those that have been running for a while: quicker ones need not be told of. */
  tellRunning(): void {
    for (const task of this.#tasks.values()) {
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
    const older = this.#tasks.get(id);
    if (older !== undefined) {
      // This host lost the job and got it anew; two runs of it at a time would not know of each other.
      this.#lose(older);
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
    const { parts, id, tasks } = this.#share;
    const terms = { id, queue: this.#name, version, known: tasks(), left };
    await leaveToOthers(parts, this.#worker.toKey(job.id ?? ''), job, terms);
    throw new DelayedError();
  }

  async #runTask(job: Job, payload: JobPayload, life: Deadline): Promise<string> {
    const id = job.id ?? '';
    const ends = life === Deadline.never ? undefined : life.at;
    const task = new HostTask(job, payload, this, this.#share.parts, ends);
    this.#tasks.set(id, task);
    this.#share.watch();
    const stopClock = life.onExpiry(() => this.#tooLate(task), { unref: true });
    try {
      const key = this.#worker.toKey(id);
      if (isMark(payload.args) || job.attemptsStarted > 1) await this.#bring(task, key);
      if (task.over) await task.ending;
      else if (payload.holding !== undefined)
        await this.#parking.hold(task, { job: key, meta: this.#worker.toKey('meta') }, payload.holding);
      else this.#share.pool.submit(task);
      const ending = await task.ending;
      this.#news.endsNow();
      if (ending.how !== 'returned') this.#lookAhead();
      if (ending.how === 'ok') return await this.#stow(job, key, ending.text);
      if (ending.how === 'error') throw ending.error;
    } finally {
      stopClock();
      this.#share.children.over(task);
      await task.clear();
      this.#tasks.delete(id);
    }
    if (task.told) this.#news.pending(job);
    return this.#handBack(job);
  }

  /**
   * Fetches what is not handed over with the job: whether it was aborted under a host that did not hear of it, and large
   * arguments. Until that is here it can be cancelled, or aborted.
   */
  async #bring(task: HostTask, key: string): Promise<void> {
    task.place = 'gone'; // not the pool's yet
    this.#bringing.add(task);
    const { parts } = this.#share;
    const { args } = task.payload;
    try {
      const reason = task.job.attemptsStarted > 1 ? await parts.redis.hget(key, 'aborted') : null;
      if (reason !== null) task.failed(aborted(decodeText(reason)));
      else if (isMark(args)) task.args = await getText(parts, argumentsKey(key), args);
      task.place = 'waiting';
    } catch (error) {
      if (error instanceof OutcomeUnknownError) task.failed(error);
      else task.giveBack();
    }
    this.#bringing.delete(task);
    if (task.over) task.place = 'gone';
  }

  /** What stands in the job for its result: a large one lies beside it, for as long as it is to be kept. */
  async #stow(job: Job, key: string, text: string): Promise<string> {
    if (text.length <= LARGEST_IN_JOB) return text;
    try {
      return await putText(this.#share.parts, resultKey(key), text, keptFor(job.opts.removeOnComplete));
    } catch (error) {
      throw bullFailure(error as Error);
    }
  }

  /** What was fetched ahead and could not begin is for others: the last first, so that their order stays. */
  returnWaiting(): void {
    const before = now() - BACK_AFTER;
    const late = (task: HostTask) => task.since < before && this.#isWaiting(task);
    if (this.#turnstile.beyond === 0 || !this.#tasks.values().some(late)) return;
    this.#turnstile.letAhead(0);
    let left = this.#turnstile.beyond;
    for (const [id, task] of [...this.#tasks].reverse()) {
      if (left === 0) return;
      if (!this.#isWaiting(task) || !this.#share.pool.cancel(task)) continue;
      left -= 1;
      this.#unbegun(id);
      task.giveBack();
    }
  }

  /** True: no thread has begun it, and none will. */
  #takeBack(task: HostTask): boolean {
    return this.#parking.has(task) || this.#bringing.has(task) || this.#share.pool.cancel(task);
  }

  /** To be told to Redis before it goes back. */
  #unbegun(id: string): void {
    this.#share.parts.redis.eval(UNBEGUN, 1, this.#worker.toKey(id)).catch(this.#share.report);
  }

  #isWaiting(task: HostTask): boolean {
    return task.payload.holding === undefined && task.place !== 'gone' && !this.#share.pool.isRunning(task);
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

  #tooLate(task: HostTask): void {
    const error = new TimeoutError(`the task ${show(task.name)} was not done within its ttl`);
    task.failed(error);
    this.#stop(task, error);
    this.#free(task);
  }

  /** It is over for its Futures, and has its deduplication key no more. */
  #free({ job }: HostTask): void {
    if (job.deduplicationId === undefined) return;
    const key = this.#worker.toKey(`de:${job.deduplicationId}`);
    this.#share.parts.redis.eval(FREE, 1, key, job.id ?? '').catch(this.#share.report);
  }

  /** Ends what it does for a task, wherever that is. */
  #stop(task: HostTask, reason: unknown): void {
    this.#parking.stop(task, reason);
    this.#share.pool.abort(task, reason);
  }

  /** Where the job is another's by now, there is nothing to hand back. */
  async #handBack(job: Job): Promise<never> {
    await job.moveToWait(job.token).catch((error: Error) => this.#share.report(error));
    throw new WaitingError();
  }

  /** The job was given to another host, since this one gave no sign of life in time: what it does here is in vain. */
  #lose(task: HostTask): void {
    task.giveBack();
    this.#stop(
      task,
      new LeaseLostError('the job was given to another host: this one gave no sign of life in time'),
    );
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
