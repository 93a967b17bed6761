/**
 * The sign of life of one incarnation in one partition, and the watch over those who follow it in the ring. Runs in the keeper thread, or,
 * before anything is held and where no thread can be had, on the main loop; it sees no difference.
 */
import { uptime } from 'node:os';
import { LONGEST_TIMER, now } from '../deadline.ts';
import type { LeaseWords } from '../shared-memory/lease-words.ts';
import type { OnceWord } from '../shared-memory/once-word.ts';
import { type Confirmer, type ResolvedDurability, Unconfirmed } from './durability.ts';
import { Keyspace, parseRecord } from './keys.ts';
import { type Loss, lossNumber } from './losses.ts';
import { type Reply, Script, type ScriptClient, Scripts, type ScriptTexts } from './lua.ts';
import { saidForGood } from './refused.ts';
import { CallSite, type Invocation, runAsNobody } from './run-operations.ts';
import { keysOfRecord, type RecordKinds, type Swept, sweep } from './sweep.ts';

/** All that a pulse needs to know; clonable, so that it can be sent to the keeper thread. */
export interface PulseConfig {
  readonly id: string;
  readonly namespace: string;
  readonly partitions: number;
  readonly partition: number;
  readonly sharded: boolean;
  /** Ms. */
  readonly ttl: number;
  readonly keep: number;
  readonly margin: number;
  /** Ms of silence of the main loop after which the session is let die; `undefined` where this is the main loop. */
  readonly maxStall: number | undefined;
  readonly scripts: { readonly operations: ScriptTexts; readonly renewal: string };
  readonly kinds: RecordKinds;
  /** What the opening said of the server: a change means another server, or other data. */
  readonly runId: string;
  readonly epoch: string;
  /** Its replication id. */
  readonly history: string;
  /** Replicas that must have a sign of life before it counts. */
  readonly durability: ResolvedDurability | undefined;
}

/** What a pulse tells. */
export interface PulseEvents {
  lost(reason: Loss): void;
  warn(message: string): void;
}

/** Seconds by which a clock that counts suspend may part from one that does not. */
const SUSPEND_TOLERANCE = 0.5;
const SHORTEST_RETRY = 20;
/** How many a tick names for us to watch. */
const AT_ONCE = 16;
/** What a timer takes, ms. */
const LONGEST = 2 ** 31 - 2;

export class Pulse {
  readonly #client: ScriptClient & { readonly status: string };
  readonly #config: PulseConfig;
  readonly #words: LeaseWords;
  readonly #events: PulseEvents;
  readonly #site: CallSite;
  readonly #operations: Scripts;
  readonly #renewal: Script;
  readonly #keys: readonly string[];
  readonly #confirmer: Confirmer | undefined;
  /** The keys of the ring, and of what its members say of themselves. */
  readonly #ring: readonly string[];
  #warned = false;
  #overdue: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Whom we watch: when their sweeps begin, and until when (monotonic ms) a tick that does not name them changes nothing. */
  readonly #watched = new Map<string, { readonly timer: NodeJS.Timeout; readonly until: number }>();
  /** The last whom a tick named, where it named as many as it may. */
  #last: string | undefined;
  /** The dead who are being swept. */
  readonly #sweeping = new Set<string>();
  readonly #reached = Promise.withResolvers<void>();
  readonly #jobs = new Map<number, NodeJS.Timeout>();
  #stopped = false;
  #failing = false;
  /** The replication id of the server, as the last tick saw it. */
  #history: string;
  /** Bounds of (Redis's time − ours), ms, as the last tick saw them. */
  #offset: { low: number; high: number } | undefined;
  #suspended = uptime() - now() / 1000;

  constructor(
    client: ScriptClient & { readonly status: string },
    config: PulseConfig,
    words: LeaseWords,
    events: PulseEvents,
    confirmer?: Confirmer,
  ) {
    const keyspace = new Keyspace(config.namespace, config.partitions);
    const { sessions, ring, members, epoch } = keyspace.shared(config.partition);
    const { calls, holds } = keyspace.ofSession(config.partition, config.id);
    this.#client = client;
    this.#config = config;
    this.#words = words;
    this.#events = events;
    this.#site = new CallSite(keyspace, config.partition, config.keep, config.sharded);
    this.#operations = new Scripts(config.scripts.operations);
    this.#renewal = new Script(config.scripts.renewal);
    this.#confirmer = confirmer;
    this.#history = config.history;
    this.#ring = [ring, members];
    this.#keys = [sessions, calls, ring, members, holds, epoch];
  }

  /** Beats at once, and from then on every third of the ttl; resolves once a beat has reached Redis. */
  start(): Promise<void> {
    void this.#beat();
    return this.#reached.promise;
  }

  /** The connection is there (again): beats at once where the last beat failed. */
  connected(): void {
    if (this.#failing && !this.#stopped) void this.#beat();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#unwatch(Number.POSITIVE_INFINITY);
    for (const timer of this.#jobs.values()) clearTimeout(timer);
    this.#jobs.clear();
  }

  /** Runs an operation at a moment of the monotonic clock, and not before, unless somebody else has taken `once`. */
  runAt(job: number, at: number, invocation: Invocation, once: OnceWord): void {
    const run = () => {
      // A timer counts from when its loop turned last, and no further than so far: it may come early.
      if (now() < at) return this.runAt(job, at, invocation, once);
      this.#jobs.delete(job);
      if (!once.take()) return;
      this.#run(invocation).catch((error: unknown) =>
        this.#events.warn(`${invocation.operation} failed: ${String(error)}`),
      );
    };
    const left = Math.max(0, Math.ceil(at - now()));
    this.#jobs.set(job, setTimeout(run, Math.min(left, LONGEST_TIMER)));
  }

  /** In as many steps as it takes. */
  async #run(invocation: Invocation): Promise<void> {
    for (;;) {
      const [answer] = await runAsNobody(this.#client, this.#operations, this.#site, [invocation]);
      if (answer?.[0] !== 'more') return;
    }
  }

  cancel(job: number): void {
    clearTimeout(this.#jobs.get(job));
    this.#jobs.delete(job);
  }

  /** @param past one whom we watch and can't sweep, where those after it are to be watched too */
  async #beat(past?: string): Promise<void> {
    const { ttl } = this.#config;
    const again = await this.#renew(past).then(
      (alive) => {
        this.#failing = false;
        return alive ? ttl / 3 : undefined;
      },
      () => {
        this.#failing = true;
        return Math.max(SHORTEST_RETRY, ttl / 20);
      },
    );
    if (again === undefined || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#beat(), again);
  }

  /** One command. False where the session has ended. */
  async #renew(past: string | undefined): Promise<boolean> {
    const { id, ttl, keep, margin } = this.#config;
    if (this.#stalled()) return false;
    const sent = now();
    const words = [id, ttl, keep, past ?? id, AT_ONCE];
    const reply = await this.#renewal.run(this.#client, [...this.#keys, ...this.#overdue], words);
    const received = now();
    const [state, time, runId, epoch, history, before, watched, ...overdue] = list(reply);
    if (state === 'alive') {
      this.#reached.resolve();
      await this.#confirmed(Number(time));
    }
    if (this.#stopped) return false;
    if (state !== 'alive') return this.#lose('Redis no longer knows it: it expired, or the data was lost');
    const loss =
      this.#tooLate(now()) ??
      this.#otherServer(String(runId), String(epoch)) ??
      this.#tookOver(String(history), String(before)) ??
      this.#clockMoved(Number(time) / 1000, sent, received);
    if (loss !== undefined) {
      this.#lose(loss);
      await this.#endInRedis();
      return false;
    }
    if (!this.#words.extendTo(sent + ttl - margin)) return false;
    this.#overdue = this.#keysOf(overdue.map(String));
    if (past === undefined) this.#unwatch(sent); // But for those whom we were told of since.
    this.#watchThose(list(watched));
    return true;
  }

  /** A sign of life that a fail-over could lose moves no deadline. `time`: Redis's, µs, when it was given. */
  async #confirmed(time: number): Promise<void> {
    const ends = Math.floor(time / 1000) + this.#config.ttl;
    try {
      await this.#confirmer?.confirm(this.#site.sessions, {
        command: ['zscore', this.#site.sessions, this.#config.id],
        shows: (end) => Number(end) >= ends,
      });
      this.#warned = false;
    } catch (error) {
      if (error instanceof Unconfirmed && !this.#warned && !this.#stopped) {
        this.#warned = true;
        this.#events.warn(
          `a sign of life was not confirmed, ${error.message}: leases will end unless one is`,
        );
      }
      throw error;
    }
  }

  #lose(reason: Loss): false {
    this.#words.end(lossNumber(reason));
    this.stop();
    this.#events.lost(reason);
    return false;
  }

  #stalled(): boolean {
    const { maxStall } = this.#config;
    const silent = now() - this.#words.beat;
    if (maxStall === undefined || silent < maxStall) return false;
    this.#lose('its event loop stood still for longer than maxStall');
    void this.#endInRedis();
    return true;
  }

  /** We know that we are lost; whoever waits need not wait for our ttl. */
  async #endInRedis(): Promise<void> {
    const { id } = this.#config;
    await runAsNobody(this.#client, this.#operations, this.#site, [
      { operation: 'session.end', keys: this.#ring, args: [id] },
    ]).then(
      () => this.#sweep(id),
      () => undefined, // The ttl ends it.
    );
  }

  /** Redis had it still, but a lease was seen void already, and must not come back to life. */
  #tooLate(received: number): Loss | undefined {
    return received >= this.#words.deadline
      ? 'no sign of life reached Redis before its ttl ended'
      : undefined;
  }

  #otherServer(runId: string, epoch: string): Loss | undefined {
    if (epoch !== this.#config.epoch) return 'the data of its namespace was lost';
    // On a Cluster a slot moves between servers with its data; elsewhere another server may know an older state.
    if (runId !== this.#config.runId && !this.#config.sharded)
      return 'Redis was restarted or failed over, and may have lost grants';
    return undefined;
  }

  /**
   * A replica that took over goes on under a history of its own, and remembers the one that it followed: on a Cluster that
   * tells it from a server that was given the slot with all its data.
   */
  #tookOver(history: string, before: string): Loss | undefined {
    const known = this.#history;
    this.#history = history;
    return history !== known && before === known && known !== ''
      ? 'Redis was restarted or failed over, and may have lost grants'
      : undefined;
  }

  /** Redis's clock against ours, and ours against one that counts suspend. */
  #clockMoved(time: number, sent: number, received: number): Loss | undefined {
    const { margin } = this.#config;
    const seen = { low: time - received - 1, high: time - sent + 1 };
    const before = this.#offset;
    this.#offset = seen;
    if (before && (seen.low > before.high + margin || seen.high < before.low - margin))
      return 'the clock of Redis was set';
    const suspended = uptime() - now() / 1000;
    const jumped = suspended - this.#suspended > SUSPEND_TOLERANCE;
    this.#suspended = suspended;
    return jumped ? 'the host was suspended' : undefined;
  }

  #keysOf(records: readonly string[]): string[] {
    return records.flatMap((text) => {
      const record = parseRecord(text);
      return record
        ? keysOfRecord(this.#site.keyspace, this.#config.kinds, this.#config.partition, record)
        : [];
    });
  }

  /**
   * Another session is swept when its time comes, in ms, unless a later tick shows it renewed, or others that are to be
   * watched and not this one.
   *
   * @param keep ms in which it is watched also where a tick does not name it
   */
  watch(id: string, remaining: number, keep = 0): void {
    if (id === this.#config.id || this.#stopped || this.#sweeping.has(id)) return;
    const before = this.#watched.get(id);
    clearTimeout(before?.timer);
    const timer = setTimeout(() => void this.#sweep(id), Math.min(remaining + 1, LONGEST));
    this.#watched.set(id, { timer, until: Math.max(now() + keep, before?.until ?? 0) });
  }

  /** Those whom a tick names, by their ids and the ms they have left. */
  #watchThose(named: readonly Reply[]): void {
    this.#last = named.length < 2 * AT_ONCE ? undefined : String(named.at(-2));
    for (let at = 0; at < named.length; at += 2) this.watch(String(named[at]), Number(named[at + 1]));
  }

  #unwatch(before: number): void {
    for (const [id, { timer, until }] of this.#watched) {
      if (until >= before) continue;
      clearTimeout(timer);
      this.#watched.delete(id);
    }
  }

  async #sweep(id: string): Promise<void> {
    const { until = 0 } = this.#watched.get(id) ?? {};
    this.#watched.delete(id);
    this.#sweeping.add(id);
    const swept = await this.#sweepOnce(id).finally(() => this.#sweeping.delete(id));
    if (this.#stopped) return;
    if (swept?.state === 'alive') return this.watch(id, swept.remaining, Math.max(0, until - now()));
    // Whoever follows may be dead too: look at once, out of turn. One that can't be swept is left to the next tick, and
    // looked past where a tick names no more than those before it.
    if (swept?.state === 'swept') await this.#beat();
    else if (swept?.state === 'kept' && id === this.#last) await this.#beat(id);
  }

  async #sweepOnce(id: string): Promise<Swept | undefined> {
    return sweep(this.#client, this.#operations, this.#site, this.#config.kinds, id, (record, why) =>
      this.#events.warn(`left a record of a dead session unswept, ${why}: ${JSON.stringify(record)}`),
    ).catch((error: unknown) => {
      if (saidForGood(error) === undefined) return undefined; // Redis is away: the next tick comes back to it.
      this.#events.warn(`could not sweep the dead session ${id}: ${String(error)}`);
      return { state: 'kept' } as const;
    });
  }
}

function list(reply: Reply | undefined): Reply[] {
  return Array.isArray(reply) ? reply : [];
}
