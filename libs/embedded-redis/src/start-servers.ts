import { type PrivateRedisOptions, resolveCount, resolveShared } from './options.ts';
import type { RedisProcess } from './redis-process.ts';
import { closeAll, requireBinary, startAll } from './server-group.ts';

/** Servers that know nothing of each other, as a quorum of lock servers needs them. */
export class RedisServers implements AsyncDisposable {
  /** The servers, in the order they were asked for. */
  readonly servers: readonly RedisProcess[];

  constructor(servers: readonly RedisProcess[]) {
    this.servers = servers;
  }

  /** Each server's URL. */
  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  /** Ends all of them. */
  close(): Promise<void> {
    return closeAll(this.servers);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Starts `count` independent private servers (1 to 64), each with the same options; all of them or none.
 *
 * @throws RedisUnavailableError where there is no server program on the PATH.
 * @throws TypeError, RangeError for a bad count or option.
 */
export async function startServers(count: number, options: PrivateRedisOptions = {}): Promise<RedisServers> {
  resolveCount('count', count, 1, 1, 64);
  const resolved = resolveShared('startServers', options, []);
  const binary = await requireBinary();
  return new RedisServers(
    await startAll(Array.from({ length: count }, () => ({ binary, options: resolved }))),
  );
}
