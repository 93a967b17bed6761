/**
 * Which task goes to which thread of a pool, and when.
 *
 * Tasks wait in the backlog; each thread is sent as many as it does in two milliseconds, at the least one more
 * than it runs, so that it never waits for the pool. A thread with nothing to do gets half of what the fullest one
 * has not begun. So tasks are handed out in large batches where they are quick, and one by one where they are not,
 * and none stays behind a slow one while a thread is free.
 */
import type { Backlog } from './backlog.ts';
import type { PoolThread } from './pool-thread.ts';
import type { PooledTask } from './pooled-task.ts';

/** What it asks of its pool. */
export interface DispatchDesk {
  readonly maxWorkers: number;
  /** Tasks that a thread runs at once. */
  readonly concurrency: number;
  /** How many tasks wait in the backlog or were sent. */
  due(): number;
  /** Starts one more thread; false: none is started any more. */
  spawn(): boolean;
  /** The module has no such task. */
  unknown(task: PooledTask): void;
}

export class Dispatcher {
  private readonly backlog: Backlog;
  private readonly threads: ReadonlySet<PoolThread>;
  private readonly desk: DispatchDesk;
  /** No task that a thread was sent goes after this priority. */
  private lastAhead = 0;
  private planned = false;

  constructor(backlog: Backlog, threads: ReadonlySet<PoolThread>, desk: DispatchDesk) {
    this.backlog = backlog;
    this.threads = threads;
    this.desk = desk;
  }

  /** Takes a task that no thread has had. */
  enqueue(task: PooledTask): void {
    this.backlog.push(task);
    if (task.priority < this.lastAhead) this.recall(task.priority);
    this.plan();
  }

  /** What threads were sent ahead and goes after this priority waits for its turn again. */
  private recall(priority: number): void {
    this.lastAhead = priority;
    for (const thread of this.threads) this.takeBack(thread, priority);
  }

  /** What the thread has not begun, and goes after this priority, waits for another. */
  takeBack(thread: PoolThread, after?: number): void {
    for (const task of thread.revokeSome(Number.POSITIVE_INFINITY, after)) this.backlog.giveBack(task);
  }

  /** Dispatches at the end of this turn. */
  plan(): void {
    if (this.planned) return;
    this.planned = true;
    queueMicrotask(this.planTick);
  }

  /**
   * A tick asked for by a microtask comes when all microtasks of the turn are done: each may bring tasks, as where many
   * await what came in one message.
   */
  private readonly planTick = () => process.nextTick(this.tick);

  private readonly tick = () => {
    this.planned = false;
    this.dispatch();
  };

  /** Fills the threads, the emptiest first, and starts more while there are more tasks than threads. */
  dispatch(): void {
    const { maxWorkers, concurrency } = this.desk;
    const retiring = [...this.threads].filter((thread) => thread.retiring);
    const kept = retiring.reduce((sum, thread) => sum + thread.tasks().length, 0);
    const crowded = [...this.threads].filter((thread) => thread.crowded && !thread.retiring).length;
    const needed = Math.ceil((this.desk.due() - kept) / concurrency);
    const wanted = retiring.length + Math.min(maxWorkers + crowded, needed);
    while (this.threads.size < wanted && this.desk.spawn());
    const free = [...this.threads].filter((thread) => thread.room > 0);
    free.sort((a, b) => a.inFlight - b.inFlight);
    for (const [index, thread] of free.entries()) {
      this.fill(thread, Math.ceil(this.backlog.size / (free.length - index)));
    }
  }

  /** Gives a thread that has room its part of what waits; one that has nothing to do, where nothing waits, of another's. */
  refill(thread: PoolThread): void {
    if (this.backlog.size > 0) this.fill(thread, Math.ceil(this.backlog.size / this.threads.size));
    if (thread.inFlight === 0 && thread.state === 'ready') this.share(thread);
  }

  private fill(thread: PoolThread, share: number): void {
    const room = Math.min(thread.room, share);
    if (room <= 0) return;
    const batch: PooledTask[] = [];
    while (batch.length < room) {
      const task = this.backlog.shift();
      if (task === undefined) break;
      // Arguments that move can't be sent twice: they go to a thread that begins with them at once.
      if (task.transfer !== undefined && !thread.isFree(batch.length)) {
        this.backlog.giveBack(task);
        break;
      }
      if (thread.knows(task.name)) batch.push(task);
      else this.desk.unknown(task);
    }
    const last = batch.at(-1);
    if (last === undefined) return;
    this.lastAhead = Math.max(this.lastAhead, last.priority); // those before it go first
    thread.stopIdle?.();
    thread.send(batch);
  }

  /** Gives an idle thread half of what the fullest one has not begun, or the fullest that has something to give. */
  private share(idle: PoolThread): void {
    const { concurrency } = this.desk;
    const full = [...this.threads].filter((thread) => thread.inFlight > concurrency);
    full.sort((a, b) => b.inFlight - a.inFlight);
    for (const thread of full) {
      const taken = thread.revokeSome(Math.ceil((thread.inFlight - concurrency) / 2));
      if (taken.length === 0) continue; // those it has not begun were taken back, or had their arguments moved
      for (const task of taken) this.backlog.giveBack(task);
      return this.fill(idle, taken.length);
    }
  }
}
