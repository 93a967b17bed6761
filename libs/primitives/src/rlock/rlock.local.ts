/**
 * The re-entrant lock between threads: a lock, and beside it whose it is, as in CPython's `threading._RLock`. How often
 * the owner took it is known in its own thread alone, where the owner lives: one level for each acquisition.
 *
 * The memory is that of a lock (`lock.local.ts`), then `OWNER`, 64 bits wide so that it is never seen half written: the
 * ident of the owner, 0 for none. Only the owner writes it: after taking the lock, and before giving it back. So who
 * reads its own ident there owns the lock, and who reads anything else does not, whatever becomes of it meanwhile.
 */
import { warnOfHoldLeft } from '../debug/warnings.ts';
import { AbandonedError, NotHeldError } from '../errors.ts';
import { currentLogicalThread, threadOf } from '../identity.ts';
import { type LeaseSource, LocalLease } from '../lock/local-lease.ts';
import { LOCK_WORDS, Lock } from '../lock/lock.local.ts';
import type { Lease } from '../lock/lock.ts';
import { type LockOptions, makeLockMemory } from '../lock/lock-options.ts';
import type { SuspendedHold } from '../lock/renewals.ts';
import { callSync, notInTime, useLease } from '../lock/use-lease.ts';
import {
  type AcquireOptions,
  type BlockingOptions,
  checkBlocking,
  checkFunction,
  checkWait,
  type ForeverOptions,
} from '../options.ts';
import { loadWide, storeWide, type WideWords } from '../shared-memory/cells.ts';
import { DEBUG, FIRST_WIDE, MEMORY, Memory, ROBUST } from '../shared-memory/memory.ts';
import { type HearsThreadEnds, THREAD_ENDED } from '../thread/thread-end.ts';
import { OwnWaits } from './own-waits.ts';
import type { AnyRLock } from './rlock.ts';

const OWNER = FIRST_WIDE + LOCK_WORDS / 2;
const WORDS = LOCK_WORDS + 2;

/** The holds of this thread's owners, by the lock's label: several handles to one lock share them. */
const holds = new Map<string, Hold>();

/** What this thread waits for, by the lock's label. */
const waits = new Map<string, OwnWaits>();

const AT_ONCE = { timeout: 0 };

/** `threading.RLock` between the threads of one process. */
export class RLock implements AnyRLock, HearsThreadEnds {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly #wide: WideWords;
  readonly #lock: Lock;
  readonly #label: string;

  /** A free lock. */
  constructor(options?: LockOptions);
  /** @internal The lock that this memory is. */
  constructor(memory: Memory);
  constructor(options?: LockOptions | Memory) {
    const memory = options instanceof Memory ? options : makeLockMemory('RLock', WORDS, options);
    this[MEMORY] = memory;
    this.#wide = memory.wide();
    this.#lock = new Lock(memory);
    this.#label = memory.label;
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    try {
      const { timeout, signal } = checkWait(options, 'RLock.acquire');
      const me = currentLogicalThread().ident;
      const hold = this.#holdOf(me);
      if (hold !== undefined) return Promise.resolve(hold.enter());
      // Debug mode tells apart who would wait and who takes at once.
      const plain = (this[MEMORY].traits & DEBUG) === 0;
      const lease = plain && (timeout === 0 || !waits.has(this.#label)) ? this.#takeAtOnce(me) : null;
      if (lease !== null || (plain && timeout === 0)) return Promise.resolve(lease);
      return this.#wait(me, timeout, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `acquire`, blocking the thread; `false` where `timeout` ms passed first. */
  acquireSync(options?: BlockingOptions): boolean {
    checkBlocking(options, 'RLock.acquireSync');
    return this.#enterSync(options) !== null;
  }

  release(): void {
    const hold = this.#holdOf(currentLogicalThread().ident);
    if (hold === undefined) {
      throw new NotHeldError(
        `${this.#label} is not held by ${currentLogicalThread().name}; only its owner can release it`,
        { primitive: this.#label },
      );
    }
    hold.leave();
  }

  locked(): boolean {
    return this.#lock.locked();
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(this.#label, () => this.acquire(options as AcquireOptions), fn);
  }

  /**
   * `with` for blocking code: `fn` is synchronous, and runs in the logical thread of the caller. Ends its own acquisition
   * and no other.
   */
  withSync<T>(fn: () => T, options?: BlockingOptions): T {
    checkFunction(fn, 'RLock.withSync(fn): fn');
    checkBlocking(options, 'RLock.acquireSync');
    const lease = this.#enterSync(options);
    if (lease === null) throw notInTime(this.#label);
    return callSync(this.#label, fn, () => void lease.release());
  }

  /** @internal Tells where its owner has ended: the word says whose it is. Robust or watched, it is told elsewhere. */
  [THREAD_ENDED](thread: number, name: string): void {
    const owner = Number(loadWide(this.#wide, OWNER));
    const told = this[MEMORY].traits & (ROBUST | DEBUG);
    if (owner !== 0 && threadOf(owner) === thread && told === 0) warnOfHoldLeft(this.#label, name, false);
  }

  /** @internal Whether the calling logical thread owns it. */
  isMine(): boolean {
    return this.#holdOf(currentLogicalThread().ident) !== undefined;
  }

  /** @internal Gives the lock back at whatever depth it is held, for as long as a condition waits. */
  suspend(): SuspendedHold {
    const me = currentLogicalThread().ident;
    const hold = this.#holdOf(me) as Hold;
    holds.delete(this.#label);
    storeWide(this.#wide, OWNER, 0n);
    hold.suspended = true;
    const inner = this.#lock.suspend();
    const resumed = () => {
      hold.suspended = false;
      this.#own(me, hold);
      waits.get(this.#label)?.letIn(me, hold);
    };
    return {
      resume: (then) =>
        inner.resume(() => {
          resumed();
          return then();
        }),
      resumeSync: () => {
        inner.resumeSync();
        resumed();
      },
      get released() {
        return hold.left;
      },
      end: () => hold.end(),
    };
  }

  /** Takes it if it is free. Whose it is then is written down in the same step. */
  #takeAtOnce(me: number): Lease | null {
    try {
      return this.#lock.acquireSync(AT_ONCE) ? this.#enterFirst(me, this.#lock.heldLease()) : null;
    } catch (error) {
      if (!(error instanceof AbandonedError)) throw error;
      const { token } = this.#lock.heldLease();
      return this.#enterFirst(me, LocalLease.afterAbandoned(this.#lock, token));
    }
  }

  #enterSync(options: BlockingOptions | undefined): Lease | null {
    const me = currentLogicalThread().ident;
    const hold = this.#holdOf(me);
    if (hold !== undefined) return hold.enter();
    try {
      if (!this.#lock.acquireSync(options)) return null;
    } catch (error) {
      if (error instanceof AbandonedError) this.#enterFirst(me, this.#lock.heldLease());
      throw error;
    }
    return this.#enterFirst(me, this.#lock.heldLease());
  }

  async #wait(
    owner: number,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Lease | null> {
    const here = waits.get(this.#label) ?? new OwnWaits();
    waits.set(this.#label, here);
    const take = (stop: AbortSignal) => this.#lock.acquire({ timeout, signal: stop });
    const begin = (lease: Lease) => this.#begin(owner, lease);
    try {
      return await here.wait({ owner, signal, take, begin });
    } finally {
      if (here.size === 0 && waits.get(this.#label) === here) waits.delete(this.#label);
    }
  }

  /** The lock was taken: its owner enters, and whatever else of it waits here. */
  #enterFirst(me: number, taken: Lease): Lease {
    const hold = this.#begin(me, taken);
    const lease = hold.enter();
    waits.get(this.#label)?.letIn(me, hold);
    return lease;
  }

  #own(me: number, hold: Hold): void {
    holds.set(this.#label, hold);
    storeWide(this.#wide, OWNER, BigInt(me));
  }

  #holdOf(me: number): Hold | undefined {
    return loadWide(this.#wide, OWNER) === BigInt(me) ? holds.get(this.#label) : undefined;
  }

  #begin(me: number, lease: Lease): Hold {
    const hold = new Hold(lease, () => {
      holds.delete(this.#label);
      storeWide(this.#wide, OWNER, 0n);
      void lease.release();
    });
    this.#own(me, hold);
    return hold;
  }
}

/** From the owner's first acquisition to its last release. */
class Hold {
  readonly #lease: Lease;
  /** Gives the lock back. */
  readonly end: () => void;
  /** A condition waits: it is somebody else's lock meanwhile. */
  suspended = false;
  readonly #levels: Level[] = [];

  constructor(lease: Lease, end: () => void) {
    this.#lease = lease;
    this.end = end;
  }

  enter(): LocalLease {
    const level = new Level(this);
    this.#levels.push(level);
    const { token, abandoned } = this.#lease;
    return abandoned && this.#levels.length === 1
      ? LocalLease.afterAbandoned(level, token)
      : new LocalLease(level, token, 1);
  }

  /** Ends that level, or the last; the hold with the last of all. */
  leave(level = this.#levels.at(-1)): void {
    const at = level === undefined ? -1 : this.#levels.lastIndexOf(level);
    if (at < 0) return;
    this.#levels.splice(at, 1);
    if (this.left && !this.suspended) this.end();
  }

  /** Whether the owner has released it as often as it was acquired. */
  get left(): boolean {
    return this.#levels.length === 0;
  }

  get token(): number {
    return this.#lease.token;
  }

  has(level: Level): boolean {
    return !this.suspended && this.#lease.valid && this.#levels.includes(level);
  }
}

/** One acquisition within a hold: what its lease ends. */
class Level implements LeaseSource {
  readonly #hold: Hold;

  constructor(hold: Hold) {
    this.#hold = hold;
  }

  tokenOf(): number {
    return this.#hold.token;
  }

  isHeld(): boolean {
    return this.#hold.has(this);
  }

  endHold(): void {
    this.#hold.leave(this);
  }
}
