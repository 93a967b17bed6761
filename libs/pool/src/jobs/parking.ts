/**
 * Jobs of a host that wait for what they are to hold. They wait on its main thread, where they occupy no thread, and lend
 * their place to another job meanwhile. To BullMQ they are active; Redis notes beside it that they have not begun, so that
 * they can still be cancelled.
 */
import { readFileSync } from 'node:fs';
import { type Lease, OutcomeUnknownError, RedisUnreachableError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';
import { cancelledUnbegun } from '../future/cancelled.ts';
import type { HandleForm } from '../threads/session-protocol.ts';
import type { HostTask } from './host-task.ts';
import type { SessionParts } from './session-parts.ts';

const PARK = readFileSync(new URL('./job.park.lua', import.meta.url), 'utf8');

/** So many jobs may wait for what they are to hold beside those that run; further ones take the turn of others. */
const MOST_PARKED = 100;

/** Where Redis has the job, and what holds for its queue. */
export interface ParkingKeys {
  readonly job: string;
  readonly meta: string;
}

/** What it does for its host. */
export interface ParkingDesk {
  /** One more job may be fetched; and no more. */
  lend(): void;
  takeBack(): void;
  /** The job holds what it is to hold: it can begin. */
  begin(task: HostTask): void;
  /** What it holds was lost while it ran. */
  lost(task: HostTask, reason: unknown): void;
}

export class Parking {
  readonly #waiting = new Map<HostTask, AbortController>();
  readonly #parts: SessionParts;
  readonly #desk: ParkingDesk;

  constructor(parts: SessionParts, desk: ParkingDesk) {
    this.#parts = parts;
    this.#desk = desk;
  }

  /** It waits here, and has not begun. */
  has(task: HostTask): boolean {
    return this.#waiting.has(task);
  }

  /** Ends its wait, if it waits. */
  stop(task: HostTask, reason: unknown): void {
    this.#waiting.get(task)?.abort(reason);
  }

  /**
   * Waits for what the task is to hold, then has it begin. To be called in the turn in which BullMQ hands the job over,
   * before it looks whether it may fetch one more.
   */
  async hold(task: HostTask, keys: ParkingKeys, form: HandleForm): Promise<void> {
    const room = this.#waiting.size < MOST_PARKED;
    const waiting = new AbortController();
    task.place = 'gone'; // not the pool's yet
    this.#waiting.set(task, waiting);
    if (room) this.#desk.lend();
    let lease: Lease | undefined;
    try {
      lease = await this.#acquire(task, keys, form, waiting.signal);
      if (lease === undefined) task.giveBack();
    } catch (error) {
      if (!waiting.signal.aborted) this.#failed(task, error as Error);
    } finally {
      this.#waiting.delete(task);
      if (room) this.#desk.takeBack();
    }
    if (lease === undefined) return;
    task.hold(lease, form);
    if (waiting.signal.aborted) return task.released();
    this.#watch(task, lease.signal);
  }

  /**
   * What is free is taken without a word to Redis about waiting, unless such a word may stand there from a run before.
   * Gives nothing where the queue has been paused while it waited.
   */
  async #acquire(
    task: HostTask,
    keys: ParkingKeys,
    form: HandleForm,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    const { session } = this.#parts;
    const again = task.job.attemptsStarted > 1;
    let lease = await acquireFor(session, form, { timeout: 0 });
    if (lease !== null && !again) return lease;
    if (lease === null) {
      if ((await this.#note(keys, '1')) === 'cancelled') throw cancelledUnbegun();
      lease = await acquireFor(session, form, { signal });
    }
    if (lease === null) throw cancelledUnbegun();
    let word: 'go on' | 'cancelled' | 'paused' | undefined;
    try {
      word = await this.#note(keys, '0');
    } finally {
      if (word !== 'go on') await lease.release().catch(() => {}); // lost: nothing to give back
    }
    if (word === 'go on') return lease;
    if (word === 'paused') return undefined;
    throw cancelledUnbegun();
  }

  async #note({ job, meta }: ParkingKeys, waits: '0' | '1'): Promise<'go on' | 'cancelled' | 'paused'> {
    const answer = await this.#parts.redis.eval(PARK, 2, job, meta, waits);
    return answer === 1 ? 'go on' : answer === 2 ? 'paused' : 'cancelled';
  }

  #watch(task: HostTask, signal: AbortSignal): void {
    const lost = () => {
      task.fail(signal.reason as Error);
      this.#desk.lost(task, signal.reason);
    };
    task.place = 'waiting';
    this.#desk.begin(task);
    if (signal.aborted) lost();
    else signal.addEventListener('abort', lost, { once: true });
  }

  /** It has not begun: that Redis does not answer is nothing to fail it for. */
  #failed(task: HostTask, error: Error): void {
    const away = error instanceof RedisUnreachableError || error instanceof OutcomeUnknownError;
    if (away || this.#parts.closed()) task.giveBack();
    else task.failed(error);
  }
}

/** First come, first served between hosts, and between the jobs of one. */
async function acquireFor(
  session: Session,
  form: HandleForm,
  options: { readonly timeout?: number; readonly signal?: AbortSignal },
): Promise<Lease | null> {
  if (form.make === 'lock') return session.lock(form.name).acquire(options);
  return session.semaphore(form.name, form.args[0] as number).acquire(options);
}
