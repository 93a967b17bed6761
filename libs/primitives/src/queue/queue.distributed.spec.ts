import { describe, expect, it } from 'vitest';
import type { Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { type QueueKind, queueConformance } from './queue.conformance.ts';
import type { DistributedQueue } from './queue.distributed.ts';

const bench = redisBench();

const MAKERS = { Queue: 'queue', LifoQueue: 'lifoQueue', PriorityQueue: 'priorityQueue' } as const;
const shapes = new Map<string, readonly [kind: QueueKind, maxsize: number | undefined]>();

async function handle(name: string) {
  const shape = shapes.get(name);
  const session = await bench.turn();
  return shape === undefined
    ? session.simpleQueue(name)
    : session[MAKERS[shape[0]]](name, { maxsize: shape[1] });
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

const key = (name: string, part: string) => `{heddle:0}:queue:${name}:${part}`;
const inLine = (name: string, line: 'takers' | 'putters' | 'joiners', count: number) =>
  until(async () => (await bench.admin.zcard(key(name, line))) === count, `${count} ${line} stand in line`);
const sessions = (count: number) =>
  Promise.all(Array.from({ length: count }, () => bench.session({ ttl: 60_000 })));
const close = (some: readonly Session[]) => Promise.all(some.map((session) => session.close()));

describe('queues, distributed: shape', () => {
  it('is set by whoever comes first; another is refused, giving both, and changes nothing', async () => {
    const name = bench.name();
    const [a, b] = [await bench.turn(), await bench.turn()];
    await a.queue(name, { maxsize: 2 }).put(1);
    const mismatch = {
      code: 'ERR_HEDDLE_CONFIG_MISMATCH',
      primitive: name,
      existing: { kind: 'Queue', maxsize: 2 },
    };
    const other = b.queue(name, { maxsize: 3 });
    for (const attempt of [
      () => other.put(2),
      () => other.put(2, { timeout: 0 }),
      () => other.get(),
      () => other.join(),
      () => other.size(),
      () => other.taskDone(),
      () => other.shutdown({ immediate: true }),
    ]) {
      await expect(attempt()).rejects.toMatchObject({
        ...mismatch,
        requested: { kind: 'Queue', maxsize: 3 },
      });
    }
    const lifo = b.lifoQueue(name, { maxsize: 2 });
    await expect(lifo.get()).rejects.toMatchObject({
      ...mismatch,
      requested: { kind: 'LifoQueue', maxsize: 2 },
    });
    await expect(b.simpleQueue(name).get()).rejects.toMatchObject(mismatch);
    expect(await a.queue(name, { maxsize: 2 }).size()).toBe(1);
    expect(await a.queue(name, { maxsize: 2 }).get()).toBe(1);
  });

  it('is set by one who only looks, too, and does not live for ever', async () => {
    const name = bench.name();
    const [a, b] = [await bench.turn(), await bench.turn()];
    expect(await a.queue(name, { maxsize: 2 }).size()).toBe(0);
    await expect(b.queue(name).put(1)).rejects.toMatchObject({ existing: { maxsize: 2 } });
    expect(await bench.admin.pttl(key(name, 'state'))).toBeGreaterThan(0);
    expect(await bench.keysOf(name)).toHaveLength(1);
  });

  it('refuses what is no name or option, and is of the session', async () => {
    const session = await bench.session();
    expect(() => session.queue('a{b')).toThrow(TypeError);
    expect(() => session.simpleQueue('')).toThrow(TypeError);
    expect(() => session.queue('x', { maxSize: 2 } as never)).toThrow(/unknown option "maxSize"/);
    const queue = session.queue(bench.name());
    const waits = [queue.get(), queue.get({ timeout: 60_000 })];
    await inLine(queue.name, 'takers', 2);
    const ended = Promise.allSettled(waits);
    await session.close();
    const after = [queue.get(), queue.put(1), queue.join(), queue.size(), queue.taskDone()];
    for (const settled of [...(await ended), ...(await Promise.allSettled(after))])
      expect(settled).toMatchObject({ reason: { code: 'ERR_HEDDLE_SESSION_CLOSED' } });
    await until(async () => (await bench.keysOf(queue.name)).length === 1, 'only the shape is left');
  });
});

describe('queues, distributed: a session that closes', () => {
  it('has shut a queue down that it was asked to just before', async () => {
    const name = bench.name();
    const session = await bench.session();
    const shut = session.queue(name).shutdown();
    await session.close();
    await shut;
    await expect((await bench.turn()).queue(name).put(1)).rejects.toMatchObject({
      code: 'ERR_HEDDLE_QUEUE_SHUT_DOWN',
    });
  });
});

describe('queues, distributed: thousands whose time is up at once', () => {
  it('are told that it was full, since Redis answers them one after the other', async () => {
    const [session] = (await sessions(1)) as [Session];
    const queue = session.queue(bench.name(), { maxsize: 1 });
    await queue.put(0);
    const puts = await Promise.allSettled(
      Array.from({ length: 10_000 }, (_, item) => queue.put(item, { timeout: 100 })),
    );
    const codes = new Set(puts.map((put) => put.status === 'rejected' && put.reason.code));
    expect([...codes]).toEqual(['ERR_HEDDLE_QUEUE_FULL']);
    expect(await queue.size()).toBe(1);
    await close([session]);
  });
});

describe('queues, distributed: order', () => {
  it('serves takers of all sessions first come, first served', async () => {
    const name = bench.name();
    const takers = await sessions(5);
    const served: number[] = [];
    for (let n = 0; n < 15; n += 1) {
      void takers[n % 5]
        ?.simpleQueue(name)
        .get()
        .then((item) => served.push(n, item as number));
      await inLine(name, 'takers', n + 1);
    }
    for (let n = 0; n < 15; n += 1) await (await bench.turn()).simpleQueue(name).put(n);
    await until(() => served.length === 30, 'all are served');
    const pairs = Array.from({ length: 15 }, (_, n) => [served[2 * n], served[2 * n + 1]]);
    expect(pairs.sort(([a = 0], [b = 0]) => a - b)).toEqual(Array.from({ length: 15 }, (_, n) => [n, n]));
    await close(takers);
  });

  it('lets putters of all sessions in first come, first served, and nobody overtake them', async () => {
    const name = bench.name();
    const putters = await sessions(5);
    const taker = (await bench.turn()).queue(name, { maxsize: 1 });
    await taker.put('first');
    const puts = [];
    for (let n = 0; n < 10; n += 1) {
      puts.push(putters[n % 5]?.queue(name, { maxsize: 1 }).put(n));
      await inLine(name, 'putters', n + 1);
    }
    const taken = [];
    for (let n = 0; n < 11; n += 1) {
      await expect(taker.put('late', { timeout: 0 })).rejects.toMatchObject({
        code: 'ERR_HEDDLE_QUEUE_FULL',
        primitive: name,
        message: expect.stringContaining('with 1 items'),
      });
      taken.push(await taker.get());
    }
    expect(taken).toEqual(['first', ...Array.from({ length: 10 }, (_, n) => n)]);
    await Promise.all(puts);
    await close(putters);
  });

  it('orders priorities in Redis as `<` does here: floats of all sizes, strings of all planes, lone surrogates', async () => {
    const queue = (await bench.turn()).priorityQueue<[number | string, number]>(bench.name());
    const priorities = Array.from({ length: 300 }, (_, n) =>
      n % 3 === 0 ? String.fromCodePoint(n * (n % 2 ? 211 : 3001)) : Math.sin(n) * 10 ** (n % 40),
    );
    await Promise.all(priorities.map((priority, n) => queue.put([priority, n])));
    const expected = priorities
      .map((priority, n) => [priority, n] as const)
      .sort(([a], [b]) =>
        typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a < typeof b ? -1 : 1,
      );
    const taken = [];
    for (let n = 0; n < 300; n += 1) taken.push(await queue.get());
    expect(taken).toEqual(expected);
  });
});
