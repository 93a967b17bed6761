import { startRedis } from '@heddle/embedded-redis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect, type Session } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();
const key = (name: string, part: string) => `{heddle:0}:queue:${name}:${part}`;
const inLine = (name: string, line: 'takers' | 'putters', count: number) =>
  until(async () => (await bench.admin.zcard(key(name, line))) === count, `${count} ${line} stand in line`);

/** A session behind a proxy of its own. */
async function behindProxy(ttl: number, connectTimeout = 1500) {
  const proxy = await startProxy(bench.url);
  const session = await connect(proxy.url, { ttl, connectTimeout, logger: {} });
  const losses: string[] = [];
  session.on('lost', (reason) => losses.push(reason));
  return { proxy, session, losses };
}

describe('a reply that is lost', () => {
  it('puts nothing twice and takes nothing away, whichever call it answered', async () => {
    const { proxy, session, losses } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 2 });
    const queue = session.queue(name, { maxsize: 2 });
    await queue.size();
    proxy.loseReplyTo(/queue\.put/);
    await queue.put('a');
    expect(await other.size()).toBe(1);
    proxy.loseReplyTo(/queue\.get/);
    expect(await queue.get()).toBe('a');
    expect(await other.size()).toBe(0);
    proxy.loseReplyTo(/queue\.task-done/);
    await queue.taskDone();
    await expect(queue.taskDone()).rejects.toMatchObject({ code: 'ERR_HEDDLE_OVER_RELEASE' });

    // One that waits for an item, one that waits for room.
    proxy.loseReplyTo(/queue\.get/);
    const getting = queue.get();
    await inLine(name, 'takers', 1);
    await other.put('b');
    expect(await getting).toBe('b');
    await Promise.all([other.put('c'), other.put('d')]);
    proxy.loseReplyTo(/queue\.put/);
    const putting = queue.put('e');
    await inLine(name, 'putters', 1);
    expect(await other.get()).toBe('c');
    await putting;

    // One that gives up.
    proxy.loseReplyTo(/queue\.cancel/);
    await expect(queue.put('f', { timeout: 20 })).rejects.toMatchObject({ code: 'ERR_HEDDLE_QUEUE_FULL' });
    expect([await other.get(), await other.get()]).toEqual(['d', 'e']);
    proxy.loseReplyTo(/queue\.cancel/);
    await expect(queue.get({ timeout: 20 })).rejects.toMatchObject({ code: 'ERR_HEDDLE_QUEUE_EMPTY' });
    await other.put('g');
    expect(await other.get()).toBe('g');
    expect(losses).toEqual([]);
    await session.close();
  });
});

describe('an item that meets a taker who gives up', () => {
  it('goes to the next where that one aborts', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const stop = new AbortController();
    const getting = session.queue(name).get({ signal: stop.signal });
    await inLine(name, 'takers', 1);
    proxy.delayReplies(50);
    const other = (await bench.session()).queue(name);
    await Promise.all([other.put('first'), other.put('second')]);
    expect(await bench.admin.hlen(key(name, 'outcomes'))).toBe(1);
    stop.abort('no longer');
    await expect(getting).rejects.toBe('no longer');
    await until(async () => (await other.size()) === 2, 'it is back');
    expect([await other.get(), await other.get()]).toEqual(['first', 'second']);
    await session.close();
  });

  it('is delivered where its time is up, or goes back where Redis is too slow for that', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name);
    for (const [delay, ends] of [
      [100, { status: 'fulfilled', value: 'first' }],
      [600, { reason: { code: 'ERR_HEDDLE_QUEUE_EMPTY' } }],
    ] as const) {
      proxy.delayReplies(0);
      const getting = session.queue(name).get({ timeout: 150 });
      await inLine(name, 'takers', 1);
      proxy.delayReplies(delay);
      await later(60, undefined);
      await other.put('first');
      expect((await Promise.allSettled([getting]))[0]).toMatchObject(ends);
      await other.put('second');
      const expected = delay === 600 ? ['first', 'second'] : ['second'];
      await until(
        async () => (await other.size()) === expected.length,
        'all is there that was not delivered',
      );
      for (const item of expected) expect(await other.get()).toBe(item);
    }
    await session.close();
  });

  it('is delivered to one alone, however often takers give up just then', async () => {
    const name = bench.name();
    const [a, b] = [(await bench.session()).queue<number>(name), (await bench.session()).queue<number>(name)];
    const taken: number[] = [];
    let stop = false;
    const takers = [a, b, a, b].map(async (queue, at) => {
      while (!stop) {
        const end = new AbortController();
        const timer = setTimeout(() => end.abort(), 1 + at);
        const options = at < 2 ? { timeout: 1 + at } : { signal: end.signal };
        await queue.get(options).then(
          (item) => taken.push(item),
          () => {},
        );
        clearTimeout(timer);
      }
    });
    for (let n = 0; n < 300; n += 1) {
      await b.put(n);
      if (n % 3 === 0) await later(2, undefined);
    }
    await until(() => taken.length >= 300, 'all are taken');
    stop = true;
    await Promise.all(takers);
    expect(taken.sort((x, y) => x - y)).toEqual(Array.from({ length: 300 }, (_, n) => n));
    await until(async () => (await bench.keysOf(name)).length === 1, 'only the shape is left');
  });
});

describe('a putter that gives up', () => {
  it('is told whether the item is in', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 1 });
    await other.put('first');
    const stop = new AbortController();
    const putting = session.queue(name, { maxsize: 1 }).put('second', { signal: stop.signal });
    await inLine(name, 'putters', 1);
    proxy.delayReplies(50);
    expect(await other.get()).toBe('first');
    stop.abort('too late');
    await putting; // It was in when the signal aborted.
    expect(await other.get()).toBe('second');
    proxy.delayReplies(0);

    await other.put('third');
    const late = session.queue(name, { maxsize: 1 }).put('fourth', { timeout: 100 });
    await inLine(name, 'putters', 1);
    proxy.delayReplies(600);
    await expect(late).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN', primitive: name });
    await until(async () => (await bench.admin.exists(key(name, 'parcels'))) === 0, 'its item has gone');
    expect(await other.get()).toBe('third');
    expect(await other.size()).toBe(0);
    proxy.delayReplies(0);
    await session.close();
  });

  it('is told that it is not known where its session ends', async () => {
    const { proxy, session, losses } = await behindProxy(400);
    const name = bench.name();
    const other = (await bench.session({ ttl: 400 })).queue(name, { maxsize: 1 });
    await other.put('first');
    const putting = session.queue(name, { maxsize: 1 }).put('second');
    const getting = session.queue(`${name} of its own`).get();
    await inLine(name, 'putters', 1);
    proxy.swallow();
    await expect(putting).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN', primitive: name });
    expect(losses).toHaveLength(1);
    await inLine(name, 'putters', 0);
    expect(await other.get()).toBe('first');
    expect(await other.size()).toBe(0);
    // Whoever takes goes on under the next life.
    await (await bench.turn()).queue(`${name} of its own`).put('here');
    expect(await getting).toBe('here');
    await session.close();
  });

  it('is told the truth by a session that closes', async () => {
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 1 });
    await other.put(0);
    const session = await bench.session();
    const puts = [1, 2, 3].map((n) => session.queue(name, { maxsize: 1 }).put(n));
    const ends = Promise.allSettled(puts);
    await inLine(name, 'putters', 3);
    void other.get();
    await session.close();
    const told = (await ends).map((end) => (end.status === 'fulfilled' ? 'in' : end.reason.code));
    const size = await other.size();
    expect(told.filter((word) => word === 'in')).toHaveLength(size);
    expect(new Set([...told, 'in'])).toEqual(new Set(['in', 'ERR_HEDDLE_SESSION_CLOSED']));
  });
});

/** Items through a bounded queue by sessions, of which each puts as many as all and takes what it gets. */
async function pass(rigs: readonly Session[], name: string, each: number, mischief: () => Promise<unknown>) {
  const taken: string[] = [];
  const puts: Promise<unknown>[] = [];
  const takers = rigs.map(async (session) => {
    const queue = session.queue<string>(name, { maxsize: 3 });
    for await (const item of queue) {
      taken.push(item);
      await queue.taskDone();
    }
  });
  for (const [at, session] of rigs.entries()) {
    const put = async (line: number) => {
      const queue = session.queue<string>(name, { maxsize: 3 });
      for (let n = 0; n < each; n += 1) await queue.put(`${at} ${line} ${n}`);
    };
    puts.push(put(0), put(1));
  }
  let done = false;
  const all = Promise.all(puts).then(() => {
    done = true;
  });
  while (!done) {
    const before = taken.length;
    await until(() => done || taken.length > before + 5, 'items pass');
    await mischief();
  }
  await all;
  const queue = (await bench.turn()).queue(name, { maxsize: 3 });
  expect(await queue.join({ timeout: 10_000 })).toBe(true);
  await queue.shutdown();
  await Promise.all(takers);
  return taken;
}

describe('connections that break at random', () => {
  it('lose no item and double none', async () => {
    const name = bench.name();
    const rigs = [await behindProxy(20_000, 5000), await behindProxy(20_000, 5000)];
    let round = 0;
    const taken = await pass(
      rigs.map(({ session }) => session),
      name,
      150,
      async () => {
        round += 1;
        const { proxy } = rigs[round % 2] as (typeof rigs)[number];
        if (round % 3) proxy.cut();
        else proxy.loseReplyTo(/queue/);
        if (round % 5 === 0) await bench.admin.script('FLUSH');
        if (round % 7 === 0) await bench.admin.call('CLIENT', 'PAUSE', '20', 'ALL');
      },
    );
    expect(rigs.flatMap(({ losses }) => losses)).toEqual([]);
    expect(taken).toHaveLength(600);
    expect(new Set(taken).size).toBe(600);
    expect(round).toBeGreaterThan(5);
    for (const { session } of rigs) await session.close();
    await until(async () => (await bench.keysOf(name)).length === 1, 'only the shape is left');
  });
});

describe('a Redis that restarts', () => {
  it('with its data: has its items, and who waits goes on', async () => {
    const redis = await startRedis({ sources: ['process'] });
    onTestFinished(() => redis.close());
    const [a, b] = [
      await connect(redis.url, { ttl: 500, logger: {} }),
      await connect(redis.url, { logger: {} }),
    ];
    const [full, empty] = [a.priorityQueue('full'), b.queue('empty')];
    for (const n of [3, 1, 2]) await full.put(n);
    expect(await full.get()).toBe(1);
    const waiting = empty.get();
    await full.taskDone(); // Takes along that the item was read.
    await redis.restart({ data: 'keep' });
    await a.queue('empty').put('here', { timeout: 5000 });
    expect(await waiting).toBe('here');
    expect([await b.priorityQueue('full').get(), await full.get()]).toEqual([2, 3]);
    await Promise.all([a.close(), b.close()]);
  });

  it('without it: is empty, and who waits goes on', async () => {
    const redis = await startRedis({ sources: ['process'] });
    onTestFinished(() => redis.close());
    const [a, b] = [
      await connect(redis.url, { ttl: 500, logger: {} }),
      await connect(redis.url, { logger: {} }),
    ];
    await a.queue('full').put(1);
    const waiting = b.queue('empty').get();
    expect(await stillPending(waiting, 50)).toBe(true);
    await redis.restart({ data: 'lose' });
    await a.queue('empty').put('here', { timeout: 5000 });
    expect(await waiting).toBe('here');
    expect(await a.queue('full').size()).toBe(0);
    await Promise.all([a.close(), b.close()]);
  });
});
