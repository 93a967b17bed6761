/** Small objects from one thread to another: ns for each, through a MessagePort and through a Queue. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { Queue, share } from '@heddle/primitives';
import { type Parcel, receive, type Way } from './queues-work.ts';
import { type Contender, print, sideBySide } from './rounds.ts';

const TIMES = 100_000;

async function measure(way: Way): Promise<number> {
  const queue = new Queue<Parcel>();
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./queues.thread.ts', import.meta.url), {
    workerData: { way, queue: share(queue), port: port1, times: TIMES },
    transferList: [port1],
  });
  const exited = once(worker, 'exit');
  await once(worker, 'online');
  worker.postMessage('go');
  const start = process.hrtime.bigint();
  const sum = await receive(way, queue, port2, TIMES);
  const taken = Number(process.hrtime.bigint() - start);
  port2.close();
  if (sum !== (TIMES * (TIMES - 1)) / 2) throw new Error(`${way}: lost items`);
  await exited;
  return taken / TIMES;
}

const contenders: Contender[] = [
  { name: 'MessagePort', run: () => measure('MessagePort') },
  { name: 'Queue: put, get', run: () => measure('async') },
  { name: 'Queue: putSync, getSync', run: () => measure('sync') },
];
print('A small object from thread to thread', await sideBySide(contenders, 5), 'MessagePort');
