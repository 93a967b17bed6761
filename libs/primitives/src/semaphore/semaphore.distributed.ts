/** The semaphores' handles in the distributed scope; the algorithm is the session's seat and the scripts. */
import { INNER, type Inner } from '../lock/inner-lock.distributed.ts';
import type { Lease } from '../lock/lock.ts';
import { useLease } from '../lock/use-lease.ts';
import { checkCount, checkOptions, checkWait } from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import type { AnySemaphore, SemaphoreAcquireOptions, SemaphoreForeverOptions } from './semaphore.ts';
import { MOST_PERMITS, type SemaphoreShape, tooMany } from './semaphore-calls.distributed.ts';
import { SemaphoreSeat } from './semaphore-seat.distributed.ts';

/**
 * A semaphore by name, in Redis: bounds how many of the whole fleet do something at once. Permits are held by sessions:
 * a session that dies gives its own back. Made by `session.semaphore(name, permits)`.
 */
export class DistributedSemaphore implements AnySemaphore {
  /** The name it was asked for by. */
  readonly name: string;
  /** @internal */
  readonly [INNER]: Inner;
  readonly #core: SessionCore;
  readonly #seat: () => SemaphoreSeat;
  readonly #shape: SemaphoreShape;

  constructor(core: SessionCore, name: string, permits = 1, bounded = false) {
    this.name = checkName(name, 'semaphore: name');
    this.#shape = {
      permits: checkCount(permits, 'semaphore: permits', { min: 0, max: MOST_PERMITS }),
      bounded,
    };
    this.#core = core;
    this[INNER] = { core, kind: 'semaphore', name };
    this.#seat = core.seats.way('semaphore', name, () => new SemaphoreSeat(core, 'semaphore', name));
  }

  acquire(options?: SemaphoreForeverOptions): Promise<Lease>;
  acquire(options: SemaphoreAcquireOptions): Promise<Lease | null>;
  acquire(options?: SemaphoreAcquireOptions): Promise<Lease | null> {
    try {
      const { permits = 1 } = checkOptions(options, 'semaphore.acquire', '{ permits: 2 }');
      checkCount(permits, 'semaphore.acquire: permits');
      const limit = this.#shape.permits;
      if (this.#shape.bounded && permits > limit) throw tooMany(`semaphore ${this.name}`, permits, limit);
      const { timeout, signal } = checkWait(options, 'semaphore.acquire', 'permits');
      this.#core.assertOpen(`semaphore ${this.name}`);
      return this.#seat().acquire(this.#shape, permits, timeout, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async release(n = 1): Promise<void> {
    checkCount(n, 'semaphore.release: n', { max: MOST_PERMITS });
    this.#core.assertOpen(`semaphore ${this.name}`);
    await this.#seat().release(this.#shape, n);
  }

  async value(): Promise<number> {
    return this.#seat().value(this.#shape);
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: SemaphoreAcquireOptions): Promise<T> {
    return useLease(
      `semaphore ${this.name}`,
      () => this.acquire(options as SemaphoreAcquireOptions),
      fn,
      this.name,
    );
  }
}
