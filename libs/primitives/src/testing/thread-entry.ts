/** What each thread of a crew runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { taskOf } from './threads.ts';

const { url, task, args } = workerData;
const run = await taskOf(url, task);
parentPort?.postMessage(await run(...args));
