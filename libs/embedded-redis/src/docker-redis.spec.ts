import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { dockerAnswers } from './docker-redis.ts';
import { startRedis } from './index.ts';

describe.runIf(await dockerAnswers())('a server in a container', () => {
  it('serves in memory only, with a password, and is gone after use', async () => {
    let url: string;
    {
      await using redis = await startRedis({ sources: ['docker'], config: { maxmemory: '32mb' } });
      expect(redis.via).toBe('docker');
      url = redis.url;
      const client = new Redis(url);
      expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(32 * 2 ** 20)]);
      expect(await client.config('GET', 'save')).toEqual(['save', '']);
      client.disconnect();
      await expect(startRedis({ url: url.replace(/default:\w+@/, '') })).rejects.toThrow(/NOAUTH/);
    }
    await expect(startRedis({ url, startTimeout: 2_000 })).rejects.toThrow(/ECONNREFUSED|timed out/i);
  }, 120_000);

  it("says why it can't be had", async () => {
    const refused = (options: object) => startRedis({ sources: ['docker'], ...options });
    await expect(refused({ socket: true })).rejects.toThrow(/out of reach/);
    await expect(refused({ persist: '/kept' })).rejects.toThrow(/directory of yours/);
    await expect(refused({ config: { loom: 'yes' } })).rejects.toThrow(/Bad directive/);
  }, 120_000);
});

it('where no engine answers or no image is to be had, says so', async () => {
  const error = startRedis({ sources: ['docker'], image: 'heddle.invalid/none:0' });
  await expect(error).rejects.toMatchObject({
    attempts: [{ source: 'docker', target: 'heddle.invalid/none:0' }],
  });
});
