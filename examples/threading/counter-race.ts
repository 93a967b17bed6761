/**
 * The race on a counter: four threads read it, work a moment, and write back what they read and one. Whoever read the
 * same number writes the same number, and updates are lost. Under a lock none is.
 *
 *     without a lock, 4 × 25 steps counted to 100: false
 *     with a lock, 4 × 25 steps counted to 100: true
 */
import { Barrier, Lock, Thread } from '@heddle/primitives';

function count(counter: Int32Array, nap: Int32Array, start: Barrier, lock: Lock | null): void {
  start.waitSync();
  for (let step = 0; step < 25; step += 1) {
    lock?.acquireSync();
    const seen = Number(counter[0]);
    Atomics.wait(nap, 0, 0, 1); // a millisecond of work: long enough for the others to read the same
    counter[0] = seen + 1;
    lock?.release();
  }
}

async function run(lock: Lock | null): Promise<number> {
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const start = new Barrier(4);
  const threads = [1, 2, 3, 4].map(() => new Thread({ target: count, args: [counter, nap, start, lock] }));
  for (const thread of threads) thread.start();
  for (const thread of threads) await thread.result;
  return Number(counter[0]);
}

console.log('without a lock, 4 × 25 steps counted to 100:', (await run(null)) === 100);
console.log('with a lock, 4 × 25 steps counted to 100:', (await run(new Lock())) === 100);
