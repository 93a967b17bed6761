/** Two threads on one lock: acquisitions in all; and two that take turns strictly. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Lock, Semaphore, share } from '@heddle/primitives';
import { contend, futexTurns, type Order, semaphoreTurns, takeTurns } from './contended-work.ts';
import { FutexMutex } from './contenders.ts';
import { type Contender, print, sideBySide } from './rounds.ts';

const MS = 400;
const TURNS = 10_000;

/** ns per acquisition (`contend`) or per turn (`alternate`), by two threads. */
async function measure(what: Order['what'], how: Order['how'], spins: number): Promise<number> {
  const cells = new Int32Array(new SharedArrayBuffer(32));
  const words = new Int32Array(new SharedArrayBuffer(4));
  const lock = new Lock();
  const semaphores = [new Semaphore(1), new Semaphore(0)];
  const order: Order = { what, how, spins, cells, times: TURNS };
  const worker = new Worker(new URL('./contended.thread.ts', import.meta.url), {
    workerData: { ...order, words, lock: share(lock), semaphores: semaphores.map(share) },
  });
  const exited = once(worker, 'exit');
  await once(worker, 'online');
  if (how === 'alternate') {
    const turns = what === 'heddle' ? semaphoreTurns(semaphores) : futexTurns(words, spins);
    takeTurns(turns, 0, 1);
    const start = process.hrtime.bigint();
    takeTurns(turns, 0, TURNS - 1);
    const taken = Number(process.hrtime.bigint() - start);
    await exited;
    return taken / (2 * (TURNS - 1));
  }
  const clock = new Worker(
    `const { workerData: { cells, ms } } = require('node:worker_threads');
     Atomics.wait(cells, 5, 0, 300); Atomics.store(cells, 0, 1);
     Atomics.wait(cells, 5, 0, ms); Atomics.store(cells, 1, 1);`,
    { eval: true, workerData: { cells, ms: MS } },
  );
  contend(what === 'heddle' ? lock : new FutexMutex(words, spins), cells, 3);
  await Promise.all([exited, once(clock, 'exit')]);
  return (MS * 1e6) / ((cells[3] as number) + (cells[4] as number));
}

/** `spins`: of the one that spins. To meet in turn it must go on about as long as waking a thread takes. */
const contenders = (how: Order['how'], spins: number, heddle: string): Contender[] => [
  { name: 'hand-written futex', run: () => measure('futex', how, 0) },
  { name: 'hand-written futex, spinning first', run: () => measure('futex', how, spins) },
  { name: heddle, run: () => measure('heddle', how, 0) },
];

const unit = 'hand-written futex';
print(
  'Two threads contending, per acquisition',
  await sideBySide(contenders('contend', 200, 'Lock'), 15),
  unit,
);
print(
  'Two threads in turn, per turn',
  await sideBySide(contenders('alternate', 5_000, 'Semaphore'), 15),
  unit,
);
