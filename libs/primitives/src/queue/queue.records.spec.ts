import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { coreOf, type Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';
import type { DistributedQueue } from './queue.distributed.ts';

const bench = redisBench();

const key = (name: string, part: string) => `{heddle:0}:queue:${name}:${part}`;
const inLine = (name: string, line: 'takers' | 'putters' | 'joiners', count: number) =>
  until(async () => (await bench.admin.zcard(key(name, line))) === count, `${count} ${line} stand in line`);
const sessions = (count: number) =>
  Promise.all(Array.from({ length: count }, () => bench.session({ ttl: 60_000 })));
const close = (some: readonly Session[]) => Promise.all(some.map((session) => session.close()));

describe('queues, distributed: commands', () => {
  const calls = async (name: string, work: () => Promise<unknown>) =>
    (await bench.commandsDuring(work)).filter((line) => line.includes(`:queue:${name}:`));

  it('are one for a put and one for a get, which takes along that the one before was read', async () => {
    const name = bench.name();
    const queue = (await bench.session()).queue(name);
    expect(await calls(name, () => queue.put('a'))).toHaveLength(1);
    await queue.put('b');
    const seen = await calls(name, async () => {
      expect(await queue.get()).toBe('a');
      expect(await queue.get()).toBe('b');
    });
    expect(seen).toHaveLength(2);
    expect(seen[1]).toMatch(/queue\.forget.*queue\.get/);
  });

  it('are one for a put to one who waits, of 2 or of 100 sessions, and none more for that one', async () => {
    const putter = await bench.turn();
    for (const count of [2, 100]) {
      const name = bench.name();
      const takers = await sessions(count);
      const taken: unknown[] = [];
      for (const taker of takers) {
        const keep = (item: unknown) => taken.push(item);
        void taker
          .queue(name)
          .get()
          .then(keep, () => {});
      }
      await inLine(name, 'takers', count);
      const seen = await calls(name, async () => {
        await putter.queue(name).put('x');
        await until(() => taken.length === 1, 'one has it');
      });
      expect(seen).toHaveLength(1);
      expect(await bench.admin.zcard(key(name, 'takers'))).toBe(count - 1);
      await close(takers);
    }
  });

  it('are one for what is put at once, but no call is made long by that', async () => {
    const name = bench.name();
    const queue = (await bench.session()).queue(name);
    const putAll = (count: number, item: string) => () =>
      Promise.all(Array.from({ length: count }, () => queue.put(item)));
    await queue.put('first');
    expect(await calls(name, putAll(20, 'short'))).toHaveLength(1);
    // Node and Redis work side by side on calls of a bounded number of operations.
    expect(await calls(name, putAll(60, 'short'))).toHaveLength(3);
    expect(await calls(name, putAll(4, 'x'.repeat(600_000)))).toHaveLength(4);
    await queue.shutdown({ immediate: true });
  });

  it('are one more where the item is long, and one within a second to say that it was read', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session({ ttl: 60_000 }), await bench.turn()];
    const item = 'x'.repeat(100_000);
    const got = a.queue(name).get();
    await inLine(name, 'takers', 1);
    const seen = await calls(name, async () => {
      await b.queue(name).put(item);
      expect(await got).toBe(item);
    });
    expect(seen).toHaveLength(2);
    expect(coreOf(a).inbox.dropped).toBe(0);
    await until(async () => (await bench.keysOf(name)).length === 1, 'nothing but the shape is left');
    await a.close();
  });
});

describe('queues, distributed: many', () => {
  it('tells 600 who wait of all kinds at a shutdown, which no single script may', async () => {
    const name = bench.name();
    const some = await sessions(3);
    const queues = some.map((session) => session.queue(name, { maxsize: 1 }));
    const at = (n: number) => queues[n % 3] as DistributedQueue;
    await at(0).put('fills');
    const puts = Array.from({ length: 300 }, (_, n) =>
      at(n)
        .put(n)
        .catch((error) => error.code),
    );
    const joins = Array.from({ length: 300 }, (_, n) => at(n).join());
    await Promise.all([inLine(name, 'putters', 300), inLine(name, 'joiners', 300)]);
    await at(1).shutdown({ immediate: true });
    expect(new Set(await Promise.all(puts))).toEqual(new Set(['ERR_HEDDLE_QUEUE_SHUT_DOWN']));
    expect(new Set(await Promise.all(joins))).toEqual(new Set([true]));
    await close(some);
    expect(await bench.keysOf(name)).toEqual([key(name, 'state')]);
  });

  it('ends 600 who take, and lets go 600 who join', async () => {
    const [name, joined] = [bench.name(), bench.name()];
    const some = await sessions(3);
    const gets = Array.from({ length: 600 }, (_, n) =>
      (some[n % 3] as Session)
        .queue(name)
        .get()
        .catch((error) => error.code),
    );
    await inLine(name, 'takers', 600);
    await some[0]?.queue(name).shutdown();
    expect(new Set(await Promise.all(gets))).toEqual(new Set(['ERR_HEDDLE_QUEUE_SHUT_DOWN']));

    const queue = some[0]?.queue(joined) as DistributedQueue;
    await queue.put(1);
    const joins = Array.from({ length: 600 }, (_, n) => (some[n % 3] as Session).queue(joined).join());
    await inLine(joined, 'joiners', 600);
    await queue.taskDone();
    expect(new Set(await Promise.all(joins))).toEqual(new Set([true]));
    await close(some);
  });

  it('lets go who joined by the time that all was dealt with, though more was put, and nobody later', async () => {
    const name = bench.name();
    const [a, b] = [(await bench.session()).queue(name), (await bench.session()).queue(name)];
    await a.put('more');
    const early = a.join();
    await inLine(name, 'joiners', 1);
    // As if whoever dealt with the last one had died before it told everybody.
    const [, score = ''] = await bench.admin.zrange(key(name, 'joiners'), '0', '0', 'WITHSCORES');
    await bench.admin.hset(key(name, 'state'), 'zero', score);
    const late = b.join();
    expect(await early).toBe(true);
    expect(await stillPending(late, 50)).toBe(true);
    await b.taskDone();
    expect(await late).toBe(true);
    await until(async () => (await bench.keysOf(name)).length === 2, 'shape and item are left');
  });

  it('pass over 300 who died in line, which no single script may, and serve the next', async () => {
    const name = bench.name();
    const getting = (await bench.session({ ttl: 60_000 })).queue(name).get();
    await inLine(name, 'takers', 1);
    const dead = Array.from({ length: 300 }, () => `${randomBytes(12).toString('hex')}-1#1`);
    await bench.admin.zadd(key(name, 'takers'), ...dead.flatMap((taker, n) => [String(n), taker]));
    await (await bench.turn()).queue(name).put('item');
    expect(await getting).toBe('item');
    expect(await bench.admin.exists(key(name, 'takers'))).toBe(0);
  });

  it('pass over as many for one who asks without waiting: it has what is free behind them', async () => {
    const name = bench.name();
    const queue = (await bench.turn()).queue(name, { maxsize: 1 });
    const dead = Array.from({ length: 300 }, () => `${randomBytes(12).toString('hex')}-1#1`);
    await queue.put('item');
    await bench.admin.zadd(key(name, 'takers'), ...dead.flatMap((taker, n) => [String(n), taker]));
    expect(await queue.get({ timeout: 0 })).toBe('item');
    expect(await queue.size()).toBe(0);
    await bench.admin.zadd(key(name, 'putters'), ...dead.flatMap((putter, n) => [String(n), putter]));
    await queue.put('next', { timeout: 0 });
    expect(await queue.get()).toBe('next');
    expect(await bench.admin.exists(key(name, 'takers'), key(name, 'putters'))).toBe(0);
  });

  it('drop no more at a shutdown than is unfinished', async () => {
    const queue = (await bench.turn()).queue(bench.name());
    for (const item of [1, 2, 3]) await queue.put(item);
    for (let n = 0; n < 2; n += 1) await queue.taskDone();
    await queue.shutdown({ immediate: true });
    expect(await queue.join({ timeout: 0 })).toBe(true);
    await expect(queue.taskDone()).rejects.toMatchObject({ code: 'ERR_HEDDLE_OVER_RELEASE' });
  });
});

describe('queues, distributed: items', () => {
  it('may be up to 4 MiB as text; more is refused, naming the limit', async () => {
    const queue = (await bench.turn()).queue<string>(bench.name());
    const large = 'é'.repeat(2 * 2 ** 20 - 1);
    await queue.put(large);
    expect((await queue.get()) === large).toBe(true);
    await expect(queue.put(`${large}.`)).rejects.toMatchObject({
      name: 'RangeError',
      code: 'ERR_HEDDLE_ITEM_TOO_LARGE',
      message: expect.stringMatching(/4194305 bytes.*4194304 is the most.*in parts/),
    });
    expect(await queue.size()).toBe(0);
  });

  it.each([
    'not ours',
    ' 0000000000000001 {"$nothing":1}',
    ' 0000000000000001 {"a":',
    `zz 0000000000000001 1`,
    ' 0000000000000001 {"$ref":0}',
    `${'[ 1'.repeat(10)}`,
    'line\nfeeds\n\n',
    '',
  ])('that others wrote are a clear error, and do not stay in the way: %j', async (member) => {
    const name = bench.name();
    const [a, b] = [(await bench.turn()).queue(name), (await bench.turn()).queue(name)];
    await a.put('ours');
    await bench.admin.zadd(key(name, 'items'), 0, member);
    await expect(b.get()).rejects.toMatchObject({ code: 'ERR_HEDDLE_MALFORMED_VALUE' });
    expect(await b.get()).toBe('ours');
    // The same for one who waits, and hears of it by a message.
    const waiting = b.get();
    await inLine(name, 'takers', 1);
    await bench.admin.zadd(key(name, 'items'), 0, member);
    await a.put('ours');
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_HEDDLE_MALFORMED_VALUE' });
    expect(await b.get()).toBe('ours');
  });
});

describe('queues, distributed: what stands in Redis', () => {
  it('expires, a day after its last use, and is kept while somebody waits', async () => {
    const name = bench.name();
    const session = await bench.session();
    const queue = session.queue(name, { maxsize: 1 });
    await queue.put(1);
    const waits = [queue.put(2), queue.join(), session.queue(`${name}-`).get()];
    await Promise.all([inLine(name, 'putters', 1), inLine(name, 'joiners', 1)]);
    await inLine(`${name}-`, 'takers', 1);
    const keys = [...(await bench.keysOf(name)), ...(await bench.keysOf(`${name}-`))];
    expect(keys).toHaveLength(7);
    for (const each of keys) expect(await bench.admin.pttl(each)).toBeGreaterThan(86_000_000);
    for (const wait of waits) wait.catch(() => {});
    await session.close();
    await until(async () => (await bench.keysOf(name)).length === 2, 'shape and item are left');
    expect(await (await bench.turn()).queue(name, { maxsize: 1 }).get()).toBe(1);
  });

  it('is what was not read, and no more, once its session has closed', async () => {
    const name = bench.name();
    const session = await bench.session();
    const other = (await bench.turn()).queue(name);
    for (const item of ['read', 'not', 'nor this']) await other.put(item);
    expect(await session.queue(name).get()).toBe('read');
    // Given, and on its way when the session closes.
    const crossing = session.queue(name).get();
    crossing.catch(() => {});
    await until(async () => (await other.size()) === 1, 'it was given');
    const closing = session.close();
    const [end] = await Promise.allSettled([crossing]);
    await closing;
    const left = end?.status === 'fulfilled' ? ['nor this'] : ['not', 'nor this'];
    expect(await other.size()).toBe(left.length);
    for (const item of left) expect(await other.get()).toBe(item);
  });

  it('lives on with every use', async () => {
    const name = bench.name();
    const queue = (await bench.turn()).queue(name, { maxsize: 2 });
    await queue.put(1);
    await queue.put(2);
    const uses = [
      () => queue.size(),
      () => queue.put(3, { timeout: 0 }),
      () => queue.get(),
      () => queue.put(3),
      () => queue.taskDone(),
      () => queue.join({ timeout: 0 }),
      () => queue.shutdown(),
    ];
    for (const use of uses) {
      const keys = [key(name, 'state'), key(name, 'items')];
      for (const each of keys) await bench.admin.pexpire(each, 60_000);
      await use().catch(() => {});
      for (const each of keys) expect(await bench.admin.pttl(each), String(use)).toBeGreaterThan(86_000_000);
    }
  });

  const parts = ['state', 'items', 'takers', 'putters', 'parcels', 'joiners', 'outcomes'];
  it.each(parts)(
    'is a clear error where %s is a key of another type, and nothing is changed',
    async (part) => {
      const name = bench.name();
      const session = await bench.session();
      await bench.admin.rpush(key(name, part), 'not ours');
      const queue = session.queue(name, { maxsize: 1 });
      const attempts = [
        () => queue.put(1),
        () => queue.put(1, { timeout: 0 }),
        () => queue.get({ timeout: 0 }),
        () => queue.get(),
        () => queue.join(),
        () => queue.shutdown(),
        () => queue.taskDone(),
      ];
      for (const attempt of attempts) {
        await expect(attempt()).rejects.toMatchObject({
          code: 'ERR_HEDDLE_REDIS_REFUSED',
          primitive: name,
          message: expect.stringMatching(/WRONGTYPE.*another type.*remove it/),
        });
      }
      expect(await bench.keysOf(name)).toEqual([key(name, part)]);
      await bench.admin.del(key(name, part));
      await queue.put(1);
      await session.close();
    },
  );

  it('can not be had by a message of somebody else', async () => {
    const name = bench.name();
    const session = await bench.session();
    const getting = session.queue(name).get();
    const joining = session.queue(name).join();
    await inLine(name, 'takers', 1);
    await joining;
    const life = `${session.id}-1`;
    for (const wait of ['1', '2', '3', '4', ''])
      for (const rest of ['item\n 0000000000000001 "forged"', 'item', 'shut', 'joined', 'put', ''])
        await bench.admin.publish(
          `{heddle:0}:inbox:${session.id}`,
          `queue\n${life}\n${name}\n${wait}\n${rest}`,
        );
    expect(await stillPending(getting, 50)).toBe(true);
    await session.queue(name).put('real');
    expect(await getting).toBe('real');
    await session.close();
  });

  it('are not kept for one who joins and has died, also where its sweep has been there before', async () => {
    const name = bench.name();
    const queue = (await bench.turn()).queue(name);
    await queue.put('the last');
    const dead = `${'0'.repeat(24)}-1#1`;
    await bench.admin.zadd(key(name, 'joiners'), 1, dead);
    await queue.get();
    await queue.taskDone();
    expect(await bench.admin.zcard(key(name, 'joiners'))).toBe(0);
    expect(await bench.admin.hexists(key(name, 'outcomes'), dead)).toBe(0);
  });
});
