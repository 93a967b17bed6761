import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { Lease } from '../lock/lock.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();
const LOCKS = 20_000;
/** Asked for at once: a session asks in as many calls as that takes, one after the other. */
const AT_ONCE = 2_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function bytesInRedis(): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await bench.admin.info('memory'))?.[1]);
}

it('holds 20,000 different locks by one command a tick, in a few kilobytes each', {
  timeout: 120_000,
}, async () => {
  const session = await bench.session({ ttl: 6_000, namespace: 'many' });
  await session.lock('the first').with(() => expect(session.keeper).toBe('thread'));
  collect();
  const [heap, stored] = [process.memoryUsage().heapUsed, await bytesInRedis()];
  const leases: Lease[] = [];
  while (leases.length < LOCKS) {
    const some = Array.from({ length: AT_ONCE }, (_, n) => session.lock(`lock ${leases.length + n}`));
    leases.push(...(await Promise.all(some.map((lock) => lock.acquire()))));
  }
  collect();
  expect((process.memoryUsage().heapUsed - heap) / LOCKS).toBeLessThan(5_000);
  expect(((await bytesInRedis()) - stored) / LOCKS).toBeLessThan(1_000);
  const commands = await bench.commandsDuring(async () => {
    const begun = performance.now();
    await until(() => performance.now() - begun > 2_500, 'ticks have passed');
  });
  const own = commands.filter((line) => line.includes('{many:0}'));
  // A third of the ttl apart.
  expect(own.length).toBeGreaterThanOrEqual(1);
  expect(own.length).toBeLessThanOrEqual(3);
  expect(leases.every(({ valid }) => valid)).toBe(true);
  await session.close();
});
