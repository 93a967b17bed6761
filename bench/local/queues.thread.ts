/** The sending thread of the queue measurements: sends its parcels whenever it is told to. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { attach, type Handle, type Queue } from '@heddle/primitives';
import { type Parcel, send, type Way } from './queues-work.ts';

const { way, queue, port } = workerData as {
  way: Way;
  queue: Handle<Queue<Parcel>>;
  port: MessagePort;
};
const attached = attach(queue);
parentPort?.on('message', (times: number) => send(way, attached, port, times));
