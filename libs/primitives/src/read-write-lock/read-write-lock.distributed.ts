/**
 * The read-write lock in the distributed scope: a semaphore of very many permits, of which a reader takes one and a
 * writer all. First come, first served, so that neither keeps the other out; who dies gives back what it held.
 */
import { NotHeldError } from '../errors.ts';
import { INNER, type Inner } from '../lock/inner-lock.distributed.ts';
import type { AnyLock, Lease } from '../lock/lock.ts';
import { useLease } from '../lock/use-lease.ts';
import { type AcquireOptions, checkWait, type ForeverOptions } from '../options.ts';
import { SemaphoreSeat } from '../semaphore/semaphore-seat.distributed.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import type { AnyReadWriteLock } from './read-write-lock.ts';

/** More readers than there will be. */
const ALL = 2 ** 30;
const SHAPE = { permits: ALL, bounded: true } as const;
const KIND = 'rwlock';

/** A read-write lock by name, in Redis. Made by `session.readWriteLock(name)`. */
export class DistributedReadWriteLock implements AnyReadWriteLock {
  /** The name it was asked for by. */
  readonly name: string;
  readonly read: DistributedLockSide;
  readonly write: DistributedLockSide;

  /** @internal Use `session.readWriteLock`. */
  constructor(core: SessionCore, name: string) {
    this.name = checkName(name, 'readWriteLock: name');
    this.read = new DistributedLockSide(core, name, 'read');
    this.write = new DistributedLockSide(core, name, 'write');
  }
}

/** One side of a read-write lock. */
export class DistributedLockSide implements AnyLock {
  /** The name of the whole. */
  readonly name: string;
  /** Which of the two. */
  readonly side: 'read' | 'write';
  /** @internal */
  readonly [INNER]: Inner;
  readonly #core: SessionCore;
  readonly #permits: number;
  readonly #what: string;
  readonly #seat: () => SemaphoreSeat;

  /** @internal */
  constructor(core: SessionCore, name: string, side: 'read' | 'write') {
    this.name = name;
    this.side = side;
    this.#core = core;
    this[INNER] = { core, kind: KIND, name };
    this.#permits = side === 'read' ? 1 : ALL;
    this.#what = `${KIND} ${name}`;
    this.#seat = core.seats.way(KIND, name, () => new SemaphoreSeat(core, KIND, name));
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  async acquire(options?: AcquireOptions): Promise<Lease | null> {
    const { timeout, signal } = checkWait(options, `readWriteLock.${this.side}.acquire`);
    this.#core.assertOpen(this.#what);
    return this.#seat().acquire(SHAPE, this.#permits, timeout, signal);
  }

  async release(): Promise<void> {
    this.#core.assertOpen(this.#what);
    const held = this.#seat().oldest(this.#permits);
    if (held === undefined) {
      throw new NotHeldError(
        `${this.#what} is not held by this session to ${this.side}; only what it acquired can it release`,
        { primitive: this.name },
      );
    }
    await held.release();
  }

  async locked(): Promise<boolean> {
    const free = await this.#seat().value(SHAPE);
    return this.side === 'write' ? free === 0 : free > 0 && free < ALL;
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(this.#what, () => this.acquire(options as AcquireOptions), fn, this.name);
  }
}
