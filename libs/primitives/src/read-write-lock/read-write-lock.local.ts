/** The read-write lock between threads: its two sides, and what each thread has of them. How they work: `gate.ts`. */
import { Deadline } from '../deadline.ts';
import { watch } from '../debug/watch.ts';
import { NotHeldError } from '../errors.ts';
import { type LeaseSource, LocalLease } from '../lock/local-lease.ts';
import type { Lock } from '../lock/lock.local.ts';
import type { AnyLock, Lease } from '../lock/lock.ts';
import { type LockOptions, makeLockMemory } from '../lock/lock-options.ts';
import { refuseOwn } from '../lock/own-body.ts';
import { notInTime, useLease, useLeaseSync } from '../lock/use-lease.ts';
import {
  type AcquireOptions,
  type BlockingOptions,
  checkBlocking,
  checkFunction,
  checkKnown,
  checkWait,
  type ForeverOptions,
} from '../options.ts';
import { DEBUG, MEMORY, Memory, WHOLE } from '../shared-memory/memory.ts';
import { spin } from '../shared-memory/spin.ts';
import { Gate, WORDS } from './gate.ts';
import type { AnyReadWriteLock } from './read-write-lock.ts';

/** What a read-write lock can be made with. It can't be robust: who reads is counted, not known. */
export type ReadWriteLockOptions = Pick<LockOptions, 'debug'>;

function checkReadWriteLockOptions(options: ReadWriteLockOptions | undefined): LockOptions {
  return { debug: checkKnown(options, ['debug'], 'new ReadWriteLock').debug };
}

/**
 * Java's `ReadWriteLock` between the threads of one process.
 *
 * `read.release()` ends a hold of the calling thread while it has one, first of those without a lease. A thread that has
 * none ends one of the others' holds, which are counted and not known: the lease of that hold is told where nobody reads
 * any more, and not while others read on without a break. So let each thread release what it acquired, best by `with`.
 */
export class ReadWriteLock implements AnyReadWriteLock {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly read: LockSide;
  readonly write: LockSide;

  /** Free for both. */
  constructor(options?: ReadWriteLockOptions);
  /** @internal The lock that this memory is. */
  constructor(memory: Memory);
  constructor(options?: ReadWriteLockOptions | Memory) {
    const memory =
      options instanceof Memory
        ? options
        : makeLockMemory('ReadWriteLock', WORDS, checkReadWriteLockOptions(options));
    this[MEMORY] = memory;
    const gate = new Gate(memory);
    this.read = new ReadSide(gate);
    this.write = new WriteSide(gate);
    if ((memory.traits & DEBUG) === 0) return;
    watch(this.read, memory, 'read');
    watch(this.write, memory, 'write');
  }
}

/**
 * A local side of a read-write lock: a lock, which can also block. A blocked thread does not turn its event loop, so
 * who blocks for either side waits for ever where an `await`ed `write.acquire` of the same thread comes first.
 */
export abstract class LockSide implements AnyLock {
  /** @internal */
  readonly [WHOLE]: Memory;
  /** @internal */
  protected readonly gate: Gate;
  protected abstract readonly name: 'read' | 'write';
  /** By whose holds it is not to be had. */
  protected abstract readonly excludedBy: readonly ('read' | 'write')[];

  /** @internal */
  constructor(gate: Gate) {
    this[WHOLE] = gate.memory;
    this.gate = gate;
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  acquire(options?: AcquireOptions): Promise<Lease | null> {
    try {
      const { timeout, signal } = checkWait(options, `ReadWriteLock.${this.name}.acquire`);
      const lease = this.tryAcquire() ? this.lease() : null;
      if (lease !== null || timeout === 0) return Promise.resolve(lease);
      const deadline = Deadline.after(timeout);
      this.#refuseOwn(deadline, false);
      return this.wait(deadline, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `acquire`, blocking the thread; `false` where `timeout` ms passed first. */
  acquireSync(options?: BlockingOptions): boolean {
    const timeout =
      options === undefined ? undefined : checkBlocking(options, `ReadWriteLock.${this.name}.acquireSync`);
    if (this.tryAcquire()) return true;
    if (timeout === 0) return false;
    const deadline = Deadline.after(timeout);
    this.#refuseOwn(deadline, true);
    return this.waitSync(deadline);
  }

  release(): void {
    if (this.end()) return;
    throw new NotHeldError(`${this.label} is not held; acquire it before release()`, {
      primitive: this.label,
    });
  }

  abstract locked(): boolean;

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(this.label, () => this.acquire(options as AcquireOptions), fn);
  }

  /** `with` for blocking code: `fn` is synchronous. Ends its own hold and no other. */
  withSync<T>(fn: () => T, options?: BlockingOptions): T {
    checkFunction(fn, `ReadWriteLock.${this.name}.withSync(fn): fn`);
    if (!this.acquireSync(options)) throw notInTime(this.label);
    return useLeaseSync(this.label, this.heldLease(), fn);
  }

  /** @internal The lease of a hold that `acquireSync` has begun, for who has just done so. */
  heldLease(): Lease {
    return this.lease();
  }

  protected get label(): string {
    return `${this.gate.memory.label}.${this.name}`;
  }

  #refuseOwn(deadline: Deadline, blocks: boolean): void {
    const whole = this.gate.memory.label;
    refuseOwn(this.label, deadline, blocks, ({ what }) =>
      this.excludedBy.some((side) => what === `${whole}.${side}`),
    );
  }

  /** One try. */
  protected abstract tryAcquire(): boolean;
  protected abstract wait(deadline: Deadline, signal: AbortSignal | undefined): Promise<Lease | null>;
  protected abstract waitSync(deadline: Deadline): boolean;
  /** The lease of the hold that has just begun in this thread. */
  protected abstract lease(): Lease;
  /** Ends a hold of whoever has one; false where there is none. */
  protected abstract end(): boolean;
}

/** What a thread has of one lock's holds for reading. */
interface Reading {
  readonly round: number;
  /** How many rounds had ended by then. */
  readonly ended: number;
  /** How many have no lease. */
  bare: number;
  /** The tokens of those that have one, the oldest first. */
  readonly leased: Set<number>;
}

/** This thread's, by the lock's label: several handles to one lock share them. */
const readings = new Map<string, Reading>();

class ReadSide extends LockSide implements LeaseSource {
  protected readonly name = 'read';
  protected readonly excludedBy = ['write'] as const;

  locked(): boolean {
    return this.gate.readers > 0;
  }

  tokenOf(token: number): number {
    return token;
  }

  isHeld(token: number): boolean {
    return this.#mine()?.leased.has(token) === true;
  }

  endHold(token: number): void {
    const mine = this.#mine();
    if (mine?.leased.delete(token) === true) this.#leave(mine);
  }

  protected tryAcquire(): boolean {
    const round = this.gate.enter();
    if (round === undefined) return false;
    this.#begin(round);
    return true;
  }

  protected wait(deadline: Deadline, signal: AbortSignal | undefined): Promise<Lease | null> {
    const granted = () => {
      this.#begin(this.gate.pass());
      return this.lease();
    };
    return this.gate.lock.enqueue(granted, deadline, signal);
  }

  protected waitSync(deadline: Deadline): boolean {
    if (spin(() => this.tryAcquire())) return true;
    if (!this.gate.lock.blockUntil(deadline)) return false;
    this.#begin(this.gate.pass());
    return true;
  }

  protected lease(): Lease {
    const token = this.gate.nextToken();
    const mine = readings.get(this.#key) as Reading; // Begun just now.
    mine.bare -= 1;
    mine.leased.add(token);
    return new LocalLease(this, token, 1);
  }

  /**
   * Ends a hold of this thread without a lease; where it has none, its oldest with one; where it has none of either,
   * one of another thread.
   */
  protected end(): boolean {
    const mine = this.#mine();
    if (mine === undefined) return this.gate.leave();
    const [oldest] = mine.bare > 0 ? [] : mine.leased;
    if (oldest === undefined) mine.bare -= 1;
    else mine.leased.delete(oldest);
    return this.#leave(mine) || this.gate.leave();
  }

  get #key(): string {
    return this.gate.memory.label;
  }

  /** What this thread has in the round that goes on: of an earlier one nothing is left. */
  #mine(): Reading | undefined {
    const mine = readings.get(this.#key);
    if (mine === undefined || this.gate.goesOn(mine.round, mine.ended)) return mine;
    readings.delete(this.#key);
    return undefined;
  }

  #begin(round: number): void {
    const mine = this.#mine();
    if (mine?.round === round) mine.bare += 1;
    else readings.set(this.#key, { round, ended: this.gate.ended, bare: 1, leased: new Set() });
  }

  /** For who has struck a hold in `mine`: ends it, unless its round has ended meanwhile. */
  #leave(mine: Reading): boolean {
    if (mine.bare === 0 && mine.leased.size === 0) readings.delete(this.#key);
    return this.gate.leave(mine.round);
  }
}

class WriteSide extends LockSide {
  protected readonly name = 'write';
  protected readonly excludedBy = ['read', 'write'] as const;

  locked(): boolean {
    return this.gate.writing;
  }

  protected tryAcquire(): boolean {
    if (this.gate.readers > 0 || !this.gate.lock.acquireSync(AT_ONCE)) return false;
    if (this.gate.claim()) {
      this.gate.admit();
      return true;
    }
    this.gate.lock.release();
    return false;
  }

  protected async wait(deadline: Deadline, signal: AbortSignal | undefined): Promise<Lease | null> {
    const taken = await this.gate.lock.enqueue(
      () => {
        if (!this.gate.claim()) return 'readers';
        this.gate.admit();
        return this.lease();
      },
      deadline,
      signal,
    );
    if (taken !== 'readers') return taken;
    try {
      signal?.throwIfAborted();
      if (await this.gate.cleared(deadline, signal)) {
        this.gate.admit();
        return this.lease();
      }
    } catch (error) {
      this.gate.lock.release();
      throw error;
    }
    this.gate.lock.release();
    return null;
  }

  protected waitSync(deadline: Deadline): boolean {
    if (!this.gate.lock.blockUntil(deadline)) return false;
    if (!this.gate.claim() && !this.gate.clearedSync(deadline)) {
      this.gate.lock.release();
      return false;
    }
    this.gate.admit();
    return true;
  }

  protected lease(): Lease {
    return new LocalLease(new WriteHold(this.gate.lock), this.gate.nextToken(), 1);
  }

  protected end(): boolean {
    const held = this.gate.lock.currentToken();
    return held !== 0 && this.gate.writing && this.gate.lock.tryEndHold(held);
  }
}

const AT_ONCE = { timeout: 0 };

/** The hold of one who writes: as the gate knows it, by its own token. */
class WriteHold implements LeaseSource {
  readonly #gate: Lock;
  readonly #held: number;

  constructor(gate: Lock) {
    this.#gate = gate;
    this.#held = gate.currentToken();
  }

  tokenOf(token: number): number {
    return token;
  }

  isHeld(): boolean {
    return this.#gate.isHeld(this.#held);
  }

  endHold(): void {
    this.#gate.endHold(this.#held);
  }
}
