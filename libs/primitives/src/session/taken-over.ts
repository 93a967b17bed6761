/** What is taken over of a user's client and options: where to connect, and as whom. The rest is ours to choose. */
import { type Cluster, Redis, type RedisOptions } from 'ioredis';

/** ioredis's options, less the form of replies: ours is the default one. */
export type Options = Omit<RedisOptions, 'replyMapping'>;

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
  'natMap',
  'preferredSlaves',
  'connectTimeout',
  'socketTimeout',
  'Connector',
  'dnsLookup',
  'updateSentinels',
  'failoverDetector',
  'sentinelMaxConnections',
  'protocol',
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

/** The nodes a Cluster client knows, or those it was made with: before it is connected, and afterwards, it knows none. */
export function nodesOf(cluster: Cluster, extra: RedisOptions = {}): ClusterNode[] {
  const known = cluster.nodes('all').map(({ options }) => options);
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
