/** The tasks no thread has yet: by priority (lower first), then those given back, then first in, first out. */
import type { PooledTask } from './pooled-task.ts';
import { TaskQueue } from './task-queue.ts';

interface Level {
  readonly returned: PooledTask[];
  readonly fresh: TaskQueue<PooledTask>;
}

export class Backlog {
  private readonly levels = new Map<number, Level>();
  /** Of the levels there are, in order. */
  private readonly priorities: number[] = [];
  private live = 0;

  /** How many wait; those that were taken out by `drop` no longer count. */
  get size(): number {
    return this.live;
  }

  push(task: PooledTask): void {
    this.level(task.priority).fresh.push(task);
    this.live += 1;
  }

  /** Puts a task that a thread had before all others of its priority. */
  giveBack(task: PooledTask): void {
    task.place = 'waiting';
    task.thread = undefined;
    this.level(task.priority).returned.push(task);
    this.live += 1;
  }

  /** It is passed over when its turn comes. */
  drop(task: PooledTask): void {
    task.place = 'gone';
    this.live -= 1;
  }

  shift(): PooledTask | undefined {
    if (this.live === 0) return undefined;
    for (;;) {
      const task = this.first();
      if (task === undefined) return undefined;
      if (task.place !== 'waiting') continue;
      this.live -= 1;
      return task;
    }
  }

  private first(): PooledTask | undefined {
    for (;;) {
      const priority = this.priorities[0];
      const level = priority === undefined ? undefined : this.levels.get(priority);
      if (priority === undefined || level === undefined) return undefined;
      const task = level.returned.pop() ?? level.fresh.shift();
      // The usual one stays: most pools have no other.
      if (task !== undefined || this.levels.size === 1) return task;
      this.levels.delete(priority);
      this.priorities.shift();
    }
  }

  private level(priority: number): Level {
    const known = this.levels.get(priority);
    if (known !== undefined) return known;
    const level = { returned: [], fresh: new TaskQueue<PooledTask>() };
    this.levels.set(priority, level);
    this.priorities.splice(this.placeOf(priority), 0, priority);
    return level;
  }

  /** How many levels go before it: many may have one each. */
  private placeOf(priority: number): number {
    let [from, to] = [0, this.priorities.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.priorities[middle] as number) < priority) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  *[Symbol.iterator](): Generator<PooledTask> {
    for (const { returned, fresh } of this.levels.values()) {
      for (const queue of [returned, fresh])
        for (const task of queue) if (task.place === 'waiting') yield task;
    }
  }
}
