/**
 * One process that runs a queue's jobs in its threads. The main thread fetches, renews and settles, through a BullMQ
 * Worker, and runs no task code: so a task that computes for minutes loses no job. Values go as text from Redis into
 * the threads and back, and are taken apart only there.
 */
import { availableParallelism } from 'node:os';
import type { ResourceLimits } from 'node:worker_threads';
import {
  type BrokenExecutorError,
  CancelledError,
  HeddleError,
  InvalidStateError,
  type Lease,
  LeaseLostError,
  TimeoutError,
} from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import {
  checkCount,
  checkOptions,
  Deadline,
  decodeText,
  encodeText,
  show,
  toPortable,
  typeError,
} from '@heddle/primitives/internal';
import { type Job, WaitingError, Worker } from 'bullmq';
import { checkNamed } from '../executor/check-options.ts';
import type { TaskLog } from '../executor/thread-pool.executor.ts';
import { reportException } from '../future/report-exception.ts';
import type { HandleForm } from '../threads/session-protocol.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import { ANNOUNCE_EVERY, announceHost, type HostStatus, withdrawHost } from './fleet.ts';
import { bullFailure, type HostDesk, HostTask, wholeError } from './host-task.ts';
import { type JobPayload, packError, queueAddress, readPayload, thisHost, unpackError } from './job-form.ts';
import { type AbortReader, JobInbox } from './job-inbox.ts';
import { Outbox } from './outbox.ts';
import { partsOf, type SessionParts } from './session-parts.ts';

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
  readonly initargs?: readonly unknown[] | undefined;
  readonly resourceLimits?: ResourceLimits | undefined;
  /** Threads are named prefix, `-`, number (default: the queue's name). */
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
   * the same.
   */
  readonly rateLimit?: { readonly jobs: number; readonly per: number } | undefined;
  /** What the fleet's list shows as this host's version. */
  readonly version?: string | undefined;
  /** Where `currentJob().log` goes, beside the job's own log in Redis (default: nowhere else). */
  readonly onLog?: ((entry: TaskLog) => void) | undefined;
  /** What fails and belongs to no job: the connection, a stray error in a thread (default: a warning). */
  readonly onError?: ((error: Error) => void) | undefined;
}

const OPTIONS: ReadonlySet<string> = new Set([
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
  'onError',
] satisfies (keyof WorkerHostOptions)[]);

/** A job that has run for so long, in ms, is told to be running; quicker ones need not be. */
const TELL_RUNNING_AFTER = 20;

/** So many jobs may wait for what they are to hold beside those that run; further ones take the turn of others. */
const MOST_PARKED = 100;

let hosts = 0;

/**
 * Runs the jobs of a queue.
 *
 * ```ts
 * await using session = await connect();
 * const host = new WorkerHost('images', { session, tasks: new URL('./tasks.ts', import.meta.url), threads: 4 });
 * await host.start();
 * await once(process, 'SIGTERM');
 * await host.close({ gracePeriod: 10_000 });
 * ```
 */
export class WorkerHost implements HostDesk, AbortReader, AsyncDisposable {
  readonly queue: string;
  /** Unique to this host's life. */
  readonly id: string;
  readonly #options: WorkerHostOptions;
  readonly #parts: SessionParts;
  readonly #pool: ThreadPool;
  readonly #worker: Worker;
  readonly #outbox: Outbox;
  readonly #tasks = new Map<string, HostTask>();
  /** Those that wait for what they are to hold. */
  readonly #parked = new Map<HostTask, AbortController>();
  readonly #undo: (() => void)[] = [];
  readonly #since = Date.now();
  #completed = 0;
  #failed = 0;
  #started: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(queue: string, options: WorkerHostOptions) {
    const given = checkHostOptions(options);
    hosts += 1;
    this.queue = queue;
    this.#options = given;
    this.#parts = partsOf(given.session, 'WorkerHost');
    this.id = `${this.#parts.id}:${hosts}`;
    const address = queueAddress(this.#parts.namespace, queue, 'WorkerHost');
    this.#outbox = new Outbox(this.#parts, (error) => this.#report(error));
    this.#pool = hostPool(queue, given, this.#parts);
    const { stallTimeout = 6000, maxStalls = 3, rateLimit } = given;
    this.#worker = new Worker(address.name, (job) => this.#run(job), {
      connection: this.#parts.redis,
      prefix: address.prefix,
      name: this.#parts.id,
      autorun: false,
      concurrency: this.threads * (given.concurrency ?? 1),
      lockDuration: stallTimeout,
      lockRenewTime: Math.ceil(stallTimeout / 3),
      stalledInterval: Math.ceil(stallTimeout / 3), // Redis takes no fraction of a millisecond
      maxStalledCount: maxStalls,
      runRetryDelay: 500,
      ...(rateLimit === undefined ? {} : { limiter: { max: rateLimit.jobs, duration: rateLimit.per } }),
      // No skipVersionCheck: BullMQ would take Redis for an old one and wait whole seconds for delayed jobs.
    });
    this.#worker.on('error', (error) => this.#report(error));
    this.#worker.on('completed', (job, result: string) => this.#tell(job, 'ok', result));
    this.#worker.on('lockRenewalFailed', (ids) => {
      for (const task of ids.map((id) => this.#tasks.get(id))) if (task !== undefined) this.#lose(task);
    });
    this.#worker.on('failed', (job, error) => this.#tellFailure(job, error));
  }

  /** How many threads it runs tasks in. */
  get threads(): number {
    return this.#options.threads ?? availableParallelism();
  }

  /**
   * Loads the task module and begins to take jobs; resolves when it does. Twice: InvalidStateError.
   * @throws BrokenExecutorError where the module or the initializer throws.
   */
  start(): Promise<void> {
    if (this.#started !== undefined || this.#closed !== undefined) {
      return Promise.reject(new InvalidStateError('WorkerHost.start: it was started before; make a new one'));
    }
    this.#started = this.#start();
    return this.#started;
  }

  /**
   * Takes no more jobs and gives those it runs `gracePeriod` ms (default 10 000) to end. Then their signals abort, the
   * threads of those that go on regardless are ended, and their jobs go back to the queue, with no attempt lost.
   * Resolves when nothing is left. Twice: the same promise.
   */
  close(options?: { readonly gracePeriod?: number | undefined }): Promise<void> {
    const { gracePeriod = 10_000 } = checkOptions(options, 'WorkerHost.close');
    checkNamed(gracePeriod, 'WorkerHost.close', 'gracePeriod');
    this.#closed ??= this.#close(gracePeriod);
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How it stands, as the fleet's list shows it. */
  status(): HostStatus {
    return {
      id: this.id,
      session: this.#parts.id,
      host: thisHost,
      pid: process.pid,
      queue: this.queue,
      threads: this.threads,
      busy: this.#pool.busyCount,
      running: this.#tasks.size,
      completed: this.#completed,
      failed: this.#failed,
      version: this.#options.version ?? '',
      since: this.#since,
      seen: Date.now(),
    };
  }

  async #start(): Promise<void> {
    await this.#pool.start();
    await this.#worker.waitUntilReady();
    await this.#parts.clock.keep();
    const inbox = JobInbox.of(this.#parts);
    inbox.aborts.add(this);
    const announce = setInterval(() => this.#announce(), ANNOUNCE_EVERY).unref();
    const tellRunning = setInterval(() => this.#tellRunning(), TELL_RUNNING_AFTER).unref();
    this.#undo.push(
      () => inbox.aborts.delete(this),
      () => clearInterval(announce),
      () => clearInterval(tellRunning),
    );
    await announceHost(this.#parts, this.status());
    this.#worker.run().catch((error: Error) => this.#report(error));
  }

  async #close(gracePeriod: number): Promise<void> {
    await this.#started?.catch(() => {});
    const stopClock = Deadline.after(gracePeriod).onExpiry(() => this.#sendBack());
    await this.#worker.close();
    stopClock();
    for (const undo of this.#undo) undo();
    await this.#outbox.flush();
    if (!this.#parts.closed()) await withdrawHost(this.#parts, this.id).catch(() => {});
    await this.#pool.close().catch(() => this.#pool.terminate());
  }

  /** Ends what it does for a task, wherever that is. */
  #stop(task: HostTask, reason: unknown): void {
    this.#parked.get(task)?.abort(reason);
    this.#pool.abort(task, reason);
  }

  /** All it has goes back to the queue: what has not begun at once, the rest when it has ended or been ended. */
  #sendBack(): void {
    const reason = new HeddleError(
      'the host is shutting down; the job goes back to the queue',
      'ERR_HEDDLE_HOST_CLOSING',
    );
    for (const task of this.#tasks.values()) {
      task.giveBack();
      this.#stop(task, reason);
    }
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
    const life = Deadline.after(left);
    const id = job.id ?? '';
    const older = this.#tasks.get(id);
    if (older !== undefined) {
      // This host lost the job and got it anew; two runs of it at a time would not know of each other.
      this.#lose(older);
      await older.ending;
      return this.#handBack(job);
    }
    const task = new HostTask(job, payload, this, this.#parts, left === undefined ? undefined : life.at);
    this.#tasks.set(id, task);
    const stopClock = life.onExpiry(() => this.#tooLate(task), { unref: true });
    try {
      if (payload.holding !== undefined) await this.#park(task, payload.holding);
      else this.#pool.submit(task);
      const ending = await task.ending;
      if (ending.how === 'ok') return ending.text;
      if (ending.how === 'error') throw ending.error;
    } finally {
      stopClock();
      await task.clear();
      this.#tasks.delete(id);
    }
    return this.#handBack(job);
  }

  /** Milliseconds until its time to live ends; `undefined`: it has none. */
  #timeLeft(job: Job, { until, ttl }: JobPayload): number | undefined {
    const end = ttl === undefined ? until : job.timestamp + (job.opts.delay ?? 0) + ttl;
    return end === undefined ? undefined : end - this.#parts.clock.now();
  }

  #tooLate(task: HostTask): void {
    const error = new TimeoutError(`the task ${show(task.name)} was not done within its ttl`);
    task.failed(error);
    this.#stop(task, error);
  }

  /**
   * Waits for what the task is to hold, then has it run. It waits here, where it takes no thread, and so that it takes
   * no turn of another job either, BullMQ may fetch one more meanwhile. This runs in the turn in which BullMQ hands the
   * job over, before it looks whether it may.
   */
  async #park(task: HostTask, form: HandleForm): Promise<void> {
    const room = this.#parked.size < MOST_PARKED;
    const waiting = new AbortController();
    task.place = 'gone'; // not the pool's yet
    this.#parked.set(task, waiting);
    if (room) this.#worker.concurrency += 1;
    let lease: Lease | null | undefined;
    try {
      lease = await acquireFor(this.#parts.session, form, waiting.signal);
    } catch (error) {
      if (!waiting.signal.aborted) this.#couldNotHold(task, error as Error);
    } finally {
      this.#parked.delete(task);
      if (room) this.#worker.concurrency -= 1;
    }
    if (!lease) return;
    task.hold(lease, form);
    if (waiting.signal.aborted) return task.released();
    const { signal } = lease;
    const lost = () => {
      task.fail(signal.reason as Error);
      this.#pool.abort(task, signal.reason);
    };
    task.place = 'waiting';
    this.#pool.submit(task);
    if (signal.aborted) lost();
    else signal.addEventListener('abort', lost, { once: true });
  }

  #couldNotHold(task: HostTask, error: Error): void {
    if (this.#parts.closed()) task.giveBack();
    else task.failed(error);
  }

  /** Where the job is another's by now, there is nothing to hand back. */
  async #handBack(job: Job): Promise<never> {
    await job.moveToWait(job.token).catch((error: Error) => this.#report(error));
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

  abort(id: string, reason: string): boolean {
    const task = this.#tasks.get(id);
    if (task === undefined) return false;
    const cause = decodeText(reason);
    task.failed(new CancelledError('the task was aborted', { cause }));
    this.#stop(task, cause);
    return true;
  }

  progressed(task: HostTask, text: string): void {
    this.#outbox.post(task.payload.from, task.job.id ?? '', 'progress', text);
  }

  logged(task: HostTask, line: string, context: Record<string, unknown>): void {
    task.job.log(line).catch((error: Error) => this.#report(error));
    const { attempt } = task.extra as { attempt: number };
    this.#options.onLog?.({ job: task.job.id ?? '', task: task.name, attempt, line, context });
  }

  /** It can run nothing any more: it stops taking jobs, and those it has go back. */
  broken(error: BrokenExecutorError): void {
    if (this.#closed !== undefined) return;
    this.#report(error);
    void this.close({ gracePeriod: 0 });
  }

  #tell(job: Job, what: 'ok' | 'error', text: string): void {
    if (what === 'ok') this.#completed += 1;
    const payload = readPayload(job.data);
    if (payload !== undefined) this.#outbox.post(payload.from, job.id ?? '', what, text);
  }

  /** A failed attempt is news only where it was the last. */
  #tellFailure(job: Job | undefined, error: Error): void {
    this.#failed += 1;
    if (job?.finishedOn === undefined || job.finishedOn === null) return;
    const whole = unpackError(
      wholeError(error) ?? packError(unpackError(undefined, error.message)),
      error.message,
    );
    this.#tell(job, 'error', encodeText(whole, 'error', { lenient: true }));
  }

  #tellRunning(): void {
    const before = performance.now() - TELL_RUNNING_AFTER;
    for (const [id, task] of this.#tasks) {
      if (task.told || task.since > before || !this.#pool.isRunning(task)) continue;
      task.told = true;
      this.#outbox.post(task.payload.from, id, 'running', '');
    }
  }

  #announce(): void {
    if (this.#parts.closed()) return; // Closed under the host: nothing can be said any more.
    const report = (error: Error) => this.#report(error);
    this.#parts.clock.keep().catch(report);
    announceHost(this.#parts, this.status()).catch(report);
  }

  #report(error: Error): void {
    if (this.#options.onError !== undefined) this.#options.onError(error);
    else reportException(error);
  }
}

/** First come, first served between hosts, and between the jobs of one. */
async function acquireFor(session: Session, form: HandleForm, signal: AbortSignal): Promise<Lease> {
  if (form.make === 'lock') return session.lock(form.name).acquire({ signal });
  return session.semaphore(form.name, form.args[0] as number).acquire({ signal });
}

function hostPool(queue: string, options: WorkerHostOptions, { id, namespace }: SessionParts): ThreadPool {
  return new ThreadPool({
    module: options.tasks.href,
    codec: 'text',
    concurrency: options.concurrency ?? 1,
    maxWorkers: options.threads ?? availableParallelism(),
    threadNamePrefix: options.threadNamePrefix ?? queue,
    initializer: options.initializer,
    initargs: toPortable(options.initargs ?? [], 'initargs'),
    resourceLimits: options.resourceLimits,
    idleTimeout: undefined,
    gracePeriod: options.gracePeriod ?? 1000,
    session: { id, namespace },
  });
}

function checkHostOptions(options: WorkerHostOptions): WorkerHostOptions {
  const where = 'WorkerHost';
  const given = checkOptions(options, where);
  for (const key of Object.keys(given)) {
    if (!OPTIONS.has(key))
      throw typeError(`${where}: there is no option ${show(key)}; there are ${[...OPTIONS].join(', ')}`);
  }
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
  if (given.rateLimit !== undefined) {
    const { jobs, per } = checkOptions(given.rateLimit, `${where}: rateLimit`);
    checkCount(jobs, `${where}: rateLimit.jobs`);
    checkCount(per, `${where}: rateLimit.per, in ms,`);
  }
  for (const name of ['initializer', 'threadNamePrefix', 'version'] as const) {
    const value = given[name];
    if (value !== undefined && typeof value !== 'string')
      throw typeError(`${where}: ${name} must be a string, not ${show(value)}`);
  }
  for (const name of ['onLog', 'onError'] as const) {
    if (given[name] !== undefined && typeof given[name] !== 'function')
      throw typeError(`${where}: ${name} must be a function, not ${show(given[name])}`);
  }
  return options;
}
