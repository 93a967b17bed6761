/**
 * The jobs of one queue that a host has in hand, and all ways in which they are ended from outside: cancelled, aborted,
 * out of time, sent back to the queue, lost to another host. Where such a job is at that moment, in the pool, waiting for
 * what it is to hold, or on its way, nobody else has to know.
 */
import { readFileSync } from 'node:fs';
import { HeddleError, LeaseLostError, TimeoutError } from '@heddle/primitives';
import { decodeText, now, show } from '@heddle/primitives/internal';
import { aborted, cancelledUnbegun } from '../future/cancelled.ts';
import type { ThreadPool } from '../threads/thread-pool.ts';
import type { Fetching } from './fetching.ts';
import { BACK_AFTER } from './headway.ts';
import type { HostTask } from './host-task.ts';
import type { CancelAnswer } from './job-form.ts';
import type { Parking } from './parking.ts';
import type { SessionParts } from './session-parts.ts';
import type { Turnstile } from './turnstile.ts';

const FREE = readFileSync(new URL('./job.free.lua', import.meta.url), 'utf8');
const UNBEGUN = readFileSync(new URL('./job.unbegun.lua', import.meta.url), 'utf8');

/** Where the jobs are that it has to do with. */
export interface Whereabouts {
  readonly parts: SessionParts;
  readonly pool: ThreadPool;
  readonly parking: Parking;
  readonly fetching: Fetching;
  readonly turnstile: Turnstile;
  /** The key in Redis of a job, or of another part of the queue. */
  toKey(part: string): string;
  report(error: Error): void;
}

export class JobsInHand {
  readonly #tasks = new Map<string, HostTask>();
  readonly #at: Whereabouts;

  constructor(at: Whereabouts) {
    this.#at = at;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(id: string): HostTask | undefined {
    return this.#tasks.get(id);
  }

  add(id: string, task: HostTask): void {
    this.#tasks.set(id, task);
  }

  remove(id: string): void {
    this.#tasks.delete(id);
  }

  [Symbol.iterator](): Iterator<HostTask> {
    return this.#tasks.values();
  }

  /** All go back to the queue: what has not begun at once, the rest when it has ended or been ended. */
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

  /** What was fetched ahead and could not begin is for others: the last first, so that their order stays. */
  returnWaiting(): void {
    const { turnstile, pool } = this.#at;
    const before = now() - BACK_AFTER;
    const late = (task: HostTask) => task.since < before && this.#isWaiting(task);
    if (turnstile.beyond === 0 || !this.#tasks.values().some(late)) return;
    turnstile.letAhead(0);
    let left = turnstile.beyond;
    for (const [id, task] of [...this.#tasks].reverse()) {
      if (left === 0) return;
      if (!this.#isWaiting(task) || !pool.cancel(task)) continue;
      left -= 1;
      this.#unbegun(id);
      task.giveBack();
    }
  }

  /** False: it is not in hand. */
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
    const { parts, toKey, report } = this.#at;
    for (const id of this.#tasks.keys()) {
      parts.redis
        .hget(toKey(id), 'aborted')
        .then((reason) => reason !== null && this.abort(id, reason))
        .catch(report);
    }
  }

  /** Takes a job back that no thread has begun: fetched ahead, or waiting for what it is to hold. */
  cancel(id: string): CancelAnswer {
    const task = this.#tasks.get(id);
    if (task === undefined) return 'unknown';
    if (!this.#takeBack(task)) return task.place === 'gone' ? 'unknown' : 'begun';
    const error = cancelledUnbegun();
    task.failed(error);
    this.#at.parking.stop(task, error);
    this.#free(task);
    return 'cancelled';
  }

  /** Its time to live is over. */
  tooLate(task: HostTask): void {
    const error = new TimeoutError(`the task ${show(task.name)} was not done within its ttl`);
    task.failed(error);
    this.#stop(task, error);
    this.#free(task);
  }

  /** The job was given to another host, since this one gave no sign of life in time: what it does here is in vain. */
  lose(task: HostTask): void {
    task.giveBack();
    this.#stop(
      task,
      new LeaseLostError('the job was given to another host: this one gave no sign of life in time'),
    );
  }

  #isWaiting(task: HostTask): boolean {
    return task.payload.holding === undefined && task.place !== 'gone' && !this.#at.pool.isRunning(task);
  }

  /** True: no thread has begun it, and none will. */
  #takeBack(task: HostTask): boolean {
    const { parking, fetching, pool } = this.#at;
    return parking.has(task) || fetching.has(task) || pool.cancel(task);
  }

  /** Ends what is done for a task, wherever that is. */
  #stop(task: HostTask, reason: unknown): void {
    this.#at.parking.stop(task, reason);
    this.#at.pool.abort(task, reason);
  }

  /** To be told to Redis before it goes back. */
  #unbegun(id: string): void {
    const { parts, toKey, report } = this.#at;
    parts.redis.eval(UNBEGUN, 1, toKey(id)).catch(report);
  }

  /** It is over for its Futures, and has its deduplication key no more. */
  #free({ job }: HostTask): void {
    if (job.deduplicationId === undefined) return;
    const { parts, toKey, report } = this.#at;
    parts.redis.eval(FREE, 1, toKey(`de:${job.deduplicationId}`), job.id ?? '').catch(report);
  }
}
