import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import type { QueueKind } from './queue.conformance.ts';
import { queueConformance } from './queue.conformance.ts';
import type { DistributedQueue } from './queue.distributed.ts';

const bench = redisBench();

const MAKERS = { Queue: 'queue', LifoQueue: 'lifoQueue', PriorityQueue: 'priorityQueue' } as const;
const shapes = new Map<string, readonly [kind: QueueKind | 'SimpleQueue', maxsize: number | undefined]>();

async function handle(name: string) {
  const [kind, maxsize] = shapes.get(name) ?? ['SimpleQueue', undefined];
  const session = await bench.turn();
  return kind === 'SimpleQueue' ? session.simpleQueue(name) : session[MAKERS[kind]](name, { maxsize });
}

queueConformance('distributed', {
  make: async (kind, maxsize) => {
    const name = bench.name();
    shapes.set(name, [kind, maxsize]);
    return (await handle(name)) as DistributedQueue;
  },
  makeSimple: async () => (await bench.turn()).simpleQueue(bench.name()),
  another: async <Q>(queue: Q) => (await handle((queue as DistributedQueue).name)) as Q,
});

describe('queues, distributed', () => {
  it('x', () => expect(1).toBe(1));
});
