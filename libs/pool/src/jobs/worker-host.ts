/**
 * One process that runs the jobs of a queue, or of several, in its threads. The main thread fetches, renews and settles,
 * through BullMQ Workers, and runs no task code: so a task that computes for minutes loses no job. Values go as text from
 * Redis into the threads and back, and are taken apart only there.
 */
import { availableParallelism } from 'node:os';
import { BrokenExecutorError, InvalidStateError, OutcomeUnknownError } from '@heddle/primitives';
import { checkKnown, Deadline, toPortable } from '@heddle/primitives/internal';
import { checkNamed } from '../executor/check-options.ts';
import { callUser, reportException } from '../future/report-exception.ts';
import { ThreadPool } from '../threads/thread-pool.ts';
import { ChildJobs } from './child-jobs.ts';
import { ANNOUNCE_EVERY, announceHost, type HostStatus, withdrawHost } from './fleet.ts';
import { checkHostOptions, checkQueues, type Queues, type WorkerHostOptions } from './host-options.ts';
import { HostQueue, type HostShare, LOOK_EVERY } from './host-queue.ts';
import { type CancelAnswer, queueAddress, thisHost } from './job-form.ts';
import { type HostReader, JobInbox } from './job-inbox.ts';
import { Outbox } from './outbox.ts';
import { asking } from './refusal.ts';
import { partsOf, type SessionParts } from './session-parts.ts';
import { Trouble } from './trouble.ts';
import { Turnstile } from './turnstile.ts';

/** So long, in ms, a host that closes waits for Redis when nothing else keeps it any more. */
const REDIS_PATIENCE = 5000;

let hosts = 0;

/**
 * Runs the jobs of a queue, or of several: those that have jobs share the threads by their weights.
 *
 * ```ts
 * await using session = await connect();
 * const host = new WorkerHost('images', { session, tasks: new URL('./tasks.ts', import.meta.url), threads: 4 });
 * await host.start();
 * await once(process, 'SIGTERM');
 * await host.close({ gracePeriod: 10_000 });
 * ```
 */
export class WorkerHost implements HostReader, AsyncDisposable {
  /** The queue's name; of several, all of them, parted by commas. */
  readonly queue: string;
  /** Unique to this host's life. */
  readonly id: string;
  readonly #options: WorkerHostOptions;
  readonly #parts: SessionParts;
  readonly #trouble: Trouble;
  readonly #pool: ThreadPool;
  readonly #outbox: Outbox;
  readonly #children: ChildJobs;
  readonly #queues = new Map<string, HostQueue>();
  readonly #undo: (() => void)[] = [];
  readonly #since = Date.now();
  #tasks: readonly string[] = [];
  #loading = false;
  #started: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  /** It has closed without Redis. */
  #abandoned = false;
  #looks: NodeJS.Timeout | undefined;

  /** @param queues A queue's name, or an object of names and weights: `{ images: 3, mail: 1 }`. */
  constructor(queues: Queues, options: WorkerHostOptions) {
    const given = checkHostOptions(options);
    const weights = checkQueues(queues);
    hosts += 1;
    this.queue = [...weights.keys()].join(', ');
    this.#options = given;
    this.#parts = partsOf(given.session, 'WorkerHost');
    this.#trouble = new Trouble(this.#parts, 'a host of jobs', (error) => this.#tell(error));
    this.id = `${this.#parts.id}:${hosts}`;
    this.#outbox = new Outbox(this.#parts, (error) => this.#report(error));
    this.#children = new ChildJobs(this.#parts);
    this.#pool = hostPool(this.queue, given, this.#parts, (error) => this.#report(error as Error));
    this.#addQueues(weights);
  }

  /** How many threads it runs tasks in. */
  get threads(): number {
    return this.#options.threads ?? availableParallelism();
  }

  /**
   * Loads the task module and begins to take jobs; resolves when it does. Twice, or closed before it was loaded:
   * InvalidStateError.
   * @throws BrokenExecutorError where the module or the initializer throws, or the module exports no function.
   * @throws RedisRefusedError where Redis does not let it work; RedisUnreachableError where it goes away meanwhile.
   * @throws SessionClosedError where its session is closed, or is before it has started.
   */
  start(): Promise<void> {
    if (this.#started !== undefined || this.#closed !== undefined) {
      return Promise.reject(new InvalidStateError('WorkerHost.start: it was started before; make a new one'));
    }
    const started = asking(this.#parts, 'to start a WorkerHost', () => {
      this.#started = this.#start();
      return this.#started;
    });
    this.#started ??= started;
    return started;
  }

  /**
   * Takes no more jobs and gives those it runs `gracePeriod` ms (default 10 000) to end. Then their signals abort, the
   * threads of those that go on regardless are ended, and their jobs go back to the queue, with no attempt lost.
   * Resolves when nothing is left. Where Redis does not answer, it does so five seconds after all that: `onError` is told,
   * and the jobs go to other hosts as if this one had died. Twice: the same promise.
   */
  close(options?: { readonly gracePeriod?: number | undefined }): Promise<void> {
    const { gracePeriod = 10_000 } = checkKnown(options, ['gracePeriod'], 'WorkerHost.close');
    checkNamed(gracePeriod, 'WorkerHost.close', 'gracePeriod');
    this.#closed ??= this.#close(gracePeriod);
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How it stands, as the fleet's list shows it. */
  status(): HostStatus {
    const sum = (count: (queue: HostQueue) => number) =>
      [...this.#queues.values()].reduce((total, queue) => total + count(queue), 0);
    return {
      id: this.id,
      session: this.#parts.id,
      host: thisHost,
      pid: process.pid,
      queue: this.queue,
      queues: [...this.#queues.keys()],
      threads: this.threads,
      concurrency: this.#options.concurrency ?? 1,
      busy: this.#pool.busyCount,
      running: sum(({ jobs }) => jobs.size),
      completed: sum(({ counts }) => counts.completed),
      failed: sum(({ counts }) => counts.failed),
      tasks: this.#tasks,
      version: this.#options.version ?? '',
      since: this.#since,
      seen: Date.now(),
    };
  }

  /** @internal Ends a running job; false where none of that id runs here. */
  abort(id: string, reason: string): boolean {
    return [...this.#queues.values()].some((queue) => queue.jobs.abort(id, reason));
  }

  /** @internal Messages may have been lost: looks whether jobs it runs were aborted. */
  askAgain(): void {
    for (const queue of this.#queues.values()) queue.jobs.askAgain();
  }

  /** @internal Takes a job back that no thread has begun. */
  cancel(id: string): CancelAnswer {
    for (const queue of this.#queues.values()) {
      const answer = queue.jobs.cancel(id);
      if (answer !== 'unknown') return answer;
    }
    return 'unknown';
  }

  /** @internal Another host has left a job; true where that is to this one. */
  offer(host: string, queue: string, id: string): boolean {
    if (host !== this.id) return false;
    this.#queues.get(queue)?.offer(id);
    return true;
  }

  #addQueues(weights: ReadonlyMap<string, number>): void {
    const share: HostShare = {
      options: this.#options,
      parts: this.#parts,
      pool: this.#pool,
      outbox: this.#outbox,
      children: this.#children,
      id: this.id,
      tasks: () => this.#tasks,
      watch: () => {
        this.#looks ??= setInterval(() => this.#look(), LOOK_EVERY).unref();
      },
      report: (error) => this.#report(error),
      back: () => this.#trouble.back(),
      broken: (error) => this.#broken(error),
    };
    const turnstile = new Turnstile(this.threads * (this.#options.concurrency ?? 1));
    for (const [name, weight] of weights) {
      const address = queueAddress(this.#parts.namespace, name, 'WorkerHost');
      this.#queues.set(name, new HostQueue(name, address, share, turnstile, weight));
    }
  }

  async #start(): Promise<void> {
    this.#tasks = await this.#load();
    await Promise.all([...this.#queues.values()].map((queue) => queue.start()));
    await this.#parts.clock.keep();
    if (this.#abandoned)
      throw new InvalidStateError('WorkerHost.start: it was closed before Redis had answered');
    const inbox = JobInbox.of(this.#parts);
    inbox.hosts.add(this);
    const announce = setInterval(() => this.#announce(), ANNOUNCE_EVERY).unref();
    this.#undo.push(
      this.#trouble.watch(),
      () => inbox.hosts.delete(this),
      () => clearInterval(announce),
      () => clearInterval(this.#looks),
    );
    await announceHost(this.#parts, this.status());
    for (const queue of this.#queues.values()) queue.open();
  }

  async #load(): Promise<readonly string[]> {
    this.#loading = true;
    const { href } = this.#options.tasks;
    try {
      const tasks = await this.#pool.start();
      if (tasks.length > 0) return tasks;
      // It would run nothing, and fail the jobs that no other host can run.
      throw new BrokenExecutorError(
        `WorkerHost.start: the task module ${href} exports no function, so there is no task`,
      );
    } catch (error) {
      if (this.#closed === undefined) throw error;
      throw new InvalidStateError('WorkerHost.start: it was closed before its task module was loaded');
    } finally {
      this.#loading = false;
    }
  }

  async #close(gracePeriod: number): Promise<void> {
    if (this.#loading) await this.#pool.terminate(); // there is no job yet, and a module may take for ever
    const late = Promise.withResolvers<'late'>();
    let stopClock = Deadline.after(gracePeriod).onExpiry(() => {
      for (const queue of this.#queues.values()) queue.jobs.sendBack();
      const patience = Deadline.after(this.#pool.settings.gracePeriod + REDIS_PATIENCE);
      stopClock = patience.onExpiry(() => late.resolve('late'));
    });
    const left = await Promise.race([this.#leave(), late.promise]).finally(() => stopClock());
    if (left === 'late') await this.#abandon();
    else await this.#pool.close().catch(() => this.#pool.terminate());
  }

  /** All of its end in which Redis has a part. */
  async #leave(): Promise<void> {
    await this.#started?.catch(() => {});
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    for (const undo of this.#undo) undo();
    await this.#children.close();
    await this.#outbox.flush();
    if (!this.#parts.closed() && !this.#abandoned) await withdrawHost(this.#parts, this.id).catch(() => {});
  }

  /** Ends what there is here; what Redis was to be told it finds out by itself. */
  async #abandon(): Promise<void> {
    this.#report(
      new OutcomeUnknownError(
        'Redis did not answer while the host closed: jobs it had are given to other hosts once they count as stalled',
      ),
    );
    this.#abandoned = true; // all that fails from here on fails for that reason
    for (const undo of this.#undo) undo();
    for (const queue of this.#queues.values()) queue.abandon();
    void this.#children.close().catch(() => {});
    await this.#pool.terminate();
  }

  /** It can run nothing any more: it stops taking jobs, and those it has go back. */
  #broken(error: BrokenExecutorError): void {
    if (this.#closed !== undefined) return;
    this.#report(error);
    void this.close({ gracePeriod: 0 });
  }

  /** At the jobs in hand, while there are any. */
  #look(): void {
    let jobs = 0;
    for (const queue of this.#queues.values()) {
      queue.tellRunning();
      queue.jobs.returnWaiting();
      jobs += queue.jobs.size;
    }
    if (jobs > 0) return;
    clearInterval(this.#looks);
    this.#looks = undefined;
  }

  #announce(): void {
    if (this.#parts.closed()) return; // Closed under the host: nothing can be said any more.
    const report = (error: Error) => this.#report(error);
    this.#parts.clock.keep().catch(report);
    announceHost(this.#parts, this.status()).catch(report);
  }

  #report(error: Error): void {
    if (this.#abandoned) return;
    this.#trouble.hear(error);
  }

  #tell(error: Error): void {
    const { onError } = this.#options;
    if (onError !== undefined) callUser(onError, reportException, error);
    else reportException(error);
  }
}

function hostPool(
  name: string,
  options: WorkerHostOptions,
  { id, namespace }: SessionParts,
  onStray: (error: unknown) => void,
): ThreadPool {
  const { onOutput } = options;
  return new ThreadPool({
    module: options.tasks.href,
    codec: 'text',
    concurrency: options.concurrency ?? 1,
    maxWorkers: options.threads ?? availableParallelism(),
    threadNamePrefix: options.threadNamePrefix ?? name,
    initializer: options.initializer,
    initargs: toPortable(options.initargs ?? [], 'initargs'),
    resourceLimits: options.resourceLimits,
    idleTimeout: undefined,
    gracePeriod: options.gracePeriod ?? 1000,
    onStray,
    onOutput: onOutput && ((entry) => callUser(onOutput, onStray, entry)),
    session: { id, namespace },
  });
}
