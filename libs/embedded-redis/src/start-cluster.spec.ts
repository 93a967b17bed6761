import { Cluster, Redis } from 'ioredis';
import { afterEach, expect, it, vi } from 'vitest';
import { watchForLeftovers } from '../test/private-folder.ts';
import { type RedisCluster, startCluster } from './index.ts';

watchForLeftovers();

const clients: (Cluster | Redis)[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

function connect(group: RedisCluster): Cluster {
  const client = new Cluster([...group.startupNodes], {
    ...group.clientOptions,
    clusterRetryStrategy: () => 20,
  });
  clients.push(client.on('error', () => {}));
  return client;
}

it('a Cluster of three masters divides the slots between them, and a killed node may come back', async () => {
  await using group = await startCluster();
  const client = connect(group);
  const names = Array.from({ length: 60 }, (_, index) => `thread-${index}`);
  for (const name of names) await client.set(name, name);
  const sizes = await Promise.all(
    group.nodes.map(async ({ url }) => {
      const node = new Redis(url);
      clients.push(node);
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

it('a replica takes over from a killed master', async () => {
  await using group = await startCluster({ masters: 3, replicas: 1, nodeTimeout: 500 });
  expect(group.nodes).toHaveLength(6);
  const client = connect(group);
  await client.set('shuttle', 'weft');
  const slot = await client.cluster('KEYSLOT', 'shuttle');
  const owner = Math.floor((slot * 3) / 16_384);
  await group.masters[owner]?.kill();
  const replica = new Redis(String(group.replicas[owner]?.url));
  clients.push(replica);
  await vi.waitFor(async () => expect(await replica.info('replication')).toMatch(/role:master/), {
    timeout: 15_000,
    interval: 20,
  });
  await vi.waitFor(async () => expect(await client.get('shuttle')).toBe('weft'), {
    timeout: 15_000,
    interval: 50,
  });
});
