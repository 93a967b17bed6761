export type { RedisProduct } from './binary.ts';
export type { DockerRedis } from './docker-redis.ts';
export {
  EmbeddedRedisError,
  type EmbeddedRedisErrorCode,
  type RedisAttempt,
  type RedisSource,
  RedisUnavailableError,
} from './errors.ts';
export type { FoundRedis } from './found-redis.ts';
export { type EnsuredRedis, type EnsureOptions, ensureRedisServer } from './install.ts';
export type { PrivateRedisOptions, RedisConfig, RedisOptions } from './options.ts';
export type { RedisProcess, RestartOptions } from './redis-process.ts';
export type { RedisServer } from './redis-server.ts';
export { type ClusterOptions, type RedisCluster, startCluster } from './start-cluster.ts';
export { type EmbeddedRedis, startRedis } from './start-redis.ts';
export { type RedisSentinel, type SentinelOptions, startSentinel } from './start-sentinel.ts';
export { type RedisServers, startServers } from './start-servers.ts';
