import type { RedisOptions as ClientOptions, Redis } from 'ioredis';
import type { ServerBinary } from './binary.ts';
import { quote } from './config-file.ts';
import { EmbeddedRedisError, outOfRange, reasonOf, wrongType } from './errors.ts';
import {
  type PrivateRedisOptions,
  type ResolvedPrivateOptions,
  resolveCount,
  resolveMilliseconds,
  resolveShared,
} from './options.ts';
import { RedisProcess } from './redis-process.ts';
import {
  closeAll,
  everyClient,
  followed,
  orCloseAll,
  requireBinary,
  startAll,
  until,
  withClients,
} from './server-group.ts';
import type { ProcessRequest } from './server-home.ts';

/** What `startSentinel` takes; `password` is the Sentinels' too, `config` is the data servers' alone. */
export interface SentinelOptions extends PrivateRedisOptions {
  /** Replicas of the master, 1 to 16; default 1. */
  readonly replicas?: number;
  /** Sentinels, 1 to 16, of which a majority is the quorum; default 3. */
  readonly sentinels?: number;
  /** The name by which Sentinels know the master; default `main`. */
  readonly name?: string;
  /** Milliseconds of silence after which a Sentinel thinks a server is down; default 1,000. */
  readonly downAfter?: number;
}

interface ResolvedSentinel extends ResolvedPrivateOptions {
  readonly name: string;
  readonly replicas: number;
  readonly sentinels: number;
  readonly downAfter: number;
}

/** A master, its replicas, and the Sentinels that promote a replica when the master is down. */
export class RedisSentinel implements AsyncDisposable {
  /** By which the Sentinels know the master. */
  readonly name: string;
  /** The data servers; the first was the master at the start. */
  readonly servers: readonly RedisProcess[];
  /** The Sentinels. */
  readonly sentinels: readonly RedisProcess[];
  /** For `new Redis(…)` of ioredis: it then always finds the present master. */
  readonly clientOptions: Pick<ClientOptions, 'sentinels' | 'name' | 'password' | 'sentinelPassword'>;

  constructor(name: string, servers: readonly RedisProcess[], sentinels: readonly RedisProcess[]) {
    const password = servers[0]?.password;
    this.name = name;
    this.servers = servers;
    this.sentinels = sentinels;
    this.clientOptions = {
      name,
      sentinels: sentinels.map(address),
      ...(password === undefined ? {} : { password, sentinelPassword: password }),
    };
  }

  /** The server that the first Sentinel to answer holds to be the master. */
  async master(): Promise<RedisProcess> {
    const asked = this.sentinels.filter(({ running }) => running).map((sentinel) => this.#ask(sentinel));
    try {
      return await Promise.any(asked);
    } catch (cause) {
      const reasons =
        cause instanceof AggregateError ? cause.errors.map(reasonOf).join('; ') : reasonOf(cause);
      const message = `no Sentinel names the master: ${reasons || 'none is running'}`;
      throw new EmbeddedRedisError('ERR_HEDDLE_REDIS_NOT_RUNNING', message, { cause });
    }
  }

  /** Ends all of them. */
  close(): Promise<void> {
    return closeAll([...this.sentinels, ...this.servers]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ask(sentinel: RedisProcess): Promise<RedisProcess> {
    return withClients([sentinel], async (clients) => {
      const [reply] = await Promise.all(
        clients.map((client) => client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name)),
      );
      const [, port] = reply as [host: string, port: string];
      const master = this.servers.find((server) => server.port === Number(port));
      if (master === undefined)
        throw new Error(`${sentinel.url} names a server on port ${port}, which isn't ours`);
      return master;
    });
  }
}

/**
 * Starts a private master with replicas, and Sentinels over them; resolves when the replicas follow and every
 * Sentinel knows of all others, so that a fail-over can be had at once.
 *
 * @throws RedisUnavailableError where there is no server program on the PATH.
 * @throws EmbeddedRedisError `ERR_HEDDLE_REDIS_SETUP` if they don't find each other in time.
 * @throws TypeError, RangeError for bad options.
 */
export async function startSentinel(options: SentinelOptions = {}): Promise<RedisSentinel> {
  const resolved = resolve(options);
  const binary = await requireBinary();
  const servers = await startData(binary, resolved);
  const sentinels = await orCloseAll(servers, () => startAll(sentinelRequests(binary, resolved, servers)));
  await orCloseAll([...sentinels, ...servers], () => settle(resolved, servers, sentinels));
  return new RedisSentinel(resolved.name, servers, sentinels);
}

function resolve(options: SentinelOptions): ResolvedSentinel {
  const shared = resolveShared('startSentinel', options, ['replicas', 'sentinels', 'name', 'downAfter']);
  const { name = 'main' } = options;
  if (typeof name !== 'string') throw wrongType(`name must be a string, not ${String(name)}`);
  if (!/^[\w.-]+$/.test(name))
    throw outOfRange(`name must be of letters, digits and .-_, not ${JSON.stringify(name)}`);
  if (shared.password !== undefined && /["'\\\s]/.test(shared.password)) {
    throw outOfRange(
      "password: a Sentinel's can't hold spaces, quotes or backslashes, which it would write down bare",
    );
  }
  return {
    ...shared,
    name,
    replicas: resolveCount('replicas', options.replicas, 1, 1, 16),
    sentinels: resolveCount('sentinels', options.sentinels, 3, 1, 16),
    downAfter: resolveMilliseconds('downAfter', options.downAfter, 1_000),
  };
}

async function startData(binary: ServerBinary, options: ResolvedSentinel): Promise<RedisProcess[]> {
  const master = await RedisProcess.start({ binary, options });
  const replica = { binary, options, directives: [`replicaof ${master.host} ${master.port}`] };
  const replicas = Array.from({ length: options.replicas }, () => replica);
  return [master, ...(await orCloseAll([master], () => startAll(replicas)))];
}

function sentinelRequests(
  binary: ServerBinary,
  options: ResolvedSentinel,
  [master]: RedisProcess[],
): ProcessRequest[] {
  const { name, sentinels, downAfter } = options;
  const password = options.password === undefined ? undefined : quote(options.password);
  const directives = [
    `sentinel monitor ${name} ${master?.host} ${master?.port} ${Math.floor(sentinels / 2) + 1}`,
    `sentinel down-after-milliseconds ${name} ${Math.ceil(downAfter)}`,
    // A fail-over whose vote was split is tried again after twice this.
    `sentinel failover-timeout ${name} ${Math.ceil(Math.max(3_000, 3 * downAfter))}`,
    ...(password === undefined
      ? []
      : [`sentinel auth-pass ${name} ${password}`, `sentinel sentinel-pass ${password}`]),
  ];
  const request: ProcessRequest = {
    binary,
    options: { ...options, config: [] },
    role: 'sentinel',
    directives,
  };
  return Array.from({ length: sentinels }, () => request);
}

/** Sentinels learn of each other from greetings published on the data servers, by default every 2 s. */
const QUICKER = ['INFO-PERIOD', '500', 'PUBLISH-PERIOD', '200', 'PING-PERIOD', '200', 'ASK-PERIOD', '200'];

async function settle(
  options: ResolvedSentinel,
  servers: RedisProcess[],
  sentinels: RedisProcess[],
): Promise<void> {
  await withClients(servers.slice(0, 1), (masters) =>
    Promise.all(masters.map((master) => followed(master, options.replicas, options.startTimeout))),
  );
  await withClients(sentinels, async (clients) => {
    await Promise.all(clients.map((client) => client.call('SENTINEL', 'DEBUG', ...QUICKER)));
    await until('the Sentinels know of all', options.startTimeout, () =>
      everyClient(clients, (client) => knowsAll(client, options)),
    );
  });
}

async function knowsAll(sentinel: Redis, { name, replicas, sentinels }: ResolvedSentinel): Promise<boolean> {
  const state = fields(await sentinel.call('SENTINEL', 'MASTER', name));
  return (
    state.flags === 'master' &&
    Number(state['num-slaves']) === replicas &&
    Number(state['num-other-sentinels']) === sentinels - 1
  );
}

/** A reply of names and values: a flat list in RESP2, a map in RESP3. */
function fields(reply: unknown): Record<string, unknown> {
  if (!Array.isArray(reply)) return reply as Record<string, unknown>;
  return Object.fromEntries(
    reply.flatMap((name, index) => (index % 2 === 0 ? [[name, reply[index + 1]]] : [])),
  );
}

function address({ host, port }: RedisProcess): { host: string; port: number } {
  return { host: host as string, port: port as number };
}
