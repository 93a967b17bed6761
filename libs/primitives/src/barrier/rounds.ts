/**
 * The rounds of a barrier: how they fill, end and break, on one 64-bit word. The words, each 64 bits wide:
 *
 * | word | holds | changed by |
 * |---|---|---|
 * | `STATE` | how far the round has come, by bits as below; who waits sleeps on it | whoever arrives, ends a round or breaks it |
 * | `PARTIES` | how many make a round | nobody |
 * | `TIMEOUT` | how long a wait may last that does not say so itself: the bits of a number of ms, `NaN` where there is no such limit | nobody |
 * | `NOTES` … | broken rounds (`broken-rounds.ts`) | who sees a reset through |
 * | `ARRIVALS` … | who arrived last, by its index there: the round, and in the lower 23 bits the thread's number and 1 | who arrives |
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
 * broken rounds are noted beside it. Only an action makes a round full for longer than one step; who comes meanwhile
 * waits for the next.
 */
import { threadId } from 'node:worker_threads';
import type { Deadline } from '../deadline.ts';
import { BrokenBarrierError } from '../errors.ts';
import { compareExchangeWide, loadWide, storeWide, type WideWords } from '../shared-memory/cells.ts';
import { FIRST_WIDE, Memory } from '../shared-memory/memory.ts';
import { spin } from '../shared-memory/spin.ts';
import { WaitList, type WaitListOwner } from '../shared-memory/wait-list.ts';
import { Wish, waitSync, wakeAll } from '../shared-memory/word.ts';
import { BROKEN_ROUNDS_WORDS, BrokenRounds } from './broken-rounds.ts';

const STATE = FIRST_WIDE;
const PARTIES = FIRST_WIDE + 1;
const TIMEOUT = FIRST_WIDE + 2;
const NOTES = FIRST_WIDE + 3;
const ARRIVALS = NOTES + BROKEN_ROUNDS_WORDS;

const BROKEN = 1n;
const WAITED = 2n;
const RESETTING = 4n;
const ONE_ARRIVED = 8n;
const ARRIVED = (2n ** 20n - 1n) * ONE_ARRIVED;
const ONE_ROUND = 2n ** 23n;
/** The most parties that the word can count. */
export const MOST_PARTIES: number = 2 ** 20 - 1;

/** New memory for a barrier. */
export function makeBarrierMemory(parties: number, timeout: number | undefined, traits: number): Memory {
  const memory = Memory.make('Barrier', 2 * (ARRIVALS - FIRST_WIDE + parties), traits);
  storeWide(memory.wide(), PARTIES, BigInt(parties));
  storeWide(memory.wide(), TIMEOUT, bitsOf(timeout));
  return memory;
}

/** The rounds that this memory is of, as seen by one handle. */
export class Rounds implements WaitListOwner {
  readonly parties: number;
  /** Whether a full round ends only once an action has been run. */
  readonly acts: boolean;
  readonly words: WideWords;
  readonly #label: string;
  readonly #brokenRounds: BrokenRounds;
  #list: WaitList | undefined;

  constructor(memory: Memory, acts: boolean) {
    this.words = memory.wide();
    this.parties = Number(loadWide(this.words, PARTIES));
    this.acts = acts;
    this.#label = memory.label;
    this.#brokenRounds = new BrokenRounds(this.words, NOTES);
  }

  /** How long a wait may last that does not say so itself. */
  get timeout(): number | undefined {
    return numberOf(loadWide(this.words, TIMEOUT));
  }

  /** Waits until the round of that arrival is past, or full with an action for it to run; `undefined` where it is at once. */
  wait(arrival: Arrival, deadline: Deadline, signal: AbortSignal | undefined): Promise<void> | undefined {
    if (arrival.attempt() === undefined) return undefined;
    this.#list ??= new WaitList(this.words, STATE, this);
    return this.#list.enqueue(arrival, deadline, signal);
  }

  /** `wait`, blocking the thread. */
  waitSync(arrival: Arrival, deadline: Deadline): void {
    const arrived = spin(() => arrival.attempt() === undefined);
    if (!arrived && !waitSync(this.words, STATE, arrival, deadline)) arrival.expired();
  }

  /** The action has been run: the round is over. */
  complete(round: bigint): void {
    for (;;) {
      const seen = this.look();
      if (roundOf(seen) !== round || (seen & BROKEN) !== 0n) throw this.brokenError();
      if (compareExchangeWide(this.words, STATE, seen, (round + 1n) * ONE_ROUND) !== seen) continue;
      this.wakeUp();
      return;
    }
  }

  /** Breaks that round; false where it has ended or is broken already. */
  break(round: bigint): boolean {
    for (;;) {
      const seen = this.look();
      if (roundOf(seen) !== round || (seen & BROKEN) !== 0n) return false;
      const next = (seen | BROKEN) & ~WAITED;
      if (compareExchangeWide(this.words, STATE, seen, next) !== seen) continue;
      this.wakeUp();
      return true;
    }
  }

  /** Breaks whatever round there is. */
  abort(): void {
    for (;;) {
      const seen = this.look();
      if ((seen & BROKEN) !== 0n || this.break(roundOf(seen))) return;
    }
  }

  /** Breaks the round in which a party waits that this thread was. */
  breakFor(thread: number): void {
    const seen = loadWide(this.words, STATE);
    const arrival = arrivalOf(roundOf(seen), thread);
    for (let index = arrivedIn(seen) - 1; index >= 0; index -= 1) {
      if (loadWide(this.words, ARRIVALS + index) === arrival) return void this.break(roundOf(seen));
    }
  }

  reset(): void {
    for (;;) {
      const seen = this.look();
      if ((seen & (BROKEN | ARRIVED)) === 0n) return;
      // From here on nothing but this can end the round: what is noted of it stays true.
      if (compareExchangeWide(this.words, STATE, seen, seen | RESETTING) !== seen) continue;
      this.look();
      return;
    }
  }

  /** How many have arrived in the round. */
  get waiting(): number {
    const seen = loadWide(this.words, STATE);
    return (seen & (BROKEN | RESETTING)) === 0n ? arrivedIn(seen) : 0;
  }

  get broken(): boolean {
    return (loadWide(this.words, STATE) & (BROKEN | RESETTING)) === BROKEN;
  }

  /** What stands in the word, where no reset is under way: one that is, is seen through here. */
  look(): bigint {
    for (;;) {
      const seen = loadWide(this.words, STATE);
      if ((seen & RESETTING) === 0n) return seen;
      const round = roundOf(seen);
      this.#brokenRounds.note(round);
      const next = (round + 1n) * ONE_ROUND;
      if (compareExchangeWide(this.words, STATE, seen, next) === seen) this.wakeUp();
    }
  }

  wakeUp(): void {
    wakeAll(this.words, STATE);
    this.#list?.kick();
  }

  /** Whether that round, which is past, was broken and reset. */
  wasBroken(round: bigint): boolean {
    return this.#brokenRounds.has(round);
  }

  /** Whatever changes the word wakes all: nothing is owed to anybody. */
  relinquish(): void {}

  /** Who came while an action ran arrives once that round is over, whoever of its own round came before. */
  readonly allTry = true;

  brokenError(): BrokenBarrierError {
    return new BrokenBarrierError(
      `${this.#label} is broken: a party timed out, aborted, failed or ended with its thread, or it was reset or aborted; reset() makes it whole`,
      { primitive: this.#label },
    );
  }
}

/** One party's arrival, and its wait for the others. */
export class Arrival extends Wish<void> {
  readonly #rounds: Rounds;
  #arrived = false;
  round = 0n;
  index = 0;
  /** It completed the round and has an action to run before that is over. */
  last = false;

  constructor(rounds: Rounds) {
    super();
    this.#rounds = rounds;
  }

  attempt(): bigint | undefined {
    const { words, parties } = this.#rounds;
    for (;;) {
      const seen = this.#rounds.look();
      if (this.#arrived && roundOf(seen) !== this.round) return this.#ended();
      if ((seen & BROKEN) !== 0n) throw this.#rounds.brokenError();
      if (!this.#arrived && arrivedIn(seen) < parties) {
        if (!this.#arrive(seen)) continue;
        if (this.index === parties - 1) return undefined;
        continue;
      }
      const next = seen | WAITED;
      if (next === seen || compareExchangeWide(words, STATE, seen, next) === seen) return next;
    }
  }

  granted(): void {}

  expired(): void {
    if (!this.#arrived || this.#rounds.break(this.round)) throw this.#rounds.brokenError();
    if (roundOf(loadWide(this.#rounds.words, STATE)) === this.round) throw this.#rounds.brokenError();
    this.#ended();
  }

  override aborted(): void {
    if (this.#arrived) this.#rounds.break(this.round);
  }

  #arrive(seen: bigint): boolean {
    const { words, parties, acts } = this.#rounds;
    const index = arrivedIn(seen);
    const completes = index === parties - 1 && !acts;
    const next = completes ? (roundOf(seen) + 1n) * ONE_ROUND : seen + ONE_ARRIVED;
    if (compareExchangeWide(words, STATE, seen, next) !== seen) return false;
    this.#arrived = true;
    this.round = roundOf(seen);
    this.index = index;
    storeWide(words, ARRIVALS + index, arrivalOf(this.round, threadId));
    this.last = index === parties - 1 && acts;
    if (completes) this.#rounds.wakeUp();
    return true;
  }

  /** The word is past the round: it was completed, or broken and reset. */
  #ended(): undefined {
    if (this.#rounds.wasBroken(this.round)) throw this.#rounds.brokenError();
    return undefined;
  }
}

function roundOf(state: bigint): bigint {
  return state / ONE_ROUND;
}

function arrivedIn(state: bigint): number {
  return Number((state & ARRIVED) / ONE_ARRIVED);
}

function arrivalOf(round: bigint, thread: number): bigint {
  return BigInt.asIntN(64, round * ONE_ROUND + BigInt(thread + 1));
}

function bitsOf(number = Number.NaN): bigint {
  return new BigInt64Array(new Float64Array([number]).buffer)[0] as bigint;
}

function numberOf(bits: bigint): number | undefined {
  const [number] = new Float64Array(new BigInt64Array([bits]).buffer);
  return Number.isNaN(number) ? undefined : number;
}
