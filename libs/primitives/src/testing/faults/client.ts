/** A client of the fault harness: one session, and tasks that use every primitive by chance and write down what came of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { HeddleError, QueueEmptyError, StaleTokenError } from '../../errors.ts';
import { fencedSet } from '../../fencing/fenced.distributed.ts';
import type { Lease } from '../../lock/lock.ts';
import type { Durability } from '../../session/durability.ts';
import { connect, type Session } from '../../session.distributed.ts';
import { clock, emptyHistory, type History, type JournalEntry } from './history.ts';
import { type Chance, chance } from './random.ts';

export interface ClientTerms {
  /** Where its session connects to; left out where `redis` says it. */
  readonly url?: string | undefined;
  /** ioredis's own options, as for Sentinel. */
  readonly redis?: RedisOptions | undefined;
  readonly durability?: Durability | undefined;
  /** Where given, all that it does is to take locks on a majority of these. */
  readonly quorum?: readonly string[] | undefined;
  /** Ms of some holds; left out: they are short. */
  readonly longHold?: number | undefined;
  /** Where fenced values are written: past any proxy, and never lost by a fail-over. */
  readonly direct: string;
  readonly client: string;
  readonly seed: number;
  readonly parties: number;
  readonly ttl: number;
  readonly connectTimeout: number;
}

/** Permits of the semaphore; the locks are of one. */
export const SEMAPHORE_PERMITS = 2;
export const limitOf = (name: string): number => (name.startsWith('semaphore') ? SEMAPHORE_PERMITS : 1);

/** Ms by which an operation may end after its time is up, on a busy machine. */
const LATE = 10_000;
/** What happens to a client while a fault lasts; anything else is a surprise. */
const EXPECTED =
  /^ERR_HEDDLE_(LEASE_LOST|TIMEOUT|REDIS_UNREACHABLE|OUTCOME_UNKNOWN|BROKEN_BARRIER|QUEUE_EMPTY|QUEUE_FULL|STALE_TOKEN|SESSION_CLOSED|NOT_REPLICATED)$/;

type Task = (chance: Chance, client: string) => Promise<void>;

export class FaultClient {
  readonly history: History = emptyHistory();
  readonly #terms: ClientTerms;
  readonly #tell: (entry: JournalEntry) => void;
  readonly #session: Session;
  readonly #values: Redis;
  readonly #tasks: Promise<void>[] = [];
  #stopping = false;
  /** Producers stop first: what they put is still taken. */
  #draining = false;
  #items = 0;
  #putting: Promise<unknown> = Promise.resolve();
  #operations = 0;

  static async start(terms: ClientTerms, tell: (entry: JournalEntry) => void): Promise<FaultClient> {
    const { url, redis, durability, ttl, connectTimeout } = terms;
    const options = {
      ttl,
      connectTimeout,
      logger: {},
      ...(redis && { redis }),
      ...(durability && { durability }),
    };
    const session = await (url === undefined ? connect(options) : connect(url, options));
    return new FaultClient(terms, tell, session);
  }

  private constructor(terms: ClientTerms, tell: (entry: JournalEntry) => void, session: Session) {
    this.#terms = terms;
    this.#tell = tell;
    this.#session = session;
    session.on('lost', (reason) => this.history.lost.push(`${terms.client}: ${reason}`));
    this.#values = new Redis(terms.direct, { maxRetriesPerRequest: 0, commandTimeout: 2000 });
    this.#values.on('error', () => {});
    for (const [at, task] of (terms.quorum ? this.#quorumTasks() : this.#allTasks()).entries())
      this.#tasks.push(this.#repeat(task, `${terms.client}.${at}`, chance(terms.seed * 1000 + at)));
  }

  #quorumTasks(): Task[] {
    return ['q', 'q', 'r', 's', 't', 'u', 'v', 'w'].map(
      (name) => (c, client) => this.#hold(client, `quorum ${name}`, c),
    );
  }

  #allTasks(): Task[] {
    return [
      (c, client) => this.#hold(client, 'lock a', c),
      (c, client) => this.#hold(client, 'lock a', c),
      (c, client) => this.#hold(client, 'lock b', c),
      (c, client) => this.#hold(client, 'rwlock w', c),
      (c, client) => this.#hold(client, 'semaphore s', c),
      (c, client) => this.#count(client, c),
      (c, client) => this.#flag(client, c),
      (c, client) => this.#meet(client, c),
      (_, client) => this.#put(client),
      (c, client) => this.#get(client, c),
    ];
  }

  /** No new items, once the one on its way is in; those there are are still taken. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#putting;
  }

  async stop(): Promise<History> {
    this.#stopping = true;
    this.#draining = true;
    await Promise.all(this.#tasks);
    await this.#session.close();
    this.#values.disconnect();
    return this.history;
  }

  async #repeat(task: Task, client: string, c: Chance): Promise<void> {
    while (!this.#stopping) {
      try {
        await task(c, client);
      } catch (error) {
        const { code = '', message = '' } = error as { code?: string; message?: string };
        if (!(error instanceof HeddleError) || !EXPECTED.test(code))
          this.history.surprises.push(`${client}: ${String(error)} ${code} ${message}`);
      }
      await sleep(c.between(0, 4));
    }
  }

  async #hold(client: string, name: string, c: Chance): Promise<void> {
    const timeout = c.between(50, 1500);
    const begun = clock();
    const lease = await this.#acquire(name, timeout);
    this.#onTime(client, 'acquire', begun, timeout);
    if (lease === null) return;
    let until = clock();
    if (lease.valid) {
      const from = clock();
      const { longHold } = this.#terms;
      const long = longHold !== undefined && c.next() < 0.03 ? longHold : 30;
      const ends = from + c.between(0, c.next() < 0.1 || long > 30 ? long : 3);
      const look = () => {
        const looked = clock();
        if (lease.valid) until = looked;
      };
      while (clock() < ends && !lease.signal.aborted) {
        look();
        if (c.next() < 0.5) await this.#write(name, lease.token);
        else await sleep(1);
      }
      look(); // Whatever has happened meanwhile: what it says now must be true.
      this.#tell({ held: { client, name, token: lease.token, permits: 1, from, until } });
    }
    await lease.release();
  }

  #acquire(name: string, timeout: number): Promise<Lease | null> {
    if (name.startsWith('semaphore'))
      return this.#session.semaphore(name, SEMAPHORE_PERMITS).acquire({ timeout });
    if (name.startsWith('rwlock')) return this.#session.readWriteLock(name).write.acquire({ timeout });
    const { quorum } = this.#terms;
    if (quorum) return this.#session.lock(name, { quorum }).acquire({ timeout });
    return this.#session.lock(name).acquire({ timeout });
  }

  async #write(name: string, token: number): Promise<void> {
    if (limitOf(name) > 1) return;
    const start = clock();
    try {
      await fencedSet(this.#values, `faults:${name}`, String(token), token);
      this.#tell({ wrote: { name, token, start, end: clock(), accepted: true } });
    } catch (error) {
      if (error instanceof StaleTokenError)
        this.#tell({ wrote: { name, token, start, end: clock(), accepted: false } });
    }
  }

  async #count(client: string, c: Chance): Promise<void> {
    const counter = this.#session.counter('counter c');
    const arg = c.between(1, 3);
    if (c.next() < 0.7) await this.#operation(client, 'counter c', 'add', arg, () => counter.add(arg));
    else await this.#operation(client, 'counter c', 'value', undefined, () => counter.value());
  }

  async #flag(client: string, c: Chance): Promise<void> {
    const event = this.#session.event('event e');
    const dice = c.next();
    const act = (op: string, work: () => Promise<boolean | undefined>, timeout?: number) =>
      this.#operation(client, 'event e', op, undefined, work, timeout);
    if (dice < 0.25) await act('set', () => event.set().then(() => undefined));
    else if (dice < 0.5) await act('clear', () => event.clear().then(() => undefined));
    else if (dice < 0.75) await act('isSet', () => event.isSet());
    else await act('wait', () => event.wait({ timeout: 40 }), 40);
  }

  async #meet(client: string, c: Chance): Promise<void> {
    const barrier = this.#session.barrier('barrier b', this.#terms.parties);
    const timeout = c.between(300, 1500);
    try {
      await this.#operation(client, 'barrier b', 'meet', undefined, () => barrier.wait({ timeout }), timeout);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_HEDDLE_BROKEN_BARRIER') throw error;
      if (c.next() < 0.5) await barrier.reset();
    }
  }

  async #put(client: string): Promise<void> {
    if (this.#draining) return;
    this.#items += 1;
    const item = Number(this.#terms.client.replaceAll(/\D/g, '')) * 1e6 + this.#items;
    const queue = this.#session.queue('queue q', { maxsize: 5 });
    const work = () => queue.put(item, { timeout: 2000 }).then(() => undefined);
    const putting = this.#operation(client, 'queue q', 'put', item, work, 2000);
    this.#putting = putting.catch(() => {});
    await putting;
  }

  async #get(client: string, c: Chance): Promise<void> {
    const queue = this.#session.queue('queue q', { maxsize: 5 });
    const timeout = c.between(20, 400);
    const work = () =>
      queue.get({ timeout }).catch((error: unknown) => {
        if (error instanceof QueueEmptyError) return null;
        throw error;
      });
    await this.#operation(client, 'queue q', 'get', timeout, work as () => Promise<number | null>, timeout);
  }

  /** Does it and writes it down; one whose outcome nobody knows may still take effect. */
  async #operation(
    client: string,
    name: string,
    op: string,
    arg: number | undefined,
    work: () => Promise<number | boolean | null | undefined>,
    timeout = this.#terms.connectTimeout,
  ): Promise<void> {
    this.#operations += 1;
    const id = this.#operations;
    const start = clock();
    this.#tell({ id, began: { client, name, op, arg, start, end: Number.POSITIVE_INFINITY } });
    try {
      const result = await work();
      this.#tell({ id, ended: { end: clock(), result } });
    } catch (error) {
      // What was not sent, or refused, has had no effect.
      if (/UNREACHABLE|QUEUE_FULL/.test((error as { code?: string }).code ?? ''))
        this.#tell({ id, ended: 'without effect' });
      throw error;
    } finally {
      this.#onTime(client, `${op} ${name}`, start, timeout);
    }
  }

  #onTime(client: string, op: string, start: number, timeout: number): void {
    const by = clock() - start - Math.max(timeout, this.#terms.connectTimeout);
    if (by > LATE) this.history.overdue.push({ client, op, by });
  }
}
