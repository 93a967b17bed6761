/** The thread's side of the keeper: one connection and one pulse for each session it is given. */
import { parentPort } from 'node:worker_threads';
import { LeaseWords } from '../shared-memory/lease-words.ts';
import type { FromKeeper, ToKeeper } from './keeper.ts';
import { Line } from './line.ts';
import { Pulse } from './pulse.ts';
import { type Client, openClient } from './server.ts';

const port = parentPort;
if (port === null) throw new Error('keeper.thread is the entry of a worker thread, not a module to import');

/** Ms: below that a slow machine looks like a dead connection. */
const SHORTEST_SILENCE = 500;

const kept = new Map<number, { readonly client: Client; readonly pulse: Pulse }>();
const tell = (message: FromKeeper) => port.postMessage(message);

port.on('message', (message: ToKeeper) => {
  if ('stop' in message) {
    stop(message.stop);
    tell({ stopped: message.stop });
  } else if ('runAt' in message) {
    kept.get(message.runAt)?.pulse.runAt(message.job, message.at, message.invocation);
  } else if ('watch' in message) {
    kept.get(message.watch)?.pulse.watch(message.id, message.remaining);
  } else if ('cancel' in message) {
    kept.get(message.cancel)?.pulse.cancel(message.job);
  } else {
    start(message).then(
      () => tell({ started: message.start }),
      (error: unknown) => {
        stop(message.start);
        tell({ failed: message.start, why: error instanceof Error ? error.message : String(error) });
      },
    );
  }
});

async function start({
  start: key,
  target,
  config,
  words,
}: Extract<ToKeeper, { start: number }>): Promise<void> {
  const client = openClient(target, 'keeper');
  client.on('error', () => {}); // The pulse tries again; the main loop tells of lost connections.
  // A dead connection is to be replaced while there is still time for another sign of life.
  const line = new Line(client, Math.max(SHORTEST_SILENCE, config.ttl / 3));
  const pulse = new Pulse(line, config, new LeaseWords(words), {
    lost: (reason) => tell({ lost: key, reason }),
    warn: (text) => tell({ warn: key, message: text }),
  });
  kept.set(key, { client, pulse });
  client.on('ready', () => pulse.connected());
  await client.connect().catch(() => {}); // Not yet: ioredis goes on trying.
  await pulse.start();
}

function stop(key: number): void {
  const stopped = kept.get(key);
  kept.delete(key);
  stopped?.pulse.stop();
  stopped?.client.disconnect();
}
