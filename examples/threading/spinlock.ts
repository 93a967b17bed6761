/**
 * A spinlock, and why not: it is right, but whoever waits keeps a processor busy with looking, and where the holder does
 * not run, that is all that happens. A Lock looks for a moment, and then sleeps until it is woken.
 *
 *     spinlock: counted to 40, after looking in vain many times
 *     Lock: counted to 40, and slept meanwhile
 */
import { Barrier, Lock, Thread } from '@heddle/primitives';

/** `cells`: the lock, the counter, and how often somebody looked in vain. */
function countSpinning(cells: Int32Array, nap: Int32Array, start: Barrier): void {
  start.waitSync();
  for (let step = 0; step < 10; step += 1) {
    while (Atomics.compareExchange(cells, 0, 0, 1) !== 0) Atomics.add(cells, 2, 1);
    cells[1] = Number(cells[1]) + 1;
    Atomics.wait(nap, 0, 0, 1); // the holder has something to wait for
    Atomics.store(cells, 0, 0);
  }
}

function countLocking(cells: Int32Array, nap: Int32Array, start: Barrier, lock: Lock): void {
  start.waitSync();
  for (let step = 0; step < 10; step += 1) {
    lock.withSync(() => {
      cells[1] = Number(cells[1]) + 1;
      Atomics.wait(nap, 0, 0, 1);
    });
  }
}

/** Four threads on one of the two: the cells at the end. */
async function together(make: (cells: Int32Array, nap: Int32Array, start: Barrier) => Thread<void>) {
  const cells = new Int32Array(new SharedArrayBuffer(12));
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const start = new Barrier(4);
  const threads = [1, 2, 3, 4].map(() => make(cells, nap, start));
  for (const thread of threads) thread.start();
  for (const thread of threads) await thread.result;
  return cells;
}

const spun = await together((...args) => new Thread({ target: countSpinning, args }));
const many = Number(spun[2]) > 1000;
console.log(`spinlock: counted to ${spun[1]}, after looking in vain ${many ? 'many' : 'few'} times`);
const lock = new Lock();
const slept = await together((...args) => new Thread({ target: countLocking, args: [...args, lock] }));
console.log(`Lock: counted to ${slept[1]}, and slept meanwhile`);
