/** Commands of one turn of the event loop leave in one write: each write is a call of the system, and wakes Redis. */
import process from 'node:process';
import type { Cluster, Redis } from 'ioredis';

const corked = new WeakSet<object>();

/** What this connection is told until the turn ends, its microtasks among it, goes out together. Not for a Cluster. */
export function corkForTurn(redis: Redis | Cluster): void {
  if ('nodes' in redis) return;
  const { stream } = redis;
  if (!stream?.writable || corked.has(stream)) return;
  corked.add(stream);
  stream.cork();
  const uncork = () => {
    corked.delete(stream);
    stream.uncork();
  };
  // A tick asked for by a microtask comes when all microtasks are done; one asked for here, before them.
  queueMicrotask(() => process.nextTick(uncork));
}
