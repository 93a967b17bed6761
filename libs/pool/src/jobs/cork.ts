/**
 * Commands of one turn of the event loop leave in one write: each write is a call of the system, and wakes Redis. A turn
 * is all that the loop finds to do before it looks for more: where several threads have sent what they have done, that of
 * all of them.
 */
import type { Cluster, Redis } from 'ioredis';

/** Redis can begin with what makes so many bytes while more is being said. */
const ENOUGH = 5000;

interface Turn {
  /** None for a Cluster, which has a connection for each node: to that each command goes at once. */
  readonly stream: NetStream | undefined;
  /** What is still to be said before the commands leave. */
  readonly lasts: Set<() => void>;
}

type NetStream = Redis['stream'];

const turns = new WeakMap<object, Turn>();

/** What this connection is told until the turn ends goes out together, with what `last` says then, if it is given. */
export function corkForTurn(redis: Redis | Cluster, last?: () => void): void {
  const turn = turns.get(redis) ?? begin(redis);
  if (last !== undefined) turn.lasts.add(last);
  const { stream } = turn;
  if (stream === undefined || stream.writableLength < ENOUGH) return;
  stream.uncork();
  stream.cork();
}

function begin(redis: Redis | Cluster): Turn {
  const stream = 'nodes' in redis || !redis.stream?.writable ? undefined : redis.stream;
  const turn: Turn = { stream, lasts: new Set() };
  turns.set(redis, turn);
  stream?.cork();
  setImmediate(() => {
    try {
      for (const say of turn.lasts) say();
    } finally {
      turns.delete(redis);
      stream?.uncork();
    }
  });
  return turn;
}
