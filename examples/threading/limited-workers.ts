/**
 * Six workers, and a database that takes two at a time: a semaphore lets that many in.
 *
 *     6 workers have been in; never more than 2 at once: true
 */
import { Counter, Semaphore, Thread } from '@heddle/primitives';

function visit(database: Semaphore, inside: Counter, most: Int32Array, nap: Int32Array): void {
  database.withSync(() => {
    const now = inside.add(1);
    if (now > Number(most[0])) most[0] = now;
    Atomics.wait(nap, 0, 0, 10); // a query
    inside.add(-1);
  });
}

const database = new Semaphore(2);
const inside = new Counter();
const most = new Int32Array(new SharedArrayBuffer(4));
const nap = new Int32Array(new SharedArrayBuffer(4));
const workers = Array.from(
  { length: 6 },
  () => new Thread({ target: visit, args: [database, inside, most, nap] }),
);
for (const worker of workers) worker.start();
for (const worker of workers) await worker.result;
console.log(`${workers.length} workers have been in; never more than 2 at once: ${Number(most[0]) <= 2}`);
