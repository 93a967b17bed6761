/** What both threads of a contended measurement do. `cells`: 0 go, 1 stop, 3 and 4 the counts. */
import type { Lock, Semaphore } from '@heddle/primitives';
import type { FutexMutex } from './contenders.ts';

export interface Order {
  readonly what: 'futex' | 'heddle';
  readonly how: 'contend' | 'alternate';
  /** Of the futex: looks before it sleeps. */
  readonly spins: number;
  readonly cells: Int32Array<SharedArrayBuffer>;
  readonly times: number;
}

type Mutex = Lock | FutexMutex;

const isFutex = (mutex: Mutex): mutex is FutexMutex => 'unlock' in mutex;

/** Takes and gives back as often as it can until told to stop; the count goes to `cells[place]`. */
export function contend(mutex: Mutex, cells: Int32Array, place = 4): void {
  let count = 0;
  while (Atomics.load(cells, 0) === 0);
  while (Atomics.load(cells, 1) === 0) {
    for (let n = 0; n < 100; n += 1) {
      if (isFutex(mutex)) {
        mutex.lock();
        mutex.unlock();
      } else {
        mutex.acquireSync();
        mutex.release();
      }
    }
    count += 100;
  }
  Atomics.store(cells, place, count);
}

/** How two threads wait for each other, turn by turn. */
export interface Turns {
  wait(me: number): void;
  pass(to: number): void;
}

/** On one bare word that says whose turn it is. */
export function futexTurns(words: Int32Array, spins: number): Turns {
  return {
    wait(me) {
      for (let turn = 0; turn < spins && Atomics.load(words, 0) !== me; turn += 1);
      while (Atomics.load(words, 0) !== me) Atomics.wait(words, 0, 1 - me, 100);
    },
    pass(to) {
      Atomics.store(words, 0, to);
      Atomics.notify(words, 0);
    },
  };
}

/** On one semaphore for each. */
export function semaphoreTurns(semaphores: readonly Semaphore[]): Turns {
  return {
    wait: (me) => void semaphores[me]?.acquireSync(),
    pass: (to) => semaphores[to]?.release(),
  };
}

/** Takes every other turn, `times` in all. */
export function takeTurns(turns: Turns, me: number, times: number): void {
  for (let n = 0; n < times; n += 1) {
    turns.wait(me);
    turns.pass(1 - me);
  }
}
