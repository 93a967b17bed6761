/**
 * Work for the processor alone: the sum of squares, on one, two and four threads. In CPython the interpreter's lock
 * lets one thread calculate at a time, and more threads take as long; here they take as many processors as there are.
 *
 *     1 thread: 333383335000 in … ms
 *     2 threads: 333383335000 in … ms, … times as fast
 *     4 threads: 333383335000 in … ms, … times as fast
 */
import { Barrier, Thread } from '@heddle/primitives';

const MOST = 10_000;
/** So often, for there to be something to measure. */
const TIMES = 20_000;

/** `ready`: the time that threads take to start is not measured. */
function sumOfSquares(from: number, to: number, times: number, ready: Barrier): number {
  let sum = 0;
  ready.waitSync();
  for (let time = 0; time < times; time += 1) {
    sum = 0;
    for (let n = from; n < to; n += 1) sum += n * n;
  }
  return sum;
}

async function on(count: number): Promise<{ sum: number; ms: number }> {
  const bounds = Array.from({ length: count + 1 }, (_, n) => (n * (MOST + 1)) / count).map(Math.floor);
  const ready = new Barrier(count + 1);
  const threads = bounds
    .slice(1)
    .map((to, n) => new Thread({ target: sumOfSquares, args: [Number(bounds[n]), to, TIMES, ready] }));
  for (const thread of threads) thread.start();
  await ready.wait();
  const start = performance.now();
  const parts = await Promise.all(threads.map((thread) => thread.result));
  return { sum: parts.reduce((sum, part) => sum + part), ms: performance.now() - start };
}

const one = await on(1);
console.log(`1 thread: ${one.sum} in ${one.ms.toFixed(0)} ms`);
for (const count of [2, 4]) {
  const { sum, ms } = await on(count);
  console.log(`${count} threads: ${sum} in ${ms.toFixed(0)} ms, ${(one.ms / ms).toFixed(1)} times as fast`);
}
