/**
 * Work in phases: nobody begins the second before all have ended the first. Three threads fill a part of an array each,
 * and then each sums what all three have filled.
 *
 *     each of the 3 threads summed up: 60, 60, 60
 *     each round gives everybody an index of its own: 0, 1, 2
 */
import { Barrier, Thread } from '@heddle/primitives';

function work(part: number, parts: Int32Array, barrier: Barrier): { sum: number; index: number } {
  parts[part] = 10 * (part + 1);
  const index = barrier.waitSync();
  return { sum: parts.reduce((sum, each) => sum + each), index };
}

const barrier = new Barrier(3);
const parts = new Int32Array(new SharedArrayBuffer(12));
const threads = [0, 1, 2].map((part) => new Thread({ target: work, args: [part, parts, barrier] }));
for (const thread of threads) thread.start();
const done = await Promise.all(threads.map((thread) => thread.result));
console.log('each of the 3 threads summed up:', done.map(({ sum }) => sum).join(', '));
console.log(
  'each round gives everybody an index of its own:',
  done
    .map(({ index }) => index)
    .sort()
    .join(', '),
);
