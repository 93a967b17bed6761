import type { Redis } from 'ioredis';
import {
  type PrivateRedisOptions,
  type ResolvedPrivateOptions,
  resolveCount,
  resolveMilliseconds,
  resolveShared,
} from './options.ts';
import type { RedisProcess } from './redis-process.ts';
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

/** What `startCluster` takes. */
export interface ClusterOptions extends PrivateRedisOptions {
  /** Masters, 1 to 16, between which the slots are evenly divided; default 3. */
  readonly masters?: number;
  /** Replicas of each master, 0 to 4; default 0. */
  readonly replicas?: number;
  /** Milliseconds of silence after which a node counts as failed and its replica takes over; default 2,000. */
  readonly nodeTimeout?: number;
}

interface ResolvedCluster extends ResolvedPrivateOptions {
  readonly masters: number;
  readonly replicas: number;
  readonly nodeTimeout: number;
}

const SLOTS = 16_384;

/** A Redis Cluster. Which node is master and which replica is said as it was at the start. */
export class RedisCluster implements AsyncDisposable {
  /** Those that were masters at the start. */
  readonly masters: readonly RedisProcess[];
  /** The first master's replicas, then the second's, and so on. */
  readonly replicas: readonly RedisProcess[];
  /** For `new Cluster(startupNodes, clientOptions)` of ioredis. */
  readonly startupNodes: readonly { readonly host: string; readonly port: number }[];
  /** The second argument of that: the nodes' password. */
  readonly clientOptions: { readonly redisOptions: { readonly password?: string } };

  constructor(masters: readonly RedisProcess[], replicas: readonly RedisProcess[]) {
    const password = masters[0]?.password;
    this.masters = masters;
    this.replicas = replicas;
    this.startupNodes = this.nodes.map(({ host, port }) => ({ host: host as string, port: port as number }));
    this.clientOptions = { redisOptions: password === undefined ? {} : { password } };
  }

  /** All nodes, masters first. */
  get nodes(): RedisProcess[] {
    return [...this.masters, ...this.replicas];
  }

  /** Ends all of them. */
  close(): Promise<void> {
    return closeAll(this.nodes);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Starts a private Redis Cluster; resolves when every node holds the Cluster to be whole and every replica
 * follows its master.
 *
 * @throws RedisUnavailableError where there is no server program on the PATH.
 * @throws EmbeddedRedisError `ERR_HEDDLE_REDIS_SETUP` if the nodes don't find each other in time.
 * @throws TypeError, RangeError for bad options.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const resolved = resolve(options);
  const binary = await requireBinary();
  const directives = [`cluster-node-timeout ${Math.ceil(resolved.nodeTimeout)}`];
  const request = { binary, options: resolved, role: 'cluster', directives } as const;
  const size = resolved.masters * (1 + resolved.replicas);
  const nodes = await startAll(Array.from({ length: size }, () => request));
  await orCloseAll(nodes, () => withClients(nodes, (clients) => join(resolved, nodes, clients)));
  return new RedisCluster(nodes.slice(0, resolved.masters), nodes.slice(resolved.masters));
}

function resolve(options: ClusterOptions): ResolvedCluster {
  return {
    ...resolveShared('startCluster', options, ['masters', 'replicas', 'nodeTimeout']),
    masters: resolveCount('masters', options.masters, 3, 1, 16),
    replicas: resolveCount('replicas', options.replicas, 0, 0, 4),
    nodeTimeout: resolveMilliseconds('nodeTimeout', options.nodeTimeout, 2_000),
  };
}

/** Makes one Cluster of nodes that don't know each other: slots, introductions, replicas. */
async function join(
  options: ResolvedCluster,
  nodes: readonly RedisProcess[],
  clients: readonly Redis[],
): Promise<void> {
  const { masters, replicas, startTimeout } = options;
  await Promise.all(clients.slice(0, masters).map((client, index) => giveSlots(client, index, masters)));
  await Promise.all(clients.map((client, index) => meet(client, nodes.slice(index + 1))));
  await until('the nodes know of all', startTimeout, () =>
    everyClient(clients, async (client) => (await acquaintances(client)) === nodes.length),
  );
  await replicate(options, clients);
  await until('the Cluster is whole', startTimeout, () => everyClient(clients, seesWhole));
  await Promise.all(clients.slice(0, masters).map((master) => followed(master, replicas, startTimeout)));
}

/** Distinct epochs from the start spare the nodes the settling of a dispute over them. */
async function giveSlots(client: Redis, index: number, masters: number): Promise<void> {
  const first = Math.floor((index * SLOTS) / masters);
  const last = Math.floor(((index + 1) * SLOTS) / masters) - 1;
  await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  await client.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
}

/** The bus port is named: it isn't the default one. */
async function meet(client: Redis, others: readonly RedisProcess[]): Promise<void> {
  await Promise.all(
    others.map(({ host, port, busPort }) =>
      client.call('CLUSTER', 'MEET', String(host), String(port), String(busPort)),
    ),
  );
}

/** How many nodes a node knows by their true names, itself included. */
async function acquaintances(client: Redis): Promise<number> {
  const nodes = (await client.cluster('NODES')) as string;
  return nodes
    .trim()
    .split('\n')
    .filter((node) => !/handshake|noaddr/.test(node)).length;
}

async function replicate({ masters, replicas }: ResolvedCluster, clients: readonly Redis[]): Promise<void> {
  const ids = await Promise.all(clients.slice(0, masters).map((client) => client.cluster('MYID')));
  await Promise.all(
    clients
      .slice(masters)
      .map((client, index) => client.cluster('REPLICATE', ids[Math.floor(index / replicas)] as string)),
  );
}

async function seesWhole(client: Redis): Promise<boolean> {
  const state = await client.cluster('INFO');
  return state.includes('cluster_state:ok') && state.includes(`cluster_slots_ok:${SLOTS}`);
}
