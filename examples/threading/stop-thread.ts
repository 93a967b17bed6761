/**
 * Nobody can stop a thread from outside without harm: it is asked, and stops where it knows that nothing is half done.
 * A thread that works looks at an event now and then; one that waits has the event end its wait, by an AbortSignal.
 *
 *     the worker did some pieces, and put its tools away
 *     the waiter was called off: AbortError
 */
import { CountDownLatch, Event, Lock, Thread } from '@heddle/primitives';

function work(stop: Event, begun: CountDownLatch): string {
  let pieces = 0;
  begun.countDown();
  do {
    pieces += 1; // a piece of work, done whole
  } while (!stop.isSet());
  return `the worker did ${pieces > 0 ? 'some' : 'no'} pieces, and put its tools away`;
}

async function wait(stop: Event, begun: CountDownLatch, lock: Lock): Promise<string> {
  const control = new AbortController();
  void stop.wait().then(() => control.abort());
  begun.countDown();
  try {
    await lock.acquire({ signal: control.signal });
    return 'the waiter has the lock';
  } catch (error) {
    return `the waiter was called off: ${(error as Error).name}`;
  }
}

const stop = new Event();
const begun = new CountDownLatch(2);
const lock = new Lock();
await using _held = await lock.acquire();
const threads = [
  new Thread({ target: work, args: [stop, begun] }),
  new Thread({ target: wait, args: [stop, begun, lock] }),
];
for (const thread of threads) thread.start();
await begun.wait();
stop.set();
for (const thread of threads) console.log(await thread.result);
