import { describe, expect, it } from 'vitest';
import { ConfigMismatchError } from '../errors.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { latchConformance } from './latch.conformance.ts';
import type { DistributedCountDownLatch } from './latch.distributed.ts';

const bench = redisBench();
const counts = new Map<string, number>();

latchConformance('distributed', {
  make: async (count) => {
    const name = bench.name();
    counts.set(name, count);
    return (await bench.turn()).countDownLatch(name, count);
  },
  another: async (latch) => {
    const { name } = latch as DistributedCountDownLatch;
    return (await bench.turn()).countDownLatch(name, counts.get(name) as number);
  },
});

describe('CountDownLatch, distributed', () => {
  it('is of one count for all who name it', async () => {
    const name = bench.name();
    const [a, b] = [await bench.turn(), await bench.turn()];
    await a.countDownLatch(name, 3).countDown();
    const other = b.countDownLatch(name, 2);
    for (const use of [
      () => other.wait(),
      () => other.wait({ timeout: 0 }),
      () => other.count(),
      () => other.countDown(),
    ]) {
      const error = await use().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(ConfigMismatchError);
      expect(error).toMatchObject({ existing: { count: 3 }, requested: { count: 2 }, primitive: name });
    }
    expect(await a.countDownLatch(name, 3).count()).toBe(2);
    await until(async () => (await bench.keysOf(name)).length === 1, 'nothing but its count is left');
  });

  it('wakes 300 sessions with two calls, a message each', { timeout: 60_000 }, async () => {
    const name = bench.name();
    const sessions = await Promise.all(Array.from({ length: 300 }, () => bench.session({ ttl: 60_000 })));
    const waits = Array.from({ length: 3000 }, (_, n) => sessions[n % 300]?.countDownLatch(name, 1).wait());
    const waiters = `{heddle:0}:latch:${name}:waiters`;
    await until(async () => (await bench.admin.zcard(waiters)) === 300, 'all wait');
    const commands = await bench.commandsDuring(async () => {
      await sessions[0]?.countDownLatch(name, 1).countDown();
      expect(new Set(await Promise.all(waits))).toEqual(new Set([true]));
    });
    expect(commands.filter((line) => line.includes('"latch.count-down'))).toHaveLength(2);
    expect(await bench.admin.exists(waiters)).toBe(0);
    await Promise.all(sessions.map((session) => session.close()));
  });
});
