/**
 * The engine of a session: its connections, its standing in each partition, its inbox, and who waits here for what. The
 * public `Session` puts the primitives on top.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { OutcomeUnknownError, RedisUnreachableError, SessionClosedError } from '../errors.ts';
import { CallEnded } from './calls.ts';
import { Inbox } from './inbox.ts';
import type { Incarnation } from './incarnation.ts';
import { Keyspace } from './keys.ts';
import { bundle, type Operation, renewal, Script } from './lua.ts';
import type { Logger, ResolvedOptions } from './options.ts';
import { Partition, type PartitionHost } from './partition.ts';
import { type Answer, runAsNobody } from './run-operations.ts';
import { type Client, connectClient, describe, openClient, reach, type Target } from './server.ts';
import { sessionOperations } from './session.scripts.ts';
import type { RecordKinds } from './sweep.ts';

/** A primitive's part here that others' scripts send messages to. */
export interface Seat {
  /** A message for it, in parts, from an incarnation of ours. */
  told(incarnation: Incarnation, parts: readonly string[]): void;
  /** Messages may have been lost: ask again for whatever is waited for. */
  askAgain(): void;
  /** The session closes: settle every waiter with `SessionClosedError`. */
  closed(): void;
}

/** What the primitives bring along: their operations, and how their records are swept. */
export interface Machinery {
  readonly operations: readonly Operation[];
  readonly kinds: RecordKinds;
}

/** Partitions of a namespace on a Cluster. On one server a single one makes a sign of life one command. */
const CLUSTER_PARTITIONS = 16;

export class SessionCore extends EventEmitter implements PartitionHost {
  readonly id = randomBytes(12).toString('hex');
  readonly client: Client;
  readonly target: Target;
  readonly keyspace: Keyspace;
  readonly operations: Script;
  readonly scripts: { readonly operations: string; readonly renewal: string };
  readonly kinds: RecordKinds;
  readonly inbox: Inbox;
  readonly options: ResolvedOptions;
  readonly about: string;
  readonly #subscriber: Client;
  readonly #partitions = new Map<number, Partition>();
  readonly #seats = new Map<string, Seat>();
  readonly #ordinary: Client[] = [];
  #slowTick: NodeJS.Timeout | undefined;
  #lastWait = 0;
  #lives = 0;
  #closing: Promise<void> | undefined;
  #down = false;

  /** Connects, checks the server, enters the namespace. Rejects with what is wrong, leaving nothing behind. */
  static async open(options: ResolvedOptions, machinery: Machinery): Promise<SessionCore> {
    const { client, target } = await reach(options.target, options.connectTimeout);
    let subscriber: Client | undefined;
    let core: SessionCore | undefined;
    try {
      subscriber = await connectClient(target, 'subscriber', options.connectTimeout);
      core = new SessionCore(options, machinery, client, subscriber, target);
      await core.#enter();
      return core;
    } catch (error) {
      await core?.close().catch(() => {});
      client.disconnect();
      subscriber?.disconnect();
      throw error;
    }
  }

  private constructor(
    options: ResolvedOptions,
    machinery: Machinery,
    client: Client,
    subscriber: Client,
    target: Target,
  ) {
    super();
    this.options = options;
    this.client = client;
    this.target = target;
    this.#subscriber = subscriber;
    this.keyspace = new Keyspace(options.namespace, target.mode === 'cluster' ? CLUSTER_PARTITIONS : 1);
    this.scripts = {
      operations: bundle([...sessionOperations, ...machinery.operations]),
      renewal: renewal(),
    };
    this.operations = new Script(this.scripts.operations);
    this.kinds = machinery.kinds;
    this.about = JSON.stringify({
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
    client.on('ready', () => this.#connected());
    client.on('close', () => this.#disconnected());
    this.inbox.onReconnect(() => this.#askAgain());
    for (const kind of ['granted', 'set', 'barrier', 'watch'])
      this.inbox.on(kind, (message) => this.#told(kind, message));
    this.#slowTick = setInterval(() => this.#askAgain(), options.ttl);
    this.#slowTick.unref();
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
    if (this.closed)
      throw new SessionClosedError(`${what}: the session is closed; connect() a new one`, {
        primitive: what,
      });
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

  seat<S extends Seat>(kind: string, name: string, make: () => S): S {
    const key = `${kind}\n${name}`;
    const seat = this.#seats.get(key) ?? make();
    this.#seats.set(key, seat);
    return seat as S;
  }

  leave(kind: string, name: string, seat: Seat): void {
    const key = `${kind}\n${name}`;
    if (this.#seats.get(key) === seat) this.#seats.delete(key);
  }

  /**
   * Runs an operation that waits for nothing and belongs to no hold, under whatever life the session has. `repeatable`:
   * doing it again does no harm, so that an unknown outcome is simply asked for once more.
   */
  async command(
    what: string,
    name: string,
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    { repeatable = false } = {},
  ): Promise<Answer> {
    for (;;) {
      this.assertOpen(what);
      const life = await this.patiently(what, this.partitionOf(name).incarnation());
      try {
        return await life.call(operation, keys, args);
      } catch (error) {
        if (!(error instanceof CallEnded)) throw error;
        if (error.sent && !repeatable) {
          throw new OutcomeUnknownError(
            `${what}: the session ended before Redis answered; whether it took effect is not known`,
            {
              primitive: what,
              cause: error,
            },
          );
        }
      }
    }
  }

  /** For what must not hang where Redis is away: rejects with `RedisUnreachableError` after `connectTimeout` ms. */
  async patiently<T>(what: string, work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#unreachable(what)), this.options.connectTimeout);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A client of the session's own server for other uses; closed with the session. */
  ordinaryClient(): Client {
    const client = openClient(this.target, 'ordinary');
    client.on('error', () => {});
    this.#ordinary.push(client);
    return client;
  }

  /** Living sessions of the namespace, as they describe themselves; one a session, whatever partitions it uses. */
  async members(): Promise<{ id: string; about: string }[]> {
    this.assertOpen('members()');
    const { members } = this.keyspace.shared(0);
    const [reply = []] = await runAsNobody(this.client, this.operations, this.partition(0).site, [
      { operation: 'session.members', keys: [members], args: [] },
    ]);
    const found: { id: string; about: string }[] = [];
    for (let at = 0; at + 1 < reply.length; at += 2) {
      found.push({ id: (reply[at] ?? '').replace(/-\d+$/, ''), about: reply[at + 1] ?? '' });
    }
    return found;
  }

  lost(_partition: Partition, reason: string): void {
    this.emit('lost', reason);
  }

  opened(partition: Partition): void {
    for (const seat of [...this.#seats.values()]) seat.askAgain();
    void partition;
  }

  warn(message: string): void {
    this.#log('warn', `session ${this.id}: ${message}`);
  }

  /** Releases all it holds, refuses new work, settles all its waiters, ends its connections and its keeper. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #enter(): Promise<void> {
    await this.inbox.open();
    await this.partition(0).incarnation();
  }

  async #close(): Promise<void> {
    clearInterval(this.#slowTick);
    this.emit('closing');
    for (const seat of [...this.#seats.values()]) seat.closed();
    this.#seats.clear();
    const partitions = [...this.#partitions.values()];
    const up = this.client.status === 'ready';
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.options.connectTimeout);
    });
    await Promise.race([
      Promise.all(partitions.map((partition) => (up ? partition.close() : partition.abandon()))),
      late,
    ]);
    clearTimeout(timer);
    for (const partition of partitions) await partition.abandon();
    for (const client of [this.client, this.#subscriber, ...this.#ordinary]) client.disconnect();
    this.removeAllListeners();
  }

  #unreachable(what: string): Error {
    if (this.closed)
      return new SessionClosedError(`${what}: the session is closed; connect() a new one`, {
        primitive: what,
      });
    const where = describe(this.target);
    return new RedisUnreachableError(
      `${what}: Redis at ${where} has not answered for ${this.options.connectTimeout} ms; check that it runs and can be reached`,
      { primitive: what },
    );
  }

  #connected(): void {
    if (this.#down) this.emit('ready');
    this.#down = false;
    for (const partition of this.#partitions.values()) partition.connected();
  }

  #disconnected(): void {
    if (this.closed || this.#down) return;
    this.#down = true;
    this.emit('reconnecting');
  }

  #askAgain(): void {
    for (const seat of [...this.#seats.values()]) seat.askAgain();
  }

  /** `incarnation LF … ` of a message by our scripts; what is not for a living incarnation of ours is too late. */
  #told(kind: string, message: string): void {
    const [id = '', ...parts] = message.split('\n');
    for (const partition of this.#partitions.values()) {
      const life = partition.current;
      if (life?.id !== id) continue;
      if (kind === 'watch') return partition.watch(parts[0] ?? '', Number(parts[1]));
      const primitive = kind === 'set' ? 'event' : kind === 'barrier' ? 'barrier' : parts.shift();
      const name = parts.shift();
      this.#seats.get(`${primitive}\n${name}`)?.told(life, parts);
    }
  }

  #log(level: keyof Logger, message: string): void {
    this.options.logger?.[level]?.(message);
  }
}
