/** The thread's side of the keeper: one connection for each session, and one pulse for each partition it is given. */
import { parentPort } from 'node:worker_threads';
import type { Cluster } from 'ioredis';
import { LeaseWords } from '../shared-memory/lease-words.ts';
import { OnceWord } from '../shared-memory/once-word.ts';
import { Confirmer, type WaitingClient } from './durability.ts';
import type { FromKeeper, ToKeeper } from './keeper.ts';
import { Line } from './line.ts';
import { Pulse, type PulseConfig } from './pulse.ts';
import { type Client, openClient, type Target } from './server.ts';

const port = parentPort;
if (port === null) throw new Error('keeper.thread is the entry of a worker thread, not a module to import');

/** Ms: below that a slow machine looks like a dead connection. */
const SHORTEST_SILENCE = 500;

/** The one connection of a session, for its pulses in all partitions. */
interface Link {
  readonly client: Client;
  readonly line: Line;
  readonly confirmer: Confirmer | undefined;
  readonly connected: Promise<unknown>;
  readonly pulses: Set<Pulse>;
}

const links = new Map<string, Link>();
const kept = new Map<number, { readonly session: string; readonly pulse: Pulse }>();
const tell = (message: FromKeeper) => port.postMessage(message);

port.on('message', (message: ToKeeper) => {
  if ('stop' in message) {
    stop(message.stop);
    tell({ stopped: message.stop });
  } else if ('runAt' in message) {
    const { runAt, job, at, invocation, once } = message;
    kept.get(runAt)?.pulse.runAt(job, at, invocation, new OnceWord(once));
  } else if ('watch' in message) {
    kept.get(message.watch)?.pulse.watch(message.id, message.remaining, message.keep);
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
  const session = config.id.replace(/-\d+$/, '');
  const link = links.get(session) ?? connect(session, target, config);
  const pulse = new Pulse(
    link.line,
    config,
    new LeaseWords(words),
    {
      lost: (reason) => tell({ lost: key, reason }),
      warn: (text) => tell({ warn: key, message: text }),
    },
    link.confirmer,
  );
  link.pulses.add(pulse);
  kept.set(key, { session, pulse });
  await link.connected;
  await pulse.start();
}

function connect(session: string, target: Target, { ttl, durability, keep }: PulseConfig): Link {
  const client = openClient(target, 'keeper');
  client.on('error', () => {}); // The pulses try again; the main loop tells of lost connections.
  const link: Link = {
    client,
    // The keeper's connection may be kept waiting: only signs of life go over it.
    confirmer: durability && new Confirmer(client as WaitingClient | Cluster, durability, keep),
    // A dead connection is to be replaced while there is still time for another sign of life.
    line: new Line(client, Math.max(SHORTEST_SILENCE, ttl / 3)),
    connected: client.connect().catch(() => {}), // Not yet: ioredis goes on trying.
    pulses: new Set(),
  };
  client.on('ready', () => {
    for (const pulse of link.pulses) pulse.connected();
  });
  links.set(session, link);
  return link;
}

function stop(key: number): void {
  const stopped = kept.get(key);
  if (stopped === undefined) return;
  kept.delete(key);
  stopped.pulse.stop();
  const link = links.get(stopped.session);
  link?.pulses.delete(stopped.pulse);
  if (link === undefined || link.pulses.size > 0) return;
  links.delete(stopped.session);
  link.client.disconnect();
}
