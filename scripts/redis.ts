// Sees to it that tests and the indexer will find a Redis; where none can be had, says what was tried and what to do.
import process from 'node:process';
import { ensureRedisServer, RedisUnavailableError, startRedis } from '@heddle/embedded-redis';

const ensured = await ensureRedisServer({ say: (line) => console.error(`heddle: ${line}`) });
if (ensured === 'unavailable') {
  try {
    await using _redis = await startRedis();
  } catch (error) {
    if (!(error instanceof RedisUnavailableError)) throw error;
    console.error(`heddle: ${error.message}`);
    process.exitCode = 1;
  }
}
