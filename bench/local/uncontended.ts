/**
 * One thread, nobody else: what taking and giving back a free lock costs.
 *
 * The floor of the asynchronous ones: awaiting a promise that is resolved already takes 26 ns here; a fresh promise of a
 * number 33, of a fresh object 35 where V8's compiler knows its class, and 46 where it has to look whether the object
 * has a `then`. async-sema's (41) is one of a string.
 */
import { spawnSync } from 'node:child_process';
import { Event, Lock, Semaphore, share } from '@heddle/primitives';
import { Mutex } from 'async-mutex';
import { Sema } from 'async-sema';
import { FutexMutex } from './contenders.ts';
import { type Contender, print, sideBySide, timed } from './rounds.ts';

const TIMES = 500_000;

const words = new Int32Array(new SharedArrayBuffer(4));
const lock = new Lock();
/** As other threads may see it: on atomic operations. */
const shared = new Lock();
share(shared);
const semaphore = new Semaphore(1);
const event = new Event();
const sema = new Sema(1);
const mutex = new Mutex();
const futex = new FutexMutex(new Int32Array(new SharedArrayBuffer(4)));

const blocking: Contender[] = [
  {
    name: 'compare-exchange + exchange',
    run: () =>
      timed(TIMES, () => {
        Atomics.compareExchange(words, 0, 0, 1);
        Atomics.exchange(words, 0, 0);
      }),
  },
  {
    name: 'hand-written futex mutex',
    run: () =>
      timed(TIMES, () => {
        futex.lock();
        futex.unlock();
      }),
  },
  {
    name: 'Lock.acquireSync + release',
    run: () =>
      timed(TIMES, () => {
        lock.acquireSync();
        lock.release();
      }),
  },
  {
    name: 'Lock.acquireSync + release, shared',
    run: () =>
      timed(TIMES, () => {
        shared.acquireSync();
        shared.release();
      }),
  },
  {
    name: 'Semaphore.acquireSync + release',
    run: () =>
      timed(TIMES, () => {
        semaphore.acquireSync();
        semaphore.release();
      }),
  },
  {
    name: 'Event.set + clear',
    run: () =>
      timed(TIMES, () => {
        event.set();
        event.clear();
      }),
  },
];

/** ns for each of `times` rounds of an asynchronous loop. */
async function timedAsync(loop: (times: number) => Promise<void>, times = TIMES / 2): Promise<number> {
  const start = process.hrtime.bigint();
  await loop(times);
  return Number(process.hrtime.bigint() - start) / times;
}

const resolved = Promise.resolve();
const asynchronous: Contender[] = [
  {
    name: 'await of a resolved promise',
    run: () =>
      timedAsync(async (times) => {
        for (let n = 0; n < times; n += 1) await resolved;
      }),
  },
  {
    name: 'async-sema: acquire + release',
    run: () =>
      timedAsync(async (times) => {
        for (let n = 0; n < times; n += 1) {
          await sema.acquire();
          sema.release();
        }
      }),
  },
  {
    name: 'async-mutex: acquire + release',
    run: () =>
      timedAsync(async (times) => {
        for (let n = 0; n < times; n += 1) (await mutex.acquire())();
      }, TIMES / 10),
  },
  {
    name: 'Lock: acquire + lease.release',
    run: () =>
      timedAsync(async (times) => {
        for (let n = 0; n < times; n += 1) {
          const lease = await lock.acquire();
          lease.release();
        }
      }),
  },
  {
    name: 'Lock: acquire + lock.release',
    run: () =>
      timedAsync(async (times) => {
        for (let n = 0; n < times; n += 1) {
          await lock.acquire();
          lock.release();
        }
      }),
  },
  {
    name: 'Semaphore: acquire + lease.release',
    run: () =>
      timedAsync(async (times) => {
        for (let n = 0; n < times; n += 1) {
          const lease = await semaphore.acquire();
          lease.release();
        }
      }),
  },
];

/** CPython's `with lock:`, where there is a python3. */
const python: Contender = {
  name: "CPython's with lock:",
  run: () => {
    const program =
      'import threading,timeit;l=threading.Lock()\ndef f(n):\n for _ in range(n):\n  with l: pass\nprint(timeit.timeit(lambda:f(1000000),number=1)*1000)';
    return Number(spawnSync('python3', ['-c', program], { encoding: 'utf8' }).stdout);
  },
};
const hasPython = spawnSync('python3', ['--version']).status === 0;

print(
  'Uncontended, blocking',
  await sideBySide(hasPython ? [...blocking, python] : blocking),
  'compare-exchange + exchange',
);
print('Uncontended, asynchronous', await sideBySide(asynchronous), 'async-sema: acquire + release');
