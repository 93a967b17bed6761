/**
 * Wait until a number of things have happened, whoever did them: a latch counts down and opens at zero, for good.
 *
 *     3 services to start; open: false
 *     all are up; open: true
 */
import { CountDownLatch, Thread } from '@heddle/primitives';

function start(up: CountDownLatch, nap: Int32Array, ms: number): void {
  Atomics.wait(nap, 0, 0, ms); // starting takes a while
  up.countDown();
}

const up = new CountDownLatch(3);
const nap = new Int32Array(new SharedArrayBuffer(4));
console.log(`${up.count()} services to start; open: ${await up.wait({ timeout: 0 })}`);
for (const ms of [5, 10, 20]) new Thread({ target: start, args: [up, nap, ms] }).start();
await up.wait();
console.log(`all are up; open: ${up.count() === 0}`);
