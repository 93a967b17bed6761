/** What is left in Redis of sessions: nothing, once all of them have ended; while they rest, no wait and no hold. */
import type { Cluster, Redis } from 'ioredis';

/** A key, and its members or fields. */
export type Entries = readonly [key: string, entries: readonly string[]];

/** Keys of sessions themselves. */
const SESSIONS = /:(session:.*|sessions|ring|members)$/;
/** Keys whose every entry is of one who waits or holds. */
const STANDINGS = /:(queue|wants|holders|waiters|takers|putters|parcels|joiners|arrivals)$/;
/** What became of a wait; it stays until Redis is told that it was read, with the next call. */
const OUTCOMES = /:outcomes$/;
const STATES = /:state$/;

/** What belongs to waits and holds, while there are none, in words. */
export function leftStanding(all: readonly Entries[]): string[] {
  return all.flatMap(([key, entries]) => {
    if (STATES.test(key)) return entries.includes('holder') ? [`left at ${key}: a holder`] : [];
    return STANDINGS.test(key) && entries.length > 0 ? [`left at ${key}: ${entries.join(', ')}`] : [];
  });
}

/**
 * What belongs to sessions, while there are none, in words. Where Redis lost data (not `kept`) a wait that was over may
 * have come back, after its session had said that it read what became of it: that is kept for its TTL.
 */
export function leftBehind(all: readonly Entries[], kept: boolean): string[] {
  const sessions = all.flatMap(([key, entries]) =>
    SESSIONS.test(key) || (kept && OUTCOMES.test(key) && entries.length > 0)
      ? [`left: ${key}: ${entries.join(', ')}`]
      : [],
  );
  return [...sessions, ...leftStanding(all)];
}

/** All that could be left behind; a text is as if it had no entries. */
export async function entriesOf(redis: Redis | Cluster, keys: readonly string[]): Promise<Entries[]> {
  return Promise.all(
    keys
      .filter((key) => [SESSIONS, STANDINGS, OUTCOMES, STATES].some((form) => form.test(key)))
      .map(async (key) => {
        const type = await redis.type(key);
        if (type === 'zset') return [key, await redis.zrange(key, '0', '-1')] as const;
        return [key, type === 'hash' ? await redis.hkeys(key) : []] as const;
      }),
  );
}

/** How many sessions there are by what the partitions list, swept or not. */
export async function listed(redis: Redis | Cluster, rings: readonly string[]): Promise<number[]> {
  return Promise.all(rings.map((ring) => redis.zcard(ring)));
}
