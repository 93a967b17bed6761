import { Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';
import { watchForLeftovers } from '../test/private-folder.ts';
import { type RedisProcess, type RedisSentinel, startSentinel } from './index.ts';

watchForLeftovers();

/** Waits until the Sentinels name another master. */
async function promotedAfter(group: RedisSentinel, old: RedisProcess): Promise<RedisProcess> {
  return vi.waitFor(
    async () => {
      const master = await group.master();
      expect(master).not.toBe(old);
      return master;
    },
    { timeout: 15_000, interval: 20 },
  );
}

it.concurrent('a replica takes over from a killed master with its data, and the old one comes back as a replica', async () => {
  await using group = await startSentinel({ replicas: 1, sentinels: 3, downAfter: 300 });
  const client = new Redis({
    ...group.clientOptions,
    sentinelRetryStrategy: () => 20,
    maxRetriesPerRequest: null,
  });
  client.on('error', () => {});
  await client.set('shuttle', 'weft');
  const first = await group.master();
  expect(first).toBe(group.servers[0]);

  await first.kill();
  const second = await promotedAfter(group, first);
  expect(second).toBe(group.servers[1]);
  expect(await client.get('shuttle')).toBe('weft');

  await first.restart();
  const old = new Redis(first.url).on('error', () => {});
  await vi.waitFor(async () => expect(await old.get('shuttle')).toBe('weft'), {
    timeout: 15_000,
    interval: 20,
  });
  expect(await old.info('replication')).toMatch(/role:slave/);
  old.disconnect();
  client.disconnect();
});

it.concurrent('a Sentinel may be killed and restarted; with none left, there is nobody to name the master', async () => {
  await using group = await startSentinel({ sentinels: 1, name: 'loom.1', password: false });
  const [sentinel] = group.sentinels;
  await sentinel?.kill();
  await expect(group.master()).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_HEDDLE_REDIS_NOT_RUNNING' }),
  );
  await sentinel?.restart();
  expect(await group.master()).toBe(group.servers[0]);
});
