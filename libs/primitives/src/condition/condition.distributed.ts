/** The condition's handle in the distributed scope; the algorithm is its session's seat (`condition-seat.distributed.ts`) and the scripts. */

import { Deadline } from '../deadline.ts';
import { NotHeldError, show, typeError } from '../errors.ts';
import { INNER, type InnerLock } from '../lock/inner-lock.distributed.ts';
import type { Lease } from '../lock/lock.ts';
import {
  type AcquireOptions,
  checkCount,
  checkFunction,
  checkKnown,
  checkWait,
  type ForeverOptions,
  type WaitOptions,
} from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import type { HeldLease } from '../session/held-lease.ts';
import { checkName } from '../session/keys.ts';
import type { AnyCondition } from './condition.ts';
import { ConditionSeat } from './condition-seat.distributed.ts';

/** A lock or rlock of a session. */
export interface ConditionLock {
  /** @internal */
  readonly [INNER]: InnerLock;
  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  release(): Promise<void>;
  locked(): Promise<boolean>;
  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T>;
}

/** What `session.condition` takes beside the name. */
export interface DistributedConditionOptions {
  /** The lock it is on, of the same session; left out: a re-entrant one of its own. Another lock makes another condition. */
  readonly lock?: ConditionLock | undefined;
}

/**
 * A condition variable by name, in Redis. Made by `session.condition(name)`. A session that is lost while one of it
 * waits misses what is notified meanwhile: the wait then wakes by itself, holding the lock again, with `true`.
 * Look at what was waited for after each wait, as `waitFor` does.
 */
export class DistributedCondition implements AnyCondition {
  /** The name it was asked for by. */
  readonly name: string;
  readonly #core: SessionCore;
  readonly #lock: ConditionLock;
  /** @internal */
  readonly [INNER]: InnerLock;

  /** @internal Use `session.condition`. */
  constructor(
    core: SessionCore,
    name: string,
    options: DistributedConditionOptions | undefined,
    ofItsOwn: () => ConditionLock,
  ) {
    this.name = checkName(name, 'condition: name');
    const { lock } = checkKnown(options, ['lock'], 'condition');
    this.#lock = lock === undefined ? ofItsOwn() : checkLock(lock, core);
    this[INNER] = this.#lock[INNER];
    this.#core = core;
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    return this.#lock.acquire(options as AcquireOptions);
  }

  release(): Promise<void> {
    return this.#lock.release();
  }

  locked(): Promise<boolean> {
    return this.#lock.locked();
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return this.#lock.with(fn, options);
  }

  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, 'condition.wait');
    const held = this.#held('wait');
    return this.#seat().wait(held, timeout, signal);
  }

  async waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean> {
    checkFunction(predicate, 'condition.waitFor(predicate): predicate');
    const { timeout, signal } = checkWait(options, 'condition.waitFor');
    const deadline = Deadline.after(timeout);
    this.#held('waitFor');
    while (!(await predicate())) {
      const held = this.#held('waitFor');
      const woken = !deadline.expired && (await this.#seat().wait(held, deadline.remaining(), signal));
      this.#held('waitFor');
      if (!woken) return Boolean(await predicate());
    }
    return true;
  }

  async notify(n = 1): Promise<void> {
    checkCount(n, 'condition.notify(n): n');
    const held = this.#held('notify');
    await this.#seat().notify(held, n);
  }

  async notifyAll(): Promise<void> {
    const held = this.#held('notifyAll');
    await this.#seat().notify(held, Number.MAX_SAFE_INTEGER);
  }

  #held(method: string): HeldLease {
    this.#core.assertOpen(`condition ${this.name}`);
    const held = this[INNER].held();
    if (held !== undefined) return held;
    throw new NotHeldError(
      `condition ${this.name}: ${method}() needs its lock, ${this[INNER].kind} ${this[INNER].name}, held by the caller; acquire it first`,
      { primitive: this.name },
    );
  }

  #seat(): ConditionSeat {
    return ConditionSeat.of(this.#core, this[INNER], this.name);
  }
}

function checkLock(lock: ConditionLock, core: SessionCore): ConditionLock {
  const inner: unknown = typeof lock === 'object' && lock !== null ? lock[INNER] : undefined;
  const isLock = typeof inner === 'object' && inner !== null && 'seat' in inner;
  if (!isLock || lock instanceof DistributedCondition)
    throw typeError(`condition: lock must be a lock or rlock of this session, not ${show(lock)}`);
  if (lock[INNER].core !== core)
    throw typeError(`condition: lock ${lock[INNER].name} is of another session; name it in this one`);
  return lock;
}
