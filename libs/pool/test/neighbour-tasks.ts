/** Tasks that leave marks in shared words, so that a spec can count how often each ran, and in which thread. */
import { threadId } from 'node:worker_threads';

/** As initializer: counts threads. */
export function started(words: Int32Array): void {
  Atomics.add(words, 0, 1);
}

export function mark(words: Int32Array, at: number): number {
  Atomics.add(words, at, 1);
  return threadId;
}

/** Marks, then blocks its thread until `words[gate]` is set. */
export function hold(words: Int32Array, at: number, gate: number): number {
  mark(words, at);
  Atomics.wait(words, gate, 0);
  return threadId;
}

/** The same, and then ends its thread. */
export function crash(words: Int32Array, at: number, gate: number): never {
  hold(words, at, gate);
  process.exit(1);
}

/** Marks, and never ends. */
export function spin(words: Int32Array, at: number): never {
  mark(words, at);
  for (;;);
}

/** Quick, and at last never ending. */
export function markOrSpin(words: Int32Array, at: number, last: boolean): number {
  return last ? spin(words, at) : mark(words, at);
}
