/** `connect`, and the session with its primitives: what `@heddle/primitives/distributed` offers. */
import type { Cluster, Redis } from 'ioredis';
import { DistributedBarrier } from './barrier/barrier.distributed.ts';
import type { BarrierOptions } from './barrier/barrier.ts';
import { DistributedCondition, type DistributedConditionOptions } from './condition/condition.distributed.ts';
import { DistributedCounter } from './counter/counter.distributed.ts';
import { show, typeError } from './errors.ts';
import { DistributedEvent } from './event/event.distributed.ts';
import { DistributedCountDownLatch } from './latch/latch.distributed.ts';
import { acquireAllOf, type DistributedAcquirable } from './lock/acquire-all.distributed.ts';
import { DistributedLock, type DistributedLockOptions } from './lock/lock.distributed.ts';
import type { Lease } from './lock/lock.ts';
import { machinery } from './machinery.distributed.ts';
import { type AcquireOptions, checkAlone, checkOptions, type ForeverOptions } from './options.ts';
import {
  DistributedQueue,
  type DistributedQueueOptions,
  DistributedSimpleQueue,
} from './queue/queue.distributed.ts';
import { DistributedQuorumLock, type QuorumLockOptions } from './quorum-lock/quorum-lock.distributed.ts';
import type { OpenCore } from './quorum-lock/quorum-server.distributed.ts';
import { DistributedReadWriteLock } from './read-write-lock/read-write-lock.distributed.ts';
import { DistributedRLock } from './rlock/rlock.distributed.ts';
import { DistributedSemaphore } from './semaphore/semaphore.distributed.ts';
import { parseAbout } from './session/about.ts';
import { SessionCore } from './session/core.ts';
import { type ConnectOptions, resolveOptions } from './session/options.ts';

/** A living session, as `members()` shows it. */
export interface Member {
  /** `session.id` of it. */
  readonly id: string;
  /** The label given to `connect`, or ''. */
  readonly name: string;
  /** The machine's name. */
  readonly host: string;
  /** Its process. */
  readonly pid: number;
  /** When it connected. */
  readonly since: Date;
}

/** What a session tells; none of these ends the process. */
export interface SessionEvents {
  /** The session, and every lease with it, is lost; its waiters join again by themselves. The reason in words. */
  lost: [reason: string];
  /** The connection broke; waits go on, leases are valid until their deadline. */
  reconnecting: [];
  /** The connection is back. */
  ready: [];
  /** Something failed that no call can be told of; without a listener it goes to the logger. */
  error: [error: Error];
}

const EVENTS: readonly string[] = [
  'lost',
  'reconnecting',
  'ready',
  'error',
] satisfies (keyof SessionEvents)[];

function checkEvent(event: unknown, method: string): void {
  if (typeof event === 'string' && EVENTS.includes(event)) return;
  throw typeError(`session.${method}: there is no event ${show(event)}; there are ${EVENTS.join(', ')}`);
}

const cores = new WeakMap<Session, SessionCore>();

/** The engine of a session, for Heddle's own packages. */
export function coreOf(session: Session): SessionCore {
  const core = cores.get(session);
  if (core === undefined) throw typeError(`not a Session made by connect(): ${show(session)}`);
  return core;
}

/**
 * One identity towards Redis: whatever it holds lives exactly as long as its sign of life, which a thread of its own
 * gives. Made by `connect`.
 */
export class Session implements AsyncDisposable {
  /** Unique to this session, wherever it is seen. */
  readonly id: string;
  readonly #core: SessionCore;

  /** @internal Use `connect`. */
  constructor(core: SessionCore) {
    this.#core = core;
    this.id = core.id;
    cores.set(this, core);
  }

  /** Opens a session of the same terms at another server. */
  readonly #openCore: OpenCore = (redis) => {
    const { ttl, maxStall, name, connectTimeout, logger } = this.#core.options;
    const { namespace } = this.#core.keyspace;
    const terms = {
      namespace,
      ttl,
      maxStall,
      name,
      connectTimeout,
      logger,
      deadlockAfter: Number.POSITIVE_INFINITY,
    };
    return SessionCore.open(resolveOptions(redis, terms), machinery);
  };

  /** What all names of this session live in. */
  get namespace(): string {
    return this.#core.keyspace.namespace;
  }

  /** What gives the sign of life of what is held: a thread, or, where the connection's options can't go there, this loop. */
  get keeper(): 'thread' | 'main loop' {
    return this.#core.keeper;
  }

  /** Calls `listener` on an event; gives back the session. */
  on<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this {
    checkEvent(event, 'on');
    this.#core.on(event, listener as (...args: unknown[]) => void);
    return this;
  }

  /** Calls `listener` on the next such event, and then no more. */
  once<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this {
    checkEvent(event, 'once');
    this.#core.once(event, listener as (...args: unknown[]) => void);
    return this;
  }

  /** Takes back what `on` or `once` did. */
  off<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this {
    checkEvent(event, 'off');
    this.#core.off(event, listener as (...args: unknown[]) => void);
    return this;
  }

  /**
   * The lock of that name; any number of handles, here and elsewhere, are one lock. First come, first served between
   * sessions. `maxHold` (ms) ends a hold that lasts longer. With `quorum`, a list of independent servers, it is a lock
   * on a majority of them instead, without first come, first served.
   */
  lock(name: string, options?: DistributedLockOptions): DistributedLock;
  lock(name: string, options: QuorumLockOptions): DistributedQuorumLock;
  lock(
    name: string,
    options?: DistributedLockOptions | QuorumLockOptions,
  ): DistributedLock | DistributedQuorumLock {
    const given = checkOptions(options, 'lock', '{ maxHold: 1000 }');
    if ('quorum' in given)
      return new DistributedQuorumLock(this.#core, name, given as QuorumLockOptions, this.#openCore);
    return new DistributedLock(this.#core, name, given);
  }

  /** The re-entrant lock of that name: its owner, a logical thread of one session, may take it again. */
  rlock(name: string): DistributedRLock;
  rlock(name: string, ...further: readonly unknown[]): DistributedRLock {
    checkAlone(further, 'session.rlock');
    return new DistributedRLock(this.#core, name);
  }

  /**
   * The condition variable of that name, on `lock`, a lock or rlock of this session; left out, on a re-entrant one of
   * its own. Conditions of one name on different locks are different ones.
   */
  condition(name: string, options?: DistributedConditionOptions): DistributedCondition {
    const ofItsOwn = () => new DistributedRLock(this.#core, name, 'condition-lock');
    return new DistributedCondition(this.#core, name, options, ofItsOwn);
  }

  /**
   * The semaphore of that name, of `permits` permits, 1 unless given. Whoever comes first sets the number; another one is a
   * `ConfigMismatchError` at the first use.
   */
  semaphore(name: string, permits?: number): DistributedSemaphore;
  semaphore(name: string, permits = 1, ...further: readonly unknown[]): DistributedSemaphore {
    checkAlone(further, 'session.semaphore', 'a name and a number');
    return new DistributedSemaphore(this.#core, name, permits);
  }

  /** The same, whose permits never grow beyond `permits`: one release too many is an `OverReleaseError`. */
  boundedSemaphore(name: string, permits?: number): DistributedSemaphore;
  boundedSemaphore(name: string, permits = 1, ...further: readonly unknown[]): DistributedSemaphore {
    checkAlone(further, 'session.boundedSemaphore', 'a name and a number');
    return new DistributedSemaphore(this.#core, name, permits, true);
  }

  /** The event of that name. */
  event(name: string): DistributedEvent;
  event(name: string, ...further: readonly unknown[]): DistributedEvent {
    checkAlone(further, 'session.event');
    return new DistributedEvent(this.#core, name);
  }

  /**
   * The barrier of that name for `parties`. Whoever comes first sets the number; another one is a
   * `ConfigMismatchError` at the first use. The last to arrive runs the `action` of its own handle.
   */
  barrier(name: string, parties: number, options?: BarrierOptions): DistributedBarrier {
    return new DistributedBarrier(this.#core, name, parties, options);
  }

  /**
   * The queue of that name: first in, first out. Items are copies of what travels; takers and putters are served first
   * come, first served over all sessions. Whoever comes first sets kind and `maxsize` (0, the default: no bound);
   * another one is a `ConfigMismatchError` at the first use.
   */
  queue<T = unknown>(name: string, options?: DistributedQueueOptions): DistributedQueue<T> {
    return new DistributedQueue<T>(this.#core, name, 'Queue', options);
  }

  /** The same, last in, first out. */
  lifoQueue<T = unknown>(name: string, options?: DistributedQueueOptions): DistributedQueue<T> {
    return new DistributedQueue<T>(this.#core, name, 'LifoQueue', options);
  }

  /**
   * The same, the least item first: numbers, then strings, then arrays, which compare element by element up to the
   * first that is none of these (`[priority, anything]`); first in, first out among equals.
   */
  priorityQueue<T = unknown>(name: string, options?: DistributedQueueOptions): DistributedQueue<T> {
    return new DistributedQueue<T>(this.#core, name, 'PriorityQueue', options);
  }

  /** The simple queue of that name: `put`, `get` and no more. */
  simpleQueue<T = unknown>(name: string): DistributedSimpleQueue<T>;
  simpleQueue<T = unknown>(name: string, ...further: readonly unknown[]): DistributedSimpleQueue<T> {
    checkAlone(further, 'session.simpleQueue');
    return new DistributedSimpleQueue<T>(this.#core, name, { kind: 'SimpleQueue', maxsize: 0 });
  }

  /**
   * The count-down latch of that name. Whoever comes first sets the count; another one is a `ConfigMismatchError` at
   * the first use.
   */
  countDownLatch(name: string, count: number): DistributedCountDownLatch;
  countDownLatch(name: string, count: number, ...further: readonly unknown[]): DistributedCountDownLatch {
    checkAlone(further, 'session.countDownLatch', 'a name and a count');
    return new DistributedCountDownLatch(this.#core, name, count);
  }

  /** The read-write lock of that name; first come, first served between readers and writers. */
  readWriteLock(name: string): DistributedReadWriteLock;
  readWriteLock(name: string, ...further: readonly unknown[]): DistributedReadWriteLock {
    checkAlone(further, 'session.readWriteLock');
    return new DistributedReadWriteLock(this.#core, name);
  }

  /** The counter of that name, 0 until somebody adds. */
  counter(name: string): DistributedCounter;
  counter(name: string, ...further: readonly unknown[]): DistributedCounter {
    checkAlone(further, 'session.counter');
    return new DistributedCounter(this.#core, name);
  }

  /**
   * Takes all of these locks of this session, of a semaphore one permit, or none, for one lease: in one call where all
   * are free, else one after the other in one global order, so that nobody waits in a circle. `null` where `timeout` ms,
   * for all together, passed first. `TypeError` for what is no lock of this session, and for one that is named twice.
   */
  acquireAll(locks: readonly DistributedAcquirable[], options?: ForeverOptions): Promise<Lease>;
  acquireAll(locks: readonly DistributedAcquirable[], options: AcquireOptions): Promise<Lease | null>;
  acquireAll(locks: readonly DistributedAcquirable[], options?: AcquireOptions): Promise<Lease | null> {
    return acquireAllOf(this.#core, locks, options);
  }

  /** Every living session of the namespace, this one included. */
  async members(): Promise<Member[]> {
    return (await this.#core.members()).map(({ id, about }) => {
      const { name, host, pid, since } = parseAbout(about);
      return { id, name, host, pid, since: new Date(since) };
    });
  }

  /**
   * Releases all it holds, refuses new work, settles all its waiters with `SessionClosedError`, closes its own
   * connections and ends its keeper. A second call does nothing more.
   */
  close(): Promise<void> {
    return this.#core.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Opens a session.
 *
 * @param redis a URL or its text, a socket's path, or a live `Redis` or `Cluster`, whose options are taken over and
 *   which is never closed; left out: `$REDIS_URL`, else `redis://127.0.0.1:6379`
 * @throws `RedisUnreachableError` or `RedisRefusedError` (wrong password, older than 7.0, one that evicts keys, a
 *   read-only replica) within `connectTimeout`; `TypeError`, `RangeError` for wrong options, before anything is connected
 */
export async function connect(
  redis?: string | URL | Redis | Cluster | ConnectOptions,
  options?: ConnectOptions,
): Promise<Session> {
  const optionsOnly = options === undefined && isPlain(redis);
  const resolved = optionsOnly
    ? resolveOptions(undefined, redis as ConnectOptions)
    : resolveOptions(redis, options);
  return new Session(await SessionCore.open(resolved, machinery));
}

function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
