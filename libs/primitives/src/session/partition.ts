/** A session's standing in one partition: its current life, opened anew when one was lost, and its sign of life. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from '../deadline.ts';
import type { RedisRefusedError } from '../errors.ts';
import { LeaseWords } from '../shared-memory/lease-words.ts';
import { Calls } from './calls.ts';
import { Incarnation } from './incarnation.ts';
import type { Keyspace } from './keys.ts';
import { type Loss, lossOf } from './losses.ts';
import type { Scripts, ScriptTexts } from './lua.ts';
import type { PulseConfig } from './pulse.ts';
import { asRefused, isReadOnly, isShortage, refused, saidForGood } from './refused.ts';
import { type Answer, CallSite, type Invocation, runAsNobody, runOperations } from './run-operations.ts';
import { type SignsHost, SignsOfLife } from './signs-of-life.ts';
import { type RecordKinds, sweep } from './sweep.ts';

/** What a partition needs of its session. */
export interface PartitionHost extends SignsHost {
  readonly id: string;
  readonly keyspace: Keyspace;
  readonly operations: Scripts;
  readonly scripts: { readonly operations: ScriptTexts; readonly renewal: string };
  readonly kinds: RecordKinds;
  readonly ttl: number;
  /** What the session says of itself, JSON. */
  readonly about: string;
  /** An id for an incarnation, never used before, in whatever partition. */
  nextLife(): string;
  lost(reason: string): void;
  /** Waiters of a life that was lost are to ask again under the new one. */
  opened(): void;
  /** Redis can be reached, and says no to an opening. */
  refused(error: Error): void;
}

const DAY = 86_400_000;
/** Ms that a record lives untouched. */
export function keepOf(ttl: number): number {
  return Math.max(DAY, Math.ceil(100 * ttl)); // PEXPIRE takes whole ones.
}

/** Ms before another attempt to open an incarnation: where Redis is away, and at most, where it answers but refuses. */
const REOPEN_AFTER = 250;
const REOPEN_LATEST = 5000;
/** Ms that an opening waits for what a life of before has left to be cleared away. */
const CLEARED_WITHIN = 250;

/** Ms by which a lease ends here before it ends in Redis: clocks drift, and a read takes its time. */
function marginOf(ttl: number): number {
  return Math.min(ttl / 4, 5 + ttl / 100);
}

export class Partition {
  readonly index: number;
  readonly site: CallSite;
  readonly #host: PartitionHost;
  #current: Incarnation | undefined;
  #opening: Promise<Incarnation> | undefined;
  /** What those wait for who came while there was no life, until all of them have sent what they wanted. */
  #next: Promise<Incarnation> | undefined;
  readonly #signs: SignsOfLife;
  #closed = false;
  /** Lives that ended without being swept: whoever watches would do it at the end of their ttl, we need not wait. */
  readonly #past = new Set<string>();
  /** The one that is being opened: it has to be ended only where we close. */
  #entering: string | undefined;
  #refusal: RedisRefusedError | undefined;
  #readOnly = false;

  constructor(index: number, host: PartitionHost) {
    this.index = index;
    this.#host = host;
    this.#signs = new SignsOfLife(host);
    this.site = new CallSite(host.keyspace, index, keepOf(host.ttl), host.target.mode === 'cluster');
  }

  /** The life of this moment, if there is one. */
  get current(): Incarnation | undefined {
    return this.#current?.lives ? this.#current : undefined;
  }

  /** The life of this moment, where nobody who came earlier still has to ask. */
  get free(): Incarnation | undefined {
    return this.#next === undefined ? this.current : undefined;
  }

  /** What Redis said no with when a life was to be opened last. */
  get refusal(): RedisRefusedError | undefined {
    return this.#refusal;
  }

  /** Whether a life was not to be opened last since the server is a replica; it may become a master. */
  get readOnly(): boolean {
    return this.#readOnly;
  }

  /** Whether the keeper thread gives the sign of life. */
  get guarded(): boolean {
    return this.#signs.guarded;
  }

  /** The current life, or the next once it is opened; never rejects, and never settles where Redis never answers. */
  incarnation(): Promise<Incarnation> {
    const current = this.current;
    if (current !== undefined) return Promise.resolve(current);
    if (this.#closed) return new Promise(() => {});
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /**
   * The next life, where there is none that is free. All wait for one promise, seats and commands alike, and go on as many
   * steps after it: so what a program asks in turn reaches Redis in turn. (A lock's try without waiting goes on one later.)
   */
  inTurn(): Promise<Incarnation> {
    if (this.#next !== undefined) return this.#next;
    const next = this.incarnation().finally(() => setImmediate(() => this.#over(next)));
    this.#next = next;
    return next;
  }

  #over(next: Promise<Incarnation> | undefined): void {
    if (this.#next === next) this.#next = undefined;
  }

  /** The connection is there (again). */
  connected(): void {
    this.#current?.calls.connected();
    this.#signs.connected();
    if (this.current === undefined && !this.#closed) void this.incarnation();
  }

  /** Until when no lease is to be handed out, if there is anything to wait for; see `SignsOfLife`. */
  guard(): Promise<void> | undefined {
    return this.#signs.guard();
  }

  /** Runs operations that belong to no life. */
  asNobody(invocations: readonly Invocation[]): Promise<Answer[]> {
    return runAsNobody(this.#host.line, this.#host.operations, this.site, invocations);
  }

  /** A session after ours in the ring is to be watched from now on; see `Pulse.watch`. */
  watch(id: string, remaining: number, keep: number): void {
    this.#signs.watch(id, remaining, keep);
  }

  /** Has the keeper run an operation at a moment; see `SignsOfLife`. */
  runAt(at: number, invocation: Invocation): () => boolean {
    return this.#signs.runAt(at, invocation);
  }

  /** Ends the life for good: what it held is freed, what it waited for is left. */
  async close(): Promise<void> {
    this.#closed = true;
    const life = this.#current;
    if (life !== undefined && life.ended === undefined) {
      await this.#signs.stop(); // One that came after the end would void what was answered before it.
      await life.call('session.end', this.#ring, [life.id]).catch(() => undefined);
      life.end('the session was closed');
      this.#past.add(life.id);
    }
    await this.#clearPast();
    await this.abandon();
  }

  /** Ends everything here without a word to Redis. */
  async abandon(): Promise<void> {
    this.#closed = true;
    this.#current?.end('the session was closed');
    await this.#signs.stop();
  }

  /** The keys of the ring, and of what its members say of themselves. */
  get #ring(): readonly string[] {
    const { ring, members } = this.#host.keyspace.shared(this.index);
    return [ring, members];
  }

  async #clearPast(): Promise<void> {
    const { line, operations, kinds } = this.#host;
    for (const id of this.#past) {
      if (id === this.#entering && !this.#closed) continue;
      try {
        await runAsNobody(line, operations, this.site, [
          { operation: 'session.end', keys: this.#ring, args: [id] },
        ]);
        const { state } = await sweep(line, operations, this.site, kinds, id, (record, why) =>
          this.#host.warn(`left a record unswept, ${why}: ${JSON.stringify(record)}`),
        );
        // Redis may have refused to end it, and it lives on there for a moment: it is still to be cleared away.
        if (state !== 'alive') this.#past.delete(id);
      } catch {
        return; // Redis is away: the next opening or the end of its ttl sees to it.
      }
    }
  }

  async #open(): Promise<Incarnation> {
    let told = '';
    for (let wait = REOPEN_AFTER; ; ) {
      try {
        return await this.#enter();
      } catch (error) {
        if (this.#closed) return new Promise(() => {});
        const said = saidForGood(error);
        this.#readOnly = isReadOnly(error);
        this.#refusal = said === undefined ? undefined : asRefused(error, said);
        if (this.#refusal !== undefined) {
          if (said !== told) this.#host.refused(this.#refusal);
          wait = isShortage(this.#refusal) ? REOPEN_AFTER : Math.min(2 * wait, REOPEN_LATEST);
        }
        told = said ?? '';
        await new Promise((resolve) => setTimeout(resolve, wait).unref());
      }
    }
  }

  async #enter(): Promise<Incarnation> {
    const { line, operations, keyspace, ttl, target } = this.#host;
    const id = this.#host.nextLife();
    this.#entering = id;
    // What a life of before has left is free first, where that is soon done: it is not to be in our own way.
    if (this.#past.size > 0)
      await Promise.race([this.#clearPast(), sleep(CLEARED_WITHIN, undefined, { ref: false })]);
    if (this.#closed) throw new Error('closed meanwhile');
    // An opening whose answer is cut off has taken place, for all we know.
    this.#past.add(id);
    const { ring, members, epoch } = keyspace.shared(this.index);
    const { calls, holds } = keyspace.ofSession(this.index, id);
    const sent = now();
    const [reply] = await runAsNobody(line, operations, this.site, [
      {
        operation: 'session.open',
        keys: [calls, ring, members, holds, epoch],
        args: [id, ttl, this.#host.about, randomBytes(12).toString('hex')],
      },
    ]);
    const [tag, said, runId = '', namespaceEpoch = '', history = ''] = reply ?? [];
    if (tag !== 'open') throw refused('to open a session', String(said));
    await this.#signs.stop();
    // From here on nothing is waited for: a session that closes meanwhile must not find a pulse begun behind its back.
    if (this.#closed) throw new Error('closed meanwhile');
    const until = sent + ttl - marginOf(ttl);
    if (now() >= until) throw new Error('answered too late'); // it would be lost before it began

    this.#past.delete(id);
    void this.#clearPast();
    const words = new LeaseWords();
    words.extendTo(until);
    const life = this.#beginLife(id, words);
    this.#refusal = undefined;
    const config: PulseConfig = {
      id,
      namespace: keyspace.namespace,
      partitions: keyspace.partitions,
      partition: this.index,
      sharded: target.mode === 'cluster',
      ttl,
      keep: this.site.keep,
      margin: marginOf(ttl),
      maxStall: undefined,
      scripts: this.#host.scripts,
      kinds: this.#host.kinds,
      runId,
      epoch: namespaceEpoch,
      history,
      durability: this.#host.confirmer?.durability,
    };
    this.#signs.begin(life, config, {
      lost: (reason) => this.#lose(life, reason),
      warn: (message) => this.#host.warn(message),
    });
    this.#host.opened();
    return life;
  }

  #beginLife(id: string, words: LeaseWords): Incarnation {
    const { line, operations } = this.#host;
    const wire = {
      get up() {
        return line.status === 'ready';
      },
    };
    const own = this.#host.keyspace.ofSession(this.index, id);
    const calls = new Calls(
      { caller: id, calls: own.calls },
      (invocations, envelope) => runOperations(line, operations, this.site, invocations, envelope),
      wire,
      () => life.lives,
      () => this.#lose(life, 'Redis no longer knows it: it expired, or the data was lost'),
    );
    const life: Incarnation = new Incarnation(id, own.holds, words, calls, () =>
      this.#lose(life, lossOf(words.reason ?? 0)),
    );
    this.#current = life;
    return life;
  }

  #lose(life: Incarnation, reason: Loss): void {
    if (life.ended !== undefined) return;
    this.#over(this.#next); // Whoever waited for it, and is still to ask, asks under the one after it.
    this.#past.add(life.id);
    life.end(this.#closed ? 'the session was closed' : reason);
    if (this.#closed) return; // We are ending it ourselves.
    this.#host.lost(reason);
    void this.#signs.stop().then(() => (this.#closed ? undefined : this.incarnation()));
  }
}
