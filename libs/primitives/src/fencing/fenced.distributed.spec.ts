import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StaleTokenError } from '../errors.ts';
import { redisBench } from '../testing/redis.ts';
import { fencedDelete, fencedGet, fencedSet } from './fenced.distributed.ts';

const bench = redisBench();
let redis: Redis;
beforeAll(() => {
  redis = new Redis(bench.url);
});
afterAll(() => redis.disconnect());

describe('fenced values', () => {
  it('are written by the last hold, as often as it likes, and by no earlier one', async () => {
    const lock = (await bench.turn()).lock(bench.name());
    const early = await lock.acquire();
    await fencedSet(redis, 'fenced:a', 'first', early);
    await early.release();
    const late = await lock.acquire();
    await fencedSet(redis, 'fenced:a', 'second', late);
    await fencedSet(redis, 'fenced:a', 'third', late.token);
    const refused = await fencedSet(redis, 'fenced:a', 'stale', early).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StaleTokenError);
    expect(refused).toMatchObject({ code: 'ERR_HEDDLE_STALE_TOKEN', token: early.token, seen: late.token });
    await expect(fencedDelete(redis, 'fenced:a', early)).rejects.toThrow(StaleTokenError);
    expect(await fencedGet(redis, 'fenced:a')).toBe('third');
    await late.release();
    await redis.del('fenced:a');
  });

  it('remember the token of what was removed', async () => {
    await fencedSet(redis, 'fenced:b', 'x', 5);
    await fencedDelete(redis, 'fenced:b', 7);
    expect(await fencedGet(redis, 'fenced:b')).toBeNull();
    await expect(fencedSet(redis, 'fenced:b', 'y', 6)).rejects.toThrow(/token 7, later than 6/);
    await redis.del('fenced:b');
  });

  it('tell tokens of 16 digits apart', async () => {
    const token = Number.MAX_SAFE_INTEGER - 1;
    await fencedSet(redis, 'fenced:c', 'x', token + 1);
    await expect(fencedSet(redis, 'fenced:c', 'y', token)).rejects.toThrow(StaleTokenError);
    expect(await redis.hget('fenced:c', 'token')).toBe(String(token + 1));
    await redis.del('fenced:c');
  });

  it('tell tokens apart as numbers, not as words', async () => {
    await fencedSet(redis, 'fenced:e', 'x', 9);
    await fencedSet(redis, 'fenced:e', 'y', 10);
    await expect(fencedSet(redis, 'fenced:e', 'z', 9)).rejects.toThrow(StaleTokenError);
    await redis.del('fenced:e');
  });

  it('go at the end of their ttl, which each write sets anew', async () => {
    await fencedSet(redis, 'fenced:d', 'x', 1, { ttl: 60_000 });
    expect(await redis.pttl('fenced:d')).toBeGreaterThan(50_000);
    await fencedSet(redis, 'fenced:d', 'y', 1);
    expect(await redis.pttl('fenced:d')).toBe(-1);
    await redis.del('fenced:d');
  });

  it('leave a key of another type as it is, and say so', async () => {
    await redis.set('fenced:f', 'not ours');
    const refusal = { code: 'ERR_HEDDLE_REDIS_REFUSED', primitive: 'fenced:f' };
    await expect(fencedSet(redis, 'fenced:f', 'x', 1, { ttl: 1000 })).rejects.toMatchObject(refusal);
    await expect(fencedDelete(redis, 'fenced:f', 1)).rejects.toMatchObject(refusal);
    await expect(fencedGet(redis, 'fenced:f')).rejects.toMatchObject(refusal);
    expect(await redis.get('fenced:f')).toBe('not ours');
    expect(await redis.pttl('fenced:f')).toBe(-1);
    await redis.del('fenced:f');
  });

  it('refuse wrong arguments before anything is sent', async () => {
    for (const fence of [0, -1, 1.5, Number.NaN, 2 ** 53])
      await expect(fencedSet(redis, 'fenced:e', 'x', fence)).rejects.toThrow(RangeError);
    for (const fence of ['1', null, undefined, {}, { token: '1' }])
      await expect(fencedSet(redis, 'fenced:e', 'x', fence as never)).rejects.toThrow(TypeError);
    await expect(fencedSet(redis, '', 'x', 1)).rejects.toThrow(TypeError);
    for (const client of [null, undefined, bench.url, {}]) {
      await expect(fencedSet(client as never, 'fenced:e', 'x', 1)).rejects.toMatchObject({
        name: 'TypeError',
        code: expect.stringMatching(/^ERR_HEDDLE_/),
      });
      await expect(fencedGet(client as never, 'fenced:e')).rejects.toThrow(TypeError);
    }
    await expect(fencedSet(redis, 'fenced:e', 5 as never, 1)).rejects.toThrow(TypeError);
    await expect(fencedSet(redis, 'fenced:e', 'x', 1, { ttl: 0 })).rejects.toThrow(RangeError);
    await expect(fencedSet(redis, 'fenced:e', 'x', 1, { px: 1 } as never)).rejects.toThrow(TypeError);
    expect(await redis.exists('fenced:e')).toBe(0);
  });
});
