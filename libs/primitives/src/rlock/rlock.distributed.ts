/**
 * The re-entrant lock in the distributed scope: a lock in Redis, owned by a session, and inside the session by a
 * logical thread. How often the owner took it is known in its session alone: entering again asks nobody.
 */
import { LeaseLostError, NotHeldError } from '../errors.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import { INNER, type InnerLock } from '../lock/inner-lock.distributed.ts';
import type { Lease } from '../lock/lock.ts';
import { LockSeat } from '../lock/lock-seat.distributed.ts';
import { useLease } from '../lock/use-lease.ts';
import { type AcquireOptions, checkWait, type ForeverOptions } from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import type { HeldLease } from '../session/held-lease.ts';
import { checkName } from '../session/keys.ts';
import { OwnWaits } from './own-waits.ts';
import type { AnyRLock } from './rlock.ts';

/** Whose a hold is, and how often, whichever handle it was taken by. */
const holds = new WeakMap<HeldLease, Hold>();

/** What a session waits for, by the lock. */
const waits = new WeakMap<LockSeat, OwnWaits<HeldLease>>();

function begin(lease: HeldLease): Hold {
  const hold = new Hold(lease);
  holds.set(lease, hold);
  return hold;
}

/** A re-entrant lock by name, in Redis. Made by `session.rlock(name)`; any number of handles are one lock. */
export class DistributedRLock implements AnyRLock {
  /** The name it was asked for by. */
  readonly name: string;
  /** @internal */
  readonly [INNER]: InnerLock;
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #seat: () => LockSeat;

  /** @internal Use `session.rlock`. */
  constructor(core: SessionCore, name: string, kind = 'rlock') {
    this.name = checkName(name, `${kind}: name`);
    this.#core = core;
    this.#kind = kind;
    this.#seat = core.seats.way(kind, name, () => new LockSeat(core, kind, name));
    const held = () => this.#hold()?.lease;
    this[INNER] = { core, kind, name, maxHold: undefined, seat: this.#seat, held };
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  async acquire(options?: AcquireOptions): Promise<Lease | null> {
    const { timeout, signal } = checkWait(options, `${this.#kind}.acquire`);
    this.#core.assertOpen(`${this.#kind} ${this.name}`);
    const mine = this.#hold();
    if (mine !== undefined) return mine.enter(currentLogicalThread());
    const seat = this.#seat();
    const owner = currentLogicalThread().ident;
    const here = waits.get(seat) ?? new OwnWaits<HeldLease>();
    waits.set(seat, here);
    const take = async (stop: AbortSignal): Promise<HeldLease | null> => {
      // Granted to this owner, and not confirmed yet: to stand in line behind that would be to wait for oneself.
      if (seat.lease?.owner.ident === owner) await here.settled(owner);
      stop.throwIfAborted();
      return this.#seat().acquire(timeout, stop, undefined);
    };
    return here.wait({ owner, signal, take, begin });
  }

  async release(): Promise<void> {
    const what = `${this.#kind} ${this.name}`;
    this.#core.assertOpen(what);
    const hold = this.#hold();
    if (hold === undefined) {
      const { name } = currentLogicalThread();
      throw new NotHeldError(
        `${what} is not held by ${name} in this session; only its owner can release it`,
        {
          primitive: this.name,
        },
      );
    }
    await hold.leave();
  }

  async locked(): Promise<boolean> {
    const keys = this.#core.keyspace.of(this.#kind, this.name, ['state']);
    const what = `${this.#kind} ${this.name}`;
    const [answer] = await this.#core.command(what, this.name, 'lock.locked', keys, [], { looks: true });
    return answer === 'yes';
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(
      `${this.#kind} ${this.name}`,
      () => this.acquire(options as AcquireOptions),
      fn,
      this.name,
    );
  }

  /** The caller's hold. */
  #hold(): Hold | undefined {
    const seat = this.#seat();
    const { lease } = seat;
    seat.tidy();
    if (lease === undefined || !lease.incarnation.lives) return undefined;
    const hold = holds.get(lease);
    return lease.owner.ident === currentLogicalThread().ident ? hold : undefined;
  }
}

/** From the owner's first acquisition to its last release. */
class Hold {
  readonly lease: HeldLease;
  readonly #levels: Level[] = [];

  constructor(lease: HeldLease) {
    this.lease = lease;
    lease.levels = this.#levels;
  }

  enter(asker: LogicalThread): Lease {
    const level = new Level(this, asker);
    this.#levels.push(level);
    return level;
  }

  has(level: Level): boolean {
    return this.#levels.includes(level);
  }

  /** Ends that level, or the last; the hold with the last of all. Of a lost hold it tells that. */
  async leave(level = this.#levels.at(-1)): Promise<void> {
    const at = level === undefined ? -1 : this.#levels.lastIndexOf(level);
    if (at < 0) return;
    this.#levels.splice(at, 1);
    const { valid, suspended } = this.lease;
    if (this.#levels.length === 0 || !(valid || suspended)) await this.lease.release();
  }
}

/** One acquisition within a hold. */
class Level implements Lease {
  /** Who acquired it. */
  readonly owner: LogicalThread;
  readonly #hold: Hold;
  /** What the release was told: the next one is told it again. */
  #lost: LeaseLostError | undefined;

  constructor(hold: Hold, owner: LogicalThread) {
    this.#hold = hold;
    this.owner = owner;
  }

  get token(): number {
    return this.#hold.lease.token;
  }

  get signal(): AbortSignal {
    return this.#hold.lease.signal;
  }

  get valid(): boolean {
    return this.#hold.has(this) && this.#hold.lease.valid;
  }

  get abandoned(): boolean {
    return this.#hold.lease.abandoned;
  }

  release(): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    return this.#hold.leave(this).catch((error: unknown) => {
      if (error instanceof LeaseLostError) this.#lost = error;
      throw error;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
