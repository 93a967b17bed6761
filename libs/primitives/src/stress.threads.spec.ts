/**
 * Four threads on one primitive, two blocking and two with asynchronous waiters, with time-outs and aborts thrown by
 * dice. `HEDDLE_STRESS_MS`: how long all of it goes on, 2 s unless said (30,000 is the long one). `HEDDLE_STRESS_SEED`
 * repeats the dice of a run; when threads meet is never repeated.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { Condition } from './condition/condition.local.ts';
import { Event } from './event/event.local.ts';
import { Lock } from './lock/lock.local.ts';
import { Queue } from './queue/queue.local.ts';
import { ReadWriteLock } from './read-write-lock/read-write-lock.local.ts';
import { Semaphore } from './semaphore/semaphore.local.ts';
import { share } from './sharing/share.ts';
import {
  BEGUN,
  CELLS,
  GUARDED,
  INSIDE,
  type Part,
  type Piece,
  STOP,
  STORED,
  WRONG,
} from './testing/stress-tasks.ts';
import { Crew } from './testing/threads.ts';
import { later, until } from './testing/waiting.ts';

type Tasks = typeof import('./testing/stress-tasks.ts');
const newCrew = () => new Crew<Tasks>(new URL('./testing/stress-tasks.ts', import.meta.url));

const EACH = Number(process.env.HEDDLE_STRESS_MS ?? 2_000) / 6;
const SEED = Number(process.env.HEDDLE_STRESS_SEED ?? Math.floor(Math.random() * 2 ** 30));
const PATIENCE = EACH + 20_000;

/** The four threads: of those that give, and of those that take, one blocks and one does not. */
const parts: readonly Part[] = [0, 1, 2, 3].map((n) => ({
  seed: SEED + n,
  blocking: n % 2 === 0,
  gives: n < 2,
}));

describe(`four threads at once (HEDDLE_STRESS_SEED=${SEED})`, () => {
  let cells = new Int32Array(new SharedArrayBuffer(4 * CELLS));
  afterEach(() => {
    cells = new Int32Array(new SharedArrayBuffer(4 * CELLS));
  });

  /** Lets them work for a while and stops them; nobody who waits may be left. */
  async function results<T>(
    threads: readonly { readonly result: Promise<T> }[],
    wakeAll: () => unknown = () => {},
  ): Promise<T[]> {
    await until(() => cells[BEGUN] === parts.length, 'all four have begun');
    await Promise.race([later(EACH, undefined), ...threads.map((thread) => thread.result)]);
    cells[STOP] = 1;
    await wakeAll();
    const all = await Promise.all(threads.map((thread) => thread.result));
    expect(cells[WRONG]).toBe(0);
    return all;
  }

  const sum = (counts: readonly number[]) => counts.reduce((all, n) => all + n, 0);

  it(
    'hold one Lock one at a time',
    async () => {
      await using crew = newCrew();
      const lock = new Lock();
      const held = await results(parts.map((part) => crew.run('holdLock', share(lock), cells, part)));
      expect(cells[GUARDED]).toBeGreaterThan(0);
      expect(sum(held)).toBe(cells[GUARDED]);
      expect(lock.locked()).toBe(false);
    },
    PATIENCE,
  );

  it(
    'have no more permits of one Semaphore than there are',
    async () => {
      await using crew = newCrew();
      const semaphore = new Semaphore(3);
      const most = await results(
        parts.map((part) => crew.run('usePermits', share(semaphore), cells, part, 3)),
      );
      expect(Math.max(...most)).toBe(3);
      expect(cells[INSIDE]).toBe(0);
      expect(semaphore.value()).toBe(3);
    },
    PATIENCE,
  );

  it(
    'pass pieces under one Condition',
    async () => {
      await using crew = newCrew();
      const condition = new Condition();
      const moved = await results(
        parts.map((part) => crew.run('exchangePieces', share(condition), cells, part, 2)),
        () => condition.withSync(() => condition.notifyAll()),
      );
      expect(sum(moved)).toBe(cells[STORED]);
      expect(cells[GUARDED]).toBeGreaterThan(0);
      expect(condition.locked()).toBe(false);
    },
    PATIENCE,
  );

  it(
    'are stranded by no clear of one Event',
    async () => {
      await using crew = newCrew();
      const event = new Event();
      const threads = parts.map((part) => crew.run('watchEvent', share(event), cells, part));
      const early = await results(threads, async () => {
        await Promise.all(threads.filter((_, n) => parts[n]?.gives).map((thread) => thread.result));
        event.set();
      });
      expect(sum(early)).toBe(0);
    },
    PATIENCE,
  );

  it(
    'read together and write alone under one ReadWriteLock',
    async () => {
      await using crew = newCrew();
      const lock = new ReadWriteLock();
      const written = await results(parts.map((part) => crew.run('readAndWrite', share(lock), cells, part)));
      expect(sum(written)).toBe(cells[GUARDED]);
      expect(lock.read.locked()).toBe(false);
      expect(lock.write.locked()).toBe(false);
    },
    PATIENCE,
  );

  it(
    'take each piece of one Queue once',
    async () => {
      await using crew = newCrew();
      const queue = new Queue<Piece>({ maxsize: 8, maxBytes: 512 });
      const takers = parts.filter((part) => !part.gives);
      const givers = parts.filter((part) => part.gives);
      const taking = takers.map((part) => crew.run('takePieces', share(queue), cells, part));
      const put = await results(givers.map((part) => crew.run('putPieces', share(queue), cells, part)));
      expect(await queue.join({ timeout: 10_000 })).toBe(true);
      queue.shutdown();
      const taken = (await Promise.all(taking.map((thread) => thread.result))).flatMap((each) => [...each]);
      for (const [n, { seed }] of givers.entries()) {
        const theirs = taken.filter((_, at) => at % 2 === 1 && taken[at - 1] === seed).sort((a, b) => a - b);
        expect(theirs).toEqual(Array.from({ length: put[n] as number }, (_, each) => each));
      }
      expect(queue.empty()).toBe(true);
    },
    PATIENCE,
  );
});
