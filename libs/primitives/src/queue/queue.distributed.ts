/**
 * The queues in the distributed scope: Python's `queue` module between processes. The items, and who waits for what,
 * stand in Redis; here are the handles, and how items travel.
 */
import { HeddleError, show } from '../errors.ts';
import { checkCount, checkKnown, checkWait, type WaitOptions } from '../options.ts';
import type { CommandTerms } from '../session/commands.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import type { Answer } from '../session/run-operations.ts';
import { seatKey } from '../session/seats.ts';
import { decodeText, encodeText } from '../values/text.ts';
import { ItemsUntilShutdown } from './items-until-shutdown.ts';
import { priorityKey } from './priority-key.ts';
import { emptyError, fullError, mismatch, overRelease, shutDownError, tooLarge } from './queue.errors.ts';
import { type QueueShape, queueParts, shapeText } from './queue.scripts.ts';
import { type AnyQueue, type AnySimpleQueue, checkShutdown, type ShutdownOptions } from './queue.ts';
import { type Parcel, QueueSeat } from './queue-seat.distributed.ts';

/** Bytes of UTF-8 that an item may have as text, its place in a priority queue included: Redis serves others meanwhile. */
const LARGEST_ITEM = 4 * 2 ** 20;
/** How the scripts write an item: its place among priorities (hex), its number, and itself as text. */
const MEMBER = /^[0-9a-f]* \d{16,} (.*)$/s;

/** What a distributed queue can be made with. */
export interface DistributedQueueOptions {
  /** How many items it takes before `put` waits; 0, the default: any number. */
  readonly maxsize?: number | undefined;
}

/** A simple queue by name, in Redis. Made by `session.simpleQueue(name)`. */
export class DistributedSimpleQueue<T = unknown> implements AnySimpleQueue<T> {
  /** The name it was asked for by. */
  readonly name: string;
  protected readonly core: SessionCore;
  protected readonly shape: QueueShape;

  constructor(core: SessionCore, name: string, shape: QueueShape) {
    this.name = checkName(name, 'queue: name');
    this.core = core;
    this.shape = shape;
  }

  /**
   * As `AnySimpleQueue.put`. `OutcomeUnknownError` where the session, or the time, ended before Redis answered;
   * `RangeError` for an item of more than 4 MiB as text. A putter that dies while it waits puts nothing.
   */
  async put(item: T, options?: WaitOptions): Promise<void> {
    const { timeout, signal } = checkWait(options, `${this.shape.kind}.put`);
    const parcel = this.#pack(item);
    this.core.assertOpen(`queue ${this.name}`);
    const { is, detail } = await this.seat().wait('put', this.shape, parcel, timeout, signal);
    if (is === 'shut') throw shutDownError(this.name, 'put');
    if (is === 'late') throw fullError(this.name, detail);
  }

  /**
   * As `AnySimpleQueue.get`, first come, first served over all sessions. An item that a session was given and had not
   * read when it died goes back to its place; it counts as read from the session's next call on, a second later at
   * the latest, so that a crash right after may deliver it once more.
   */
  async get(options?: WaitOptions): Promise<T> {
    const { timeout, signal } = checkWait(options, `${this.shape.kind}.get`);
    this.core.assertOpen(`queue ${this.name}`);
    const { is, detail } = await this.seat().wait('get', this.shape, undefined, timeout, signal);
    if (is === 'shut') throw shutDownError(this.name, 'get');
    if (is === 'late') throw emptyError(this.name);
    return this.#unpack(detail) as T;
  }

  async size(): Promise<number> {
    const keys = this.core.keyspace.of('queue', this.name, ['state', 'items']);
    return Number(await this.command('queue.look', keys, [shapeText(this.shape)], { looks: true }));
  }

  async empty(): Promise<boolean> {
    return (await this.size()) === 0;
  }

  async full(): Promise<boolean> {
    const { maxsize } = this.shape;
    const size = await this.size();
    return maxsize > 0 && size >= maxsize;
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    return new ItemsUntilShutdown((options) => this.get(options));
  }

  /** Runs an operation that waits for nothing; what met its bound is gone on with. Gives the reply's detail. */
  protected command(
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    terms?: CommandTerms,
  ): Promise<string> {
    const what = `queue ${this.name}`;
    const first = this.core.command(what, this.name, operation, keys, args, terms);
    return this.core.seeThrough(this.#done(what, first));
  }

  async #done(what: string, first: Promise<Answer>): Promise<string> {
    let answer = await first;
    const [is, , detail = ''] = answer;
    if (is === 'mismatch') throw mismatch(this.name, detail, this.shape);
    if (is === 'over') throw overRelease(this.name);
    // It is done; where Redis is lost over telling everybody, they find out for themselves, a ttl later.
    while (answer[1] === 'more') {
      const terms = { repeatable: true, goesOn: true };
      answer = await this.core
        .command(what, this.name, 'queue.advance', this.keys, [this.name], terms)
        .catch(() => []);
    }
    return detail;
  }

  protected get keys(): string[] {
    return this.core.keyspace.of('queue', this.name, queueParts);
  }

  protected seat(): QueueSeat {
    return this.core.seats.take(seatKey('queue', this.name), () => new QueueSeat(this.core, this.name));
  }

  #pack(item: unknown): Parcel {
    const key = this.shape.kind === 'PriorityQueue' ? Buffer.from(priorityKey(item)).toString('hex') : '';
    const body = encodeText(item, 'item', { primitive: { label: this.name } });
    const bytes = key.length + Buffer.byteLength(body);
    if (bytes > LARGEST_ITEM) throw tooLarge(this.name, bytes, LARGEST_ITEM);
    return [key, body];
  }

  #unpack(member: string): unknown {
    const body = MEMBER.exec(member)?.[1];
    if (body === undefined || body.length > LARGEST_ITEM) {
      throw new HeddleError(
        `queue ${this.name}: an item in Redis was not put by Heddle (${show(member)}); it has been taken off the queue`,
        'ERR_HEDDLE_MALFORMED_VALUE',
        { primitive: this.name },
      );
    }
    return decodeText(body);
  }
}

/**
 * A queue by name, in Redis: first in, first out, or the last or the least first. Made by `session.queue(name)`,
 * `session.lifoQueue(name)`, `session.priorityQueue(name)`.
 */
export class DistributedQueue<T = unknown> extends DistributedSimpleQueue<T> implements AnyQueue<T> {
  constructor(
    core: SessionCore,
    name: string,
    kind: QueueShape['kind'],
    options: DistributedQueueOptions | undefined,
  ) {
    const { maxsize = 0 } = checkKnown(options, ['maxsize'], kind);
    checkCount(maxsize, `${kind}: maxsize`, { min: 0, max: 2 ** 31 - 1 });
    super(core, name, { kind, maxsize });
  }

  async taskDone(): Promise<void> {
    await this.command('queue.task-done', this.keys, [this.name, shapeText(this.shape)]);
  }

  async join(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, `${this.shape.kind}.join`);
    this.core.assertOpen(`queue ${this.name}`);
    const { is } = await this.seat().wait('join', this.shape, undefined, timeout, signal);
    return is === 'joined';
  }

  async shutdown(options?: ShutdownOptions): Promise<void> {
    const immediate = checkShutdown(options, this.shape.kind);
    const args = [this.name, shapeText(this.shape), immediate ? 1 : 0];
    await this.command('queue.shutdown', this.keys, args, { repeatable: true });
  }
}
