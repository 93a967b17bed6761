/**
 * Those of one session who wait at one queue: for an item, for room, or for all to be dealt with. Each has a place of
 * its own in Redis, under a number which no stranger can guess; what becomes of it is kept there under that number until
 * it has been read, so that a message is a hint and an item of a session that died goes back.
 *
 * | a wait is | means | then |
 * |---|---|---|
 * | asking | its call is on its way | settled by the reply, or placed |
 * | placed | it stands in line in Redis | settled by a message, or by asking again |
 * | leaving | its time is up, or its signal has aborted | `cancel` tells what became of it in the meantime |
 */
import { randomBytes } from 'node:crypto';
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { Foothold } from '../session/foothold.ts';
import { closedError } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { Partition } from '../session/partition.ts';
import { askLater, isShortage } from '../session/refused.ts';
import type { Answer, Invocation } from '../session/run-operations.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { Waiters } from '../session/waiters.ts';
import { mismatch, unknownOutcome } from './queue.errors.ts';
import { type QueueShape, queueParts, shapeText } from './queue.scripts.ts';

/** An item on its way in: its place among priorities, and itself as text. */
export type Parcel = readonly [key: string, body: string];

/** How a wait ended; `late`: there was nothing for it in time. The detail is an item as the scripts write it, or a size. */
export interface Outcome {
  readonly is: 'item' | 'put' | 'joined' | 'shut' | 'late';
  readonly detail: string;
}

/** What a wait is for, and the outcome that fulfils it. */
const FULFILLED = { get: 'item', put: 'put', join: 'joined' } as const;

interface Wait {
  readonly id: string;
  readonly kind: keyof typeof FULFILLED;
  readonly shape: QueueShape;
  readonly parcel: Parcel | undefined;
  /** It asks once, and stands in no line. */
  readonly impatient: boolean;
  /** The life under which it was asked for last. */
  life?: Incarnation;
  /** The call on its way. */
  call: Invocation | undefined;
  /** Messages may have been lost while a reply was on its way: what it says may be out of date. */
  doubt: boolean;
  placed: boolean;
  /** It is asked for again soon. */
  later: boolean;
  /** Redis may have acted on it. */
  sent: boolean;
  /** The item is in, whatever its putter has been told. */
  in: boolean;
  /** Its caller has been answered. */
  over: boolean;
}

/** Ms until it is told that an outcome was read, where no call takes that along before. */
const FORGET_WITHIN = 1000;
/** A part of the numbers of waits that only Redis and this process know. */
const SECRET = randomBytes(6).toString('hex');
/** No answer came in time. */
const SILENCE: Outcome = { is: 'late', detail: '' };

export class QueueSeat implements Seat {
  readonly #core: SessionCore;
  readonly #name: string;
  readonly #what: string;
  readonly #partition: Partition;
  readonly #keys: readonly string[];
  readonly #line = new Waiters<Outcome, Wait>();
  readonly #waits = new Map<string, Wait>();
  readonly #foothold: Foothold;
  #busy = 0;

  constructor(core: SessionCore, name: string) {
    this.#core = core;
    this.#name = name;
    this.#what = `queue ${name}`;
    this.#partition = core.partitionOf(name);
    this.#foothold = new Foothold(this.#partition, () => this.#ended());
    this.#keys = core.keyspace.of('queue', name, queueParts);
  }

  /** Waits for what `kind` says; `timeout` 0 asks once. */
  async wait(
    kind: Wait['kind'],
    shape: QueueShape,
    parcel: Parcel | undefined,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Outcome> {
    const impatient = timeout === 0;
    const wait: Wait = {
      id: `${this.#core.nextWait()}-${SECRET}`,
      ...{ kind, shape, parcel, impatient, call: undefined },
      ...{ doubt: false, placed: false, later: false, sent: false, in: false, over: false },
    };
    this.#waits.set(wait.id, wait);
    const settled = this.#line.add(wait, {
      timeout: impatient ? this.#core.connectTimeout : timeout,
      signal,
      onTimeout: SILENCE,
      gaveUp: () => this.#gaveUp(wait, !impatient && signal?.aborted !== true),
    });
    this.#ask(wait);
    try {
      return this.#read(wait, await settled);
    } catch (error) {
      // Its signal aborted when the item was in already.
      if (wait.in) return { is: 'put', detail: '' };
      throw error;
    } finally {
      wait.over = true;
      this.#waits.delete(wait.id);
      this.#tidy();
    }
  }

  told(_life: Incarnation, [id = '', is = '', ...item]: readonly string[]): void {
    const wait = this.#waits.get(id);
    const waiter = wait && this.#line.get(wait);
    if (wait === undefined || waiter === undefined) return;
    if (is !== 'shut' && is !== FULFILLED[wait.kind]) throw new TypeError('no message of ours');
    wait.placed = true;
    // A long item does not come along.
    if (is === 'item' && item.length === 0) return this.#askOnce(wait);
    waiter.resolve({ is, detail: item.join('\n') });
  }

  get waited(): boolean {
    return this.#line.size > 0;
  }

  askAgain(): void {
    for (const { what } of [...this.#line]) this.#askOnce(what);
  }

  /** Whoever waits to put hears first what has become of the item. */
  closed(): void {
    for (const waiter of [...this.#line]) {
      const { kind, sent, life } = waiter.what;
      const error = closedError(this.#what);
      if (kind !== 'put' || !sent || life === undefined) waiter.reject(error);
      else
        void this.#leave(waiter.what, life, false).then((outcome) => {
          if (outcome?.is === 'put') waiter.resolve(outcome);
          else waiter.reject(outcome === undefined ? unknownOutcome(this.#name) : error);
        });
    }
  }

  /** What is kept in Redis of a wait that was answered goes with the next call, whatever that is. */
  #read(wait: Wait, outcome: Outcome): Outcome {
    const { life, placed } = wait;
    // That it was read can't be told any more: it goes back to its place as the session ends.
    if (outcome.is === 'item' && this.#core.closed) throw closedError(this.#what);
    if (life !== undefined && (outcome.is === 'item' || (placed && outcome.is !== 'late'))) {
      const [, , takers = '', , , , outcomes = ''] = this.#keys;
      const keys = [takers, outcomes, life.holds];
      life.later({ operation: 'queue.forget', keys, args: [this.#name, wait.id] }, FORGET_WITHIN);
    }
    if (outcome !== SILENCE) return outcome;
    if (wait.kind === 'put' && wait.sent) throw unknownOutcome(this.#name);
    if (wait.impatient) throw this.#core.unreachable(this.#what);
    return outcome;
  }

  #askOnce(wait: Wait): void {
    if (wait.call !== undefined) wait.doubt = true;
    else this.#ask(wait);
  }

  /** Asks for it, or again what has become of it. */
  #ask(wait: Wait): void {
    this.#foothold
      .ask((life) => this.#askUnder(life, wait))
      .catch((error: unknown) => this.#refused(wait, error))
      .finally(() => this.#tidy());
  }

  /** One that stands in line is not the worse for it that Redis takes no writes; of another error it is told, and leaves. */
  #refused(wait: Wait, error: unknown): void {
    const waiter = this.#line.get(wait);
    if (waiter === undefined) return;
    const { life, placed } = wait;
    if (!placed || life === undefined) return waiter.reject(error);
    if (isShortage(error)) return askLater(wait, () => this.#askOnce(wait));
    waiter.reject(wait.kind === 'put' ? unknownOutcome(this.#name, error) : error);
    void this.#leave(wait, life, false);
  }

  async #askUnder(life: Incarnation, wait: Wait): Promise<void> {
    if (this.#line.get(wait) === undefined || wait.call !== undefined) return;
    if (wait.life !== life) wait.placed = false;
    const parcel = wait.parcel && (wait.placed ? ['', ''] : wait.parcel);
    const args = [this.#name, wait.id, wait.impatient ? 0 : 1, shapeText(wait.shape), ...(parcel ?? [])];
    const call = { operation: `queue.${wait.kind}`, keys: [...this.#keys, life.holds], args };
    Object.assign(wait, { life, call, doubt: false, sent: true });
    try {
      const answer = await life.run(call);
      this.#line.answered();
      wait.call = undefined;
      this.#answered(wait, life, answer);
    } catch (error) {
      wait.call = undefined;
      if (!(error instanceof CallEnded)) throw error;
      if (wait.kind === 'put' && (error.sent || wait.placed)) throw unknownOutcome(this.#name, error);
      wait.sent = false;
      this.#ask(wait);
    }
  }

  #answered(wait: Wait, life: Incarnation, [is, more, detail = '']: Answer): void {
    if (more === 'more') void this.#advance(life);
    if (is === 'put') wait.in = true;
    const waiter = this.#line.get(wait);
    if (waiter === undefined) return; // Served by a message, or gone: `cancel` sees to what it was given.
    if (is === 'mismatch') waiter.reject(mismatch(this.#name, detail, wait.shape));
    else if (is === 'gone') waiter.reject(unknownOutcome(this.#name));
    else if (is === 'busy' && more === 'more')
      this.#ask(wait); // Behind those it may be free.
    else if (is === 'busy') waiter.resolve({ is: 'late', detail });
    else if (is === 'waiting') this.#placed(wait);
    else waiter.resolve({ is: is as Outcome['is'], detail });
  }

  #placed(wait: Wait): void {
    wait.placed = true;
    if (wait.doubt) this.#ask(wait);
    else this.#line.decide(wait);
  }

  /** The life ended: takers and joiners ask under the next; whether an item that stood in line went in is not known. */
  #ended(): void {
    if (this.#core.closed) return;
    for (const waiter of [...this.#line]) {
      const { kind, placed } = waiter.what;
      if (kind === 'put' && placed) waiter.reject(unknownOutcome(this.#name));
    }
    queueMicrotask(() => this.askAgain());
  }

  /** Leaves the line; what was given meanwhile is told, or goes back where it is not kept. */
  #gaveUp(wait: Wait, keep: boolean): Promise<Outcome | undefined> | undefined {
    const { life, call } = wait;
    if (life === undefined || !wait.sent) return undefined;
    if (call !== undefined && !wait.placed && life.calls.withdraw(call)) {
      wait.sent = false;
      return undefined;
    }
    return this.#leave(wait, life, keep);
  }

  /** Gives what became of a wait, `undefined` where that is not to be known. */
  async #leave(wait: Wait, life: Incarnation, keep: boolean): Promise<Outcome | undefined> {
    this.#busy += 1;
    try {
      const keys = [...this.#keys, life.holds];
      const args = [this.#name, wait.id, keep ? 1 : 0];
      const [is, more, detail = ''] = await life.giveBack('queue.cancel', keys, args);
      this.#line.answered();
      if (more === 'more') await this.#advance(life);
      if (is === 'put') wait.in = true;
      if (wait.in) return { is: 'put', detail };
      if (is === 'left') return { is: 'late', detail };
      // Its caller did not wait for this answer: the item is for the next.
      if (is === 'item' && wait.over) return await this.#leave(wait, life, false);
      return { is: is as Outcome['is'], detail };
    } catch {
      return undefined;
    } finally {
      this.#busy -= 1;
      this.#tidy();
    }
  }

  /** Goes on with what met its bound. */
  #advance(life: Incarnation): Promise<unknown> {
    const advanced = life.giveBackAll('queue.advance', this.#keys, [this.#name]);
    return this.#core.seeThrough(advanced.catch(() => {}));
  }

  /** Nothing is kept here for a name that nobody uses. */
  #tidy(): void {
    if (this.#line.size > 0 || this.#busy > 0) return;
    this.#foothold.leave();
    this.#core.seats.leave(seatKey('queue', this.#name), this);
  }
}
