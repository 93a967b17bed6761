import { findBinary } from './binary.ts';
import { DockerRedis } from './docker-redis.ts';
import { type RedisAttempt, type RedisSource, RedisUnavailableError, reasonOf } from './errors.ts';
import { FoundRedis } from './found-redis.ts';
import { installAdvice } from './install.ts';
import { type RedisOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { RedisProcess } from './redis-process.ts';
import { withoutPassword } from './redis-url.ts';

/** A Redis by any of the three ways; `via` tells which, and a `'process'` can be paused, killed, restarted. */
export type EmbeddedRedis = FoundRedis | RedisProcess | DockerRedis;

/**
 * Finds or starts a Redis (or Valkey) 7 or later, in this order: `$REDIS_URL`; a server on the PATH, run as a
 * private child on loopback; a Docker container. Options that only a private server can meet pass
 * `$REDIS_URL` over. It resolves when the server serves.
 *
 * A server that was named (`url`, `$REDIS_URL`) and can't be had is an error, not a reason to look further:
 * what others put there would be missing elsewhere.
 *
 * @throws RedisUnavailableError listing every way tried and why it failed, and what to do.
 * @throws TypeError, RangeError for bad options, before anything is tried.
 */
export async function startRedis(
  options: RedisOptions & { readonly sources: readonly ['process'] },
): Promise<RedisProcess>;
export async function startRedis(options?: RedisOptions): Promise<EmbeddedRedis>;
export async function startRedis(options: RedisOptions = {}): Promise<EmbeddedRedis> {
  const resolved = resolveOptions(options, process.env);
  const attempts: RedisAttempt[] = [];
  for (const source of resolved.sources) {
    const redis = await WAYS[source](resolved, attempts);
    if (redis !== undefined) return redis;
  }
  throw new RedisUnavailableError(attempts, await installAdvice());
}

type Way = (options: ResolvedOptions, attempts: RedisAttempt[]) => Promise<EmbeddedRedis | undefined>;

/** Each way gives a server, or says in `attempts` why it has none. */
const WAYS: Readonly<Record<RedisSource, Way>> = {
  async url({ url, startTimeout }, attempts) {
    if (url === undefined) {
      attempts.push({ source: 'url', target: '$REDIS_URL', reason: 'not set' });
      return undefined;
    }
    try {
      return await FoundRedis.at(url, startTimeout);
    } catch (cause) {
      attempts.push({ source: 'url', target: withoutPassword(url), reason: reasonOf(cause) });
      throw new RedisUnavailableError(
        attempts,
        'Correct the URL, or unset REDIS_URL to have a private server started.',
        { cause },
      );
    }
  },

  async process(options, attempts) {
    if (process.platform === 'win32') {
      attempts.push({
        source: 'process',
        target: process.platform,
        reason: 'Redis has no server for Windows',
      });
      return undefined;
    }
    const binary = await findBinary(process.env, attempts);
    if (binary === undefined) return undefined;
    return RedisProcess.start({ binary, options }).catch((error) => {
      attempts.push({ source: 'process', target: binary.path, reason: reasonOf(error) });
      return undefined;
    });
  },

  async docker(options, attempts) {
    return DockerRedis.start(options).catch((error) => {
      attempts.push({ source: 'docker', target: options.image, reason: reasonOf(error) });
      return undefined;
    });
  },
};
