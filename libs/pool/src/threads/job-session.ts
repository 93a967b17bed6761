/**
 * The host's session, as a job sees it: the same factories, whose handles send what they are asked to the host. One
 * session for all threads of a host, so n of them cost no more connections than one, and what they contend for among
 * themselves is settled in the host without Redis.
 */
import { SessionClosedError } from '@heddle/primitives';
import type { DistributedLock, DistributedLockOptions, Session } from '@heddle/primitives/distributed';
import {
  checkAlone,
  checkCount,
  checkFunction,
  checkKnown,
  checkMaxHold,
  checkTimeout,
  checkWait,
  currentLogicalThread,
  type HoldingBody,
  toPortable,
  typeError,
} from '@heddle/primitives/internal';
import { checkName } from '../primitive-name.ts';
import { type LeaseHome, LentLease } from './lent-lease.ts';
import {
  LentBarrier,
  LentCondition,
  LentCounter,
  LentEvent,
  LentLatch,
  LentLock,
  LentPrimitive,
  LentQueue,
  LentReadWriteLock,
  LentSemaphore,
  LentSimpleQueue,
  type PrimitiveHome,
  type Request,
  type Wait,
} from './lent-primitives.ts';
import type { Answered, CallUnderWay, SessionLine } from './session-line.ts';
import { type Factory, type HandleForm, heldAs, type LeaseTerms, type Target } from './session-protocol.ts';

/**
 * What `currentJob().session()` gives: the session of the host that runs the job, for as long as the job runs. What a
 * job acquires by it is given back when the job is over, however it ends. Not all of a Session: its events and its
 * keeper are the host's own, a lock with a `quorum` is refused, and `close` ends only what this job has of it.
 */
export interface JobSession
  extends Pick<
    Session,
    | ('id' | 'namespace' | 'acquireAll' | 'members' | 'close' | typeof Symbol.asyncDispose)
    | Exclude<Factory, 'lock'>
  > {
  /** As `session.lock`, without `quorum`. */
  lock(name: string, options?: DistributedLockOptions): DistributedLock;
}

/** What `acquireAll` takes. */
const LEASED = ['lock', 'rlock', 'condition', 'readWriteLock', 'semaphore', 'boundedSemaphore'] as const;

export class SessionOfJob implements LeaseHome, PrimitiveHome {
  readonly #line: SessionLine;
  readonly #slot: number;
  readonly #leases = new Set<LentLease>();
  readonly #calls = new Set<CallUnderWay>();
  #closed: 'by the task' | 'with its job' | undefined;

  constructor(line: SessionLine, slot: number) {
    this.#line = line;
    this.#slot = slot;
  }

  get id(): string {
    return this.#line.identity.id;
  }

  get namespace(): string {
    return this.#line.identity.namespace;
  }

  lock(name: string, options?: { maxHold?: number | undefined }): LentLock {
    const given = checkKnown(options, ['maxHold'], 'lock');
    checkMaxHold(given.maxHold);
    return new LentLock(this, this.#form('lock', name, [given]));
  }

  rlock(name: string, ...further: readonly unknown[]): LentLock {
    checkAlone(further, 'session.rlock');
    return new LentLock(this, this.#form('rlock', name));
  }

  condition(name: string, options?: { lock?: LentLock | undefined }): LentCondition {
    const { lock } = checkKnown(options, ['lock'], 'condition');
    if (lock !== undefined) this.#own(lock, ['lock', 'rlock'], 'condition: lock must be a lock or rlock');
    return new LentCondition(
      this,
      this.#form('condition', name, lock === undefined ? [] : [{ lock: lock.form }]),
    );
  }

  semaphore(name: string, permits?: number): LentSemaphore;
  semaphore(name: string, permits = 1, ...further: readonly unknown[]): LentSemaphore {
    checkAlone(further, 'session.semaphore', 'a name and a number');
    checkCount(permits, 'semaphore: permits', { min: 0 });
    return new LentSemaphore(this, this.#form('semaphore', name, [permits]));
  }

  boundedSemaphore(name: string, permits?: number): LentSemaphore;
  boundedSemaphore(name: string, permits = 1, ...further: readonly unknown[]): LentSemaphore {
    checkAlone(further, 'session.boundedSemaphore', 'a name and a number');
    checkCount(permits, 'semaphore: permits', { min: 0 });
    return new LentSemaphore(this, this.#form('boundedSemaphore', name, [permits]));
  }

  event(name: string, ...further: readonly unknown[]): LentEvent {
    checkAlone(further, 'session.event');
    return new LentEvent(this, this.#form('event', name));
  }

  barrier(
    name: string,
    parties: number,
    options?: { action?: (() => unknown) | null | undefined; timeout?: number | undefined },
  ): LentBarrier {
    checkCount(parties, 'barrier: parties');
    const { action, timeout } = checkKnown(options, ['action', 'timeout'], 'barrier');
    if (action !== undefined && action !== null) checkFunction(action, 'barrier: action');
    checkTimeout(timeout, 'barrier');
    const form = this.#form('barrier', name, [parties, { timeout, ...(action ? { action: true } : {}) }]);
    return new LentBarrier(this, form, parties, action ?? undefined);
  }

  countDownLatch(name: string, count: number): LentLatch;
  countDownLatch(name: string, count: number, ...further: readonly unknown[]): LentLatch {
    checkAlone(further, 'session.countDownLatch', 'a name and a count');
    checkCount(count, 'countDownLatch: count', { min: 0 });
    return new LentLatch(this, this.#form('countDownLatch', name, [count]));
  }

  readWriteLock(name: string, ...further: readonly unknown[]): LentReadWriteLock {
    checkAlone(further, 'session.readWriteLock');
    return new LentReadWriteLock(this, this.#form('readWriteLock', name));
  }

  counter(name: string, ...further: readonly unknown[]): LentCounter {
    checkAlone(further, 'session.counter');
    return new LentCounter(this, this.#form('counter', name));
  }

  queue(name: string, options?: { maxsize?: number | undefined }): LentQueue {
    return new LentQueue(this, this.#form('queue', name, [bounded(options, 'Queue')]));
  }

  lifoQueue(name: string, options?: { maxsize?: number | undefined }): LentQueue {
    return new LentQueue(this, this.#form('lifoQueue', name, [bounded(options, 'LifoQueue')]));
  }

  priorityQueue(name: string, options?: { maxsize?: number | undefined }): LentQueue {
    return new LentQueue(this, this.#form('priorityQueue', name, [bounded(options, 'PriorityQueue')]));
  }

  simpleQueue(name: string, ...further: readonly unknown[]): LentSimpleQueue {
    checkAlone(further, 'session.simpleQueue');
    return new LentSimpleQueue(this, this.#form('simpleQueue', name));
  }

  async acquireAll(locks: readonly (LentLock | LentSemaphore)[], options?: Wait): Promise<LentLease | null> {
    if (!Array.isArray(locks)) throw typeError('session.acquireAll: needs an array of locks');
    for (const [n, lock] of locks.entries()) {
      this.#own(lock, LEASED, `session.acquireAll: locks[${n}] must be a lock or semaphore`);
    }
    const all = locks.map((lock) => lock.form);
    return this.acquired(
      { all },
      { method: 'acquireAll', wait: options === undefined ? {} : options },
      all.map(heldAs),
    );
  }

  async members(): Promise<unknown> {
    return (await this.ask('session', { method: 'members' })).value;
  }

  /** Gives back all that the job has of the session; its waits reject, and the session takes no more calls from it. */
  async close(): Promise<void> {
    if (this.#closed !== undefined) return;
    const closing = this.ask('session', { method: 'close' });
    this.end('by the task');
    await closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What the job holds and waits for here is over. The host gives back what it held. */
  end(how: 'by the task' | 'with its job' = 'with its job'): void {
    if (this.#closed !== undefined) return;
    this.#closed = how;
    for (const lease of [...this.#leases]) lease.conclude();
    for (const call of this.#calls) call.giveUp(this.#closedError());
  }

  /** Has the host call something. Rejects with what it rejects with there. */
  async ask(on: Target, { method, args = [], where = 'argument', wait, action }: Request): Promise<Answered> {
    if (this.#closed !== undefined) throw this.#closedError();
    const { signal, timeout } = checkWait(wait, `session: ${method}`, 'permits'); // The host refuses them where they do not belong.
    const all = wait === undefined ? args : [...args, { ...wait, signal: undefined, timeout }];
    const { ident, name, within } = currentLogicalThread();
    const call = this.#line.ask(
      this.#slot,
      {
        on,
        method,
        owner: ident,
        ownerName: name,
        within: lentTo(within),
        forBody: within !== undefined && within.lease === undefined,
        args: all.map((arg) => toPortable(arg, where)),
        options: wait === undefined ? undefined : args.length,
      },
      signal,
      action,
    );
    if (method !== 'close') this.#calls.add(call);
    try {
      return await call.answer;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** The same for what gives a lease, or `null`. */
  async acquired(on: Target, request: Request, names: readonly string[]): Promise<LentLease | null> {
    const { terms } = await this.ask(on, request);
    return terms === undefined ? null : this.hold(terms, names);
  }

  /** A lease that the host has lent to this job. */
  hold(terms: LeaseTerms, names: readonly string[]): LentLease {
    const lease = new LentLease(this, terms, names);
    if (this.#closed !== undefined) lease.conclude();
    else {
      this.#leases.add(lease);
      this.#line.leases.set(lease.id, lease);
    }
    return lease;
  }

  /** The job's leases of that name, which a condition gives up while it waits; the host tells the new terms. */
  suspend(name: string): void {
    for (const lease of this.#leases) if (lease.names.includes(name)) lease.suspend();
  }

  async giveBack(lease: number): Promise<void> {
    if (this.#closed === undefined) await this.ask({ lease }, { method: 'release' });
  }

  forget(id: number): void {
    const lease = this.#line.leases.get(id);
    this.#line.leases.delete(id);
    if (lease !== undefined) this.#leases.delete(lease);
  }

  #form(make: Factory, name: unknown, args: readonly unknown[] = []): HandleForm {
    return { make, name: checkName(name, `${make}: name`), args };
  }

  #own(lock: unknown, makes: readonly Factory[], what: string): void {
    const ours = lock instanceof LentPrimitive && lock.session === this && makes.includes(lock.form.make);
    if (!ours) throw typeError(`${what} of this job's session`);
  }

  #closedError(): SessionClosedError {
    return new SessionClosedError(
      this.#closed === 'by the task'
        ? 'the task has closed its session'
        : 'the job is over, and with it all that it had of the session; await what you ask of it inside the task',
    );
  }
}

/** The numbers of the lent leases that the code in that body runs under, the innermost first. */
function lentTo(innermost: HoldingBody | undefined): number[] {
  const ids: number[] = [];
  for (let body = innermost; body !== undefined; body = body.outer)
    if (body.lease instanceof LentLease) ids.push(body.lease.id);
  return ids;
}

function bounded(options: { maxsize?: number | undefined } | undefined, where: string): { maxsize: number } {
  const { maxsize = 0 } = checkKnown(options, ['maxsize'], where);
  return { maxsize: checkCount(maxsize, `${where}: maxsize`, { min: 0, max: 2 ** 31 - 1 }) };
}
