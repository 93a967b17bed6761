/** Small objects from one thread to another: ns for each, through a MessagePort and through a Queue. */
import { MessageChannel, Worker } from 'node:worker_threads';
import { Queue, share } from '@heddle/primitives';
import { type Parcel, receive, type Way } from './queues-work.ts';
import { type Contender, print, sideBySide } from './rounds.ts';

const TIMES = 100_000;

/** A thread that sends one way, for as long as all is measured: who starts anew is compiled anew. */
function sender(way: Way): Contender['run'] & { end(): Promise<unknown> } {
  const queue = new Queue<Parcel>();
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./queues.thread.ts', import.meta.url), {
    workerData: { way, queue: share(queue), port: port1 },
    transferList: [port1],
  });
  const run = async () => {
    const start = process.hrtime.bigint();
    worker.postMessage(TIMES);
    const sum = await receive(way, queue, port2, TIMES);
    const taken = Number(process.hrtime.bigint() - start);
    if (sum !== (TIMES * (TIMES - 1)) / 2) throw new Error(`${way}: lost items`);
    return taken / TIMES;
  };
  const end = () => {
    port2.close();
    return worker.terminate();
  };
  return Object.assign(run, { end });
}

const ways = {
  MessagePort: 'MessagePort',
  'Queue: put, get': 'async',
  'Queue: putSync, getSync': 'sync',
} as const;
const senders = Object.entries(ways).map(([name, way]) => ({ name, run: sender(way) }));
print('A small object from thread to thread', await sideBySide(senders, 25), 'MessagePort');
for (const { run } of senders) await run.end();
