import { redisBench } from '../testing/redis.ts';
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
