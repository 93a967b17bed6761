/**
 * The cyclic barrier between threads: a generation barrier whose whole state is one 64-bit word.
 *
 * `STATE`, by bits:
 *
 * | bits | name | meaning |
 * |---|---|---|
 * | 0 | `BROKEN` | the round is broken; all present and later waiters throw, until a reset |
 * | 1 | `WAITED` | somebody may sleep on the word |
 * | 2 | `RESETTING` | a reset ends the round: whoever meets that sees it through before anything else |
 * | 3–22 | arrived | how many have arrived in this round |
 * | 23–63 | round | which round it is |
 *
 * | state | by arrived, `BROKEN` | left by |
 * |---|---|---|
 * | filling | 0 … parties − 1, no | an arrival, the last one without an action straight to the next round; `abort`, a time-out, a signal (broken); `reset` (resetting) |
 * | full | parties, no | the last to arrive, after its action (next round, empty); a throwing action, `abort`, a time-out, a signal (broken); `reset` (resetting) |
 * | broken | any, yes | `reset` (resetting) |
 * | resetting | any, any | whoever comes first, once the round is noted as broken (next round, empty) |
 *
 * A waiter knows its round and leaves once the word is past it, so rounds need not wait for slow leavers, unlike in
 * `threading`: one party may block its thread in the next round while its wait in the last has not settled yet.
 * What a late leaver can't see in the word is how its round ended, if rounds have come and gone since: the last
 * `REMEMBERED` broken rounds are noted beside it. Only an action makes a round full for longer than one step; who
 * comes meanwhile waits for the next.
 */
import { threadId } from 'node:worker_threads';
import { Deadline } from '../deadline.ts';
import { BrokenBarrierError, typeError } from '../errors.ts';
import {
  type BlockingOptions,
  checkBlocking,
  checkCount,
  checkFunction,
  checkKnown,
  checkOptions,
  checkTimeout,
  checkWait,
  type WaitOptions,
} from '../options.ts';
import { compareExchangeWide, loadWide, storeWide, type WideWords } from '../shared-memory/cells.ts';
import { FIRST_OWN_TRAIT, FIRST_WIDE, MEMORY, Memory } from '../shared-memory/memory.ts';
import { spin } from '../shared-memory/spin.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import { type HearsThreadEnds, THREAD_ENDED } from '../thread/thread-end.ts';
import type { AnyBarrier, BarrierOptions } from './barrier.ts';

const STATE = FIRST_WIDE;
const PARTIES = FIRST_WIDE + 1;
/** How long a wait may last that does not say so itself: the bits of a number of ms, `NaN` where there is no such limit. */
const TIMEOUT = FIRST_WIDE + 2;
/** How many broken rounds were noted, and from the next word on the last of them. */
const NOTED = FIRST_WIDE + 3;
const NOTES = FIRST_WIDE + 4;
const REMEMBERED = 32n;
/** From this word on, by its index, who arrived last there: the round, and in the lower 23 bits the thread's number and 1. */
const ARRIVALS = NOTES + Number(REMEMBERED);
const WORDS = 2 * (4 + Number(REMEMBERED));

const BROKEN = 1n;
const WAITED = 2n;
const RESETTING = 4n;
const ONE_ARRIVED = 8n;
const ARRIVED = (2n ** 20n - 1n) * ONE_ARRIVED;
const ONE_ROUND = 2n ** 23n;
const MOST_PARTIES = 2 ** 20 - 1;

/** In the memory's traits: made with an action, so that every handle has to say its own. */
const WITH_ACTION = FIRST_OWN_TRAIT;

type Action = () => unknown;

/** `threading.Barrier` between the threads of one process. */
export class Barrier implements AnyBarrier, WaitListOwner, HearsThreadEnds {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly parties: number;
  readonly #words: WideWords;
  readonly #action: Action | undefined;
  readonly #timeout: number | undefined;
  #list: WaitList | undefined;
  #door: BarrierDoor | undefined;

  /** For `parties`, 1 to 1,048,575. A promise that the action gives is awaited, save in `waitSync`, which refuses it. */
  constructor(parties: number, options?: BarrierOptions);
  /** @internal The barrier that this memory is, with the action of this side. */
  constructor(memory: Memory, options: BarrierOptions);
  constructor(parties: number | Memory, options?: BarrierOptions) {
    const given = checkOptions(options, 'new Barrier');
    checkKnown(given, ['action', 'timeout'], 'new Barrier');
    const { action, timeout } = given;
    if (action !== undefined && action !== null) checkFunction(action, 'Barrier: action');
    const limit = checkTimeout(timeout, 'new Barrier');
    this.#action = action ?? undefined;
    const memory =
      parties instanceof Memory ? checkAttached(parties, action) : makeMemory(parties, this.#action, limit);
    this[MEMORY] = memory;
    this.#words = memory.wide();
    this.parties = Number(loadWide(this.#words, PARTIES));
    this.#timeout = timeout === undefined ? numberOf(loadWide(this.#words, TIMEOUT)) : limit;
  }

  wait(options?: WaitOptions): Promise<number> {
    try {
      const { timeout, signal } = checkWait(options, 'Barrier.wait');
      const deadline = Deadline.after(options?.timeout === undefined ? this.#timeout : timeout);
      const arrival = this.#arrival();
      if (arrival.attempt() === undefined) return this.#leave(arrival);
      this.#list ??= new WaitList(this.#words, STATE, this);
      return this.#list.enqueue(arrival, deadline, signal).then(() => this.#leave(arrival));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `wait`, blocking the thread. The last to arrive runs its action here, which must not be asynchronous. */
  waitSync(options?: BlockingOptions): number {
    const timeout = checkBlocking(options, 'Barrier.waitSync');
    const deadline = Deadline.after(options?.timeout === undefined ? this.#timeout : timeout);
    const arrival = this.#arrival();
    const arrived = spin(() => arrival.attempt() === undefined);
    if (!arrived && !waitSync(this.#words, STATE, arrival, deadline)) arrival.expired();
    if (arrival.last) this.#actSync(arrival);
    return arrival.index;
  }

  reset(): void {
    for (;;) {
      const seen = this.#look();
      if ((seen & (BROKEN | ARRIVED)) === 0n) return;
      // From here on nothing but this can end the round: what is noted of it stays true.
      if (compareExchangeWide(this.#words, STATE, seen, seen | RESETTING) !== seen) continue;
      this.#look();
      return;
    }
  }

  abort(): void {
    for (;;) {
      const seen = this.#look();
      if ((seen & BROKEN) !== 0n || this.#break(roundOf(seen))) return;
    }
  }

  waiting(): number {
    const seen = loadWide(this.#words, STATE);
    return (seen & (BROKEN | RESETTING)) === 0n ? arrivedIn(seen) : 0;
  }

  broken(): boolean {
    return (loadWide(this.#words, STATE) & (BROKEN | RESETTING)) === BROKEN;
  }

  /** @internal Breaks the round that a party waits in whose thread has ended: it will not leave. */
  [THREAD_ENDED](thread: number): void {
    const seen = loadWide(this.#words, STATE);
    const arrival = arrivalOf(roundOf(seen), thread);
    for (let index = arrivedIn(seen) - 1; index >= 0; index -= 1) {
      if (loadWide(this.#words, ARRIVALS + index) === arrival) return void this.#break(roundOf(seen));
    }
  }

  /** @internal Whatever changes the word wakes all: nothing is owed to anybody. */
  relinquish(): void {}

  /** @internal Who came while an action ran arrives once that round is over, whoever of its own round came before. */
  readonly allTry = true;

  #arrival(): Arrival {
    this.#door ??= {
      words: this.#words,
      look: () => this.#look(),
      parties: this.parties,
      acts: this.#action !== undefined,
      break: (round) => this.#break(round),
      wakeUp: () => this.#wakeUp(),
      wasBroken: (round) => this.#isNoted(round),
      brokenError: () => this.#brokenError(),
    };
    return new Arrival(this.#door);
  }

  #leave(arrival: Arrival): Promise<number> {
    return arrival.last ? this.#act(arrival) : Promise.resolve(arrival.index);
  }

  async #act(arrival: Arrival): Promise<number> {
    try {
      await this.#action?.();
    } catch (error) {
      this.#break(arrival.round);
      throw error;
    }
    this.#complete(arrival.round);
    return arrival.index;
  }

  #actSync(arrival: Arrival): void {
    try {
      const given = this.#action?.();
      if (given instanceof Promise) {
        given.catch(() => {});
        throw typeError(
          'Barrier.waitSync: a blocked thread cannot await its asynchronous action; use wait()',
        );
      }
    } catch (error) {
      this.#break(arrival.round);
      throw error;
    }
    this.#complete(arrival.round);
  }

  /** The action has been run: the round is over. */
  #complete(round: bigint): void {
    for (;;) {
      const seen = this.#look();
      if (roundOf(seen) !== round || (seen & BROKEN) !== 0n) throw this.#brokenError();
      if (compareExchangeWide(this.#words, STATE, seen, (round + 1n) * ONE_ROUND) !== seen) continue;
      this.#wakeUp();
      return;
    }
  }

  /** Breaks that round; false where it has ended or is broken already. */
  #break(round: bigint): boolean {
    for (;;) {
      const seen = this.#look();
      if (roundOf(seen) !== round || (seen & BROKEN) !== 0n) return false;
      const next = (seen | BROKEN) & ~WAITED;
      if (compareExchangeWide(this.#words, STATE, seen, next) !== seen) continue;
      this.#wakeUp();
      return true;
    }
  }

  #wakeUp(): void {
    wakeAll(this.#words, STATE);
    this.#list?.kick();
  }

  /** What stands in the word, where no reset is under way: one that is, is seen through here. */
  #look(): bigint {
    for (;;) {
      const seen = loadWide(this.#words, STATE);
      if ((seen & RESETTING) === 0n) return seen;
      const round = roundOf(seen);
      this.#note(round);
      const next = (round + 1n) * ONE_ROUND;
      if (compareExchangeWide(this.#words, STATE, seen, next) === seen) this.#wakeUp();
    }
  }

  #note(round: bigint): void {
    const at = (count: bigint) => NOTES + Number(count % REMEMBERED);
    for (;;) {
      const count = loadWide(this.#words, NOTED);
      // Others may be at the same: it is noted once.
      if (count > 0n && loadWide(this.#words, at(count - 1n)) === round + 1n) return;
      const old = loadWide(this.#words, at(count));
      const noted =
        old === round + 1n || compareExchangeWide(this.#words, at(count), old, round + 1n) === old;
      if (!noted) continue;
      compareExchangeWide(this.#words, NOTED, count, count + 1n);
      return;
    }
  }

  #isNoted(round: bigint): boolean {
    for (let place = 0; place < Number(REMEMBERED); place += 1) {
      if (loadWide(this.#words, NOTES + place) === round + 1n) return true;
    }
    return false;
  }

  #brokenError(): BrokenBarrierError {
    const primitive = this[MEMORY].label;
    return new BrokenBarrierError(
      `${primitive} is broken: a party timed out, aborted, failed or ended with its thread, or it was reset or aborted; reset() makes it whole`,
      { primitive },
    );
  }
}

function roundOf(state: bigint): bigint {
  return state / ONE_ROUND;
}

function arrivalOf(round: bigint, thread: number): bigint {
  return BigInt.asIntN(64, round * ONE_ROUND + BigInt(thread + 1));
}

function arrivedIn(state: bigint): number {
  return Number((state & ARRIVED) / ONE_ARRIVED);
}

function makeMemory(parties: number, action: Action | undefined, timeout: number | undefined): Memory {
  checkCount(parties, 'new Barrier(parties): parties', { max: MOST_PARTIES });
  const memory = Memory.make('Barrier', WORDS + 2 * parties, action === undefined ? 0 : WITH_ACTION);
  storeWide(memory.wide(), PARTIES, BigInt(parties));
  storeWide(memory.wide(), TIMEOUT, bitsOf(timeout));
  return memory;
}

function bitsOf(number = Number.NaN): bigint {
  return new BigInt64Array(new Float64Array([number]).buffer)[0] as bigint;
}

function numberOf(bits: bigint): number | undefined {
  const [number] = new Float64Array(new BigInt64Array([bits]).buffer);
  return Number.isNaN(number) ? undefined : number;
}

/** Whether attaching this needs to say which action its side has. */
export function needsAction(primitive: { readonly [MEMORY]: Memory }): boolean {
  const { kind, traits } = primitive[MEMORY];
  return kind === 'Barrier' && (traits & WITH_ACTION) !== 0;
}

function checkAttached(memory: Memory, action: unknown): Memory {
  if ((memory.traits & WITH_ACTION) !== 0 && action === undefined) {
    throw typeError(
      `attach: ${memory.label} was made with an action, and functions do not travel; say attach(handle, { action }) or { action: null }`,
    );
  }
  return memory;
}

/** What an arrival asks of its barrier. */
interface BarrierDoor {
  readonly words: WideWords;
  look(): bigint;
  readonly parties: number;
  readonly acts: boolean;
  break(round: bigint): boolean;
  wakeUp(): void;
  wasBroken(round: bigint): boolean;
  brokenError(): BrokenBarrierError;
}

class Arrival extends Wish<void> {
  readonly #door: BarrierDoor;
  #arrived = false;
  round = 0n;
  index = 0;
  /** It completed the round and has an action to run before that is over. */
  last = false;

  constructor(door: BarrierDoor) {
    super();
    this.#door = door;
  }

  attempt(): bigint | undefined {
    const { words } = this.#door;
    for (;;) {
      const seen = this.#door.look();
      if (this.#arrived && roundOf(seen) !== this.round) return this.#ended();
      if ((seen & BROKEN) !== 0n) throw this.#door.brokenError();
      if (!this.#arrived && arrivedIn(seen) < this.#door.parties) {
        if (!this.#arrive(seen)) continue;
        if (this.index === this.#door.parties - 1) return undefined;
        continue;
      }
      const next = seen | WAITED;
      if (next === seen || compareExchangeWide(words, STATE, seen, next) === seen) return next;
    }
  }

  granted(): void {}

  expired(): void {
    if (!this.#arrived || this.#door.break(this.round)) throw this.#door.brokenError();
    if (roundOf(loadWide(this.#door.words, STATE)) === this.round) throw this.#door.brokenError();
    this.#ended();
  }

  override aborted(): void {
    if (this.#arrived) this.#door.break(this.round);
  }

  #arrive(seen: bigint): boolean {
    const { words, parties, acts } = this.#door;
    const index = arrivedIn(seen);
    const completes = index === parties - 1 && !acts;
    const next = completes ? (roundOf(seen) + 1n) * ONE_ROUND : seen + ONE_ARRIVED;
    if (compareExchangeWide(words, STATE, seen, next) !== seen) return false;
    this.#arrived = true;
    this.round = roundOf(seen);
    this.index = index;
    storeWide(words, ARRIVALS + index, arrivalOf(this.round, threadId));
    this.last = index === parties - 1 && acts;
    if (completes) this.#door.wakeUp();
    return true;
  }

  /** The word is past the round: it was completed, or broken and reset. */
  #ended(): undefined {
    if (this.#door.wasBroken(this.round)) throw this.#door.brokenError();
    return undefined;
  }
}
