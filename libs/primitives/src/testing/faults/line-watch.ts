/**
 * Looks again and again at who stands in line for a lock in Redis, and who has it: first come, first served is between
 * these two, and no client sees both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';

/** A lock at one moment. */
export interface LineSeen {
  readonly name: string;
  /** The incarnation that holds it, and the first token of its grant. */
  readonly holder: string | undefined;
  readonly first: string | undefined;
  /** Incarnations in line, each with the score of its place, first to last. */
  readonly line: readonly (readonly [id: string, place: number])[];
}

const LOOK = `
local state = redis.call('HMGET', KEYS[1], 'holder', 'first')
return { state[1] or '', state[2] or '', redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES') }`;
const EVERY = 3;

/** Watches until it is told to stop; gives back all it saw, where that changed. */
export function watchLines(
  redis: Redis | Cluster,
  keys: ReadonlyMap<string, readonly [state: string, queue: string]>,
): () => Promise<LineSeen[]> {
  const seen: LineSeen[] = [];
  let stopped = false;
  const watched = (async () => {
    const last = new Map<string, string>();
    while (!stopped) {
      for (const [name, own] of keys) {
        const reply = (await redis.eval(LOOK, 2, ...own).catch(() => undefined)) as
          | [string, string, string[]]
          | undefined;
        const text = JSON.stringify(reply);
        if (reply === undefined || text === last.get(name)) continue;
        last.set(name, text);
        const [holder, first, flat] = reply;
        const line = flat.flatMap((id, at) => (at % 2 === 0 ? [[id, Number(flat[at + 1])] as const] : []));
        seen.push({ name, holder: holder || undefined, first: first || undefined, line });
      }
      await sleep(EVERY);
    }
  })();
  return async () => {
    stopped = true;
    await watched;
    return seen;
  };
}
