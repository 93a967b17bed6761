/** What the threads of the specs do. Plain reads and writes of shared memory are races unless a primitive parts them. */
import type { Barrier } from '../barrier/barrier.local.ts';
import type { Event } from '../event/event.local.ts';
import type { Lock } from '../lock/lock.local.ts';
import type { Queue } from '../queue/queue.local.ts';
import type { QueueCore } from '../queue/queue-core.local.ts';
import type { Semaphore } from '../semaphore/semaphore.local.ts';
import { attach, type Handle } from '../sharing/share.ts';

type Cells = Int32Array<SharedArrayBuffer>;

/** Somebody else may come in between the read and the write, if nothing keeps them out. */
function increment(cells: Cells, index: number): void {
  const seen = cells[index] as number;
  for (let pause = 0; pause < 20; pause += 1) void cells[index];
  cells[index] = seen + 1;
}

/**
 * Adds until `cells[1]` is set, blocking; gives how often, and says so in `cells[place]` meanwhile. With `hasty`, most
 * waits are given up soon.
 */
export function addSync(handle: Handle<Lock>, cells: Cells, place: number, hasty: boolean): number {
  const lock = attach(handle);
  let done = 0;
  while (cells[1] === 0) {
    if (!lock.acquireSync(hasty ? { timeout: Math.random() * 0.05 } : undefined)) continue;
    increment(cells, 0);
    done += 1;
    cells[place] = done;
    lock.release();
  }
  return done;
}

/** The same, asynchronously from `lines` loops at once; gives how often, and whether the tokens rose. */
export async function addAsync(
  handle: Handle<Lock>,
  cells: Cells,
  place: number,
  lines: number,
  hasty: boolean,
): Promise<{ done: number; rising: boolean }> {
  const lock = attach(handle);
  let done = 0;
  let last = 0;
  let rising = true;
  const line = async () => {
    while (cells[1] === 0) {
      const lease = await lock.acquire(hasty ? { timeout: Math.random() * 2 } : {});
      if (lease === null) continue;
      increment(cells, 0);
      done += 1;
      cells[place] = done;
      rising &&= lease.token > last;
      last = lease.token;
      await lease.release();
    }
  };
  await Promise.all(Array.from({ length: lines }, line));
  return { done, rising };
}

/** Writes each hold's token behind the one before, under the lock; `cells[0]` says how many there are. */
export async function logTokens(handle: Handle<Lock>, cells: Cells, times: number): Promise<void> {
  const lock = attach(handle);
  for (let n = 0; n < times; n += 1) {
    await lock.with((lease) => {
      const at = (cells[0] as number) + 1;
      cells[at] = lease.token;
      cells[0] = at;
    });
  }
}

/** Takes a robust lock, and stands still before it has written down that it did. */
export function standStillTaking(handle: Handle<Lock>, cells: Cells): void {
  const lock = attach(handle);
  const store = Atomics.store;
  Atomics.store = ((...args: Parameters<typeof store>) => {
    store(cells, 0, 1);
    Atomics.wait(cells, 1, 0);
    return store(...args);
  }) as typeof store;
  lock.acquireSync();
}

/** Blocks for the lock, having said so in `cells[0]`; then holds it for ever. */
export function acquireAndStay(handle: Handle<Lock>, cells: Cells): void {
  const lock = attach(handle);
  cells[0] = 1;
  lock.acquireSync();
  cells[0] = 2;
  while (cells[1] === 0);
}

/** Blocks on the semaphore or lock once for each round that `cells[1]` begins; says before it that it will, and after. */
export function blockEachRound(handle: Handle<Lock | Semaphore>, cells: Cells, rounds: number): void {
  const lock = attach(handle);
  for (let round = 1; round <= rounds; round += 1) {
    while (Atomics.load(cells, 1) < round);
    Atomics.add(cells, 0, 1);
    lock.acquireSync();
    if ('locked' in lock) lock.release();
    Atomics.add(cells, 2, 1);
  }
}

/** Queues an asynchronous waiter, says so, and keeps its event loop busy until `cells[1]` is set. */
export function waitWithBusyLoop(handle: Handle<Lock>, cells: Cells): void {
  const lock = attach(handle);
  void lock.acquire().then((lease) => lease.release());
  cells[0] = 1;
  while (cells[1] === 0);
}

/** Moves permits in and out until `cells[1]` is set; gives the most that were seen inside at once. */
export async function permits(
  handle: Handle<Semaphore>,
  cells: Cells,
  blocking: boolean,
  limit: number,
): Promise<number> {
  const semaphore = attach(handle);
  let most = 0;
  while (cells[1] === 0) {
    const wished = 1 + Math.floor(Math.random() * limit);
    const timeout = Math.random() < 0.3 ? Math.random() : undefined;
    const got = blocking
      ? semaphore.acquireSync({ permits: wished, timeout })
      : (await semaphore.acquire({ permits: wished, timeout })) !== null;
    if (!got) continue;
    most = Math.max(most, Atomics.add(cells, 0, wished) + wished);
    for (let pause = 0; pause < 50; pause += 1) void cells[2];
    Atomics.sub(cells, 0, wished);
    semaphore.release(wished);
    if (!blocking) await null;
  }
  return most;
}

/** Waits for each of `rounds` sets of the event, alternating with an answer by the other one; gives how many it saw. */
export async function answer(
  ping: Handle<Event>,
  pong: Handle<Event>,
  rounds: number,
  blocking: boolean,
): Promise<number> {
  const asked = attach(ping);
  const answered = attach(pong);
  let seen = 0;
  for (let round = 0; round < rounds; round += 1) {
    if (!(blocking ? asked.waitSync({ timeout: 10_000 }) : await asked.wait({ timeout: 10_000 }))) break;
    seen += 1;
    asked.clear();
    answered.set();
  }
  return seen;
}

/** Says so, then waits for the event. */
export async function waitForEvent(handle: Handle<Event>, cells: Cells, blocking: boolean): Promise<boolean> {
  const event = attach(handle);
  Atomics.add(cells, 0, 1);
  return blocking ? event.waitSync() : await event.wait();
}

/** Goes through `rounds` of the barrier; gives the index of each round and whether all had come before it went on. */
export async function goRounds(
  handle: Handle<Barrier>,
  cells: Cells,
  rounds: number,
  blocking: boolean,
): Promise<{ indices: number[]; together: boolean }> {
  const barrier = attach(handle);
  const indices: number[] = [];
  let together = true;
  for (let round = 1; round <= rounds; round += 1) {
    Atomics.add(cells, round, 1);
    indices.push(blocking ? barrier.waitSync() : await barrier.wait());
    together &&= Atomics.load(cells, round) === barrier.parties;
  }
  return { indices, together };
}

/** Waits to be thrown out by a reset, and comes again at once; gives how often that threw too. */
export function comeAgain(handle: Handle<Barrier>, rounds: number): number {
  const barrier = attach(handle);
  let thrown = 0;
  for (let round = 0; round < rounds; round += 1) {
    try {
      barrier.waitSync();
    } catch {
      // As it should.
    }
    try {
      barrier.waitSync();
    } catch {
      thrown += 1;
      while (barrier.broken());
      barrier.waitSync();
    }
  }
  return thrown;
}

/** Arrives, having said so; gives what came of it. */
export function arrive(handle: Handle<Barrier>, cells: Cells): string {
  const barrier = attach(handle);
  Atomics.add(cells, 0, 1);
  try {
    return String(barrier.waitSync());
  } catch (error) {
    return (error as Error).name;
  }
}

/** Holds the queue's own lock for ever, as if it were at work under it; `torn`: as if it were changing the items. */
export function stayInQueue(handle: Handle<Queue>, cells: Cells, torn: boolean): void {
  const { core } = attach(handle) as unknown as { core: QueueCore };
  core.putting(() => {
    if (torn) core.tear();
    cells[0] = 1;
    while (cells[1] === 0);
  });
}
