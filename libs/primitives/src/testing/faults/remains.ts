/** What is left in Redis of sessions: nothing, once all of them have ended. */
import type { Cluster, Redis } from 'ioredis';

/** A key, and its members or fields. */
export type Entries = readonly [key: string, entries: readonly string[]];

/** Keys of sessions themselves. */
const SESSIONS = /:(session:.*|sessions|ring|members)$/;
/** Keys whose every entry is a session's: who waits, who holds, what became of a wait. */
const STANDINGS = /:(queue|wants|holders|waiters|takers|putters|parcels|joiners|arrivals|outcomes)$/;
const STATES = /:state$/;

/** What belongs to sessions, of which none lives any more, in words. */
export function leftBehind(all: readonly Entries[]): string[] {
  return all.flatMap(([key, entries]) => {
    if (SESSIONS.test(key)) return [`left: ${key}`];
    const left = STATES.test(key) ? entries.filter((field) => field === 'holder') : entries;
    return (STATES.test(key) || STANDINGS.test(key)) && left.length > 0
      ? [`left at ${key}: ${left.join(', ')}`]
      : [];
  });
}

/** All that could be left behind; a text is as if it had no entries. */
export async function entriesOf(redis: Redis | Cluster, keys: readonly string[]): Promise<Entries[]> {
  return Promise.all(
    keys
      .filter((key) => [SESSIONS, STANDINGS, STATES].some((form) => form.test(key)))
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
