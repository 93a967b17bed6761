import { redisBench } from '../testing/redis.ts';
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
