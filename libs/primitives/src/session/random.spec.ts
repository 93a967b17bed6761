/**
 * Scripts in any order: lives that are nothing but entries in Redis ask, hear, turn deaf, die and are swept by a seeded
 * chance, one script at a time, and after each what stands in Redis is held against what is promised. Also with scripts
 * that may touch one record or two, so that nearly everything has to be gone on with. `HEDDLE_RANDOM_SEED` is the first
 * seed, `HEDDLE_RANDOM_GAMES` how many are played of each kind.
 */
import { describe, expect, it } from 'vitest';
import { coreOf } from '../session.distributed.ts';
import { barrier } from '../testing/random/barrier.ts';
import { condition } from '../testing/random/condition.ts';
import { play } from '../testing/random/game.ts';
import { lock, rwlock, semaphore } from '../testing/random/permits.ts';
import { queue } from '../testing/random/queue.ts';
import { redisBench } from '../testing/redis.ts';

const bench = redisBench();
const FIRST = Number(process.env.HEDDLE_RANDOM_SEED ?? 1);
const GAMES = Number(process.env.HEDDLE_RANDOM_GAMES ?? 1);
const STEPS = 250;

const games = { lock, semaphore, rwlock, condition, barrier, queue };
const cases = Object.keys(games).flatMap((kind) =>
  [1, 2, 256].map((bound) => [kind as keyof typeof games, bound] as const),
);

describe('whatever the order of the scripts, what is promised holds', () => {
  it.each(cases)('%s, of %i records a script', { timeout: 60_000 + GAMES * 10_000 }, async (kind, bound) => {
    const { kinds } = coreOf(await bench.session());
    const url = bench.url;
    for (let seed = FIRST; seed < FIRST + GAMES; seed += 1)
      expect(await play(games[kind], { url, kinds, seed, bound, steps: STEPS })).toBe(STEPS);
  });
});
