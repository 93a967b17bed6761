import { ThreadCrashedError, ThreadPoolExecutor } from '@heddle/pool';
import { CancelledError, TimeoutError } from '@heddle/primitives';
import { describe, expect, it } from 'vitest';
import type * as tasks from './neighbour-tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./neighbour-tasks.ts', import.meta.url);
/** Words: how many threads were started; marks of the one beside, of the bad one; gates; then a mark for each one behind. */
const [STARTED, BESIDE, BAD, GATE, CRASH_GATE, BEHIND] = [0, 1, 2, 3, 4, 5];
const COUNT = 300;

type Pool = ThreadPoolExecutor<typeof tasks>;

async function pool(words: Int32Array): Promise<Pool> {
  const made: Pool = new ThreadPoolExecutor<typeof tasks>(TASKS, {
    maxWorkers: 2,
    gracePeriod: 20,
    initializer: 'started',
    initargs: [words],
  });
  // Quick ones first: from now on many are sent ahead.
  await Promise.all(Array.from({ length: 1000 }, () => made.submit('mark', words, BEHIND + COUNT)));
  await until(() => expect(words[STARTED]).toBe(2));
  return made;
}

function open(words: Int32Array, gate: number): void {
  Atomics.store(words, gate, 1);
  Atomics.notify(words, gate);
}

const marked = (words: Int32Array, at: number) => until(() => expect(words[at]).toBe(1));

/** One in either thread, one of them bad, and many behind both; `end` makes the bad one go wrong. */
async function besideAndBehind(
  start: (pool: Pool, words: Int32Array) => ReturnType<Pool['submit']>,
  end: (bad: ReturnType<Pool['submit']>, words: Int32Array) => unknown,
) {
  const words = new Int32Array(new SharedArrayBuffer(4 * (BEHIND + COUNT + 1)));
  await using executor = await pool(words);
  const beside = executor.submit('hold', words, BESIDE, GATE);
  await marked(words, BESIDE);
  const bad = start(executor, words);
  const behind = Array.from({ length: COUNT }, (_, n) => executor.submit('mark', words, BEHIND + n));
  await end(bad, words);
  const error = await bad.exception().catch((cancelled: Error) => cancelled);
  await Promise.all(behind);
  const besideRan = beside.running();
  open(words, GATE);
  await beside;
  const runs = new Set(words.slice(BEHIND, BEHIND + COUNT));
  return { error, besideRan, runs: [...runs], besideRuns: words[BESIDE], words };
}

/** Whatever became of the bad one: who ran beside it was not disturbed, and each behind it ran once. */
function expectUndisturbed(outcome: Awaited<ReturnType<typeof besideAndBehind>>): void {
  const { besideRan, besideRuns, runs } = outcome;
  expect({ besideRan, besideRuns, runs }).toEqual({ besideRan: true, besideRuns: 1, runs: [1] });
}

describe('what a bad task costs its neighbours', () => {
  it('nothing where it crashes: one thread is replaced, the other goes on, and each behind it runs once', async () => {
    const outcome = await besideAndBehind(
      (executor, words) => executor.submit('crash', words, BAD, CRASH_GATE),
      async (_, words) => {
        await marked(words, BAD);
        open(words, CRASH_GATE);
      },
    );
    expectUndisturbed(outcome);
    expect(outcome.error).toBeInstanceOf(ThreadCrashedError);
    expect([outcome.words[STARTED], outcome.words[BAD]]).toEqual([3, 1]);
  });

  it('nothing where it is aborted and goes on', async () => {
    const outcome = await besideAndBehind(
      (executor, words) => executor.submit('spin', words, BAD),
      async (bad, words) => {
        await marked(words, BAD);
        await bad.abort();
      },
    );
    expectUndisturbed(outcome);
    expect(outcome.error).toBeInstanceOf(CancelledError);
    expect([outcome.words[STARTED], outcome.words[BAD]]).toEqual([3, 1]);
  });

  it('nothing where it takes longer than its time', async () => {
    const outcome = await besideAndBehind(
      (executor, words) => executor.with({ timeout: 20 }).submit('spin', words, BAD) as never,
      (_, words) => marked(words, BAD),
    );
    expectUndisturbed(outcome);
    expect(outcome.error).toBeInstanceOf(TimeoutError);
    expect([outcome.words[STARTED], outcome.words[BAD]]).toEqual([3, 1]);
  });

  it('nothing where their arguments were moved, which cannot be sent to two threads', async () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    await using executor: Pool = new ThreadPoolExecutor<typeof tasks>(TASKS, {
      maxWorkers: 1,
      gracePeriod: 20,
    });
    const bad = executor.submit('spin', words, 0);
    await marked(words, 0);
    const moved = new Int32Array([7]);
    const behind = executor.with({ transfer: [moved.buffer] }).submit('mark', moved, 0);
    const more = executor.submit('mark', words, 0);
    await new Promise(setImmediate); // what may be sent ahead is
    await bad.abort();
    expect(await behind).toBe(await more);
  });

  it('nothing where they had ended and the news of it was held back: they may run again', async () => {
    const words = new Int32Array(new SharedArrayBuffer(4 * 2));
    await using executor: Pool = new ThreadPoolExecutor<typeof tasks>(TASKS, {
      maxWorkers: 1,
      gracePeriod: 20,
    });
    await Promise.all(Array.from({ length: 1000 }, () => executor.submit('markOrSpin', words, 0, false)));
    const before = Array.from({ length: 200 }, () => executor.submit('markOrSpin', words, 0, false));
    const bad = executor.submit('markOrSpin', words, 1, true);
    await marked(words, 1);
    await bad.abort();
    await Promise.all(before);
    expect(words[0]).toBeGreaterThanOrEqual(1200);
  });

  it('nothing where it is cancelled, though it was sent ahead: no thread is replaced, and it never begins', async () => {
    const words = new Int32Array(new SharedArrayBuffer(4 * (BEHIND + COUNT + 1)));
    await using executor = await pool(words);
    const held = [
      executor.submit('hold', words, BESIDE, GATE),
      executor.submit('hold', words, BAD, CRASH_GATE),
    ];
    await Promise.all([marked(words, BESIDE), marked(words, BAD)]);
    const behind = Array.from({ length: COUNT }, (_, n) => executor.submit('mark', words, BEHIND + n));
    const cancelled = await Promise.all(behind.filter((_, n) => n % 2 === 0).map((each) => each.cancel()));
    open(words, GATE);
    open(words, CRASH_GATE);
    const threads = new Set(await Promise.all(held));
    await Promise.all(behind.filter((_, n) => n % 2 === 1));
    expect(new Set(cancelled)).toEqual(new Set([true]));
    expect(behind.map((_, n) => words[BEHIND + n])).toEqual(behind.map((_, n) => n % 2));
    expect([threads.size, words[STARTED]]).toEqual([2, 2]);
  });
});
