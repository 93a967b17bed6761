import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LeaseLostError } from '../errors.ts';
import type { Lease } from '../lock/lock.ts';
import type { Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();

/** Every place where a key of ours stands, spoiled by a key of another type. */
const spoil = async (key: string) => {
  const { admin } = bench;
  await admin.del(key);
  if ((await admin.call('TYPE', key)) === 'none') await admin.rpush(key, 'not ours');
};

describe('data that is lost while something is held', () => {
  const held: Record<string, (session: Session, name: string) => Promise<Lease>> = {
    'a lock': (session, name) => session.lock(name).acquire(),
    'an rlock': (session, name) => session.rlock(name).acquire(),
    'a permit': (session, name) => session.semaphore(name, 2).acquire(),
    'a read lock': (session, name) => session.readWriteLock(name).read.acquire(),
    'a write lock': (session, name) => session.readWriteLock(name).write.acquire(),
    'a condition': (session, name) => session.condition(name).acquire(),
    'two locks': (session, name) => session.acquireAll([session.lock(name), session.lock(`${name}-`)]),
  };

  it.each(Object.entries(held))(
    'is told by the release of %s, before any sign of life is due',
    async (_, take) => {
      const session = await bench.session({ ttl: 60_000 });
      const lease = await take(session, bench.name());
      await bench.admin.flushall();
      for (let n = 0; n < 2; n += 1) await expect(lease.release()).rejects.toThrow(LeaseLostError);
    },
  );

  it('is told by with(), once its function has ended', async () => {
    const session = await bench.session({ ttl: 60_000 });
    const name = bench.name();
    const held = session.lock(name).with(() => bench.admin.flushall());
    await expect(held).rejects.toThrow(LeaseLostError);
  });
});

describe('keys of another type under our names', () => {
  const kinds: [string, string[], (session: Session, name: string) => (() => Promise<unknown>)[]][] = [
    [
      'lock',
      ['state', 'queue'],
      (s, n) => [() => s.lock(n).acquire(), () => s.lock(n).acquire({ timeout: 0 })],
    ],
    [
      'semaphore',
      ['state', 'queue', 'wants', 'holders'],
      (s, n) => [() => s.semaphore(n, 1).acquire(), () => s.semaphore(n, 1).acquire({ timeout: 0 })],
    ],
    ['event', ['state'], (s, n) => [() => s.event(n).isSet(), () => s.event(n).set()]],
    ['event', ['state', 'waiters'], (s, n) => [() => s.event(n).wait()]],
    ['barrier', ['state', 'arrivals', 'outcomes'], (s, n) => [() => s.barrier(n, 2).wait()]],
    ['rlock', ['state', 'queue'], (s, n) => [() => s.rlock(n).acquire()]],
    ['latch', ['state', 'waiters'], (s, n) => [() => s.countDownLatch(n, 1).wait()]],
    ['counter', ['value'], (s, n) => [() => s.counter(n).add(), () => s.counter(n).value()]],
    ['queue', ['state', 'items'], (s, n) => [() => s.queue(n).size(), () => s.queue(n).put(1)]],
    [
      'queue',
      ['state', 'items', 'takers', 'putters', 'parcels', 'joiners', 'outcomes'],
      (s, n) => [() => s.queue(n).get(), () => s.queue(n).join(), () => s.queue(n).put(1)],
    ],
    ['condition-lock', ['state', 'queue'], (s, n) => [() => s.condition(n).acquire()]],
    [
      'rwlock',
      ['state', 'queue', 'wants', 'holders'],
      (s, n) => [() => s.readWriteLock(n).read.acquire(), () => s.readWriteLock(n).write.acquire()],
    ],
  ];
  const cases = kinds.flatMap(([kind, parts, ask]) => parts.map((part) => [kind, part, ask] as const));

  it.each(cases)('are a clear error for a %s, at its %s, and nothing is granted', async (kind, part, ask) => {
    const session = await bench.session();
    const name = bench.name();
    const key = `{heddle:0}:${kind}:${name}:${part}`;
    await spoil(key);
    for (const begin of ask(session, name)) {
      const attempt = begin();
      attempt.catch(() => {});
      await expect(attempt).rejects.toMatchObject({
        code: 'ERR_HEDDLE_REDIS_REFUSED',
        primitive: name,
        message: expect.stringMatching(/WRONGTYPE.*another type.*remove it/),
      });
    }
    expect(await bench.admin.lrange(key, 0, -1)).toEqual(['not ours']);
    expect(await bench.admin.pttl(key)).toBe(-1);
    await bench.admin.del(key);
    await session.close();
  });

  it('do not send the sweep of a dead session in circles, nor keep it from the rest', async () => {
    const namespace = 'spoiled';
    const dead = await bench.session({ ttl: 300, namespace });
    const other = await bench.session({ ttl: 300, namespace, logger: {} });
    await dead.lock('a').acquire();
    await dead.lock('b').acquire();
    await other.lock('c').acquire();
    const next = other.lock('b').acquire();
    expect(await stillPending(next)).toBe(true);
    await spoil('{spoiled:0}:lock:a:state');
    await bench.admin.zadd(`{spoiled:0}:session:${dead.id}-1:holds`, 0, 'no record', 0, 'unheard of\n1\nx');
    const before = await calls('evalsha');
    // As if it had died: nothing renews it, and its own end is not told.
    await bench.admin.zadd('{spoiled:0}:sessions', 'XX', '0', `${dead.id}-1`);
    await (await next).release();
    await until(async () => {
      const key = `{spoiled:0}:session:${dead.id}-1:holds`;
      return (await bench.admin.zrangebyscore(key, '-inf', '(inf')).join() === 'unheard of\n1\nx';
    }, 'all but what is for others to drop is dropped');
    const start = performance.now();
    await until(() => performance.now() - start > 700, 'some ticks have passed');
    expect((await calls('evalsha')) - before).toBeLessThan(300);
    await bench.admin.del('{spoiled:0}:lock:a:state');
    await bench.admin.zrem(`{spoiled:0}:session:${dead.id}-1:holds`, 'unheard of\n1\nx');
    await until(
      async () => (await bench.admin.keys('*')).every((key) => !key.includes(`${dead.id}-1`)),
      'the last of it is swept, once it may be',
    );
    await Promise.all([dead.close(), other.close()]);
  });

  it('hide no dead session behind them, however many of the dead have what is for others to drop', async () => {
    const { admin } = bench;
    const watcher = await bench.session({ ttl: 300, namespace: 'hidden' });
    const dead = Array.from({ length: 41 }, (_, n) => `${watcher.id}-${20 + n}`);
    const last = dead.pop();
    for (const id of dead) await admin.zadd(`{hidden:0}:session:${id}:holds`, 0, 'unheard of\n1\nx');
    for (const id of [...dead, last]) await admin.zadd('{hidden:0}:ring', 0, `${id}`);
    const gone = async () => (await admin.zscore('{hidden:0}:ring', `${last}`)) === null;
    await until(gone, 'the one behind them is swept');
    const before = await calls('evalsha');
    const start = performance.now();
    await until(() => performance.now() - start > 500, 'some ticks have passed');
    expect((await calls('evalsha')) - before).toBeLessThan(500);
    for (const id of dead) await admin.del(`{hidden:0}:session:${id}:holds`);
    await until(async () => (await admin.zcard('{hidden:0}:ring')) === 1, 'they are swept, once they may be');
    await watcher.close();
  });
});

async function calls(command: string): Promise<number> {
  const stats = await bench.admin.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

describe('messages that are not of our scripts', () => {
  it('change nothing and grant nothing', async () => {
    const holder = await bench.session();
    const session = await bench.session();
    const [name, met] = [bench.name(), bench.name()];
    const lease = await holder.lock(name).acquire();
    const permit = await holder.semaphore(name, 1).acquire();
    const waits = [
      session.lock(name).acquire(),
      session.semaphore(name, 1).acquire(),
      session.event(name).wait(),
      session.barrier(met, 2).wait(),
    ];
    expect(await stillPending(Promise.race(waits), 50)).toBe(true);
    const life = `${session.id}-1`;
    const stranger = `${randomBytes(12).toString('hex')}-1`;
    const messages = [
      '',
      '\n\n\n',
      'x'.repeat(100_000),
      'lock',
      `lock\n${stranger}\n${name}\n1\n9`,
      `lock\n${life}\n${name}`,
      `lock\n${life}\n${name}\nNaN\n5`,
      `lock\n${life}\n${name}\n9\n1`,
      `lock\n${life}\n${name}\n1\n2`,
      `lock\n${life}\nno such name\n1\n2`,
      `constructor\n${life}\n${name}\n1\n2`,
      `event\n${life}\nno such name\n9007199254740991`,
      `barrier\n${life}\n${met}\n1\n0`,
      `semaphore\n${life}\n${name}\n\n`,
      `semaphore\n${life}\n${name}\n1\n`,
      `semaphore\n${life}\n${name}\n2\n-5`,
      `event\n${life}\n${name}\nInfinity`,
      `event\n${life}\n${name}\n`,
      `barrier\n${life}\n${met}\n__proto__\n0`,
      `barrier\n${life}\n${met}\n3\nwell`,
      `barrier\n${life}\n${met}\n4\n`,
      `condition\n${life}\ncondition-lock:1:x:x\n1\n-1`,
      `condition\n${life}\ncondition-lock:1:x:x\n1\n5`,
      `latch\n${life}\nno such name\n1`,
      `deadlock\n${life}`,
      `deadlock\n${life}\nask\nsomebody\n1\nlock\n${name}\n`,
      `deadlock\n${life}\nask\n${stranger}\n1\nlock\n${name}\n`,
      `deadlock\n${life}\ntell\n${stranger}\n1\n\n{"thread":1}`,
      `deadlock\n${life}\ntell\n${stranger}\n1\n\nnull`,
      `watch\n${life}\nsomebody\n0`,
      `watch\n${life}\n${stranger}\n-1`,
      `watch\n${life}\n${stranger}\nNaN`,
      `watch\n${life}\n${stranger}\n1e300`,
      `watch\n${life}\n${life}\n0`,
      `__proto__\n${life}`,
    ];
    for (const message of messages) await bench.admin.publish(`{heddle:0}:inbox:${session.id}`, message);
    expect(await stillPending(Promise.race(waits), 100)).toBe(true);
    expect([lease.valid, permit.valid]).toEqual([true, true]);
    await Promise.all([
      lease.release(),
      permit.release(),
      holder.event(name).set(),
      holder.barrier(met, 2).wait(),
    ]);
    await Promise.all(waits);
    await Promise.all([holder.close(), session.close()]);
  });
});

describe('many who hear nothing', () => {
  it('send nobody in circles, and do not keep the lock from one who asks', { timeout: 40_000 }, async () => {
    const name = bench.name();
    const queue = `{heddle:0}:lock:${name}:queue`;
    const holder = await bench.session();
    const lease = await holder.lock(name).acquire();
    // 300 that live, as far as Redis knows, and that no message reaches.
    const mute = Array.from({ length: 300 }, () => `${randomBytes(12).toString('hex')}-1`);
    const end = (at: number) =>
      bench.admin.zadd('{heddle:0}:sessions', ...mute.flatMap((id) => [String(at), id]));
    await end(Date.now() + 3_600_000);
    await bench.admin.zadd('{heddle:0}:ring', ...mute.flatMap((id) => ['0', id]));
    await bench.admin.zadd(queue, ...mute.flatMap((id, n) => [String(n + 1), id]));
    const before = await calls('evalsha');
    await lease.release();
    const second = await bench.session({ ttl: 500 });
    await (await second.lock(name).acquire()).release();
    expect((await calls('evalsha')) - before).toBeLessThan(100);
    await end(1);
    await until(
      async () => (await bench.admin.zmscore('{heddle:0}:sessions', ...mute)).every((end) => end === null),
      'the mute are swept',
    );
    await bench.admin.del(queue);
    await Promise.all([holder.close(), second.close()]);
  });
});
