/** The second thread of the contended measurements. */
import { workerData } from 'node:worker_threads';
import { attach, type Handle, type Lock, type Semaphore } from '@heddle/primitives';
import { contend, futexTurns, type Order, semaphoreTurns, takeTurns } from './contended-work.ts';
import { FutexMutex } from './contenders.ts';

const { what, how, cells, lock, semaphores, words, times, spins } = workerData as Order & {
  lock: Handle<Lock>;
  semaphores: Handle<Semaphore>[];
  words: Int32Array;
};
if (how === 'contend') {
  contend(what === 'heddle' ? attach(lock) : new FutexMutex(words, spins), cells);
} else {
  const turns =
    what === 'heddle' ? semaphoreTurns(semaphores.map((each) => attach(each))) : futexTurns(words, spins);
  takeTurns(turns, 1, times);
}
