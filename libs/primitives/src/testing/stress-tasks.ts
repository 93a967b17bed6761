/**
 * What the threads of the stress do, each until `cells[STOP]` is set: one primitive, blocking or from several
 * asynchronous lines, patient, hasty, or with a change of mind, as the dice say.
 */
import type { Condition } from '../condition/condition.local.ts';
import { QueueEmptyError, QueueFullError, QueueShutDownError } from '../errors.ts';
import type { Event } from '../event/event.local.ts';
import type { Lock } from '../lock/lock.local.ts';
import type { Lease } from '../lock/lock.ts';
import type { Queue } from '../queue/queue.local.ts';
import type { ReadWriteLock } from '../read-write-lock/read-write-lock.local.ts';
import type { Semaphore } from '../semaphore/semaphore.local.ts';
import { attach, type Handle } from '../sharing/share.ts';

type Cells = Int32Array<SharedArrayBuffer>;

/** Which cell means what. */
export const STOP = 0;
export const WRONG = 1;
export const READERS = 2;
export const WRITERS = 3;
export const INSIDE = 4;
export const STORED = 5;
/** How many threads have begun. */
export const BEGUN = 6;
/** From here on: plain memory that only a holder may touch. */
export const GUARDED = 8;
export const CELLS = 16;

/** Who a thread is. */
export interface Part {
  readonly seed: number;
  readonly blocking: boolean;
  /** Of two kinds of thread, where there are two: those that give, and those that take. */
  readonly gives: boolean;
}

/** Random numbers that a seed repeats (mulberry32, by Tommy Ettinger). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 up to 1. */
  roll(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return Math.floor(this.roll() * count);
  }
}

const CHANGED_MIND = new Error('changed its mind');

/** How long a blocking call is to wait: for ever, not at all, or a moment. */
function patience(dice: Dice): { timeout?: number } {
  const mood = dice.below(10);
  if (mood < 5) return {};
  return { timeout: mood === 5 ? 0 : dice.roll() * 0.3 };
}

/** The same for an asynchronous call, which may also be aborted. */
function anyPatience(dice: Dice): { timeout?: number; signal?: AbortSignal } {
  if (dice.below(10) > 0) return { timeout: dice.below(2) === 0 ? undefined : dice.roll() * 3 } as object;
  const control = new AbortController();
  setTimeout(() => control.abort(CHANGED_MIND), dice.below(3));
  return { signal: control.signal };
}

/** What an acquire gives, `null` also where it was aborted. */
async function unlessAborted<T>(acquired: Promise<T>): Promise<T | null> {
  try {
    return await acquired;
  } catch (error) {
    if (error === CHANGED_MIND) return null;
    throw error;
  }
}

/** Runs `line` until told to stop: in one blocking loop, or in three asynchronous ones that let each other in. */
async function lines(cells: Cells, { blocking }: Part, line: () => unknown): Promise<void> {
  Atomics.add(cells, BEGUN, 1);
  const run = async () => {
    while (cells[STOP] === 0) {
      await line();
      if (!blocking) await new Promise(setImmediate);
    }
  };
  await Promise.all(Array.from({ length: blocking ? 1 : 3 }, run));
}

/** Adds 1 to each guarded cell, in a way that anybody beside us would spoil, or be seen to. */
function change(cells: Cells): void {
  const seen = cells[GUARDED] as number;
  for (let at = GUARDED; at < CELLS; at += 1) {
    if (cells[at] !== seen) wrong(cells);
    cells[at] = seen + 1;
  }
}

function wrong(cells: Cells): void {
  Atomics.add(cells, WRONG, 1);
}

/** Gives how often it held the lock. */
export async function holdLock(handle: Handle<Lock>, cells: Cells, part: Part): Promise<number> {
  const lock = attach(handle);
  const dice = new Dice(part.seed);
  let held = 0;
  const work = () => {
    change(cells);
    held += 1;
  };
  await lines(cells, part, async () => {
    if (part.blocking) {
      if (!lock.acquireSync(patience(dice))) return;
      work();
      lock.release();
    } else {
      const lease: Lease | null = await unlessAborted(lock.acquire(anyPatience(dice)));
      if (lease === null) return;
      work();
      if (dice.below(4) === 0) await null;
      await lease.release();
    }
  });
  return held;
}

/** Gives the most permits that were out at once. */
export async function usePermits(
  handle: Handle<Semaphore>,
  cells: Cells,
  part: Part,
  limit: number,
): Promise<number> {
  const semaphore = attach(handle);
  const dice = new Dice(part.seed);
  let most = 0;
  const enter = (permits: number) => {
    most = Math.max(most, Atomics.add(cells, INSIDE, permits) + permits);
  };
  await lines(cells, part, async () => {
    const permits = 1 + dice.below(limit);
    if (part.blocking) {
      if (!semaphore.acquireSync({ ...patience(dice), permits })) return;
      enter(permits);
      Atomics.sub(cells, INSIDE, permits);
      semaphore.release(permits);
    } else {
      const lease = await unlessAborted(semaphore.acquire({ ...anyPatience(dice), permits }));
      if (lease === null) return;
      enter(permits);
      if (dice.below(4) === 0) await null;
      Atomics.sub(cells, INSIDE, permits);
      await lease.release();
    }
  });
  return most;
}

/** A store of at most `room` pieces, under a condition: gives how many were put in, less those taken out. */
export async function exchangePieces(
  handle: Handle<Condition>,
  cells: Cells,
  part: Part,
  room: number,
): Promise<number> {
  const condition = attach(handle);
  const dice = new Dice(part.seed);
  const step = part.gives ? 1 : -1;
  let moved = 0;
  const may = () => cells[STORED] !== (part.gives ? room : 0) || cells[STOP] !== 0;
  const move = () => {
    if (!may() || cells[STOP] !== 0) return;
    change(cells);
    cells[STORED] = (cells[STORED] as number) + step;
    if ((cells[STORED] as number) < 0 || (cells[STORED] as number) > room) wrong(cells);
    moved += step;
    condition.notifyAll();
  };
  await lines(cells, part, async () => {
    if (part.blocking) {
      condition.withSync(() => {
        condition.waitForSync(may, patience(dice));
        move();
      });
    } else {
      await condition.with(async () => {
        await unlessAborted(condition.waitFor(may, anyPatience(dice)));
        move();
      });
    }
  });
  return moved;
}

/** Sets and clears, or waits; gives how many waits came back false before their time. */
export async function watchEvent(handle: Handle<Event>, cells: Cells, part: Part): Promise<number> {
  const event = attach(handle);
  const dice = new Dice(part.seed);
  let early = 0;
  const judge = (came: boolean, timeout: number | undefined, start: number) => {
    // A time-out counts on another clock than this one: half a millisecond is theirs.
    if (!came && (timeout === undefined || performance.now() - start < timeout - 0.5)) early += 1;
  };
  await lines(cells, part, async () => {
    if (part.gives) {
      event.set();
      event.clear();
      return;
    }
    const start = performance.now();
    if (part.blocking) {
      const { timeout } = patience(dice);
      judge(event.waitSync({ timeout }), timeout, start);
    } else {
      const wait = anyPatience(dice);
      const came = await unlessAborted(event.wait(wait));
      if (came !== null) judge(came, wait.timeout, start);
    }
  });
  return early;
}

/** Reads and writes; gives how often it wrote. */
export async function readAndWrite(handle: Handle<ReadWriteLock>, cells: Cells, part: Part): Promise<number> {
  const lock = attach(handle);
  const dice = new Dice(part.seed);
  let written = 0;
  const write = () => {
    if (Atomics.add(cells, WRITERS, 1) !== 0 || Atomics.load(cells, READERS) !== 0) wrong(cells);
    change(cells);
    written += 1;
    Atomics.sub(cells, WRITERS, 1);
  };
  const read = () => {
    Atomics.add(cells, READERS, 1);
    if (Atomics.load(cells, WRITERS) !== 0) wrong(cells);
    for (let at = GUARDED; at < CELLS; at += 1) if (cells[at] !== cells[GUARDED]) wrong(cells);
    Atomics.sub(cells, READERS, 1);
  };
  await lines(cells, part, async () => {
    const writes = dice.below(3) === 0;
    const side = writes ? lock.write : lock.read;
    if (part.blocking) {
      if (!side.acquireSync(patience(dice))) return;
      (writes ? write : read)();
      side.release();
    } else {
      const lease = await unlessAborted(side.acquire(anyPatience(dice)));
      if (lease === null) return;
      (writes ? write : read)();
      await lease.release();
    }
  });
  return written;
}

/** What travels: whose it is, which of theirs, and something to make it longer. */
export interface Piece {
  readonly from: number;
  readonly n: number;
  readonly filling: string;
}

/** Puts pieces until told to stop; gives how many. */
export async function putPieces(handle: Handle<Queue<Piece>>, cells: Cells, part: Part): Promise<number> {
  const queue = attach(handle);
  const dice = new Dice(part.seed);
  let next = 0;
  await lines(cells, part, async () => {
    const piece = { from: part.seed, n: next, filling: 'x'.repeat(dice.below(60)) };
    next += 1;
    for (let put = false; !put; ) {
      try {
        if (part.blocking) queue.putSync(piece, patience(dice));
        else await queue.put(piece, anyPatience(dice));
        put = true;
      } catch (error) {
        if (!(error instanceof QueueFullError) && error !== CHANGED_MIND) throw error;
      }
    }
  });
  return next;
}

/** Takes pieces until the queue is shut down; gives them as `[from, n]`, one after the other. */
export async function takePieces(
  handle: Handle<Queue<Piece>>,
  cells: Cells,
  part: Part,
): Promise<Float64Array> {
  Atomics.add(cells, BEGUN, 1);
  const queue = attach(handle);
  const dice = new Dice(part.seed);
  const taken: number[] = [];
  const line = async () => {
    for (;;) {
      try {
        const piece = part.blocking ? queue.getSync(patience(dice)) : await queue.get(anyPatience(dice));
        taken.push(piece.from, piece.n);
        queue.taskDone();
      } catch (error) {
        if (error instanceof QueueShutDownError) return;
        if (!(error instanceof QueueEmptyError) && error !== CHANGED_MIND) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: part.blocking ? 1 : 3 }, line));
  return Float64Array.from(taken);
}
