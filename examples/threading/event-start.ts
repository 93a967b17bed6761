/**
 * Runners wait for the starting shot: an event, which lets all go who wait, and all who come later.
 *
 *     on your marks: 3 runners, none has started
 *     go!
 *     runner 1 ran, runner 2 ran, runner 3 ran
 *     who comes late need not wait: true
 */
import { CountDownLatch, Counter, Event, Thread } from '@heddle/primitives';

function race(runner: number, ready: CountDownLatch, shot: Event, started: Counter): string {
  ready.countDown();
  shot.waitSync();
  started.add();
  return `runner ${runner} ran`;
}

const shot = new Event();
const ready = new CountDownLatch(3);
const started = new Counter();
const runners = [1, 2, 3].map((n) => new Thread({ target: race, args: [n, ready, shot, started] }));
for (const runner of runners) runner.start();

await ready.wait();
console.log(`on your marks: 3 runners, ${started.value() === 0 ? 'none has' : 'some have'} started`);
console.log('go!');
shot.set();
console.log((await Promise.all(runners.map((runner) => runner.result))).join(', '));
console.log('who comes late need not wait:', await shot.wait({ timeout: 0 }));
