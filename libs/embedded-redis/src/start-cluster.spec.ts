import { Cluster, Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';
import { watchForLeftovers } from '../test/private-folder.ts';
import { type RedisCluster, type RedisProcess, startCluster } from './index.ts';

watchForLeftovers();

/** A client of the Cluster that is disconnected with the test's other resources. */
function connect(group: RedisCluster, until: DisposableStack): Cluster {
  const client = new Cluster([...group.startupNodes], {
    ...group.clientOptions,
    clusterRetryStrategy: () => 20,
  });
  until.defer(() => client.disconnect());
  return client.on('error', () => {});
}

/** A client of one node. */
function connectTo(node: RedisProcess | undefined, until: DisposableStack): Redis {
  const client = new Redis(String(node?.url));
  until.defer(() => client.disconnect());
  return client;
}

it.concurrent('a Cluster of three masters divides the slots between them, and a killed node may come back', async () => {
  await using group = await startCluster();
  using end = new DisposableStack();
  const client = connect(group, end);
  const names = Array.from({ length: 60 }, (_, index) => `thread-${index}`);
  for (const name of names) await client.set(name, name);
  const sizes = await Promise.all(
    group.nodes.map(async (one) => {
      const node = connectTo(one, end);
      expect(await node.cluster('INFO')).toMatch(/cluster_state:ok/);
      return node.dbsize();
    }),
  );
  expect(sizes.reduce((sum, size) => sum + size)).toBe(60);
  expect(Math.min(...sizes)).toBeGreaterThan(0);

  await group.masters[1]?.restart({ data: 'keep' });
  await vi.waitFor(
    async () => expect(await Promise.all(names.map((name) => client.get(name)))).toEqual(names),
    { timeout: 15_000, interval: 50 },
  );
});

it.concurrent('a replica takes over from a killed master', async () => {
  await using group = await startCluster({ masters: 3, replicas: 1, nodeTimeout: 500 });
  using end = new DisposableStack();
  expect(group.nodes).toHaveLength(6);
  const client = connect(group, end);
  await client.set('shuttle', 'weft');
  const slot = await client.cluster('KEYSLOT', 'shuttle');
  const owner = Math.floor((slot * 3) / 16_384);
  await group.masters[owner]?.kill();
  const replica = connectTo(group.replicas[owner], end);
  await vi.waitFor(async () => expect(await replica.info('replication')).toMatch(/role:master/), {
    timeout: 15_000,
    interval: 20,
  });
  await vi.waitFor(async () => expect(await client.get('shuttle')).toBe('weft'), {
    timeout: 15_000,
    interval: 50,
  });
});
