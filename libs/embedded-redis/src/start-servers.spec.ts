import { Redis } from 'ioredis';
import { expect, it, vi } from 'vitest';
import { gone, ProgramFolder, watchForLeftovers } from '../test/private-folder.ts';
import { RedisUnavailableError, startCluster, startSentinel, startServers } from './index.ts';

watchForLeftovers();

it('independent servers know nothing of each other, and one may die without the others', async () => {
  const group = await startServers(3, { config: { maxmemory: '16mb' } });
  expect(new Set(group.urls).size).toBe(3);
  const [one, two, three] = group.urls.map((url) => new Redis(url).on('error', () => {}));
  await one?.set('loom', 'warp');
  expect(await two?.get('loom')).toBeNull();
  await group.servers[0]?.kill();
  expect(await three?.config('GET', 'maxmemory')).toEqual(['maxmemory', String(16 * 2 ** 20)]);
  await group.servers[0]?.restart();
  expect(await one?.get('loom')).toBeNull();
  for (const client of [one, two, three]) client?.disconnect();
  await group.close();
  await Promise.all(group.servers.map(gone));
});

it('a group of which one server fails to start leaves none behind', async () => {
  await expect(startServers(3, { config: { loom: 'yes' } })).rejects.toThrow(
    expect.objectContaining({
      code: 'ERR_HEDDLE_REDIS_START',
      message: expect.stringMatching(/Bad directive/),
    }),
  );
});

it.each([
  ['servers', () => startServers(2)],
  ['Sentinel', () => startSentinel()],
  ['a Cluster', () => startCluster()],
])('without a program to run, %s: an error with the command to install it', async (_, start) => {
  using programs = new ProgramFolder();
  vi.stubEnv('PATH', programs.path);
  const error = await start().catch((thrown: unknown) => thrown);
  vi.unstubAllEnvs();
  expect(error).toBeInstanceOf(RedisUnavailableError);
  expect(error).toMatchObject({
    remedy: expect.stringMatching(/install/i),
    attempts: [{ source: 'process' }],
  });
});
