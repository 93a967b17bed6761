/**
 * The engine of a session: its connections, its standing in each partition, its inbox, and who waits here for what. The
 * public `Session` puts the primitives on top.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Cluster } from 'ioredis';
import { type RedisRefusedError, RedisUnreachableError } from '../errors.ts';
import { Commands, type CommandTerms } from './commands.ts';
import { Connections, type ConnectionsHost } from './connections.ts';
import { Deadlocks } from './deadlock.ts';
import { tell } from './diagnostics.ts';
import { Confirmer, type WaitingClient } from './durability.ts';
import { closedError } from './held-lease.ts';
import { Inbox } from './inbox.ts';
import { Keyspace } from './keys.ts';
import { Line } from './line.ts';
import { type Operation, renewal, Scripts, type ScriptTexts, scriptTexts } from './lua.ts';
import type { ResolvedOptions } from './options.ts';
import { keepOf, Partition, type PartitionHost } from './partition.ts';
import type { Answer } from './run-operations.ts';
import { Seats, seatKey } from './seats.ts';
import {
  type Client,
  connectionError,
  type Limit,
  limit,
  readOnlyError,
  type Target,
  within,
} from './server.ts';
import { sessionOperations } from './session.scripts.ts';
import type { RecordKinds } from './sweep.ts';
import { Voice } from './voice.ts';

/** What the primitives bring along: their operations, and how their records are swept. */
export interface Machinery {
  readonly operations: readonly Operation[];
  readonly kinds: RecordKinds;
}

/** Partitions of a namespace on a Cluster. On one server a single one makes a sign of life one command. */
const CLUSTER_PARTITIONS = 16;
/** What an id of an incarnation looks like: nothing else on the inbox is from our scripts. */
const INCARNATION = /^[0-9a-f]{24}-\d+$/;

export class SessionCore extends Voice implements PartitionHost, ConnectionsHost {
  readonly id: string;
  readonly line: Line;
  readonly keyspace: Keyspace;
  readonly operations: Scripts;
  readonly scripts: { readonly operations: ScriptTexts; readonly renewal: string };
  readonly kinds: RecordKinds;
  readonly inbox: Inbox;
  readonly seats = new Seats();
  readonly confirmer: Confirmer | undefined;
  readonly deadlocks: Deadlocks;
  readonly options: ResolvedOptions;
  readonly about: string;
  readonly #connections: Connections;
  readonly #commands: Commands;
  readonly #partitions = new Map<number, Partition>();
  readonly #companions: (() => Promise<void>)[] = [];
  /** Work that is not to be cut off halfway. */
  readonly #begun = new Set<Promise<unknown>>();
  #slowTick: NodeJS.Timeout | undefined;
  #lastWait = 0;
  #lives = 0;
  #closing: Promise<void> | undefined;
  /** While it is being opened: what Redis refuses ends that. */
  #refusedOpening: ((error: Error) => void) | undefined;

  /** Connects, checks the server, enters the namespace. Rejects with what is wrong, leaving nothing behind. */
  static async open(options: ResolvedOptions, machinery: Machinery): Promise<SessionCore> {
    const patience = limit(options.connectTimeout);
    const connections = await Connections.open(options.target, options.durability?.replicas, patience);
    let core: SessionCore | undefined;
    try {
      core = new SessionCore(options, machinery, connections);
      await core.#enter(patience);
      return core;
    } catch (error) {
      if (core !== undefined) await core.#abandon();
      connections.end();
      throw connectionError(error, connections.where);
    }
  }

  private constructor(options: ResolvedOptions, machinery: Machinery, connections: Connections) {
    const { client, subscriber, confirming, target } = connections;
    const id = randomBytes(12).toString('hex');
    super(`session ${id}`, options.logger);
    this.id = id;
    this.options = options;
    this.#connections = connections;
    this.line = new Line(client, options.silence);
    this.#commands = new Commands(this);
    this.deadlocks = new Deadlocks(this, options.deadlockAfter);
    this.keyspace = new Keyspace(options.namespace, target.mode === 'cluster' ? CLUSTER_PARTITIONS : 1);
    this.scripts = {
      operations: scriptTexts([...sessionOperations, ...machinery.operations]),
      renewal: renewal(),
    };
    this.operations = new Scripts(this.scripts.operations);
    this.kinds = machinery.kinds;
    this.about = JSON.stringify({
      ttl: options.ttl,
      name: options.name ?? '',
      host: hostname(),
      pid: process.pid,
      since: Date.now(),
    });
    this.inbox = new Inbox(
      subscriber,
      Array.from({ length: this.keyspace.partitions }, (_, p) => this.keyspace.inbox(p) + this.id),
      target.mode === 'cluster',
    );
    if (confirming !== undefined && options.durability !== undefined) {
      this.confirmer = new Confirmer(
        confirming as WaitingClient | Cluster,
        options.durability,
        keepOf(options.ttl),
      );
    }
    connections.tell(this);
    this.inbox.onReconnect(() => this.seats.askAgain());
    for (const kind of [...Object.keys(machinery.kinds), 'deadlock', 'watch'])
      this.inbox.on(kind, (message) => this.#told(kind, message));
    this.#slowTick = setInterval(() => this.#lookAgain(), options.ttl);
    this.#slowTick.unref();
  }

  get client(): Client {
    return this.#connections.client;
  }

  get target(): Target {
    return this.#connections.target;
  }

  get ttl(): number {
    return this.options.ttl;
  }

  get maxStall(): number {
    return this.options.maxStall;
  }

  get connectTimeout(): number {
    return this.options.connectTimeout;
  }

  get silence(): number {
    return this.options.silence;
  }

  /** Why Redis does not let the session in, where it says so. */
  get denied(): RedisRefusedError | undefined {
    return this.#connections.denied;
  }

  /** Where Redis is, for messages. */
  get where(): string {
    return this.#connections.where;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Which of the two gives the sign of life, where anything is held. */
  get keeper(): 'thread' | 'main loop' {
    for (const partition of this.#partitions.values()) if (partition.guarded) return 'thread';
    return 'main loop';
  }

  /** Throws where the session takes no new work. */
  assertOpen(what: string): void {
    if (this.closed) throw closedError(what);
  }

  partition(index: number): Partition {
    let partition = this.#partitions.get(index);
    if (partition === undefined) {
      partition = new Partition(index, this);
      this.#partitions.set(index, partition);
    }
    return partition;
  }

  partitionOf(name: string): Partition {
    return this.partition(this.keyspace.partitionOf(name));
  }

  nextLife(): string {
    this.#lives += 1;
    return `${this.id}-${this.#lives}`;
  }

  /** A number for a wait or a hold, never used again in this session. */
  nextWait(): string {
    this.#lastWait += 1;
    return String(this.#lastWait);
  }

  /** Runs an operation that waits for nothing and belongs to no hold. */
  command(
    what: string,
    name: string,
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    terms?: CommandTerms,
  ): Promise<Answer> {
    return this.#commands.run(what, name, { operation, keys, args }, terms);
  }

  /** Steps that others wait for the last of: a session that closes ends after them, as far as Redis answers in time. */
  seeThrough<T>(work: Promise<T>): Promise<T> {
    const over = () => this.#begun.delete(work);
    this.#begun.add(work);
    work.then(over, over);
    return work;
  }

  /** See `Commands.patiently`. */
  patiently<T>(...terms: Parameters<typeof Commands.prototype.patiently<T>>): Promise<T> {
    return this.#commands.patiently(...terms);
  }

  /** See `Commands.look`. */
  look<T>(...terms: Parameters<typeof Commands.prototype.look<T>>): Promise<T> {
    return this.#commands.look(...terms);
  }

  /** See `Commands.attempt`. */
  attempt<L extends { release(): Promise<void> }>(
    what: string,
    signal: AbortSignal | undefined,
    work: (gone: AbortSignal) => Promise<L | null>,
  ): Promise<L | null> {
    return this.#commands.attempt(what, signal, work);
  }

  /** What is told where Redis does not answer. */
  unreachable(what: string): Error {
    return this.#commands.unreachable(what);
  }

  /** A client of the session's own server for other uses; closed with the session. */
  ordinaryClient(): Client {
    return this.#connections.ordinary();
  }

  /** Living sessions of the namespace, as they describe themselves; one a session, whatever partitions it uses. */
  members(): Promise<{ id: string; about: string }[]> {
    return this.#commands.members(this.partition(0), this.keyspace.shared(0).members);
  }

  connected(again: boolean): void {
    if (again) {
      tell('reconnect', () => ({ session: this.id }));
      this.tell('ready');
    }
    for (const partition of this.#partitions.values()) partition.connected();
  }

  disconnected(): void {
    this.tell('reconnecting');
  }

  lost(reason: string): void {
    this.tell('lost', reason);
  }

  refused(error: Error): void {
    if (this.#refusedOpening !== undefined) this.#refusedOpening(error);
    else this.failed(error);
  }

  opened(): void {
    this.seats.askAgain();
  }

  /** What else ends where this session does. */
  closeWith(end: () => Promise<void>): void {
    this.#companions.push(end);
  }

  /** Releases all it holds, refuses new work, settles all its waiters, ends its connections and its keeper. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #enter(patience: Limit): Promise<void> {
    const refusal = new Promise<never>((_, reject) => {
      this.#refusedOpening = reject;
    });
    refusal.catch(() => {});
    const work = this.inbox.open().then(() => this.partition(0).incarnation());
    await within(patience, this.where, Promise.race([work, refusal])).catch((error: unknown) => {
      const replica = error instanceof RedisUnreachableError && this.partition(0).readOnly;
      throw replica ? readOnlyError(this.where) : error;
    });
    this.#refusedOpening = undefined;
  }

  async #close(): Promise<void> {
    clearInterval(this.#slowTick);
    this.tell('closing');
    this.#commands.close();
    this.deadlocks.close();
    this.seats.close();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.silence);
    });
    const companions = Promise.all(this.#companions.map((end) => end()));
    await Promise.race([this.#release(), late]);
    clearTimeout(timer);
    await companions;
    await this.#abandon();
  }

  /** Has Redis end what is held; where the connection is just being made anew, it is waited for a little. */
  async #release(): Promise<void> {
    const partitions = [...this.#partitions.values()];
    const connections = this.#connections;
    await connections.comeUp();
    // One may begin another.
    while (connections.up && this.#begun.size > 0) await Promise.allSettled(this.#begun);
    await Promise.all(
      partitions.map((partition) => (connections.up ? partition.close() : partition.abandon())),
    );
  }

  /** Ends all there is here, without a word to Redis. */
  async #abandon(): Promise<void> {
    clearInterval(this.#slowTick);
    for (const partition of this.#partitions.values()) await partition.abandon();
    this.#connections.end();
    this.removeAllListeners();
  }

  /** Once a ttl: a message that was lost without a trace costs no more than that, nor does a dead subscriber. */
  #lookAgain(): void {
    if (this.seats.waited) this.inbox.probe(this.silence);
    this.seats.askAgain();
  }

  /** `incarnation LF name LF …` of a message by our scripts, whose kind is the primitive's; what is not for a living incarnation of ours is too late. */
  #told(kind: string, message: string): void {
    const [id = '', ...parts] = message.split('\n');
    if (!INCARNATION.test(id)) throw new TypeError('no message of ours');
    for (const partition of this.#partitions.values()) {
      const life = partition.current;
      if (life?.id !== id) continue;
      if (kind === 'watch') {
        const [other = '', ...times] = parts;
        if (!INCARNATION.test(other) || !/^\d{1,10} \d{1,10}$/.test(times.join(' ')))
          throw new TypeError('no message of ours');
        const [remaining = 0, keep = 0] = times.map(Number);
        return partition.watch(other, remaining, keep);
      }
      if (kind === 'deadlock') return this.deadlocks.told(life, parts);
      const name = parts.shift();
      return this.seats.get(seatKey(kind, name ?? ''))?.told(life, parts);
    }
  }
}
