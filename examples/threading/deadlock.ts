/**
 * Two threads, two locks, each takes them in its own order: each has one, and waits for the other's for ever. A time-out
 * gets out of it, at the price of the work; debug mode tells one of the two, and which lock waits for which; and taken
 * in one order, or both in one step, it can't happen.
 *
 *     with a time-out: gave up, gave up
 *     with debug mode: DeadlockError, done
 *     with acquireAll: done, done
 */
import { acquireAll, Barrier, Lock, Thread } from '@heddle/primitives';

/** `met`: each has its first lock before either goes for the second. */
function oneByOne(first: Lock, second: Lock, met: Barrier, timeout: number | undefined): string {
  first.acquireSync();
  try {
    met.waitSync();
    if (!second.acquireSync({ timeout })) {
      met.waitSync(); // neither gives its first lock back before both have given up
      return 'gave up';
    }
    second.release();
    return 'done';
  } catch (error) {
    return (error as Error).name;
  } finally {
    first.release();
  }
}

async function crosswise(debug: boolean, timeout?: number): Promise<string> {
  const left = new Lock({ debug });
  const right = new Lock({ debug });
  const met = new Barrier(2);
  const threads = [
    new Thread({ target: oneByOne, args: [left, right, met, timeout] }),
    new Thread({ target: oneByOne, args: [right, left, met, timeout] }),
  ];
  for (const thread of threads) thread.start();
  const ends = await Promise.all(threads.map((thread) => thread.result));
  return ends.sort().join(', ');
}

/** However the locks are named here, `acquireAll` takes them in one order, the same for everybody. */
async function bothAtOnce(first: Lock, second: Lock): Promise<string> {
  await using _both = await acquireAll([first, second]);
  return 'done';
}

console.log('with a time-out:', await crosswise(false, 100));
console.log('with debug mode:', await crosswise(true));
const [left, right] = [new Lock(), new Lock()];
const repaired = await Promise.all([bothAtOnce(left, right), bothAtOnce(right, left)]);
console.log('with acquireAll:', repaired.join(', '));
