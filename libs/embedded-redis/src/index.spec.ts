import { expect, it } from 'vitest';
import * as embeddedRedis from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(embeddedRedis).sort()).toEqual([
    'EmbeddedRedisError',
    'RedisUnavailableError',
    'ensureRedisServer',
    'startCluster',
    'startRedis',
    'startSentinel',
    'startServers',
  ]);
});
