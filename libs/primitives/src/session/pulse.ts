/**
 * The sign of life of one incarnation in one partition, every third of its ttl: one command, whose answer is looked at for
 * what may have been lost (`continuity.ts`) and names whom to watch (`ring-watch.ts`). Runs in the keeper thread, or, before
 * anything is held and where no thread can be had, on the main loop; it sees no difference.
 */
import { now } from '../deadline.ts';
import type { LeaseWords } from '../shared-memory/lease-words.ts';
import type { OnceWord } from '../shared-memory/once-word.ts';
import { Continuity } from './continuity.ts';
import { type Confirmer, type ResolvedDurability, Unconfirmed } from './durability.ts';
import { Keyspace, parseRecord } from './keys.ts';
import { type Loss, lossNumber } from './losses.ts';
import { type Reply, Script, type ScriptClient, Scripts, type ScriptTexts } from './lua.ts';
import { saidForGood } from './refused.ts';
import { AT_ONCE, RingWatch } from './ring-watch.ts';
import { type Answer, CallSite, type Invocation, runAsNobody } from './run-operations.ts';
import { keysOfRecord, type RecordKinds, type Swept, sweep } from './sweep.ts';
import { TimedOperations } from './timed-operations.ts';

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

/** Ms before a sign of life that did not reach Redis is given again, at least. */
const SHORTEST_RETRY = 20;

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
  readonly #continuity: Continuity;
  readonly #watch: RingWatch;
  readonly #timed: TimedOperations;
  readonly #reached = Promise.withResolvers<void>();
  /** Keys of the session's records that are to be kept from expiring by the next one. */
  #overdue: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #failing = false;
  #warned = false;

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
    this.#ring = [ring, members];
    this.#keys = [sessions, calls, ring, members, holds, epoch];
    this.#continuity = new Continuity(config);
    this.#watch = new RingWatch(
      config.id,
      (id) => this.#sweep(id),
      (past) => this.#beat(past),
    );
    this.#timed = new TimedOperations(
      (invocation) => this.#run(invocation),
      (message) => events.warn(message),
    );
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
    this.#watch.end();
    this.#timed.cancelAll();
  }

  /** See `TimedOperations.runAt`. */
  runAt(job: number, at: number, invocation: Invocation, once: OnceWord): void {
    this.#timed.runAt(job, at, invocation, once);
  }

  cancel(job: number): void {
    this.#timed.cancel(job);
  }

  /** See `RingWatch.watch`. */
  watch(id: string, remaining: number, keep?: number): void {
    this.#watch.watch(id, remaining, keep);
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
      this.#continuity.broken({
        time: Number(time) / 1000,
        runId: String(runId),
        epoch: String(epoch),
        history: String(history),
        before: String(before),
        sent,
        received,
      });
    if (loss !== undefined) {
      this.#lose(loss);
      await this.#endInRedis();
      return false;
    }
    if (!this.#words.extendTo(sent + ttl - margin)) return false;
    this.#overdue = this.#keysOf(overdue.map(String));
    this.#watch.named(list(watched), sent, past !== undefined);
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
    await this.#run({ operation: 'session.end', keys: this.#ring, args: [id] }).then(
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

  #keysOf(records: readonly string[]): string[] {
    return records.flatMap((text) => {
      const record = parseRecord(text);
      return record
        ? keysOfRecord(this.#site.keyspace, this.#config.kinds, this.#config.partition, record)
        : [];
    });
  }

  async #run(invocation: Invocation): Promise<Answer | undefined> {
    const [answer] = await runAsNobody(this.#client, this.#operations, this.#site, [invocation]);
    return answer;
  }

  async #sweep(id: string): Promise<Swept | undefined> {
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
