/**
 * The engine of a session: its connections, its standing in each partition, its inbox, and who waits here for what. The
 * public `Session` puts the primitives on top.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { Deadline } from '../deadline.ts';
import { HeddleError, OutcomeUnknownError, RedisUnreachableError } from '../errors.ts';
import { CallEnded } from './calls.ts';
import { closedError } from './held-lease.ts';
import { Inbox } from './inbox.ts';
import type { Incarnation } from './incarnation.ts';
import { Keyspace } from './keys.ts';
import { Line } from './line.ts';
import { bundle, type Operation, renewal, Script } from './lua.ts';
import type { Logger, ResolvedOptions } from './options.ts';
import { Partition, type PartitionHost } from './partition.ts';
import { Patience } from './patience.ts';
import { asRefused, refused, saidForGood } from './refused.ts';
import { type Answer, runAsNobody } from './run-operations.ts';
import {
  type Client,
  connectClient,
  connectionError,
  describe,
  openClient,
  reach,
  type Target,
  within,
} from './server.ts';
import { sessionOperations } from './session.scripts.ts';
import type { RecordKinds } from './sweep.ts';

/** A primitive's part here that others' scripts send messages to. */
export interface Seat {
  /** A message for it, in parts, from an incarnation of ours. */
  told(incarnation: Incarnation, parts: readonly string[]): void;
  /** Messages may have been lost: ask again for whatever is waited for. */
  askAgain(): void;
  /** Whether a message may come for one who waits here. */
  readonly waited: boolean;
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
/** What an id of an incarnation looks like: nothing else on the inbox is from our scripts. */
const INCARNATION = /^[0-9a-f]{24}-\d+$/;
/** Ms that `close` waits for a connection that is being made anew; attempts are at most so far apart. */
const RECONNECT = 1000;

export class SessionCore extends EventEmitter implements PartitionHost {
  readonly id = randomBytes(12).toString('hex');
  readonly client: Client;
  readonly line: Line;
  readonly target: Target;
  readonly keyspace: Keyspace;
  readonly operations: Script;
  readonly scripts: { readonly operations: string; readonly renewal: string };
  readonly kinds: RecordKinds;
  readonly inbox: Inbox;
  readonly options: ResolvedOptions;
  readonly about: string;
  readonly #subscriber: Client;
  readonly #patience: Patience;
  readonly #partitions = new Map<number, Partition>();
  readonly #seats = new Map<string, Seat>();
  readonly #ordinary: Client[] = [];
  #slowTick: NodeJS.Timeout | undefined;
  #lastWait = 0;
  #lives = 0;
  #closing: Promise<void> | undefined;
  #down = false;
  /** While it is being opened: what Redis refuses ends that. */
  #refusedOpening: ((error: Error) => void) | undefined;

  /** Connects, checks the server, enters the namespace. Rejects with what is wrong, leaving nothing behind. */
  static async open(options: ResolvedOptions, machinery: Machinery): Promise<SessionCore> {
    const deadline = Deadline.after(options.connectTimeout);
    const { client, target } = await reach(options.target, deadline);
    let subscriber: Client | undefined;
    let core: SessionCore | undefined;
    try {
      subscriber = await connectClient(target, 'subscriber', deadline);
      core = new SessionCore(options, machinery, client, subscriber, target);
      await core.#enter(deadline);
      return core;
    } catch (error) {
      if (core !== undefined) await core.#abandon();
      client.disconnect();
      subscriber?.disconnect();
      throw connectionError(error, describe(target));
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
    this.line = new Line(client, options.connectTimeout);
    this.target = target;
    this.#subscriber = subscriber;
    this.#patience = new Patience(options.connectTimeout);
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
    this.#slowTick = setInterval(() => this.#lookAgain(), options.ttl);
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
   * Runs an operation that waits for nothing and belongs to no hold, under whatever life the session has.
   * `repeatable`: it only looks, so that an unknown outcome is simply asked for once more.
   */
  async command(
    what: string,
    name: string,
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    { repeatable = false, signal }: { repeatable?: boolean; signal?: AbortSignal | undefined } = {},
  ): Promise<Answer> {
    const invocation = { operation, keys, args };
    for (;;) {
      this.assertOpen(what);
      const life = await this.patiently(what, this.partitionOf(name).incarnation(), { signal });
      try {
        return await this.#patience.wait(life.run(invocation), {
          late: () => {
            const unsent = life.calls.withdraw(invocation);
            return unsent || repeatable ? this.unreachable(what) : unknownOutcome(what, 'in time');
          },
          closed: repeatable ? () => closedError(what) : undefined,
          signal,
        });
      } catch (error) {
        if (!(error instanceof CallEnded)) throw error;
        if (error.sent && !repeatable) throw unknownOutcome(what, 'before the session ended', error);
      }
    }
  }

  /**
   * For what must not hang where Redis is away: rejects with `RedisUnreachableError` after `connectTimeout` ms, and at
   * once where the signal or the session ends. What is granted to one who was sent away goes to `unwanted`.
   */
  patiently<T>(
    what: string,
    work: Promise<T>,
    { signal, unwanted }: { signal?: AbortSignal | undefined; unwanted?: (value: T) => void } = {},
  ): Promise<T> {
    return this.#patience.wait(work, {
      late: () => this.unreachable(what),
      closed: () => closedError(what),
      signal,
      ...(unwanted && { unwanted }),
    });
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
    const work = runAsNobody(this.line, this.operations, this.partition(0).site, [
      { operation: 'session.members', keys: [members], args: [] },
    ]);
    const [reply = []] = await this.patiently('members()', work).catch((error: unknown) => {
      if (error instanceof HeddleError) throw error;
      const said = saidForGood(error);
      throw said === undefined ? this.unreachable('members()') : asRefused(error, said);
    });
    if (reply[0] === 'error') throw refused('members()', String(reply[1]));
    const found: { id: string; about: string }[] = [];
    for (let at = 0; at + 1 < reply.length; at += 2) {
      found.push({ id: (reply[at] ?? '').replace(/-\d+$/, ''), about: reply[at + 1] ?? '' });
    }
    return found;
  }

  lost(_partition: Partition, reason: string): void {
    this.#tell('lost', reason);
  }

  refused(error: Error): void {
    if (this.#refusedOpening !== undefined) this.#refusedOpening(error);
    else this.failed(error);
  }

  /** Tells of what went wrong and no call can be told of: an `error` without a listener goes to the logger. */
  failed(error: Error): void {
    if (this.listenerCount('error') > 0) this.#tell('error', error);
    else this.#log('error', `session ${this.id}: ${error.message}`);
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

  async #enter(deadline: Deadline): Promise<void> {
    const refusal = new Promise<never>((_, reject) => {
      this.#refusedOpening = reject;
    });
    refusal.catch(() => {});
    const work = this.inbox.open().then(() => this.partition(0).incarnation());
    await within(deadline, describe(this.target), Promise.race([work, refusal]));
    this.#refusedOpening = undefined;
  }

  async #close(): Promise<void> {
    clearInterval(this.#slowTick);
    this.#tell('closing');
    this.#patience.close();
    for (const seat of [...this.#seats.values()]) seat.closed();
    this.#seats.clear();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.options.connectTimeout);
    });
    await Promise.race([this.#release(), late]);
    clearTimeout(timer);
    await this.#abandon();
  }

  /** Has Redis end what is held; where the connection is just being made anew, it is waited for a little. */
  async #release(): Promise<void> {
    const partitions = [...this.#partitions.values()];
    if (this.client.status !== 'ready') {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, RECONNECT);
      this.client.once('ready', resolve);
      await promise;
      clearTimeout(timer);
      this.client.off('ready', resolve);
    }
    await Promise.all(
      partitions.map((partition) =>
        this.client.status === 'ready' ? partition.close() : partition.abandon(),
      ),
    );
  }

  /** Ends all there is here, without a word to Redis. */
  async #abandon(): Promise<void> {
    clearInterval(this.#slowTick);
    for (const partition of this.#partitions.values()) await partition.abandon();
    for (const client of [this.client, this.#subscriber, ...this.#ordinary]) client.disconnect();
    this.removeAllListeners();
  }

  /** What is told where Redis does not answer. */
  unreachable(what: string): Error {
    const where = describe(this.target);
    return new RedisUnreachableError(
      `${what}: Redis at ${where} has not answered for ${this.options.connectTimeout} ms; check that it runs and can be reached`,
      { primitive: what },
    );
  }

  /** A listener's own error is told as one, and stops nothing of ours. */
  #tell(event: string, ...what: unknown[]): void {
    try {
      this.emit(event, ...what);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      const failure = new HeddleError(`a listener of "${event}" threw: ${cause}`, undefined, {
        cause: error,
      });
      if (event === 'error') this.#log('error', `session ${this.id}: ${failure.message}`);
      else this.failed(failure);
    }
  }

  #connected(): void {
    if (this.#down) this.#tell('ready');
    this.#down = false;
    for (const partition of this.#partitions.values()) partition.connected();
  }

  #disconnected(): void {
    if (this.closed || this.#down) return;
    this.#down = true;
    this.#tell('reconnecting');
  }

  /** Once a ttl: a message that was lost without a trace costs no more than that, nor does a dead subscriber. */
  #lookAgain(): void {
    if ([...this.#seats.values()].some(({ waited }) => waited)) this.inbox.probe(this.options.connectTimeout);
    this.#askAgain();
  }

  #askAgain(): void {
    for (const seat of [...this.#seats.values()]) seat.askAgain();
  }

  /** `incarnation LF …` of a message by our scripts; what is not for a living incarnation of ours is too late. */
  #told(kind: string, message: string): void {
    const [id = '', ...parts] = message.split('\n');
    if (!INCARNATION.test(id)) throw new TypeError('no message of ours');
    for (const partition of this.#partitions.values()) {
      const life = partition.current;
      if (life?.id !== id) continue;
      if (kind === 'watch') {
        const [before = '', remaining = ''] = parts;
        if (!INCARNATION.test(before) || !/^\d{1,10}$/.test(remaining))
          throw new TypeError('no message of ours');
        return partition.watch(before, Number(remaining));
      }
      const primitive = kind === 'set' ? 'event' : kind === 'barrier' ? 'barrier' : parts.shift();
      const name = parts.shift();
      if (kind === 'granted' && primitive !== 'lock' && primitive !== 'semaphore')
        throw new TypeError('no message of ours');
      return this.#seats.get(`${primitive}\n${name}`)?.told(life, parts);
    }
  }

  #log(level: keyof Logger, message: string): void {
    this.options.logger?.[level]?.(message);
  }
}

function unknownOutcome(what: string, when: string, cause?: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(
    `${what}: Redis did not answer ${when}; whether it took effect is not known: look, and do it again if it did not`,
    { primitive: what, cause },
  );
}
