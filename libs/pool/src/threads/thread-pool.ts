/**
 * The pool of threads under both executors: the life of each task, from when it is taken to its outcome, and that of each
 * thread. It knows of tasks and threads, and nothing of Futures or Redis; which task goes where is for the dispatcher.
 */
import { type BrokenExecutorError, InvalidStateError, ThreadCrashedError } from '@heddle/primitives';
import { Deadline } from '@heddle/primitives/internal';
import { reportException } from '../future/report-exception.ts';
import { Backlog } from './backlog.ts';
import { Dispatcher } from './dispatcher.ts';
import { cannotStart, crashedUnder, tookTooLong, unknownTask } from './pool-errors.ts';
import { PoolThread, type ThreadWatcher } from './pool-thread.ts';
import type { PooledTask } from './pooled-task.ts';
import type { Stage } from './protocol.ts';
import { closeThread, endWhenIdle, retire } from './thread-end.ts';
import type { ThreadSettings } from './thread-start.ts';

export interface PoolSettings extends ThreadSettings {
  readonly maxWorkers: number;
  readonly threadNamePrefix: string;
  /** Milliseconds a thread may be idle before it is ended; `undefined`: for ever. */
  readonly idleTimeout: number | undefined;
  /** Milliseconds an aborted task has to end before its thread is ended. */
  readonly gracePeriod: number;
  /** Where what is thrown and belongs to no task goes (default: the exception hook). */
  readonly onStray?: ((error: unknown) => void) | undefined;
}

export class ThreadPool {
  readonly settings: PoolSettings;
  /** Told when nothing can be run any more. */
  readonly readers = new Set<(over?: Error) => void>();
  private readonly backlog = new Backlog();
  private readonly threads = new Set<PoolThread>();
  private readonly dispatcher: Dispatcher;
  private readonly watcher: ThreadWatcher;
  private tasks: readonly string[] | undefined;
  private broken: BrokenExecutorError | undefined;
  private closing = false;
  private terminated = false;
  /** Tasks that are delayed, in the backlog or sent, whoever may still want their outcome. */
  private outstanding = 0;
  private readonly delayed = new Set<PooledTask>();
  private named = 0;
  private readonly alive = setInterval(() => {}, 2 ** 30).unref();
  private readonly waiters: { until(): boolean; wake(error?: Error): void }[] = [];

  constructor(settings: PoolSettings) {
    this.settings = settings;
    this.dispatcher = new Dispatcher(this.backlog, this.threads, {
      maxWorkers: settings.maxWorkers,
      concurrency: settings.concurrency,
      due: () => this.outstanding - this.delayed.size,
      spawn: () => this.spawn(),
      unknown: (task) => this.refuse(task, unknownTask(task.name, this.tasks ?? [])),
    });
    this.watcher = {
      ready: (_, tasks) => this.ready(tasks),
      broken: (_, error, stage) => this.breakDown(error, stage),
      relieved: (thread) => this.relieved(thread),
      finished: (task, ok, value) => this.finished(task, ok, value),
      begun: (task) => this.begun(task),
      stray: settings.onStray ?? reportException,
      ended: (thread, code, error) => this.ended(thread, code, error),
    };
  }

  /** How many threads there are, and how many have something to do. */
  get threadCount(): number {
    return this.threads.size;
  }

  get busyCount(): number {
    let busy = 0;
    for (const thread of this.threads) if (thread.inFlight > 0) busy += 1;
    return busy;
  }

  /** Milliseconds a task took lately in the slowest of the threads, on average; `Infinity` where none has done any. */
  get pace(): number {
    let slowest = this.threads.size === 0 ? Number.POSITIVE_INFINITY : 0;
    for (const { pace } of this.threads) slowest = Math.max(slowest, pace);
    return slowest;
  }

  /** Why nothing can be run any more. */
  get breakdown(): BrokenExecutorError | undefined {
    return this.broken;
  }

  /** Starts all threads now and waits for the first. @throws BrokenExecutorError */
  async start(): Promise<readonly string[]> {
    while (this.threads.size < this.settings.maxWorkers && this.spawn());
    await this.until(() => this.tasks !== undefined);
    return this.tasks ?? [];
  }

  /** @throws InvalidStateError after `close`. */
  assertOpen(): void {
    if (this.closing) throw new InvalidStateError('the executor has been shut down and takes no new tasks');
  }

  /** Takes a task, to be run in `delay` ms at the earliest. @throws InvalidStateError after `close`. */
  submit(task: PooledTask, delay = 0): void {
    this.assertOpen();
    if (this.broken !== undefined) return task.failed(this.broken);
    if (this.tasks !== undefined && !this.tasks.includes(task.name))
      return task.failed(unknownTask(task.name, this.tasks ?? []));
    this.outstanding += 1;
    if (this.outstanding === 1) this.alive.ref();
    if (delay > 0) this.later(task, delay);
    else this.dispatcher.enqueue(task);
  }

  private later(task: PooledTask, delay: number): void {
    task.place = 'delayed';
    this.delayed.add(task);
    task.stopClock = Deadline.after(delay).onExpiry(() => {
      this.delayed.delete(task);
      task.place = 'waiting';
      this.dispatcher.enqueue(task);
    });
  }

  /** Runs it once more, if it may: true. */
  private again(task: PooledTask): boolean {
    if (task.abandoned || task.retriesLeft === 0 || task.transfer !== undefined || this.broken !== undefined)
      return false;
    task.stopClock?.();
    const delay = task.prepareRetry();
    task.retried();
    if (delay > 0) this.later(task, delay);
    else this.backlog.giveBack(task);
    return true;
  }

  /** Takes a task back that no thread has begun; true: it will never begin. */
  cancel(task: PooledTask): boolean {
    if (task.place === 'waiting') this.backlog.drop(task);
    else if (task.place === 'delayed') this.delayed.delete(task);
    else if (task.place === 'gone' || task.thread?.revoke(task) !== true) return false;
    this.release(task);
    return true;
  }

  /**
   * Tells a task to end; what it gives or throws interests nobody from now on. If it has begun and not ended in
   * `gracePeriod` ms, its thread is ended and replaced. The tasks behind it go to other threads at once; those that
   * have begun beside it end first, if the thread lets them.
   */
  abort(task: PooledTask, reason: unknown): void {
    if (this.cancel(task) || task.place === 'gone' || task.abandoned) return;
    const thread = task.thread as PoolThread; // it was sent, or it could have been cancelled
    task.abandoned = true;
    task.stopClock?.();
    thread.hanging += 1;
    this.dispatcher.takeBack(thread);
    thread.abort(task, reason);
    const late = () => {
      if (task.place !== 'sent') return;
      task.overdue = true;
      retire(thread);
      this.dispatcher.plan();
    };
    task.stopClock = Deadline.after(this.settings.gracePeriod).onExpiry(late);
    this.dispatcher.plan();
  }

  isRunning(task: PooledTask): boolean {
    return task.place === 'sent' && task.thread?.isRunning(task) === true;
  }

  /** All tasks that have no outcome yet, begun or not. */
  unfinished(): PooledTask[] {
    return [...this.delayed, ...this.backlog, ...[...this.threads].flatMap((thread) => thread.tasks())];
  }

  /** Refuses new tasks; resolves when those it has are done and the threads have ended. */
  async close(): Promise<void> {
    this.closing = true;
    await this.until(() => this.outstanding === 0);
    for (const thread of this.threads) closeThread(thread, this.settings.gracePeriod);
    await this.until(() => this.threads.size === 0);
    clearInterval(this.alive);
  }

  /** Ends all threads now. What they were running fails as it does in a crash. */
  async terminate(): Promise<void> {
    this.closing = true;
    this.terminated = true;
    await Promise.all([...this.threads].map((thread) => thread.terminate()));
    const ended = new InvalidStateError('the executor was terminated before the task began');
    for (let task = this.backlog.shift(); task !== undefined; task = this.backlog.shift())
      this.refuse(task, ended);
    for (const { wake } of this.waiters.splice(0)) wake(new InvalidStateError('the executor was terminated'));
    clearInterval(this.alive);
  }

  private until(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve();
    if (this.broken !== undefined && !this.closing) return Promise.reject(this.broken);
    return new Promise((resolve, reject) => {
      this.alive.ref();
      this.waiters.push({ until: done, wake: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  }

  private look(): void {
    for (const waiter of [...this.waiters]) {
      const failed = this.broken !== undefined && !this.closing ? this.broken : undefined;
      if (!waiter.until() && failed === undefined) continue;
      this.waiters.splice(this.waiters.indexOf(waiter), 1);
      waiter.wake(waiter.until() ? undefined : failed);
    }
    if (this.outstanding === 0 && this.waiters.length === 0) this.alive.unref();
  }

  private relieved(thread: PoolThread): void {
    if (thread.retiring) return retire(thread);
    this.dispatcher.refill(thread);
    const { idleTimeout, gracePeriod } = this.settings;
    if (idleTimeout === undefined || this.closing) return;
    if (thread.inFlight === 0 && thread.state === 'ready') endWhenIdle(thread, idleTimeout, gracePeriod);
  }

  /** Starts one more thread; false: none is started any more. */
  private spawn(): boolean {
    if (this.broken !== undefined || this.terminated) return false;
    this.named += 1;
    const name = `${this.settings.threadNamePrefix}-${this.named}`;
    this.threads.add(new PoolThread(name, this.settings, this.watcher));
    return true;
  }

  private ready(tasks: readonly string[]): void {
    this.tasks = tasks;
    this.look();
    this.dispatcher.dispatch();
    for (const thread of this.threads) {
      if (thread.state === 'ready' && thread.inFlight === 0) this.relieved(thread);
    }
  }

  private finished(task: PooledTask, ok: boolean, value: unknown): void {
    if (!ok && this.again(task)) return;
    this.release(task);
    if (!task.abandoned) task.settled(ok, value);
    else if (task.thread !== undefined) task.thread.hanging -= 1;
  }

  private begun(task: PooledTask): void {
    if (task.timeout === undefined || task.abandoned) return;
    const late = () => {
      const error = tookTooLong(task);
      task.failed(error);
      this.abort(task, error);
    };
    task.stopClock = Deadline.after(task.timeout).onExpiry(late);
  }

  /** The pool is done with it. */
  private release(task: PooledTask): void {
    task.place = 'gone';
    task.stopClock?.();
    this.outstanding -= 1;
    task.released();
    if (this.outstanding === 0) this.look();
  }

  private refuse(task: PooledTask, error: Error): void {
    this.release(task);
    task.failed(error);
  }

  /** A thread that could not start: no other will, so nothing can be run any more. */
  private breakDown(error: Error, stage: Stage): void {
    this.broken ??= cannotStart(this.settings, error, stage);
    for (const thread of this.threads) {
      if (thread.inFlight === 0) void thread.terminate();
    }
    for (const task of this.delayed) {
      this.delayed.delete(task);
      this.refuse(task, this.broken);
    }
    for (let task = this.backlog.shift(); task !== undefined; task = this.backlog.shift())
      this.refuse(task, this.broken);
    for (const tell of [...this.readers]) tell(this.broken);
    this.look();
  }

  private ended(thread: PoolThread, code: number, error: Error | undefined): void {
    const started = thread.started;
    this.threads.delete(thread);
    thread.stopIdle?.();
    const { begun, untouched } = thread.leftovers();
    for (const task of untouched.reverse()) {
      if (task.transfer === undefined) this.backlog.giveBack(task);
      else this.crashed(task, thread, code, error);
    }
    // Who waited for its children did nothing; it is to blame only where nobody else was at work.
    const guilty = begun.some((task) => !task.lends);
    for (const task of begun) {
      const innocent = thread.putDown ? !task.abandoned : guilty && task.lends;
      if (task.lends) thread.lend(task, false);
      if (!innocent || !this.displace(task)) this.crashed(task, thread, code, error);
    }
    // A pool that closes ends what has not started yet, but not while it has tasks: any other could not start.
    const itself = !this.closing || (this.outstanding > 0 && !this.terminated);
    if (!started && itself && this.broken === undefined) {
      this.breakDown(error ?? new ThreadCrashedError(`the thread exited with code ${code}`), 'start');
    }
    this.look();
    // Also where the backlog is empty: what it had may lie behind another thread's task by now, and that may take long.
    if (this.outstanding > 0) this.dispatcher.plan();
  }

  /** It begins again elsewhere, and no attempt is counted; false: it can't, since its arguments were moved. */
  private displace(task: PooledTask): boolean {
    if (task.displaced()) {
      this.release(task);
      return true;
    }
    if (task.transfer !== undefined || this.broken !== undefined) return false;
    task.stopClock?.();
    task.nextAttempt();
    task.retried();
    this.backlog.giveBack(task);
    return true;
  }

  private crashed(task: PooledTask, thread: PoolThread, code: number, error: Error | undefined): void {
    if (this.again(task)) return;
    if (task.abandoned) this.release(task);
    else this.refuse(task, crashedUnder(task.name, thread.name, code, error));
  }
}
