/** The sending thread of the queue measurements. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { attach, type Handle, type Queue } from '@heddle/primitives';
import { type Parcel, send, type Way } from './queues-work.ts';

const { way, queue, port, times } = workerData as {
  way: Way;
  queue: Handle<Queue<Parcel>>;
  port: MessagePort;
  times: number;
};
const attached = attach(queue);
parentPort?.once('message', () => send(way, attached, port, times));
