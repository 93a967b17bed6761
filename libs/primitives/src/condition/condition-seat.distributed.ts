/**
 * A session's waits at one condition. To wait is to register while the lock is held and to give it up in the same call;
 * to notify is to put the sessions of those that go in the lock's line, so that each wakes when it holds the lock.
 *
 * | a wait is | means | then |
 * |---|---|---|
 * | joining | `join` and the lock's release are on their way, in one call | registered |
 * | registered | the lock is given up | notified, by a message or found out by asking; or leaving |
 * | leaving | its time is up, or its signal has aborted | `leave` tells whether it was notified just before |
 * | notified | its session stands in the lock's line | over, once it holds the lock |
 *
 * What is no longer registered has been notified, so a message that was lost is found out. One that left, or whose life
 * ended, holds the lock again before it is over too; what was notified and is not wanted any more goes to another.
 */
import { LeaseLostError, NotHeldError } from '../errors.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import type { InnerLock } from '../lock/inner-lock.distributed.ts';
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { Foothold } from '../session/foothold.ts';
import { closedError, type HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { nameOn } from '../session/keys.ts';
import type { Partition } from '../session/partition.ts';
import type { Answer } from '../session/run-operations.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { Waiters } from '../session/waiters.ts';

interface Wait {
  readonly id: string;
  /** Who waits, as in whatever bodies of `with` that is. */
  readonly waiter: LogicalThread;
  readonly held: HeldLease;
  readonly life: Incarnation;
  /** The lock was given up: from here on the wait can be asked after. */
  registered: boolean;
  asking: boolean;
  /** Messages may have been lost while a reply was on its way: what it says may be out of date. */
  doubt: boolean;
  /** A notification was spent on it. */
  notified: boolean;
  /** It gave up, and Redis is asked whether it was notified before. */
  leaving: Promise<unknown> | undefined;
  /** It stands in line for the lock: settles when that is held again. */
  holding: Promise<void> | undefined;
}

export class ConditionSeat implements Seat {
  readonly #core: SessionCore;
  readonly #what: string;
  readonly #lock: InnerLock;
  /** What it is called in Redis and in messages: the lock it is on, and its own name. */
  readonly #id: string;
  readonly #primitive: string;
  readonly #partition: Partition;
  readonly #waiters: string;
  readonly #state: string;
  readonly #queue: string;
  readonly #line = new Waiters<boolean, Wait>();
  readonly #waits = new Map<string, Wait>();
  readonly #foothold: Foothold;
  #busy = 0;

  /** The seat of the condition of that name on that lock. */
  static of(core: SessionCore, lock: InnerLock, name: string): ConditionSeat {
    const id = nameOn(lock.kind, lock.name, name);
    return core.seats.take(seatKey('condition', id), () => new ConditionSeat(core, lock, name, id));
  }

  private constructor(core: SessionCore, lock: InnerLock, name: string, id: string) {
    const slot = core.keyspace.partitionOf(lock.name);
    this.#core = core;
    this.#lock = lock;
    this.#id = id;
    this.#primitive = name;
    this.#what = `condition ${name}`;
    this.#partition = core.partition(slot);
    [this.#waiters = ''] = core.keyspace.of('condition', id, ['waiters'], slot);
    [this.#state = '', this.#queue = ''] = core.keyspace.of(lock.kind, lock.name, ['state', 'queue']);
    this.#foothold = new Foothold(this.#partition, () => this.#lifeEnded());
  }

  /** Waits under `held`, the caller's hold; settles only once that is held again. */
  async wait(
    held: HeldLease,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    signal?.throwIfAborted();
    const life = held.incarnation;
    const wait: Wait = {
      id: this.#core.nextWait(),
      waiter: currentLogicalThread(),
      held,
      life,
      registered: false,
      asking: false,
      doubt: false,
      notified: false,
      leaving: undefined,
      holding: undefined,
    };
    this.#waits.set(wait.id, wait);
    this.#busy += 1;
    try {
      await this.#foothold.under();
      signal?.throwIfAborted();
      if (this.#core.closed) throw closedError(this.#what);
      this.#checkStillHeld(held);
      // Before the time-out begins: what gives up has registered first.
      const given = this.#giveUp(wait);
      const woken = this.#line
        .add(wait, {
          timeout,
          signal,
          onTimeout: false,
          decided: true,
          gaveUp: () => this.#leave(wait),
        })
        .catch((reason: unknown) => ({ reason }));
      await given;
      const outcome = await woken;
      await this.#holdAgain(wait);
      // The lock may have come from another here, before the answer: what was spent on this wait must not be lost.
      await wait.leaving;
      this.#forget(wait);
      const gone = held.givenUp || held.over;
      if (typeof outcome === 'boolean' && !gone) return outcome || wait.notified;
      // What was spent on one who does not want it any more is for another.
      if (wait.notified && !held.over) await this.notify(held, 1, 'giveBack');
      if (gone) await held.release();
      throw typeof outcome === 'boolean' ? this.#releasedMeanwhile() : outcome.reason;
    } catch (error) {
      if (this.#core.closed) held.conclude();
      throw error;
    } finally {
      this.#waits.delete(wait.id);
      this.#busy -= 1;
      this.#tidy();
    }
  }

  /**
   * Lets up to `n` go, under `held`, the caller's hold.
   *
   * @param send how that is asked: `giveBack` for what is owed to others
   */
  notify(held: HeldLease, n: number, send: 'call' | 'giveBack' = 'call'): Promise<void> {
    return this.#core.seeThrough(this.#notify(held, n, send));
  }

  async #notify(held: HeldLease, n: number, send: 'call' | 'giveBack'): Promise<void> {
    const seat = this.#lock.seat();
    this.#busy += 1;
    try {
      for (let owed = n; ; ) {
        const keys = [this.#state, this.#queue, this.#waiters];
        const args = [this.#id, seat.grant, owed];
        const [is, left] = await this.#underHold(held, send, 'condition.notify', keys, args);
        if (is === 'not held') throw this.#notHeld(held);
        if (is !== 'more') return;
        owed = Number(left);
      }
    } finally {
      this.#busy -= 1;
      this.#tidy();
    }
  }

  told(life: Incarnation, [id = '', past = '']: readonly string[]): void {
    if (!/^\d{1,16}$/.test(past)) throw new TypeError('no message of ours');
    const wait = this.#waits.get(id);
    if (wait === undefined) return;
    this.#lock.seat().placed(life, Number(past));
    this.#notified(wait);
  }

  get waited(): boolean {
    return this.#line.size > 0;
  }

  askAgain(): void {
    for (const { what: wait } of [...this.#line]) this.#ask(wait);
  }

  closed(): void {
    this.#line.rejectAll(() => closedError(this.#what));
  }

  /** Registers and gives the lock up, both in the one call of this turn. */
  async #giveUp(wait: Wait): Promise<void> {
    const { held } = wait;
    const seat = this.#lock.seat();
    const { name, kind } = this.#lock;
    const args = [this.#id, wait.id, name, kind, seat.grant];
    // Before anything finds out that its life has ended: what is given up is not lost.
    held.suspend();
    const joining = this.#underHold(
      held,
      'call',
      'condition.join',
      [this.#state, this.#waiters, wait.life.holds],
      args,
    );
    const released = seat.suspend(held);
    const [joined, given] = await Promise.allSettled([joining, released]);
    wait.registered = true;
    const lost =
      given.status === 'rejected' || (joined.status === 'fulfilled' && joined.value[0] === 'not held');
    // A life that ended took the hold along, and whatever was notified since: it wakes, to look for itself.
    if (wait.life.ended !== undefined) return this.#line.get(wait)?.resolve(true);
    if (lost) {
      const error = given.status === 'rejected' ? given.reason : this.#notHeld(held);
      wait.holding = Promise.reject(error);
      wait.holding.catch(() => {});
      seat.forgo(held);
      this.#line.get(wait)?.reject(error);
    } else if (joined.status === 'rejected') {
      this.#line.get(wait)?.reject(joined.reason);
    } else if (wait.doubt) this.#ask(wait);
  }

  #notified(wait: Wait): void {
    wait.notified = true;
    // At once: the grant may be the very next message.
    void this.#holdAgain(wait).catch(() => {});
    this.#line.get(wait)?.resolve(true);
  }

  #holdAgain(wait: Wait): Promise<void> {
    if (this.#core.closed) return Promise.reject(closedError(this.#what));
    wait.holding ??= this.#lock.seat().resume(wait.held, this.#lock.maxHold, wait.waiter);
    return wait.holding;
  }

  /** Asks what has become of a wait: messages may have been lost. */
  #ask(wait: Wait): void {
    if (this.#line.get(wait) === undefined) return;
    wait.doubt = !wait.registered || wait.asking;
    if (wait.doubt) return;
    wait.asking = true;
    wait.life.call('condition.look', [this.#waiters], [wait.id]).then(
      ([is]) => {
        wait.asking = false;
        // What has become of the place in line since then is not known: the lock asks.
        if (is === 'notified') this.#notified(wait);
        else if (wait.doubt) this.#ask(wait);
      },
      () => {
        wait.asking = false;
      },
    );
  }

  /** Its time is up, or it was aborted: no longer registered, unless it was notified just then. */
  #leave(wait: Wait): Promise<true | undefined> | undefined {
    if (wait.life.ended !== undefined) return undefined;
    const left = wait.life
      .giveBack('condition.leave', [this.#waiters, wait.life.holds], [this.#id, wait.id, 0])
      .then(([is]) => {
        wait.notified = is === 'notified';
        return wait.notified ? true : undefined;
      });
    wait.leaving = left.catch(() => {}); // Its life ended.
    return left;
  }

  /** It woke: what says that it may not have goes with the next call, whatever that is. */
  #forget(wait: Wait): void {
    wait.life.later({
      operation: 'condition.leave',
      keys: [this.#waiters, wait.life.holds],
      args: [this.#id, wait.id, 1],
    });
  }

  #lifeEnded(): void {
    if (this.#core.closed) return;
    for (const { what: wait } of [...this.#line]) {
      if (wait.registered && wait.life.ended !== undefined) this.#line.get(wait)?.resolve(true);
    }
  }

  /** Somebody of the same session may have released it in this very turn, or wait under it; or its life has ended. */
  #checkStillHeld(held: HeldLease): void {
    if (held.over || held.suspended) {
      throw new NotHeldError(
        `${this.#what}: its lock was given back before it could wait; acquire it again`,
        {
          primitive: this.#primitive,
        },
      );
    }
    if (!held.valid) throw this.#notHeld(held);
  }

  #releasedMeanwhile(): NotHeldError {
    return new NotHeldError(
      `${this.#what}: its lock was released while it waited, so it is not held any more; release it after the wait`,
      { primitive: this.#primitive },
    );
  }

  async #underHold(
    held: HeldLease,
    send: 'call' | 'giveBack',
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Answer> {
    try {
      return await held.incarnation[send](operation, keys, args);
    } catch (error) {
      if (error instanceof CallEnded) throw this.#notHeld(held, error);
      throw error;
    }
  }

  #notHeld(held: HeldLease, cause?: unknown): LeaseLostError {
    return new LeaseLostError(
      `${this.#what}: its lock was not held any more; trust only what its token ${held.token} guards`,
      { primitive: this.#primitive, cause },
    );
  }

  #tidy(): void {
    if (this.#line.size > 0 || this.#busy > 0) return;
    this.#foothold.leave();
    this.#core.seats.leave(seatKey('condition', this.#id), this);
  }
}
