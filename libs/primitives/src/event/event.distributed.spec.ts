import { redisBench } from '../testing/redis.ts';
import { eventConformance } from './event.conformance.ts';
import type { DistributedEvent } from './event.distributed.ts';

const bench = redisBench();

eventConformance('distributed', {
  make: async () => (await bench.turn()).event(bench.name()),
  another: async (event) => (await bench.turn()).event((event as DistributedEvent).name),
});
