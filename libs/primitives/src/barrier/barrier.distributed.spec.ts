import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { barrierConformance } from './barrier.conformance.ts';
import type { DistributedBarrier } from './barrier.distributed.ts';

const bench = redisBench();

barrierConformance('distributed', {
  make: async (parties, options) => (await bench.turn()).barrier(bench.name(), parties, options),
  another: async (barrier, options) => {
    const { name, parties } = barrier as DistributedBarrier;
    return (await bench.turn()).barrier(name, parties, options);
  },
});

describe('Barrier, distributed', () => {
  it('is reset under those who came before, also where their session has no keeper yet', async () => {
    const barrier = (await bench.session()).barrier(bench.name(), 2);
    const waiting = barrier.wait();
    const failed = expect(waiting).rejects.toMatchObject({ code: 'ERR_HEDDLE_BROKEN_BARRIER' });
    await barrier.reset();
    await failed;
  });

  it('refuses another number of parties for a name that exists, giving both', async () => {
    const name = bench.name();
    const [a, b] = [await bench.turn(), await bench.turn()];
    const first = a.barrier(name, 2).wait();
    await until(async () => (await a.barrier(name, 2).waiting()) === 1, 'one waits');
    const other = b.barrier(name, 3);
    const mismatch = {
      code: 'ERR_HEDDLE_CONFIG_MISMATCH',
      existing: { parties: 2 },
      requested: { parties: 3 },
    };
    await expect(other.wait()).rejects.toMatchObject(mismatch);
    await expect(other.abort()).rejects.toMatchObject(mismatch);
    await expect(other.waiting()).rejects.toMatchObject(mismatch);
    await b.barrier(name, 2).wait();
    expect([0, 1]).toContain(await first);
  });

  it('is for as many as one named who only looked, and does not live for ever', async () => {
    const name = bench.name();
    const [a, b] = [await bench.turn(), await bench.turn()];
    expect(await a.barrier(name, 2).broken()).toBe(false);
    await expect(b.barrier(name, 3).wait({ timeout: 0 })).rejects.toMatchObject({ existing: { parties: 2 } });
    const [state = ''] = await bench.keysOf(name);
    expect(await bench.admin.pttl(state)).toBeGreaterThan(0);
  });

  it('lets a round of 1,000 parties go, which no single script may', async () => {
    const name = bench.name();
    const sessions = [await bench.turn(), await bench.turn(), await bench.turn()];
    const waits = Array.from({ length: 1000 }, (_, n) =>
      (sessions[n % 3] ?? sessions[0])?.barrier(name, 1000).wait(),
    );
    const indices = (await Promise.all(waits)) as number[];
    expect(indices.sort((x, y) => x - y)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
    expect(await sessions[0]?.barrier(name, 1000).waiting()).toBe(0);
  });

  it('breaks all of 1,000 waiters when one gives up', async () => {
    const name = bench.name();
    const session = await bench.turn();
    const waits = Array.from({ length: 999 }, () =>
      session
        .barrier(name, 1000)
        .wait()
        .catch((error) => error.code),
    );
    await until(async () => (await session.barrier(name, 1000).waiting()) === 999, 'all wait');
    await expect((await bench.turn()).barrier(name, 1001).wait()).rejects.toThrow();
    await (await bench.turn()).barrier(name, 1000).abort();
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['ERR_HEDDLE_BROKEN_BARRIER']));
  });

  it('keeps nothing for a party that has died, also where its sweep has been there before', async () => {
    const name = bench.name();
    const key = (part: string) => `{heddle:0}:barrier:${name}:${part}`;
    const dead = `${'0'.repeat(24)}-1#1`;
    await bench.admin.zadd(key('arrivals'), 1, `${dead}#0`);
    const session = await bench.turn();
    await expect(session.barrier(name, 2).wait()).rejects.toMatchObject({
      code: 'ERR_HEDDLE_BROKEN_BARRIER',
    });
    expect(await bench.admin.zcard(key('arrivals'))).toBe(0);
    expect(await bench.admin.hexists(key('outcomes'), dead)).toBe(0);
  });
});
