/**
 * Debug mode of a lock. Its constructor puts the methods below over its own, on that one object: a lock without debug mode
 * runs the same code as if there were none.
 *
 * Whoever waits notes that first and looks for a circle then, with the ledger's mutex held: of those in a circle the last
 * to wait sees it. A hold is noted after it has begun and struck in the step that ends it, so that a hold in the
 * ledger is one, and two for one lock are never there.
 */
import { threadId } from 'node:worker_threads';
import { Deadline, now } from '../deadline.ts';
import { AbandonedError } from '../errors.ts';
import { currentLogicalThread, workerThread } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { onAbort } from '../on-abort.ts';
import { type AcquireOptions, type BlockingOptions, checkBlocking, checkWait } from '../options.ts';
import { type Memory, ROBUST } from '../shared-memory/memory.ts';
import { nativeThreadId } from '../shared-memory/thread-life.ts';
import {
  type Claim,
  type Ledger,
  type Line,
  type LockName,
  ledgerOf,
  type PlacedClaim,
  type Side,
} from './ledger.ts';
import { LOOK, look, pending, refuseCircle } from './pending.ts';
import { readSite } from './site.ts';
import { stackHere } from './stack.ts';
import { contradicted } from './taken-order.ts';
import { warnOfOrder } from './warnings.ts';

/** What the hold of a condition's lock becomes meanwhile. */
interface Suspended {
  resume<T>(then: () => T): Promise<T>;
  resumeSync(): void;
  readonly released: boolean;
  end(): void;
}

/** A lock, or a side of a read-write lock, as it is without debug mode. */
export interface Watchable {
  acquire(options?: AcquireOptions): Promise<Lease | null>;
  acquireSync(options?: BlockingOptions): boolean;
  release(): void;
  locked(): boolean;
  withSync<T>(fn: () => T, options?: BlockingOptions): T;
  heldLease?(): Lease;
  suspend?(): Suspended;
}

/** Watches `lock` from now on. */
export function watch(lock: Watchable, memory: Memory, side: Side = 'whole'): void {
  const watched = new Watched(lock, memory, side);
  const methods: Partial<Watchable> = {
    acquire: (options) => watched.acquire(options),
    acquireSync: (options) => watched.acquireSync(options),
    release: () => watched.release(),
    withSync: (fn, options) => watched.withSync(fn, options),
  };
  if (lock.heldLease !== undefined) methods.heldLease = () => watched.heldLease();
  if (lock.suspend !== undefined) methods.suspend = () => watched.suspend();
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(lock, name, { value, configurable: true });
  }
}

class Watched {
  /** The methods as they were. */
  readonly #plain: Watchable;
  readonly #ledger: Ledger;
  readonly #name: LockName;
  readonly #side: Side;
  /** A condition takes its lock back: whatever that meets, it must hold it in the end. */
  #takingBack = false;

  constructor(lock: Watchable, memory: Memory, side: Side) {
    const [maker, serial] = memory.numbers;
    const robust = (memory.traits & ROBUST) !== 0;
    this.#side = side;
    this.#ledger = ledgerOf(memory.buffer);
    this.#name = { maker, serial, label: memory.label, site: readSite(memory.buffer), robust };
    this.#plain = {
      acquire: lock.acquire.bind(lock),
      acquireSync: lock.acquireSync.bind(lock),
      release: lock.release.bind(lock),
      locked: lock.locked.bind(lock),
      withSync: lock.withSync.bind(lock) as Watchable['withSync'],
      ...(lock.heldLease && { heldLease: lock.heldLease.bind(lock) }),
      ...(lock.suspend && { suspend: lock.suspend.bind(lock) }),
    };
  }

  async acquire(options: AcquireOptions | undefined): Promise<Lease | null> {
    const { timeout, signal } = checkWait(options, `${this.#name.label}.acquire`);
    const stack = stackHere();
    const line = lineHere();
    const { explicit } = currentLogicalThread();
    if (timeout === 0) return this.#granted(await this.#plain.acquire(options), line, stack, explicit, true);
    const stop = new AbortController();
    const takingBack = this.#takingBack;
    // What a plain async context waits for keeps none of its holds up.
    const wait = explicit ? this.#wait(line, stack, timeout, false, takingBack) : undefined;
    const end = (reason: unknown) => {
      if (wait !== undefined) this.#strike(wait);
      stop.abort(reason);
    };
    const waiting = { ledger: this.#ledger, lock: this.#name, wait: takingBack ? undefined : wait, end };
    pending.add(waiting);
    const stopHearing = signal && onAbort(signal, () => end(signal.reason));
    try {
      const lease = await this.#plain.acquire({ timeout, signal: stop.signal });
      return this.#granted(lease, line, stack, explicit, false);
    } finally {
      stopHearing?.();
      pending.delete(waiting);
      if (wait !== undefined) this.#strike(wait);
    }
  }

  acquireSync(options: BlockingOptions | undefined): boolean {
    const timeout =
      options === undefined ? undefined : checkBlocking(options, `${this.#name.label}.acquireSync`);
    const stack = stackHere();
    if (this.#tryFor(0, stack, timeout === 0)) return true;
    if (timeout === 0) return false;
    const deadline = Deadline.after(timeout);
    const wait = this.#wait(lineHere(), stack, timeout, true, false);
    try {
      while (!this.#tryFor(Math.min(deadline.remaining(), LOOK), stack, false)) {
        if (deadline.expired) return false;
        look(this.#ledger, this.#name, wait);
      }
      return true;
    } finally {
      this.#strike(wait);
    }
  }

  release(): void {
    this.#ledger.exclusive(() => {
      this.#plain.release();
      this.#strikeHold();
    });
  }

  withSync<T>(fn: () => T, options: BlockingOptions | undefined): T {
    const body = typeof fn === 'function' ? () => this.#surrounding(fn) : fn;
    return this.#plain.withSync(body, options);
  }

  heldLease(): Lease {
    return this.#watchedLease((this.#plain.heldLease as () => Lease)());
  }

  suspend(): Suspended {
    const held = this.#ledger.exclusive(() => {
      this.#strikeHold();
      return (this.#plain.suspend as () => Suspended)();
    });
    return {
      resume: (then) => {
        this.#takingBack = true;
        try {
          return held.resume(then); // by `acquire` above
        } finally {
          this.#takingBack = false;
        }
      },
      resumeSync: () => {
        const stack = stackHere();
        const wait = this.#wait(lineHere(), stack, undefined, true, true);
        held.resumeSync();
        this.#strike(wait);
        this.#hold(lineHere(), stack, currentLogicalThread().explicit, false, () => true);
      },
      get released() {
        return held.released;
      },
      end: () =>
        this.#ledger.exclusive(() => {
          this.#strikeHold();
          held.end();
        }),
    };
  }

  /** Blocks for so long; notes the hold, where there is one. `passing`: who called would not wait at all. */
  #tryFor(timeout: number, stack: string, passing: boolean): boolean {
    let taken = false;
    try {
      taken = this.#plain.acquireSync({ timeout });
    } catch (error) {
      taken = error instanceof AbandonedError;
      throw error;
    } finally {
      if (taken) {
        const { explicit } = currentLogicalThread();
        this.#hold(lineHere(), stack, explicit, passing, () => this.#plain.locked());
      }
    }
    return taken;
  }

  /** Notes that this line waits. Throws where that would never end, and the wait is struck. */
  #wait(
    line: Line,
    stack: string,
    timeout: number | undefined,
    blocking: boolean,
    unchecked: boolean,
  ): PlacedClaim {
    const until = timeout === undefined ? null : now() + timeout;
    const claim: Claim = {
      what: 'wait',
      lock: this.#name,
      side: this.#side,
      line,
      surrounding: false,
      blocking,
      until,
      stack,
    };
    return this.#ledger.exclusive(() => {
      const wait = this.#ledger.note(claim);
      if (!unchecked) refuseCircle(this.#ledger, wait);
      return wait;
    });
  }

  #granted(
    lease: Lease | null,
    line: Line,
    stack: string,
    surrounding: boolean,
    passing: boolean,
  ): Lease | null {
    if (lease === null) return null;
    this.#hold(line, stack, surrounding, passing, () => lease.valid);
    return this.#watchedLease(lease);
  }

  /** Notes a hold, unless it has ended meanwhile, and tells of orders it contradicts: but for who would not wait. */
  #hold(line: Line, stack: string, surrounding: boolean, passing: boolean, goesOn: () => boolean): void {
    const claim: Claim = {
      what: 'hold',
      lock: this.#name,
      side: this.#side,
      line,
      surrounding,
      blocking: false,
      until: null,
      stack,
    };
    const orders = this.#ledger.exclusive(() => {
      if (!goesOn()) return [];
      if (this.#side !== 'read') this.#strikeHold();
      const hold = this.#ledger.note(claim);
      return passing ? [] : contradicted(this.#ledger, hold);
    });
    for (const [before, after] of orders) warnOfOrder(before, after);
  }

  #watchedLease(lease: Lease): Lease {
    const release = lease.release.bind(lease);
    const value = () =>
      this.#ledger.exclusive(() => {
        if (lease.valid) this.#strikeHold();
        return release();
      });
    return Object.defineProperty(lease, 'release', { value, configurable: true });
  }

  /** Runs the body of a `withSync`: what it waits for keeps the hold up, in a plain context too. */
  #surrounding<T>(fn: () => T): T {
    const { ident } = currentLogicalThread();
    this.#ledger.exclusive(() => {
      const mine = this.#holds().findLast(({ record }) => record.line.ident === ident);
      if (mine === undefined || mine.record.surrounding) return;
      this.#ledger.strike(mine);
      this.#ledger.note({ ...mine.record, surrounding: true });
    });
    return fn();
  }

  #strike(wait: PlacedClaim): void {
    this.#ledger.exclusive(() => this.#ledger.strike(wait));
  }

  /** With the ledger: the hold has ended; of several who read the caller's own, else the oldest. */
  #strikeHold(): void {
    const holds = this.#holds();
    if (this.#side !== 'read') {
      for (const hold of holds) this.#ledger.strike(hold);
      return;
    }
    const { ident } = currentLogicalThread();
    const ended = holds.find(({ record }) => record.line.ident === ident) ?? holds[0];
    if (ended !== undefined) this.#ledger.strike(ended);
  }

  #holds(): PlacedClaim[] {
    return this.#ledger.holdsOn(this.#name).filter(({ record }) => record.side === this.#side);
  }
}

function lineHere(): Line {
  const { ident, name } = currentLogicalThread();
  const thread = workerThread();
  return {
    ident,
    thread: threadId,
    native: nativeThreadId() ?? 0,
    name: (thread.ident === ident ? name : `${name} (${thread.name})`).slice(0, 100),
  };
}
