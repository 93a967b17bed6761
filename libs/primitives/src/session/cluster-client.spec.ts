import { type RedisCluster, startCluster } from '@heddle/embedded-redis';
import { Cluster, type ClusterNode, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connect } from '../session.distributed.ts';
import { until } from '../testing/waiting.ts';
import type { ConnectOptions } from './options.ts';
import { resolveTarget } from './server.ts';

type Options = NonNullable<ConstructorParameters<typeof Cluster>[1]>;

let cluster: RedisCluster;

beforeAll(async () => {
  cluster = await startCluster({ masters: 3, replicas: 0 });
}, 60_000);

afterAll(() => cluster.close());

/** A user's client, which knows the password unless told otherwise. */
function client(options: Options = {}, nodes?: ClusterNode[]): Cluster {
  const made = new Cluster(nodes ?? [...cluster.startupNodes], { ...cluster.clientOptions, ...options });
  made.on('error', () => {});
  onTestFinished(() => made.disconnect());
  return made;
}

async function ready(live: Cluster): Promise<Cluster> {
  if (live.status !== 'ready') await new Promise((resolve) => live.once('ready', resolve));
  return live;
}

/** A session by that client hands a lock over; gives back who gave its sign of life. */
async function works(live: Cluster | string, options?: ConnectOptions): Promise<string> {
  await using session = await connect(live, { logger: {}, ...options });
  const lease = await session.lock('l').acquire();
  const next = session.lock('l').acquire();
  await lease.release();
  await (await next).release();
  return session.keeper;
}

describe('a live Cluster is taken over', () => {
  it('right after it was made', async () => {
    expect(await works(client())).toBe('thread');
  });

  it('before it is connected', async () => {
    const lazy = client({ lazyConnect: true });
    expect(await works(lazy)).toBe('thread');
    expect(lazy.status).toBe('wait');
  });

  it('after it was disconnected', async () => {
    const gone = await ready(client());
    const ended = new Promise((resolve) => gone.once('end', resolve));
    gone.disconnect();
    await ended;
    expect(await works(gone)).toBe('thread');
  });

  it('whatever form its nodes have, with what only they know', async () => {
    const ports = cluster.startupNodes.map(({ port }) => port);
    const urls = cluster.masters.map(({ url }) => url);
    await works(client({ lazyConnect: true }, ports));
    await works(client({ lazyConnect: true }, ports.map(String)));
    await works(client({ lazyConnect: true, redisOptions: {} }, urls));
    await works(await ready(client({ redisOptions: {} }, urls)));
  });

  it('with a password given to connect in place of its own', async () => {
    const nodes = cluster.startupNodes.map(({ port }) => ({ port, password: 'wrong' }));
    const { password = '' } = cluster.clientOptions.redisOptions;
    await works(client({ lazyConnect: true, redisOptions: {} }, nodes), { redis: { password } });
  });

  it('unless it was made without a node', async () => {
    await expect(connect(client({ lazyConnect: true }, []))).rejects.toThrow(/made without a node/);
  });
});

describe('a live Cluster’s own options are taken over:', () => {
  it('its key prefix', async () => {
    await works(client({ keyPrefix: 'ours:' }), { namespace: 'prefixed' });
    const admins = (await ready(client())).nodes('master');
    const keys = (await Promise.all(admins.map((admin) => admin.keys('*prefixed*')))).flat();
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.filter((key) => !key.startsWith('ours:'))).toEqual([]);
  });

  it('how names of hosts are looked up; the main loop gives the sign of life then', async () => {
    const dnsLookup: Options['dnsLookup'] = (_name, done) => done(null, '127.0.0.1', 4);
    const nodes = cluster.startupNodes.map(({ port }) => ({ host: 'redis.invalid', port }));
    expect(await works(client({ lazyConnect: true, dnsLookup }, nodes))).toBe('main loop');
    expect(await works(client({ lazyConnect: true }, nodes), { redis: { dnsLookup } })).toBe('main loop');
  });

  it('SRV records, and how they are looked up', async () => {
    const { port = 0 } = cluster.startupNodes[0] ?? {};
    const asked: string[] = [];
    const resolveSrv: Options['resolveSrv'] = (name, done) => {
      asked.push(name);
      done(null, [{ name: '127.0.0.1', port, priority: 1, weight: 1 }]);
    };
    const live = client({ useSRVRecords: true, resolveSrv }, [{ host: 'srv.invalid' }]);
    await ready(live);
    asked.length = 0;
    expect(await works(live)).toBe('main loop');
    expect(new Set(asked)).toEqual(new Set(['srv.invalid']));
  });

  describe('where its nodes announce addresses that lead nowhere from here,', () => {
    const natMap = () =>
      Object.fromEntries(
        cluster.startupNodes.map(({ host, port }) => [`${port}.invalid:${port}`, { host, port }]),
      );

    beforeAll(async () => {
      const masters = cluster.masters.map(({ url }) => new Redis(url));
      for (const master of masters) {
        await master.config('SET', 'cluster-announce-hostname', `${master.options.port}.invalid`);
        await master.config('SET', 'cluster-preferred-endpoint-type', 'hostname');
      }
      await until(async () => {
        const slots = await Promise.all(masters.map((master) => master.cluster('SLOTS')));
        return slots.flat().every(([, , node]) => node?.[0]?.endsWith('.invalid'));
      }, 'all know what all announce');
      for (const master of masters) master.disconnect();
    });

    it('its natMap as an object', async () => {
      const live = await ready(client({ natMap: natMap() }));
      expect(await works(live)).toBe('thread');
      expect(await works(client({ natMap: natMap(), lazyConnect: true }))).toBe('thread');
    });

    it('its natMap as a function', async () => {
      const map = natMap();
      expect(await works(client({ natMap: (address) => map[address] ?? null }))).toBe('main loop');
    });

    it('or one given to connect, also beside a URL', async () => {
      const redis = { natMap: natMap() };
      expect(await works(client(), { redis })).toBe('thread');
      expect(await works(cluster.masters[0]?.url ?? '', { redis })).toBe('thread');
    });
  });

  it('and none that says when, how often and where to try', () => {
    const live = client({
      lazyConnect: true,
      slotsRefreshTimeout: 3000,
      slotsRefreshInterval: 50,
      scaleReads: 'slave',
      maxRedirections: 1,
      retryDelayOnFailover: 0,
      enableOfflineQueue: false,
      clusterRetryStrategy: () => null,
      redisOptions: { maxRetriesPerRequest: 3, password: 'p' },
    });
    expect(resolveTarget(live, { keyPrefix: 'k:' }, 100)).toMatchObject({
      nodes: cluster.startupNodes,
      options: {
        slotsRefreshTimeout: 3000,
        redisOptions: { password: 'p', keyPrefix: 'k:', connectTimeout: 100 },
      },
    });
    const { options } = resolveTarget(live, undefined, 100);
    expect(Object.keys(options)).toEqual(['slotsRefreshTimeout', 'redisOptions']);
  });
});
