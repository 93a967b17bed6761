/**
 * The threads that `Thread` has started and that live: one table in shared memory, handed from each thread to those
 * it starts, so that every one can list, join and number them all.
 *
 * Word 0 (`NAMED`) counts the threads that were named by number. Then come `SEATS` seats of `SEAT` words each:
 *
 * | word | holds |
 * |---|---|
 * | 0 `LIFE` | odd while a thread has the seat, even else; grows by one at each change, and whoever joins sleeps on it |
 * | 1 `THREAD` | its number (Node's `threadId`) |
 * | 2 `NATIVE` | its number to the operating system, 0 where unknown |
 * | 3 `DAEMON` | 1 for a daemon |
 * | 4 `LENGTH` | bytes of its name |
 * | 5 … | its name in UTF-8 |
 *
 * | `LIFE` | by whom |
 * |---|---|
 * | even → odd | who starts a thread |
 * | odd → even | the thread as it ends; its starter when it sees it gone |
 */
import type { Deadline } from '../deadline.ts';
import { InvalidStateError } from '../errors.ts';
import { add, compareExchange, load, store, type Words } from './cells.ts';
import { hasEnded } from './thread-life.ts';
import { WaitList } from './wait-list.ts';
import { Wish, waitSync, wakeAll } from './word.ts';

const SEATS = 1024;
const SEAT = 64;
const NAMED = 0;

const LIFE = 0;
const THREAD = 1;
const NATIVE = 2;
const DAEMON = 3;
const LENGTH = 4;
const NAME = 5;
const NAME_BYTES = (SEAT - NAME) * 4;

/** How often who blocks for a thread's end looks whether the operating system still knows it, in ms. */
const LOOK = 100;

let table: Words | undefined;

function words(): Words {
  table ??= new Int32Array(new SharedArrayBuffer(4 * (1 + SEATS * SEAT)));
  return table;
}

/** The table, for a thread about to be started. */
export function rosterBuffer(): SharedArrayBuffer {
  return words().buffer;
}

/** In a started thread, first of all: uses the table of its starter. */
export function adoptRoster(buffer: SharedArrayBuffer): void {
  table = new Int32Array(buffer);
}

/** The next number for a thread without a name. */
export function nextThreadNumber(): number {
  return add(words(), NAMED, 1) + 1;
}

/** What a seat says of its thread. */
export interface SeatEntry {
  readonly name: string;
  readonly daemon: boolean;
}

/** The seats that are taken now. */
export function takenSeats(): Seat[] {
  const seats: Seat[] = [];
  for (let at = 1; at < words().length; at += SEAT) {
    const life = load(words(), at + LIFE);
    if (life % 2 !== 0) seats.push(new Seat(at, life));
  }
  return seats;
}

/** Takes a seat for a thread about to be started. */
export function takeSeat({ name, daemon }: SeatEntry): Seat {
  for (let at = 1; at < words().length; at += SEAT) {
    const life = load(words(), at + LIFE);
    if (life % 2 !== 0) continue;
    if (compareExchange(words(), at + LIFE, life, life + 1) !== life) continue;
    const bytes = new Uint8Array(words().buffer, (at + NAME) * 4, NAME_BYTES);
    store(words(), at + THREAD, -1);
    store(words(), at + NATIVE, 0);
    store(words(), at + DAEMON, daemon ? 1 : 0);
    store(words(), at + LENGTH, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).write(name));
    return new Seat(at, life + 1);
  }
  throw new InvalidStateError(`There are ${SEATS} live threads already; join some before starting more`);
}

/** One thread's place in the table, for as long as it lives. */
export class Seat {
  readonly at: number;
  readonly life: number;
  readonly #words: Words = words();
  #list: WaitList | undefined;

  constructor(at: number, life: number) {
    this.at = at;
    this.life = life;
  }

  get taken(): boolean {
    return load(this.#words, this.at + LIFE) === this.life;
  }

  get thread(): number {
    return load(this.#words, this.at + THREAD);
  }

  set thread(number: number) {
    store(this.#words, this.at + THREAD, number);
  }

  get nativeId(): number | undefined {
    const id = load(this.#words, this.at + NATIVE);
    return this.taken && id > 0 ? id : undefined;
  }

  set nativeId(id: number | undefined) {
    store(this.#words, this.at + NATIVE, id ?? 0);
  }

  get daemon(): boolean {
    return load(this.#words, this.at + DAEMON) === 1;
  }

  get name(): string {
    const length = load(this.#words, this.at + LENGTH);
    return Buffer.from(this.#words.buffer, (this.at + NAME) * 4, length).toString();
  }

  /** The thread has ended: gives the seat back and wakes those who join. Again: nothing happens. */
  end(): void {
    if (compareExchange(this.#words, this.at + LIFE, this.life, this.life + 1) !== this.life) return;
    wakeAll(this.#words, this.at + LIFE);
    this.#list?.kick();
  }

  /** Waits for the end: true; false where the deadline passed first. */
  ended(deadline: Deadline, signal: AbortSignal | undefined): Promise<boolean> {
    this.#list ??= new WaitList(this.#words, this.at + LIFE, { relinquish: () => {} });
    return this.#list.enqueue(new EndWish(this), deadline, signal);
  }

  /** Blocks for it. A thread that ended without a word is noticed where the operating system can tell. */
  endedSync(deadline: Deadline): boolean {
    return waitSync(this.#words, this.at + LIFE, new EndWish(this), deadline, LOOK);
  }
}

/** Waits for what nobody sees, the end of the process: false once the deadline has passed. */
export function neverEnds(deadline: Deadline, signal: AbortSignal | undefined): Promise<boolean> {
  const never: Words = new Int32Array(new SharedArrayBuffer(4));
  return new WaitList(never, 0, { relinquish: () => {} }).enqueue(new NeverWish(), deadline, signal);
}

/** Blocks for it. */
export function neverEndsSync(deadline: Deadline): boolean {
  return waitSync(new Int32Array(new SharedArrayBuffer(4)), 0, new NeverWish(), deadline);
}

class NeverWish extends Wish<boolean> {
  attempt(): number {
    return 0;
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}

class EndWish extends Wish<boolean> {
  readonly #seat: Seat;

  constructor(seat: Seat) {
    super();
    this.#seat = seat;
  }

  attempt(): number | undefined {
    if (!this.#seat.taken) return undefined;
    if (this.slices > 0 && hasEnded(this.#seat.nativeId ?? 0)) {
      this.#seat.end();
      return undefined;
    }
    return this.#seat.life;
  }

  granted(): boolean {
    return true;
  }

  expired(): boolean {
    return false;
  }
}
