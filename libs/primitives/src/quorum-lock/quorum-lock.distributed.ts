/**
 * A lock on a majority of independent servers: `session.lock(name, { quorum: [redis, redis, redis] })`. It goes on where
 * a minority of them are down, and a server that comes back without its data gives nobody a second majority. (Redis
 * documentation, "Distributed locks with Redis", the Redlock algorithm; with what Kleppmann, "How to do distributed
 * locking", 2016, found missing there: a fencing token, and leases whose end the holder knows first.)
 *
 * 1. Every server is asked at once for a lock of this name, without waiting there.
 * 2. A majority granted it. The largest of their tokens is this grant's, and is written back to each of them before
 *    anything else: any later majority has one of them in common, and its token comes after.
 * 3. A server that has run for less than a ttl does not count: it may have lost what it had granted before.
 * 4. Fewer than a majority: all is given back, and asked for anew after a random pause. Nobody stands in line anywhere,
 *    so this is the one lock that is not first come, first served.
 */
import type { Redis } from 'ioredis';
import { Deadline } from '../deadline.ts';
import {
  NotHeldError,
  RedisRefusedError,
  RedisUnreachableError,
  rangeError,
  show,
  typeError,
} from '../errors.ts';
import type { DistributedLockOptions } from '../lock/lock.distributed.ts';
import type { AnyLock, Lease } from '../lock/lock.ts';
import { LockSeat } from '../lock/lock-seat.distributed.ts';
import { refuseOwn } from '../lock/own-body.ts';
import { useLease } from '../lock/use-lease.ts';
import { onAbort } from '../on-abort.ts';
import {
  type AcquireOptions,
  checkMaxHold,
  checkWait,
  type ForeverOptions,
  refuseUnknown,
} from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import type { HeldLease } from '../session/held-lease.ts';
import { checkName } from '../session/keys.ts';
import { seatKey } from '../session/seats.ts';
import { checkServer } from '../session/server.ts';
import { QuorumLease, settledBy } from './quorum-lease.ts';
import { type OpenCore, type QuorumServer, quorumServers } from './quorum-server.distributed.ts';

/** What `session.lock` takes for a lock on a majority of servers. */
export interface QuorumLockOptions extends DistributedLockOptions {
  /**
   * Three independent servers or more, each by its URL or a live client of ioredis, the same for everybody who uses
   * the name. A majority of them has to be up. Everybody's sessions should have one `ttl`.
   */
  readonly quorum: readonly (string | URL | Redis)[];
}

const KIND = 'quorum-lock';
/** Ms of the random pauses between attempts: at most, at first and in the long run. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 250;
/** Ms that one who did not get it waits to see what it got of it given back. */
const GRACE = 250;

/** What came of asking all servers once. */
type Outcome =
  | { readonly lease: QuorumLease }
  | { readonly refused: unknown }
  | { readonly answered: number };

const holds = new WeakMap<SessionCore, Map<string, QuorumLease>>();

/**
 * A lock by name on a majority of servers (Redlock, after redis.io's "Distributed Locks with Redis"). Made by
 * `session.lock(name, { quorum })`; handles of one name are one lock. It has no line: under contention chance decides who
 * is next.
 */
export class DistributedQuorumLock implements AnyLock {
  /** The name it was asked for by. */
  readonly name: string;
  readonly #core: SessionCore;
  readonly #maxHold: number | undefined;
  readonly #servers: readonly QuorumServer[];
  readonly #majority: number;

  /** @internal Use `session.lock`. */
  constructor(
    core: SessionCore,
    name: string,
    { quorum, maxHold, ...unknown }: QuorumLockOptions,
    open: OpenCore,
  ) {
    this.name = checkName(name, 'lock: name');
    refuseUnknown(unknown, ['maxHold', 'quorum'], 'lock');
    this.#maxHold = checkMaxHold(maxHold);
    if (!Array.isArray(quorum))
      throw typeError(`lock: quorum must be a list of servers, not ${show(quorum)}`);
    if (quorum.length < 3)
      throw rangeError(
        `lock: quorum must list 3 servers or more, so that one can fail, not ${quorum.length}`,
      );
    const servers = quorum.map((server: unknown, at) => checkServer(server, `lock: quorum[${at}]`));
    if (new Set(servers).size < servers.length)
      throw typeError('lock: quorum lists a server twice; each has one vote');
    this.#core = core;
    this.#servers = quorumServers(core, servers, open);
    this.#majority = Math.floor(quorum.length / 2) + 1;
  }

  acquire(options?: ForeverOptions): Promise<Lease>;
  acquire(options: AcquireOptions): Promise<Lease | null>;
  async acquire(options?: AcquireOptions): Promise<Lease | null> {
    const { timeout, signal } = checkWait(options, 'lock.acquire');
    const deadline = Deadline.after(timeout);
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      this.#core.assertOpen(this.#what);
      const outcome = await this.#attempt(deadline, timeout === 0, signal);
      if ('lease' in outcome) return this.#keep(outcome.lease, signal);
      if ('refused' in outcome) throw outcome.refused;
      signal?.throwIfAborted();
      if (timeout === 0 && outcome.answered < this.#majority) throw this.#unreachable(outcome.answered);
      if (deadline.expired) return null;
      const held = holds.get(this.#core)?.get(this.name);
      refuseOwn(this.#what, deadline, false, ({ lease }) => lease === held);
      await this.#pause(Math.min(Math.random() * pause, deadline.remaining()), signal);
      if (deadline.expired) return null;
    }
  }

  async release(): Promise<void> {
    this.#core.assertOpen(this.#what);
    const held = holds.get(this.#core)?.get(this.name);
    if (held === undefined || held.over) {
      throw new NotHeldError(
        `${this.#what} is not held by this session; only what it acquired can it release`,
        { primitive: this.name },
      );
    }
    await held.release();
  }

  /** Whether so many servers have it held that nobody could have a majority at this moment. */
  async locked(): Promise<boolean> {
    this.#core.assertOpen(this.#what);
    const asked = this.#servers.map(async (server) => {
      const core = await server.session();
      const keys = core.keyspace.of(KIND, this.name, ['state']);
      const [answer] = await core.command(this.#what, this.name, 'lock.locked', keys, [], {
        looks: true,
      });
      return answer === 'yes';
    });
    const count = (want: boolean, enough: number) =>
      settledBy(
        asked.map(async (held) => (await held) === want || Promise.reject(want)),
        enough,
      );
    const [held, free] = [this.#servers.length - this.#majority + 1, this.#majority];
    if ((await count(false, free)) >= free) return false;
    if ((await count(true, held)) >= held) return true;
    throw this.#unreachable(
      (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled').length,
    );
  }

  with<T>(fn: (lease: Lease) => T | PromiseLike<T>, options?: AcquireOptions): Promise<T> {
    return useLease(this.#what, () => this.acquire(options as AcquireOptions), fn, this.name);
  }

  get #what(): string {
    return `${KIND} ${this.name}`;
  }

  /** Asks every server once, until it is clear whether there is a majority; what comes later is given back or added. */
  async #attempt(deadline: Deadline, atOnce: boolean, signal: AbortSignal | undefined): Promise<Outcome> {
    const votes = new Map<HeldLease, SessionCore>();
    const outcome = Promise.withResolvers<QuorumLease | undefined>();
    let decided = false;
    let answered = 0;
    const refusals: unknown[] = [];
    /** Not the caller's own signal: servers that are late with their votes may still add to the lease when that aborts. */
    const gone = new AbortController();
    const asked = this.#servers.map(async (server) => {
      const core = await server.session();
      this.#refuseTwins();
      const vote = await server.ask(this.name, async () => {
        await this.#seat(core).answered(); // Never, where what a silent server was asked before is on its way still.
        const late = decided && ((await outcome.promise)?.over ?? true);
        return late ? undefined : this.#seat(core).acquire(0, gone.signal, this.#maxHold);
      });
      if (vote === undefined) throw new Error('it was not asked');
      answered += 1;
      if (vote === null) throw new Error('held by another');
      if (!decided) return void votes.set(vote, core);
      const lease = await outcome.promise;
      if (lease !== undefined) lease.add(vote);
      else await vote.release().catch(() => {}); // Lost meanwhile: it is free.
    });
    for (const each of asked)
      each.catch((error: unknown) => error instanceof RedisRefusedError && refusals.push(error));
    const patience = <T>(work: Promise<T>) => this.#inTime(work, deadline, atOnce, signal);
    await patience(settledBy(asked, this.#majority));
    decided = true;
    if (signal?.aborted) gone.abort(signal.reason);
    const token = votes.size >= this.#majority ? await patience(this.#writeBack(votes)) : undefined;
    if (token !== undefined) {
      const lease: QuorumLease = new QuorumLease(this.name, token, this.#majority, votes.keys(), () =>
        this.#forget(lease),
      );
      if (lease.valid) {
        outcome.resolve(lease);
        return { lease };
      }
    }
    outcome.resolve(undefined);
    // Those that have fallen silent give it up with their time; nobody waits for that.
    const given = [...votes.keys()].map((vote) => vote.release());
    const returned = Promise.allSettled(signal?.aborted ? [...given, ...asked] : given);
    await Promise.race([returned, new Promise((resolve) => setTimeout(resolve, GRACE).unref())]);
    const hopeless = refusals.length > this.#servers.length - this.#majority;
    return hopeless ? { refused: refusals[0] } : { answered };
  }

  /** Writes the largest token back to all who granted; `undefined` where fewer than a majority have it and count. */
  async #writeBack(votes: ReadonlyMap<HeldLease, SessionCore>): Promise<number | undefined> {
    const token = Math.max(...[...votes.keys()].map((vote) => vote.token));
    const raised = [...votes].map(async ([vote, core]) => {
      const keys = core.keyspace.of(KIND, this.name, ['state']);
      const [is, uptime] = await vote.incarnation.call('lock.raise', keys, [vote.token, token]);
      if (is !== 'raised') throw new Error('it was lost meanwhile');
      if (Number(uptime) <= core.ttl) throw new Error('it may have restarted without what it had granted');
    });
    return (await settledBy(raised, this.#majority)) >= this.#majority ? token : undefined;
  }

  /** One server under two addresses would be two votes. */
  #refuseTwins(): void {
    const runs = this.#servers.map(({ runId }) => runId).filter((runId) => runId !== undefined);
    if (new Set(runs).size === runs.length) return;
    throw new RedisRefusedError(
      `${this.#what}: two servers of its quorum are one and the same; each has one vote`,
      { primitive: this.name },
    );
  }

  /** Servers that are silent are not waited for longer than the lease could bear, nor than the caller wants. */
  async #inTime<T>(
    work: Promise<T>,
    deadline: Deadline,
    atOnce: boolean,
    signal: AbortSignal | undefined,
  ): Promise<T | undefined> {
    const most = Math.min(this.#core.ttl / 4, this.#core.connectTimeout);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const stop = () => resolve(undefined);
    const timer = setTimeout(stop, atOnce ? most : Math.min(most, deadline.remaining()));
    const stopHearing = signal && onAbort(signal, stop);
    try {
      return await Promise.race([work, promise]);
    } finally {
      clearTimeout(timer);
      stopHearing?.();
    }
  }

  async #keep(lease: QuorumLease, signal: AbortSignal | undefined): Promise<QuorumLease> {
    if (signal?.aborted || this.#core.closed) {
      const returned = lease.release().catch(() => {});
      await Promise.race([returned, new Promise((resolve) => setTimeout(resolve, GRACE).unref())]);
      signal?.throwIfAborted();
      this.#core.assertOpen(this.#what);
    }
    const held = holds.get(this.#core) ?? new Map<string, QuorumLease>();
    holds.set(this.#core, held.set(this.name, lease));
    return lease;
  }

  #forget(lease: QuorumLease): void {
    const held = holds.get(this.#core);
    if (held?.get(this.name) === lease) held.delete(this.name);
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const rest = new Promise<void>((resolve) => setTimeout(resolve, ms));
    return this.#core.patiently(this.#what, rest, { signal });
  }

  #seat(core: SessionCore): LockSeat {
    return core.seats.take(seatKey(KIND, this.name), () => new LockSeat(core, KIND, this.name));
  }

  #unreachable(answered: number): RedisUnreachableError {
    return new RedisUnreachableError(
      `${this.#what}: ${answered} of ${this.#servers.length} servers answered, fewer than the ${this.#majority} of a majority; check that they run and can be reached`,
      { primitive: this.name },
    );
  }
}
