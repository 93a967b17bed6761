/** The lock's handle in the distributed scope; the algorithm is its session's seat (`lock-seat.distributed.ts`) and the scripts. */
import { NotHeldError } from '../errors.ts';
import { type AcquireOptions, checkKnown, checkMaxHold, checkWait, type ForeverOptions } from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import type { HeldLease } from '../session/held-lease.ts';
import { checkName } from '../session/keys.ts';
import { INNER, type InnerLock } from './inner-lock.distributed.ts';
import type { AnyLock, Lease } from './lock.ts';
import { LockSeat } from './lock-seat.distributed.ts';
import { useLease } from './use-lease.ts';

/** What `session.lock` takes beside the name. */
export interface DistributedLockOptions {
  /** Ms, a whole number, after which a hold is ended against its holder's will; left out or `Infinity`: it may last as long as the session. */
  readonly maxHold?: number | undefined;
}

/** A lock by name, in Redis: between processes and hosts. Made by `session.lock(name)`; any number of handles are one lock. */
export class DistributedLock implements AnyLock {
  /** The name it was asked for by. */
  readonly name: string;
  /** @internal */
  readonly [INNER]: InnerLock;
  readonly #core: SessionCore;
  readonly #maxHold: number | undefined;
  readonly #seat: () => LockSeat;

  constructor(core: SessionCore, name: string, options?: DistributedLockOptions) {
    this.name = checkName(name, 'lock: name');
    this.#maxHold = checkMaxHold(checkKnown(options, ['maxHold'], 'lock').maxHold);
    this.#core = core;
    this.#seat = core.seats.way('lock', name, () => new LockSeat(core, 'lock', name));
    const held = () => this.#held();
    this[INNER] = { core, kind: 'lock', name, maxHold: this.#maxHold, seat: this.#seat, held };
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    try {
      const { timeout, signal } = checkWait(options, 'lock.acquire');
      this.#core.assertOpen(`lock ${this.name}`);
      return this.#seat().acquire(timeout, signal, this.#maxHold);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async release(): Promise<void> {
    this.#core.assertOpen(`lock ${this.name}`);
    const held = this.#held();
    if (held === undefined) {
      throw new NotHeldError(
        `lock ${this.name} is not held by this session; only what it acquired can it release`,
        {
          primitive: this.name,
        },
      );
    }
    await held.release();
  }

  async locked(): Promise<boolean> {
    const keys = this.#core.keyspace.of('lock', this.name, ['state']);
    const [answer] = await this.#core.command(`lock ${this.name}`, this.name, 'lock.locked', keys, [], {
      looks: true,
    });
    return answer === 'yes';
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(`lock ${this.name}`, () => this.acquire(options as AcquireOptions), fn, this.name);
  }

  /** The session's hold. */
  #held(): HeldLease | undefined {
    const seat = this.#seat();
    seat.tidy();
    return seat.lease;
  }
}
