import { type RedisCluster, startCluster } from '@heddle/embedded-redis';
import { Cluster, type ClusterNode } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connect } from '../session.distributed.ts';
import type { ConnectOptions } from './options.ts';

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
async function works(live: Cluster, options?: ConnectOptions): Promise<string> {
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
