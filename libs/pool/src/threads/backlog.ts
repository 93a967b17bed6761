/** The tasks no thread has yet: by priority (lower first), then first in, first out; those given back come first. */
import type { PooledTask } from './pooled-task.ts';
import { TaskQueue } from './task-queue.ts';

export class Backlog {
  private readonly returned: PooledTask[] = [];
  private readonly levels = new Map<number, TaskQueue<PooledTask>>();
  private priorities: number[] = [];
  private live = 0;

  /** How many wait; those that were taken out by `drop` no longer count. */
  get size(): number {
    return this.live;
  }

  push(task: PooledTask): void {
    let level = this.levels.get(task.priority);
    if (level === undefined) {
      level = new TaskQueue();
      this.levels.set(task.priority, level);
      this.priorities = [...this.levels.keys()].sort((a, b) => a - b);
    }
    level.push(task);
    this.live += 1;
  }

  /** Puts a task that a thread had before all others. */
  giveBack(task: PooledTask): void {
    task.place = 'waiting';
    task.thread = undefined;
    this.returned.push(task);
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
      const task = this.returned.pop() ?? this.first();
      if (task === undefined) return undefined;
      if (task.place !== 'waiting') continue;
      this.live -= 1;
      return task;
    }
  }

  private first(): PooledTask | undefined {
    for (const priority of this.priorities) {
      const level = this.levels.get(priority);
      const task = level?.shift();
      if (task !== undefined) return task;
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<PooledTask> {
    for (const queue of [this.returned, ...this.levels.values()]) {
      for (const task of queue) if (task.place === 'waiting') yield task;
    }
  }
}
