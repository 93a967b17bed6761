/**
 * A timer calls later, once, in the thread that started it; until then it can be cancelled.
 *
 *     started two
 *     cancelled the second
 *     hello from the first
 */
import { Event, Timer } from '@heddle/primitives';

const called = new Event();
const first = new Timer(
  50,
  (whom: string) => {
    console.log('hello from', whom);
    called.set();
  },
  'the first',
);
const second = new Timer(100, () => console.log('hello from the second'));
first.start();
second.start();
console.log('started two');
second.cancel();
console.log('cancelled the second');
await called.wait();
