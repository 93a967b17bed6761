/**
 * Waiting on a word of shared memory, and waking those who wait: the one place that blocks.
 *
 * A waiter is a `Wish`: one try at what it wants which, where it fails, says at which value of the word waiting is
 * right. Whoever makes a waiting value wrong changes the word first and wakes afterwards, so no wake-up is lost.
 * A wake-up dies with a thread that was terminated after the `notify` (seen with Node 20 to 26), so no wait sleeps longer
 * than a slice without a look at its word.
 */
import type { Deadline } from '../deadline.ts';
import type { WideWords, Words } from './cells.ts';

/** The longest sleep without a look at the word, in ms. */
export const SLICE = 1000;

/** What stands in a word. */
export type Value = number | bigint;

/** One waiter's want. */
export abstract class Wish<T> {
  /** Wake-ups after which somebody else was quicker. */
  races = 0;
  /** Slices in a row that ended without a wake-up; from 2 on, at least one whole slice. */
  slices = 0;

  /** One try: `undefined` where it is fulfilled, else the value of the word at which waiting is right. */
  abstract attempt(): Value | undefined;
  /** What a fulfilled wish gives. */
  abstract granted(): T;
  /** What one gives whose time ran out: a value, or an exception. */
  abstract expired(): T;
  /** Called where the caller's signal ended the wait. */
  aborted(): void {}
  /** Whether it goes before one that was queued earlier. */
  precedes(_other: Wish<unknown>): boolean {
    return false;
  }
}

/** Blocks this thread for so many ms. */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Wakes up to `count` waiters of a word. */
export function wake(words: Words | WideWords, index: number, count: number): void {
  Atomics.notify(words as Int32Array<SharedArrayBuffer>, index, count);
}

/** Wakes all waiters of a word. */
export function wakeAll(words: Words | WideWords, index: number): void {
  Atomics.notify(words as Int32Array<SharedArrayBuffer>, index);
}

/** Blocks this thread until the wish is fulfilled (true) or the deadline has passed (false). */
export function waitSync(
  words: Words | WideWords,
  index: number,
  wish: Wish<unknown>,
  deadline: Deadline,
  slice = SLICE,
): boolean {
  for (;;) {
    const seen = wish.attempt();
    if (seen === undefined) return true;
    const left = deadline.remaining();
    if (left === 0) return false;
    const end = sleep(words, index, seen, Math.min(left, slice));
    if (end === 'timed-out') wish.slices += 1;
    else wish.slices = 0;
    if (end === 'ok') wish.races += 1;
  }
}

/** Blocks this thread for so many ms, unless the word is not `seen`, or a wake-up comes before. Says which, as `Atomics.wait`. */
export function sleep(words: Words | WideWords, index: number, seen: Value, ms: number): string {
  return typeof seen === 'bigint'
    ? Atomics.wait(words as WideWords, index, seen, ms)
    : Atomics.wait(words as Words, index, seen, ms);
}

/** Sleeps without blocking, until a wake-up comes and however long that takes; `undefined` where the word is not `seen`. */
export function enter(words: Words | WideWords, index: number, seen: Value): Promise<string> | undefined {
  const entry =
    typeof seen === 'bigint'
      ? Atomics.waitAsync(words as WideWords, index, seen)
      : Atomics.waitAsync(words as Words, index, seen);
  return entry.async ? entry.value : undefined;
}
