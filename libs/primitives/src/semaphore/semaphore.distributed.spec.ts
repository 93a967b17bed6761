import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';
import { boundedSemaphoreConformance, semaphoreConformance } from './semaphore.conformance.ts';
import type { DistributedSemaphore } from './semaphore.distributed.ts';
import type { AnySemaphore } from './semaphore.ts';

const bench = redisBench();

const shapes = new Map<string, number>();
const another = (bounded: boolean) => async (semaphore: AnySemaphore) => {
  const { name } = semaphore as DistributedSemaphore;
  const session = await bench.turn();
  const permits = shapes.get(name) as number;
  return bounded ? session.boundedSemaphore(name, permits) : session.semaphore(name, permits);
};
const make =
  (bounded: boolean) =>
  async (permits = 1) => {
    const name = bench.name();
    shapes.set(name, permits);
    const session = await bench.turn();
    return bounded ? session.boundedSemaphore(name, permits) : session.semaphore(name, permits);
  };

semaphoreConformance('distributed', { make: make(false), another: another(false), fifo: true });
boundedSemaphoreConformance('distributed', { make: make(true), another: another(true), fifo: true });

describe('Semaphore, distributed', () => {
  it.each([true, false])(
    'names itself and its limit where more is asked for (bounded: %s)',
    async (bounded) => {
      const name = bench.name();
      const session = await bench.turn();
      const semaphore = bounded ? session.boundedSemaphore(name, 2) : session.semaphore(name, 2);
      await expect(semaphore.acquire({ permits: 3 })).rejects.toThrow(
        `permits must be at most 2, all that semaphore ${name} has, not 3: more are never free`,
      );
    },
  );

  it('refuses another shape for a name that exists, giving both, and changes nothing', async () => {
    const name = bench.name();
    const [a, b] = [await bench.turn(), await bench.turn()];
    const lease = await a.semaphore(name, 2).acquire();
    const other = b.semaphore(name, 3);
    await expect(other.acquire()).rejects.toMatchObject({
      code: 'ERR_HEDDLE_CONFIG_MISMATCH',
      existing: { permits: 2, bounded: false },
      requested: { permits: 3, bounded: false },
    });
    await expect(other.release(1)).rejects.toMatchObject({ code: 'ERR_HEDDLE_CONFIG_MISMATCH' });
    await expect(other.value()).rejects.toMatchObject({ code: 'ERR_HEDDLE_CONFIG_MISMATCH' });
    await expect(b.boundedSemaphore(name, 2).acquire()).rejects.toMatchObject({
      code: 'ERR_HEDDLE_CONFIG_MISMATCH',
    });
    expect(await a.semaphore(name, 2).value()).toBe(1);
    await lease.release();
  });

  it('never lets a smaller wish overtake the first in line, of whatever session', async () => {
    const name = bench.name();
    const [a, b, c] = [await bench.session(), await bench.session(), await bench.session()];
    const leases = [await a.semaphore(name, 3).acquire(), await a.semaphore(name, 3).acquire({ permits: 2 })];
    const large = b.semaphore(name, 3).acquire({ permits: 3 });
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:semaphore:${name}:queue`)) === 1,
      'it stands in line',
    );
    const small = c.semaphore(name, 3).acquire();
    await leases[1]?.release();
    expect(await stillPending(Promise.race([large, small]))).toBe(true);
    await leases[0]?.release();
    const lease = await large;
    expect(await stillPending(small)).toBe(true);
    await lease.release();
    await (await small).release();
  });

  it('lets those behind pass where the first in line gives up', async () => {
    const name = bench.name();
    const [a, b, c] = [await bench.session(), await bench.session(), await bench.session()];
    const lease = await a.semaphore(name, 2).acquire();
    const impatience = new AbortController();
    const large = b.semaphore(name, 2).acquire({ permits: 2, signal: impatience.signal });
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:semaphore:${name}:queue`)) === 1,
      'it stands in line',
    );
    const small = c.semaphore(name, 2).acquire();
    impatience.abort(new Error('gave up'));
    await expect(large).rejects.toThrow('gave up');
    await (await small).release();
    await lease.release();
  });
});
