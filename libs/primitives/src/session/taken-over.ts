/** What is taken over of a user's client and options: where to connect, and as whom. The rest is ours to choose. */
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';

/** ioredis's options, less the form of replies: ours is the default one. */
export type Options = Omit<RedisOptions, 'replyMapping'>;

/** How a Cluster client finds its nodes; when it tries, how often and in which role is ours to choose. */
const CLUSTER = ['natMap', 'dnsLookup', 'resolveSrv', 'useSRVRecords', 'slotsRefreshTimeout'] as const;

/** What `connect` takes of ioredis's: those for a Cluster are used where there is one. */
export type GivenOptions = RedisOptions & Pick<ClusterOptions, (typeof CLUSTER)[number]>;

/** A node of a Cluster, with what only it has. */
export interface ClusterNode extends Pick<Options, 'username' | 'password' | 'tls'> {
  readonly host: string;
  readonly port: number;
}

const CONNECTION = [
  'host',
  'port',
  'path',
  'family',
  'username',
  'password',
  'db',
  'tls',
  'keyPrefix',
  'keepAlive',
  'noDelay',
  'sentinels',
  'name',
  'role',
  'sentinelUsername',
  'sentinelPassword',
  'sentinelTLS',
  'enableTLSForSentinelMode',
  'preferredSlaves',
  'connectTimeout',
  'socketTimeout',
  'Connector',
  'updateSentinels',
  'failoverDetector',
  'sentinelMaxConnections',
  'protocol',
  ...CLUSTER,
] as const;

/** What a node of a Cluster may have for itself. */
const NODE = ['username', 'password', 'tls'] as const;

function picked(options: object, keys: readonly string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const key of keys) {
    const value = (options as Record<string, unknown>)[key];
    if (value !== undefined && value !== null) found[key] = value;
  }
  return found;
}

export function connectionOf(options: Options): Options {
  return picked(options, CONNECTION);
}

/** Of a single connection's options those that a Cluster client must have itself. */
export function clusterOptionsOf(options: Options): ClusterOptions {
  return picked(options, CLUSTER);
}

/** A Cluster client's own options, and `extra` over them. */
export function clusterOptionsOfClient({ options }: Cluster, extra: GivenOptions = {}): ClusterOptions {
  // ioredis's own functions stand among them: these couldn't go to the keeper's thread, and are there already.
  const usual = new Cluster([], { lazyConnect: true }).options;
  const own = CLUSTER.filter((key) => options[key] !== usual[key]);
  // A prefix of the Cluster's goes before one of its nodes', and is looked for among theirs.
  const redisOptions = connectionOf({ ...options.redisOptions, ...picked(options, ['keyPrefix']), ...extra });
  return { ...picked(options, own), ...clusterOptionsOf(extra), redisOptions };
}

/**
 * The nodes a Cluster client knows, or those it was made with: before it is connected, and afterwards, it knows none;
 * and where there are SRV records, only those it was made with have some.
 */
export function nodesOf(
  cluster: Cluster,
  { useSRVRecords }: ClusterOptions,
  extra: GivenOptions = {},
): ClusterNode[] {
  const known = useSRVRecords ? [] : cluster.nodes('all').map(({ options }) => options);
  const nodes = known.length > 0 ? known : startupNodes(cluster);
  return nodes.map((options) => ({
    ...picked(options, NODE),
    ...picked(extra, NODE),
    host: options.host || '127.0.0.1',
    port: Number(options.port || 6379),
  }));
}

/** Ports, URLs or options; ioredis keeps them, though its types don't say so. */
function startupNodes(cluster: Cluster): Options[] {
  const { startupNodes: nodes } = cluster as unknown as { startupNodes?: (string | number | Options)[] };
  if (!Array.isArray(nodes)) return [];
  return nodes.map((node) => {
    if (typeof node === 'number') return { port: node };
    if (typeof node !== 'string') return node;
    const { host, port, username, password } = new Redis(node, { lazyConnect: true }).options;
    return { host, port, username, password } as Options; // Whether by TLS, a Cluster client is told by its options only.
  });
}
