import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { counterConformance } from './counter.conformance.ts';
import type { DistributedCounter } from './counter.distributed.ts';

const bench = redisBench();

counterConformance('distributed', {
  make: async () => (await bench.turn()).counter(bench.name()),
  another: async (counter) => (await bench.turn()).counter((counter as DistributedCounter).name),
});

describe('Counter, distributed', () => {
  it('takes one command for each change, and for two dozen of one turn together', async () => {
    const counter = (await bench.session()).counter(bench.name());
    await counter.value();
    const sent = async (work: () => Promise<unknown>) =>
      (await bench.commandsDuring(work)).filter((line) => line.includes('"counter.'));
    expect(await sent(() => counter.add())).toHaveLength(1);
    const adds = (count: number) => () => Promise.all(Array.from({ length: count }, () => counter.add()));
    expect(await sent(adds(24))).toHaveLength(1);
    expect(await sent(adds(64))).toHaveLength(3);
    expect(await counter.value()).toBe(89);
  });

  it('refuses what is no whole number under its name, unchanged', async () => {
    const name = bench.name();
    const counter = (await bench.turn()).counter(name);
    const key = `{heddle:0}:counter:${name}:value`;
    for (const value of ['', 'many', '1.5', '1e3', ' 1']) {
      await bench.admin.set(key, value);
      for (const use of [() => counter.add(), () => counter.value(), () => counter.compareAndSet(0, 1)]) {
        await expect(use()).rejects.toMatchObject({ code: 'ERR_HEDDLE_REDIS_REFUSED', primitive: name });
      }
      expect(await bench.admin.get(key)).toBe(value);
      expect(await bench.admin.pttl(key)).toBe(-1);
    }
    await bench.admin.del(key);
  });

  it('keeps its number for the time a record lives, after each use', async () => {
    const name = bench.name();
    await (await bench.turn()).counter(name).add(5);
    expect(await bench.admin.pttl(`{heddle:0}:counter:${name}:value`)).toBeGreaterThan(86_000_000);
  });
});
