/** No pool: answers each message with one, in kind. */
import { parentPort } from 'node:worker_threads';
import type { Numbered } from './local-ways.ts';
import task from './tasks.ts';

type Input = number | Numbered;

const answer = (input: Input): Input =>
  typeof input === 'number' ? task(input) : { id: input.id, value: task(input.value) };

parentPort?.on('message', (message: Input | Input[]) => {
  parentPort?.postMessage(Array.isArray(message) ? message.map(answer) : answer(message));
});
