/**
 * The tasks that one thread was sent and has not answered for. Each has a slot, and with it a word of shared memory that
 * says who has the task; a slot is free again when the thread has answered for it, also where the task was taken back.
 */
import { Claims } from '../shared-memory/claims.ts';
import type { PooledTask } from './pooled-task.ts';

export class SentTasks {
  private readonly claims: Claims;
  /** As many as were ever in use at a time. */
  private readonly slots: (PooledTask | undefined)[] = [];
  private readonly free: number[] = [];
  private sent = 0;

  /** @param most how many there may be */
  constructor(most: number) {
    this.claims = new Claims(most);
  }

  /** What the thread sees of it. */
  get memory(): SharedArrayBuffer {
    return this.claims.memory;
  }

  /** Gives a task that is about to be sent its slot; there must be one. */
  add(task: PooledTask): void {
    const slot = this.free.pop() ?? this.slots.length;
    this.slots[slot] = task;
    this.claims.offer(slot);
    task.slot = slot;
    this.sent += 1;
    task.sentAs = this.sent;
  }

  /** Whose slot it is; `undefined`: the task was taken back. */
  at(slot: number): PooledTask | undefined {
    return this.slots[slot];
  }

  /** The thread has answered for it. */
  remove(slot: number): void {
    this.slots[slot] = undefined;
    this.free.push(slot);
  }

  /** Takes a task back that the thread has not begun. Its slot stays in use until the thread has passed over it. */
  revoke(task: PooledTask): boolean {
    // What was transferred is in the thread's hands already.
    if (!this.claims.revoke(task.slot)) return false;
    this.slots[task.slot] = undefined;
    return true;
  }

  /**
   * Takes back up to `most` of the tasks it has not begun, those sent last first; not those whose arguments moved, and
   * none that goes before the priority `after`.
   */
  revokeSome(most: number, after = -1): PooledTask[] {
    const taken: PooledTask[] = [];
    const sent = this.slots.filter(
      (task) => task !== undefined && task.transfer === undefined && task.priority > after,
    ) as PooledTask[];
    sent.sort((a, b) => b.sentAs - a.sentAs);
    for (const task of sent) {
      if (taken.length === most) break;
      if (this.revoke(task)) taken.push(task);
    }
    return taken;
  }

  /** The thread has begun this task and not ended it. */
  isRunning(task: PooledTask): boolean {
    return this.claims.isRunning(task.slot);
  }

  /** The thread has begun it, and perhaps ended it too. */
  begun(task: PooledTask): boolean {
    return this.claims.begun(task.slot);
  }

  all(): PooledTask[] {
    return this.slots.filter((task) => task !== undefined);
  }
}
