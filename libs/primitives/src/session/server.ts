/** Where Redis is, how its clients are made, and whether it will do. */
import { Cluster, type ClusterOptions, Redis } from 'ioredis';
import { Deadline } from '../deadline.ts';
import { HeddleError, RedisRefusedError, RedisUnreachableError, show, typeError } from '../errors.ts';
import { isReadOnly } from './refused.ts';
import {
  type ClusterNode,
  clusterOptionsOf,
  clusterOptionsOfClient,
  connectionOf,
  type GivenOptions,
  nodesOf,
  type Options,
} from './taken-over.ts';
import { isOutOfReach, sayingOf } from './unreachable.ts';

/** What a connection is made of; clonable wherever the user's options are. */
export type Target =
  | { readonly mode: 'standalone'; readonly options: Options }
  | { readonly mode: 'cluster'; readonly nodes: readonly ClusterNode[]; readonly options: ClusterOptions };

export type Client = Redis | Cluster;
export type ClientUse = 'command' | 'subscriber' | 'keeper' | 'confirming' | 'ordinary';

/** Of a number or its text: ioredis would make NaN of others, and SELECT fail where nobody listens. */
export const isDatabase = (db: unknown) => /^\d+$/.test(String(db));

/** The databases a URL names, by its path and its query; a socket's path has them in the query only. */
function databasesIn(url: string): string[] {
  const { pathname, searchParams } = new URL(url, 'redis://socket');
  const path = /^\/(?!\/)/.test(url) ? '' : pathname.replace(/^\/|\/$/g, '');
  return path === '' ? searchParams.getAll('db') : [path, ...searchParams.getAll('db')];
}

/** A server as it was given, a URL as text; what is none, named `what`, is refused before anything is opened. */
export function checkServer(given: unknown, what: string): string | Redis | Cluster {
  if (given instanceof Cluster || given instanceof Redis) return given;
  const redis = given instanceof URL ? given.href : given;
  if (typeof redis !== 'string')
    throw typeError(`${what} must be a URL, or a Redis or Cluster of ioredis, not ${show(redis)}`);
  if (!/^(rediss?:\/\/|\/)/.test(redis) || !URL.canParse(redis, 'redis://socket'))
    throw typeError(
      `${what}: ${show(hidePassword(redis))} is no Redis URL; write redis://[user:password@]host:port[/db], rediss://…, or a socket's path`,
    );
  if (!databasesIn(redis).every(isDatabase))
    throw typeError(
      `${what}: the database in ${show(hidePassword(redis))} must be a whole number from 0 on; left out, it is 0`,
    );
  return redis;
}

/** Finds out what the caller meant: a URL, a socket's path, or a live client whose options are taken over. */
export function resolveTarget(
  given: unknown,
  extra: GivenOptions | undefined,
  connectTimeout: number,
): Target {
  const redis = checkServer(given, 'connect: redis');
  if (redis instanceof Cluster) {
    const options = clusterOptionsOfClient(redis, { ...extra, connectTimeout });
    const nodes = nodesOf(redis, options, extra);
    if (nodes.length === 0)
      throw typeError('connect: the Cluster client was made without a node; give it one, or pass a URL');
    return { mode: 'cluster', nodes, options };
  }
  if (redis instanceof Redis)
    return { mode: 'standalone', options: connectionOf({ ...redis.options, ...extra, connectTimeout }) };
  const parsed = new Redis(redis, { lazyConnect: true }).options;
  return { mode: 'standalone', options: connectionOf({ ...parsed, ...extra, connectTimeout }) };
}

/** For messages: the address without its secret, which may have an @ itself, or stand in the query. */
export function hidePassword(url: string): string {
  return url.replace(/\/\/([^:@/]*):.*@/, '//$1:***@').replaceAll(/(password=)[^&]*/gi, '$1***');
}

export function describe(target: Target): string {
  if (target.mode === 'cluster') return target.nodes.map(({ host, port }) => `${host}:${port}`).join(', ');
  const { path, host, port, sentinels } = target.options;
  if (sentinels)
    return `Sentinel ${sentinels.map((sentinel) => `${sentinel.host}:${sentinel.port}`).join(', ')}`;
  if (path !== undefined) return path;
  return `${host ?? '127.0.0.1'}:${port ?? 6379}${target.options.tls ? ' (TLS)' : ''}`;
}

/** Ms between attempts: quick at first, never more than a second. */
const retryStrategy = (attempt: number) => Math.min(20 * 2 ** Math.min(attempt, 10), 1000);
/** A master that became a replica: connect anew, by Sentinel or DNS to the new one. */
const reconnectOnError = isReadOnly;

/**
 * Calls are numbered and sent again by ourselves, so ioredis must neither queue nor repeat them, but tell at once which
 * were cut off: 0 retries does that, where `null` would leave them unsettled for ever.
 */
const OURS: Options = {
  lazyConnect: true,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  disconnectTimeout: 200,
  enableAutoPipelining: false,
  retryStrategy,
  reconnectOnError,
};

/** A client that is not connected yet: call `connect()`. */
export function openClient(target: Target, use: ClientUse): Client {
  const common: Options =
    use === 'ordinary' ? { lazyConnect: true, maxRetriesPerRequest: null, retryStrategy } : OURS;
  const connectionName = `heddle-${use}`;
  if (target.mode === 'standalone') {
    const options: Options = { ...target.options, ...common, connectionName };
    return new Redis(options);
  }
  const nodeOptions: Options = { ...target.options.redisOptions, connectionName };
  if (use !== 'ordinary')
    Object.assign(nodeOptions, { autoResendUnfulfilledCommands: false, autoResubscribe: true });
  return new Cluster([...target.nodes], {
    ...target.options,
    lazyConnect: true,
    enableOfflineQueue: use === 'ordinary',
    shardedSubscribers: use === 'subscriber',
    clusterRetryStrategy: retryStrategy,
    redisOptions: nodeOptions,
  });
}

const OLDEST = [7, 0] as const;

/** What a server says of itself, as far as it matters here. */
interface ServerFacts {
  readonly version: string;
  readonly clustered: boolean;
  readonly policy: string;
}

function factsOf(report: string): ServerFacts {
  const field = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(report)?.[1]?.trim() ?? '';
  return {
    version: field('redis_version'),
    clustered: field('redis_mode') === 'cluster',
    policy: field('maxmemory_policy'),
  };
}

function refuseUnfit({ version, policy }: ServerFacts, where: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new RedisRefusedError(
      `Redis at ${where} is version ${version || 'unknown'}; Heddle needs 7.0 or newer: upgrade it`,
    );
  }
  if (policy !== '' && policy !== 'noeviction') {
    throw new RedisRefusedError(
      `Redis at ${where} evicts keys (maxmemory-policy ${policy}), so that locks could vanish; set: CONFIG SET maxmemory-policy noeviction`,
    );
  }
}

/** What a failure to connect was, in our terms; what is none, such as a mistake of a program's, is given as it is. */
export function connectionError(error: unknown, where: string): unknown {
  if (error instanceof HeddleError) return error;
  const message = sayingOf(error);
  if (/WRONGPASS|NOAUTH|invalid password|ERR AUTH|without any password/i.test(message)) {
    return new RedisRefusedError(
      `Redis at ${where} refused the credentials (${message}); check user and password`,
      { cause: error },
    );
  }
  if (/^(NOPERM|ERR|DENIED|NOGOODREPLICA|LOADING)\b/.test(message)) {
    return new RedisRefusedError(`Redis at ${where} refused (${message}); ${remedyForOpening(message)}`, {
      cause: error,
    });
  }
  if (!isOutOfReach(error) && !isReply(error)) return error;
  return new RedisUnreachableError(
    `Redis at ${where} cannot be reached (${message || 'no answer'}); check that it runs and the address is right`,
    { cause: error },
  );
}

function remedyForOpening(said: string): string {
  if (/DB index/.test(said)) return 'give a database that it has (`databases` in its configuration)';
  if (/max number of clients/.test(said)) return 'end connections, or raise its maxclients';
  if (/not allowed in cluster mode/.test(said)) return 'a Cluster has database 0 alone';
  return 'check the permissions and state of the server';
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** One span of time for several steps. */
export interface Limit {
  /** All of it, as it was given. */
  readonly ms: number;
  readonly deadline: Deadline;
}

/** So many ms from now. */
export function limit(ms: number): Limit {
  return { ms, deadline: Deadline.after(ms) };
}

/**
 * Bounds one step of a connection's making. Each has the whole time to itself: a Redis that is silent fails the first,
 * and one that answers is not given up because this loop has much to do.
 */
export async function within<T>({ ms, deadline }: Limit, where: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const cancelTimer = deadline.onExpiry(() =>
    late.reject(
      new RedisUnreachableError(
        `Redis at ${where} gave no answer within ${ms} ms; check that it runs and the address is right`,
      ),
    ),
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    cancelTimer();
    work.catch(() => {});
  }
}

/**
 * Connects a client, telling the cause where it can't be: refused, unreachable, or no answer in `connectTimeout` ms.
 * The first failure decides; nothing is left behind.
 */
export async function connectClient(target: Target, use: ClientUse, limit: Limit): Promise<Client> {
  const where = describe(target);
  const client = openClient(target, use);
  let first: unknown;
  const failed = new Promise<never>((_, reject) => {
    client.once('error', (error: unknown) => {
      first = error;
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
  failed.catch(() => {});
  client.on('error', () => {});
  try {
    await within(limit, where, Promise.race([client.connect(), failed]));
    return client;
  } catch (error) {
    client.disconnect();
    throw connectionError(error instanceof RedisUnreachableError ? error : (first ?? error), where);
  }
}

/** Connects, looks at the server, and follows it to its Cluster where it is a node of one. */
export async function reach(target: Target, limit: Limit): Promise<{ client: Client; target: Target }> {
  const where = describe(target);
  const client = await connectClient(target, 'command', limit);
  try {
    const facts = factsOf(await within(limit, where, client.info()));
    refuseUnfit(facts, where);
    if (!facts.clustered || target.mode === 'cluster') return { client, target };
    const { host = '127.0.0.1', port = 6379, ...redisOptions } = target.options;
    const options = { ...clusterOptionsOf(redisOptions), redisOptions };
    const cluster: Target = { mode: 'cluster', nodes: [{ host, port }], options };
    client.disconnect();
    return { client: await connectClient(cluster, 'command', limit), target: cluster };
  } catch (error) {
    client.disconnect();
    throw connectionError(error, where);
  }
}

/** Refuses a server that can't confirm what it is asked to. */
export async function refuseUnconfirming(
  client: Client,
  where: string,
  replicas: number,
  limit: Limit,
): Promise<void> {
  for (const master of client instanceof Cluster ? client.nodes('master') : [client]) {
    const report = await within(limit, where, master.info('replication'));
    const there = Number(/^connected_slaves:(\d+)/m.exec(report)?.[1] ?? 0);
    if (there >= replicas) continue;
    const which = master === client ? where : `${master.options.host}:${master.options.port}`;
    throw new RedisRefusedError(
      `Redis at ${which} has ${there} replicas, fewer than the ${replicas} that durability.replicas asks for; connect them, or ask for fewer`,
    );
  }
}

/** What is told of one that is a replica, and was not made a master in time. */
export function readOnlyError(where: string): RedisRefusedError {
  return new RedisRefusedError(
    `Redis at ${where} is a read-only replica; give the address of its master (INFO replication there names it), or of its Sentinels`,
  );
}
