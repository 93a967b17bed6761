import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect, type Session } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();

/** A session behind a proxy of its own. */
async function behindProxy(ttl: number, connectTimeout = 1500) {
  const proxy = await startProxy(bench.url);
  const session = await connect(proxy.url, { ttl, connectTimeout, logger: {} });
  const losses: string[] = [];
  session.on('lost', (reason) => losses.push(reason));
  return { proxy, session, losses };
}

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

describe('a session that closes', () => {
  it('has an item that a get was given whose time was up, or the next has it: never both', async () => {
    const name = bench.name();
    const { proxy, session } = await behindProxy(20_000);
    const queue = session.queue<string>(name);
    await session.lock(name).with(() => 1); // The keeper has begun.
    const over = later(580, undefined);
    const got = queue.get({ timeout: 500 }).catch((error: unknown) => error);
    await until(async () => (await bench.admin.zcard(`{heddle:0}:queue:${name}:takers`)) === 1, 'it waits');
    proxy.swallow((at) => at === 1); // The subscriber: no message comes.
    proxy.delayReplies(150);
    const another = (await bench.turn()).queue<string>(name);
    await another.put('once');
    await over; // Its time is up; what became of it is on its way.
    await session.close();
    expect(await got).toMatchObject({ code: 'ERR_HEDDLE_SESSION_CLOSED' });
    expect(await another.get({ timeout: 0 })).toBe('once');
    expect(await another.size()).toBe(0);
  });
});

describe('a Redis that restarts', () => {
  const rig = async () => {
    const redis = await startRedis({ sources: ['process'] });
    onTestFinished(() => redis.close());
    const a = await connect(redis.url, { ttl: 500, logger: {} });
    const b = await connect(redis.url, { logger: {} });
    const lost = new Promise((resolve) => a.once('lost', resolve));
    /** Until then a put may have been sent under the life of before. */
    const restart = async (data: 'keep' | 'lose') => {
      await redis.restart({ data });
      await lost;
    };
    return { a, b, restart };
  };

  it('with its data: has its items, and who waits goes on', async () => {
    const { a, b, restart } = await rig();
    const [full, empty] = [a.priorityQueue('full'), b.queue('empty')];
    for (const n of [3, 1, 2]) await full.put(n);
    expect(await full.get()).toBe(1);
    const waiting = empty.get();
    await full.taskDone(); // Takes along that the item was read.
    await restart('keep');
    await a.queue('empty').put('here');
    expect(await waiting).toBe('here');
    expect([await b.priorityQueue('full').get(), await full.get()]).toEqual([2, 3]);
    await Promise.all([a.close(), b.close()]);
  });

  it('without it: is empty, and who waits goes on', async () => {
    const { a, b, restart } = await rig();
    await a.queue('full').put(1);
    const waiting = b.queue('empty').get();
    expect(await stillPending(waiting, 50)).toBe(true);
    await restart('lose');
    await a.queue('empty').put('here');
    expect(await waiting).toBe('here');
    expect(await a.queue('full').size()).toBe(0);
    await Promise.all([a.close(), b.close()]);
  });
});

describe('a Redis that is full', () => {
  it('takes no more items, and gives those it has', async () => {
    const redis = await startRedis({ sources: ['process'] });
    const admin = new Redis(redis.url);
    onTestFinished(async () => {
      admin.disconnect();
      await redis.close();
    });
    const session = await connect(redis.url, { logger: {} });
    const [queue, other] = [session.queue('pile'), session.queue('other', { maxsize: 1 })];
    for (let n = 0; n < 20; n += 1) await queue.put(`${n} ${'x'.repeat(100_000)}`);
    await other.put('first');
    const waiting = other.put('second');
    expect(await stillPending(waiting)).toBe(true);
    await admin.config('SET', 'maxmemory', '2mb');
    const refused = {
      code: 'ERR_HEDDLE_REDIS_REFUSED',
      message: expect.stringMatching(/OOM.*raise maxmemory/),
    };
    await expect(queue.put('more')).rejects.toMatchObject(refused);
    await expect(Promise.all([queue.size(), queue.put('more')])).rejects.toMatchObject(refused);
    expect(await queue.size()).toBe(20);
    expect(await other.get()).toBe('first');
    await waiting;
    for (let n = 0; n < 20; n += 1) expect(await queue.get()).toMatch(new RegExp(`^${n} `));
    await queue.taskDone(); // The last was read: with that it has gone.
    await queue.put('more');
    expect([await queue.get(), await other.get()]).toEqual(['more', 'second']);
    await session.close();
  });
});
