/** A client of the fault harness: one session, and tasks that use every primitive by chance and write down what came of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { HeddleError, QueueEmptyError } from '../../errors.ts';
import { runAs } from '../../identity.ts';
import type { DistributedQueue } from '../../queue/queue.distributed.ts';
import { connect, type Session } from '../../session.distributed.ts';
import { BoundedBuffer } from './bounded-buffer.ts';
import { clock, emptyHistory, type History, type JournalEntry } from './history.ts';
import { Holding } from './holding.ts';
import { impatiently, type Outcome, timeoutBy, type Wait } from './impatience.ts';
import { LATCH_COUNT } from './models.ts';
import { type Chance, chance } from './random.ts';
import type { ClientTerms, Setting, Task } from './setting.ts';

/** Ms by which an operation may end after its time is up, on a busy machine. */
const LATE = 10_000;
/** Ms that one who gave up waits at most to hear what that met: after less, what it says of it is true. */
const GRACE = 200;
/** Ms for which one latch is used, by all: then the next. */
const LATCH_LASTS = 300;
/** What happens to a client while a fault lasts; anything else is a surprise. */
const EXPECTED =
  /^ERR_HEDDLE_(LEASE_LOST|TIMEOUT|REDIS_UNREACHABLE|OUTCOME_UNKNOWN|BROKEN_BARRIER|QUEUE_EMPTY|QUEUE_FULL|STALE_TOKEN|SESSION_CLOSED|NOT_REPLICATED)$/;

const REFUSED = 'ERR_HEDDLE_REDIS_REFUSED';

type Result = number | boolean | null | undefined;

/** What can be done with one queue; `eager`: whoever puts or takes may have had enough at any moment. */
interface Store {
  readonly queue: DistributedQueue<number>;
  readonly name: string;
  readonly eager: boolean;
}

export class FaultClient implements Setting {
  readonly history: History = emptyHistory();
  readonly terms: ClientTerms;
  readonly tell: (entry: JournalEntry) => void;
  readonly session: Session;
  readonly values: Redis;
  readonly #ended = new AbortController();
  readonly #tasks: Promise<void>[] = [];
  /** Producers stop first: what they put is still taken. */
  draining = false;
  #items = 0;
  readonly #putting = new Set<Promise<unknown>>();
  #operations = 0;

  static async start(terms: ClientTerms, tell: (entry: JournalEntry) => void): Promise<FaultClient> {
    const { url, redis, durability, ttl, connectTimeout } = terms;
    const options = {
      ttl,
      connectTimeout,
      // Soon, so that looks at the circles of waits meet everything else.
      deadlockAfter: 100,
      logger: {},
      ...(redis && { redis }),
      ...(durability && { durability }),
    };
    const session = await (url === undefined ? connect(options) : connect(url, options));
    return new FaultClient(terms, tell, session);
  }

  private constructor(terms: ClientTerms, tell: (entry: JournalEntry) => void, session: Session) {
    this.terms = terms;
    this.tell = tell;
    this.session = session;
    session.on('lost', (reason) => this.history.lost.push(`${terms.client}: ${reason}`));
    this.values = new Redis(terms.direct, { maxRetriesPerRequest: 0, commandTimeout: 2000 });
    this.values.on('error', () => {});
    for (const [at, task] of (terms.quorum ? this.#quorumTasks(terms.quorum) : this.#allTasks()).entries())
      this.#tasks.push(this.#repeat(task, `${terms.client}.${at}`, chance(terms.seed * 1000 + at)));
  }

  get over(): AbortSignal {
    return this.#ended.signal;
  }

  #quorumTasks(quorum: readonly string[]): Task[] {
    const holding = new Holding(this);
    return ['q', 'q', 'r', 's', 't', 'u', 'v', 'w'].map((name) =>
      holding.quorumLock(`quorum ${name}`, quorum),
    );
  }

  /** What all do, and of three parts of the rest two: each part meets others, and no process has too much to do. */
  #allTasks(): Task[] {
    const { session } = this;
    const holding = new Holding(this);
    const buffer = new BoundedBuffer(this);
    const store = (name: string, queue: DistributedQueue<number>, eager = true) => {
      const of: Store = { name, queue, eager };
      return [(c, client) => this.#put(client, c, of), (c, client) => this.#get(client, c, of)] as Task[];
    };
    const everybody: Task[] = [
      holding.lock('lock a'),
      holding.lock('lock a'),
      holding.lock('lock b'),
      holding.together('lock a', 'lock b'),
      holding.readWriteLock('rwlock w'),
      holding.semaphore('semaphore s', { bounded: false, all: false }),
      (c, client) => this.#count(client, c),
      (c, client) => this.#flag(client, c),
      (c, client) => this.#meet(client, c),
      ...store('queue q', session.queue('queue q', { maxsize: 5 }), false),
    ];
    const parts: Task[][] = [
      [
        holding.readWriteLock('rwlock w'),
        holding.readWriteLock('rwlock w'),
        holding.limitedLock('lock h'),
        holding.limitedLock('lock h'),
        (c, client) => this.#latch(client, c),
      ],
      [
        ...[true, true, false].map((all) => holding.semaphore('semaphore t', { bounded: true, all })),
        holding.rlock('rlock r'),
        holding.rlock('rlock r'),
        ...store('lifo l', session.lifoQueue('lifo l', { maxsize: 5 })),
      ],
      [
        buffer.put,
        buffer.take,
        buffer.take,
        holding.crosswise('lock d', 'lock e'),
        ...store('priority p', session.priorityQueue('priority p', { maxsize: 5 })),
      ],
    ];
    return [...everybody, ...parts.filter((_, at) => at !== this.terms.place % 3).flat()];
  }

  /** No new items, once those on their way are in; those there are are still taken. */
  async drain(): Promise<void> {
    this.draining = true;
    await Promise.all(this.#putting);
  }

  /** Comes to an end of all it does; its session goes on. */
  async rest(): Promise<void> {
    this.draining = true;
    this.#ended.abort(new Error('the client comes to its end'));
    await Promise.all(this.#tasks);
  }

  async stop(): Promise<History> {
    await this.rest();
    await this.session.close();
    this.values.disconnect();
    return this.history;
  }

  onTime(client: string, op: string, start: number, timeout: number): void {
    const by = clock() - start - Math.max(timeout, this.terms.connectTimeout);
    if (by > LATE) this.history.overdue.push({ client, op, by });
  }

  async #repeat(task: Task, client: string, c: Chance): Promise<void> {
    while (!this.over.aborted) {
      try {
        // One time in two as a thread of its own: what it holds then tells of deadlocks.
        await (c.next() < 0.5 ? task(c, client) : runAs(client, () => task(c, client)));
      } catch (error) {
        for (const one of partsOf(error)) {
          const { code = '', message = '' } = one as { code?: string; message?: string };
          const refused = this.terms.refuses === true && code === REFUSED;
          if (!(one instanceof HeddleError) || !(refused || EXPECTED.test(code)))
            this.history.surprises.push(`${client}: ${String(one)} ${code} ${message}`);
        }
      }
      await sleep(c.between(0, 6));
    }
  }

  async #count(client: string, c: Chance): Promise<void> {
    const counter = this.session.counter('counter c');
    const arg = c.between(1, 3);
    if (c.next() < 0.7) await this.#operation(client, 'counter c', 'add', arg, () => counter.add(arg));
    else await this.#operation(client, 'counter c', 'value', undefined, () => counter.value());
  }

  async #flag(client: string, c: Chance): Promise<void> {
    const event = this.session.event('event e');
    const dice = c.next();
    const act = (op: string, work: () => Promise<boolean | undefined>) =>
      this.#operation(client, 'event e', op, undefined, work);
    if (dice < 0.25) await act('set', () => event.set().then(() => undefined));
    else if (dice < 0.5) await act('clear', () => event.clear().then(() => undefined));
    else if (dice < 0.75) await act('isSet', () => event.isSet());
    else await this.#wait(client, c, 'event e', 'wait', undefined, 60, (wait) => event.wait(wait));
  }

  async #latch(client: string, c: Chance): Promise<void> {
    const name = `latch ${Math.floor(clock() / LATCH_LASTS)}`;
    const latch = this.session.countDownLatch(name, LATCH_COUNT);
    const dice = c.next();
    const arg = c.between(1, 2);
    if (dice < 0.2)
      await this.#operation(client, name, 'down', arg, () => latch.countDown(arg).then(() => undefined));
    else if (dice < 0.4) await this.#operation(client, name, 'count', undefined, () => latch.count());
    else await this.#wait(client, c, name, 'wait', undefined, 300, (wait) => latch.wait(wait));
  }

  async #meet(client: string, c: Chance): Promise<void> {
    const barrier = this.session.barrier('barrier b', this.terms.parties);
    const timeout = c.next() < 0.1 ? timeoutBy(c, 100) : c.between(300, 1500);
    try {
      await this.#operation(client, 'barrier b', 'meet', undefined, () => barrier.wait({ timeout }), timeout);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_HEDDLE_BROKEN_BARRIER') throw error;
      if (c.next() < 0.5) await barrier.reset();
    }
  }

  async #put(client: string, c: Chance, { queue, name, eager }: Store): Promise<void> {
    if (this.draining) return;
    this.#items += 1;
    const number = Number(this.terms.client.replaceAll(/\D/g, '')) * 1e6 + this.#items;
    const item = name.startsWith('priority') ? c.between(1, 9) * 1e9 + number : number;
    const put = (wait: Wait) => queue.put(item, wait).then(() => undefined);
    const putting = eager
      ? this.#wait(client, c, name, 'put', item, 1000, put)
      : this.#operation(client, name, 'put', item, () => put({ timeout: 2000 }), 2000);
    const settled = putting.catch(() => {}).finally(() => this.#putting.delete(settled));
    this.#putting.add(settled);
    await putting;
  }

  async #get(client: string, c: Chance, { queue, name, eager }: Store): Promise<void> {
    const get = (wait: Wait) =>
      queue.get(wait).catch((error: unknown) => {
        if (error instanceof QueueEmptyError) return null;
        throw error;
      });
    // Of a queue whose order is looked at nobody has enough: what it was given would go back, and others may have passed.
    if (eager) return this.#wait(client, c, name, 'get', undefined, 400, get);
    const timeout = c.between(20, 400);
    await this.#operation(client, name, 'get', timeout, () => get({ timeout }), timeout);
  }

  /** The same as `#operation`, for one who may have enough before its time is up. */
  async #wait(
    client: string,
    c: Chance,
    name: string,
    op: string,
    arg: number | undefined,
    longest: number,
    work: (wait: Wait) => Promise<Result>,
  ): Promise<void> {
    const timeout = timeoutBy(c, longest);
    await this.#write(client, name, op, arg, () => impatiently(c, timeout, work), timeout);
  }

  #operation(
    client: string,
    name: string,
    op: string,
    arg: number | undefined,
    work: () => Promise<Result>,
    timeout = this.terms.connectTimeout,
  ): Promise<void> {
    const outcome = async () => ({ aborted: false, value: await work() }) as const;
    return this.#write(client, name, op, arg, outcome, timeout);
  }

  /** Does it and writes it down; one whose outcome nobody knows may still take effect. */
  async #write(
    client: string,
    name: string,
    op: string,
    arg: number | undefined,
    work: () => Promise<Outcome<Result>>,
    timeout: number,
  ): Promise<void> {
    this.#operations += 1;
    const id = this.#operations;
    const start = clock();
    const lost = this.history.lost.length;
    this.tell({ id, began: { client, name, op, arg, start, end: Number.POSITIVE_INFINITY } });
    try {
      const outcome = await work();
      if (!outcome.aborted) this.tell({ id, ended: { end: clock(), result: outcome.value } });
      // Nothing is left of it, unless it could not hear what its leaving met. What was taken goes back in any case.
      else if (op !== 'put' || (outcome.since < GRACE && lost === this.history.lost.length))
        this.tell({ id, ended: 'without effect' });
    } catch (error) {
      // What was not sent, or refused, has had no effect.
      if (/UNREACHABLE|REFUSED|QUEUE_FULL/.test((error as { code?: string }).code ?? ''))
        this.tell({ id, ended: 'without effect' });
      throw error;
    } finally {
      this.onTime(client, `${op} ${name}`, start, timeout);
    }
  }
}

/** Where several leases were lost, what `await using` throws is of all their errors. */
function partsOf(error: unknown): unknown[] {
  return error instanceof SuppressedError ? [...partsOf(error.error), ...partsOf(error.suppressed)] : [error];
}
