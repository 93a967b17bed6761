import { type RedisOptions as ClientOptions, Redis } from 'ioredis';
import { isRecent, OLDEST_MAJOR, type RedisProduct } from './binary.ts';
import type { RedisServer } from './redis-server.ts';

/** What a server says of itself. */
export interface ServerIdentity {
  readonly product: RedisProduct;
  readonly version: string;
}

/** A server that somebody else runs. */
export class FoundRedis implements RedisServer {
  readonly via = 'url';
  readonly url: string;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly socket: string | undefined;
  readonly password: string | undefined;
  readonly product: RedisProduct;
  readonly version: string;

  private constructor(url: string, address: ClientOptions, { product, version }: ServerIdentity) {
    this.url = url;
    this.socket = address.path;
    this.host = address.path === undefined ? address.host : undefined;
    this.port = address.path === undefined ? address.port : undefined;
    this.password = address.password ?? undefined;
    this.product = product;
    this.version = version;
  }

  /** Checks that a recent enough server answers at the URL; throws, saying why not. */
  static async at(url: string, timeout: number): Promise<FoundRedis> {
    if (!/^(rediss?:\/\/|\/)/i.test(url))
      throw new Error('a URL that begins with redis:// or rediss:// is needed');
    const { identity, address } = await ask(url, timeout);
    if (!isRecent(identity.version)) {
      throw new Error(`the server is version ${identity.version}; ${OLDEST_MAJOR} or later is needed`);
    }
    return new FoundRedis(url, address, identity);
  }

  /** Without effect: the server isn't ours to end. */
  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Asks a server who it is; throws the reason why it can't be had. */
export async function ask(
  url: string,
  timeout: number,
): Promise<{ identity: ServerIdentity; address: ClientOptions }> {
  const client = new Redis(url, {
    lazyConnect: true,
    // An old server that can't speak RESP3 is to be told that it is old, not that it can't say hello.
    protocol: 2,
    connectTimeout: timeout,
    commandTimeout: timeout,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: null,
  });
  // The event tells the true cause; the rejected promise only that the connection is closed.
  let cause: Error | undefined;
  client.on('error', (error: Error) => {
    cause ??= error;
  });
  try {
    await client.connect();
    return { identity: identify(await client.info('server')), address: client.options };
  } catch (error) {
    throw cause ?? error;
  } finally {
    client.disconnect();
  }
}

function identify(info: string): ServerIdentity {
  const fields = new Map(info.split(/\r?\n/).map((line) => line.split(':', 2) as [string, string]));
  if (fields.get('redis_mode') === 'sentinel')
    throw new Error('this is a Sentinel: the URL of a data server is needed');
  const valkey = fields.get('valkey_version');
  const version = valkey ?? fields.get('redis_version');
  if (version === undefined) throw new Error('the server answers INFO without a version: is it a Redis?');
  return { product: valkey === undefined ? 'redis' : 'valkey', version };
}
