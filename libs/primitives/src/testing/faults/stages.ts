/** Where a workload runs, and what can be done to it there. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type RedisCluster,
  type RedisProcess,
  type RedisSentinel,
  type RedisServers,
  startCluster,
  startRedis,
  startSentinel,
  startServers,
} from '@heddle/embedded-redis';
import { Cluster, Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { startProxy, type Proxy as Wire } from '../proxy.ts';
import { until } from '../waiting.ts';
import type { ClientTerms } from './setting.ts';
import { Slots } from './slots.ts';

export interface Stage {
  /** How clients get there. */
  readonly terms: Pick<ClientTerms, 'direct'> & Partial<ClientTerms>;
  /** To look at what stands there. */
  readonly admin: Redis | Cluster;
  /** Into how many slots a namespace is spread there. */
  readonly partitions: number;
  keys(): Promise<string[]>;
}

function clientOf<T extends Redis | Cluster>(client: T): T {
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

async function server(): Promise<RedisProcess> {
  const redis = (await startRedis({ sources: ['process'] })) as RedisProcess;
  onTestFinished(() => redis.close());
  return redis;
}

/** One server, behind a proxy. */
export interface SingleStage extends Stage {
  readonly redis: RedisProcess;
  readonly proxy: Wire;
  readonly admin: Redis;
}

export async function singleStage(): Promise<SingleStage> {
  const redis = await server();
  const admin = clientOf(new Redis(redis.url));
  const proxy = await startProxy(redis.url);
  return {
    redis,
    proxy,
    admin,
    partitions: 1,
    terms: { url: proxy.url, direct: redis.url },
    keys: () => admin.keys('*'),
  };
}

/** A master with one replica, and Sentinels over them; fenced values lie on a server of their own. */
export interface SentinelStage extends Stage {
  readonly sentinel: RedisSentinel;
  /**
   * Cuts the replica off, so that it misses what is written; after `missed` ms puts the master out of service by `down`,
   * lets the replica take over, calls `meanwhile`, and brings the master back by `up`.
   */
  failOver(steps: {
    readonly missed: number;
    down(master: RedisProcess): unknown;
    meanwhile(next: RedisProcess): unknown;
    up(master: RedisProcess): unknown;
  }): Promise<void>;
}

/** Longer than it takes Sentinel to let a replica take over: who held something then holds it still. */
const SENTINEL_TTL = 5_000;
const LONG_HOLD = 3_000;

export async function sentinelStage(durable: boolean): Promise<SentinelStage> {
  const sentinel = await startSentinel({ replicas: 1, downAfter: 500 });
  onTestFinished(() => sentinel.close());
  const values = await server();
  const admin = clientOf(new Redis({ ...sentinel.clientOptions, maxRetriesPerRequest: null }));
  const failOver: SentinelStage['failOver'] = async ({ missed, down, meanwhile, up }) => {
    const master = await sentinel.master();
    // Which of the Sentinels answers is not said: one may know of the change before the others do.
    const next = sentinel.servers.find((one) => one !== master) as RedisProcess;
    const replica = new Redis(next.url);
    replica.on('error', () => {});
    try {
      await replica.replicaof('127.0.0.1', 1); // Nobody is there.
      await sleep(missed);
      await down(master);
      await until(async () => (await sentinel.master()) === next, 'the replica has taken over');
      await meanwhile(next);
      await up(master);
      const followed = async () => /state=online/.test(await replica.info('replication').catch(() => ''));
      await until(followed, 'the master of before follows');
    } finally {
      replica.disconnect();
    }
  };
  return {
    sentinel,
    failOver,
    admin,
    partitions: 1,
    terms: {
      redis: sentinel.clientOptions,
      durability: durable ? { replicas: 1, timeout: 200 } : undefined,
      direct: values.url,
      ttl: SENTINEL_TTL,
      longHold: LONG_HOLD,
    },
    keys: () => admin.keys('*'),
  };
}

/** A Cluster of three masters; fenced values lie on a server of their own. */
export interface ClusterStage extends Stage {
  readonly cluster: RedisCluster;
  readonly slots: Slots;
}

/** @param replicas of each master, which take over only where they are told to: then nothing is lost, however busy the machine */
export async function clusterStage(replicas = 0): Promise<ClusterStage> {
  const cluster = await startCluster({ masters: 3, replicas });
  onTestFinished(() => cluster.close());
  await Promise.all(
    cluster.nodes.map(async ({ url }) => {
      const node = new Redis(url);
      await node.config('SET', 'cluster-replica-no-failover', 'yes').finally(() => node.disconnect());
    }),
  );
  const values = await server();
  const slots = new Slots(cluster);
  onTestFinished(() => slots[Symbol.dispose]());
  return {
    cluster,
    slots,
    admin: clientOf(new Cluster([...cluster.startupNodes], cluster.clientOptions)),
    partitions: 16,
    terms: { url: cluster.masters[0]?.url, direct: values.url },
    keys: () => slots.keys(),
  };
}

/** Three independent servers of a quorum, and one more for the sessions themselves. */
export interface QuorumStage extends Stage {
  readonly quorum: RedisServers;
}

/** @param ttl of the sessions: a server counts once it has run for that long */
export async function quorumStage(ttl: number): Promise<QuorumStage> {
  const quorum = await startServers(3);
  onTestFinished(() => quorum.close());
  const own = await server();
  const admin = clientOf(new Redis(own.url));
  for (const url of quorum.urls) {
    const voter = new Redis(url);
    const uptime = async () => Number(/uptime_in_seconds:(\d+)/.exec(await voter.info('server'))?.[1]);
    await until(async () => (await uptime()) * 1000 > ttl, 'its vote counts').finally(() =>
      voter.disconnect(),
    );
  }
  return {
    quorum,
    admin,
    partitions: 1,
    terms: { url: own.url, quorum: quorum.urls, direct: own.url },
    keys: () => admin.keys('*'),
  };
}
