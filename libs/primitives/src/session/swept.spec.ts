import { describe, expect, it } from 'vitest';
import { BrokenBarrierError } from '../errors.ts';
import { coreOf, type Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { parseRecord } from './keys.ts';
import { runAsNobody } from './run-operations.ts';
import { keysOfRecord, sweep } from './sweep.ts';

const bench = redisBench();

/** Everything that stands in Redis, a line for each field, member or text. */
async function everything(): Promise<string[]> {
  const lines: string[] = [];
  for (const key of await bench.admin.keys('*')) {
    const type = await bench.admin.type(key);
    const parts =
      type === 'hash'
        ? Object.entries(await bench.admin.hgetall(key)).map(([field, value]) => `${field} = ${value}`)
        : type === 'zset'
          ? await bench.admin.zrange(key, '0', '-1')
          : [(await bench.admin.get(key)) ?? ''];
    lines.push(...parts.map((part) => `${key}: ${part}`));
  }
  return lines;
}

/** What one that is to die has or waits for; gives what goes on for the others once it has been swept. */
type Leaving = (
  dying: Session,
  other: Session,
  name: string,
) => Promise<(() => Promise<unknown>) | undefined>;

const stood = async (key: string, count: number) =>
  until(async () => (await bench.admin.zcard(`{heddle:0}:${key}`)) === count, `${count} stand at ${key}`);
const unheeded = (wait: Promise<unknown>) => void wait.catch(() => {});

const leavings: Record<string, Leaving> = {
  'a lock': async (dying, other, name) => {
    await dying.lock(name).acquire();
    const next = other.lock(name).acquire();
    await stood(`lock:${name}:queue`, 1);
    return async () => (await next).release();
  },
  'a lock that nobody waits for': async (dying, _, name) => {
    await dying.rlock(name).acquire();
    return async () => expect(await bench.admin.pttl(`{heddle:0}:rlock:${name}:state`)).toBeLessThan(61_000);
  },
  'a place in the line of a lock': async (dying, other, name) => {
    const lease = await other.lock(name).acquire();
    unheeded(dying.lock(name).acquire());
    await stood(`lock:${name}:queue`, 1);
    return () => lease.release();
  },
  permits: async (dying, other, name) => {
    await dying.semaphore(name, 3).acquire({ permits: 2 });
    const next = other.semaphore(name, 3).acquire({ permits: 3 });
    await stood(`semaphore:${name}:queue`, 1);
    return async () => {
      await (await next).release();
      expect(await other.semaphore(name, 3).value()).toBe(3);
    };
  },
  'a place in the line of a semaphore, before one who wants less': async (dying, other, name) => {
    const held = await other.semaphore(name, 3).acquire();
    unheeded(dying.semaphore(name, 3).acquire({ permits: 3 }));
    await stood(`semaphore:${name}:queue`, 1);
    const next = other.semaphore(name, 3).acquire();
    await stood(`semaphore:${name}:queue`, 2);
    return async () => Promise.all([(await next).release(), held.release()]);
  },
  'a place in the line of a semaphore, behind one who goes on waiting': async (dying, other, name) => {
    const held = await other.semaphore(name, 3).acquire();
    const first = other.semaphore(name, 3).acquire({ permits: 3 });
    await stood(`semaphore:${name}:queue`, 1);
    unheeded(dying.semaphore(name, 3).acquire());
    await stood(`semaphore:${name}:queue`, 2);
    return async () => {
      await held.release();
      await (await first).release();
    };
  },
  'a read lock': async (dying, other, name) => {
    await dying.readWriteLock(name).read.acquire();
    const next = other.readWriteLock(name).write.acquire();
    await stood(`rwlock:${name}:queue`, 1);
    return async () => (await next).release();
  },
  'a wait for an event': async (dying, _, name) => {
    unheeded(dying.event(name).wait());
    await stood(`event:${name}:waiters`, 1);
    return undefined;
  },
  'a wait for a latch': async (dying, _, name) => {
    unheeded(dying.countDownLatch(name, 1).wait());
    await stood(`latch:${name}:waiters`, 1);
    return undefined;
  },
  'an arrival at a barrier': async (dying, other, name) => {
    unheeded(dying.barrier(name, 3).wait());
    const arrived = other.barrier(name, 3).wait();
    unheeded(arrived);
    await stood(`barrier:${name}:arrivals`, 2);
    return () => expect(arrived).rejects.toThrow(BrokenBarrierError);
  },
  'a wait at a condition': async (dying, _, name) => {
    const condition = dying.condition(name, { lock: dying.lock(name) });
    await condition.acquire();
    unheeded(condition.wait());
    await until(
      async () => (await bench.admin.keys(`*:condition:*${name}*:waiters`)).length === 1,
      'it waits',
    );
    return undefined;
  },
  'a wait for an item': async (dying, _, name) => {
    unheeded(dying.queue(name).get());
    await stood(`queue:${name}:takers`, 1);
    return undefined;
  },
  'an item that it was given and never read': async (dying, other, name) => {
    await other.queue(name).put('given');
    const life = coreOf(dying).partition(0).current;
    if (life !== undefined) life.later = () => {}; // It dies before it says that it has read it.
    unheeded(dying.queue(name).get());
    await stood(`queue:${name}:items`, 0);
    return async () => expect(await other.queue(name).get()).toBe('given');
  },
  'an item that waits for room': async (dying, other, name) => {
    await other.queue(name, { maxsize: 1 }).put('in');
    unheeded(dying.queue(name, { maxsize: 1 }).put('waits'));
    await stood(`queue:${name}:putters`, 1);
    return async () => {
      expect(await other.queue(name, { maxsize: 1 }).get()).toBe('in');
      expect(await other.queue(name, { maxsize: 1 }).size()).toBe(0);
    };
  },
  'a wait for all items to be dealt with': async (dying, other, name) => {
    await other.queue(name).put('in');
    unheeded(dying.queue(name).join());
    await stood(`queue:${name}:joiners`, 1);
    return undefined;
  },
};

describe('the sweep of a dead session', () => {
  it.each(Object.entries(leavings))('leaves nothing of %s, and others go on', async (_, leave) => {
    const name = bench.name();
    const [dying, other] = [await bench.session({ logger: {} }), await bench.session()];
    const then = await leave(dying, other, name);
    const [gone, core] = [coreOf(dying), coreOf(other)];
    await gone.partition(0).abandon(); // No word to Redis, as where its process was killed.
    expect((await everything()).join('\n')).toContain(dying.id);
    const { site } = core.partition(0);
    const life = `${dying.id}-1`;
    await bench.admin.zadd(site.sessions, 'XX', 1, life);
    const unswept: string[] = [];
    const swept = await sweep(core.line, core.operations, site, core.kinds, life, (record) =>
      unswept.push(record),
    );
    expect([swept.state, unswept]).toEqual(['swept', []]);
    expect((await everything()).filter((line) => line.includes(dying.id))).toEqual([]);
    await then?.();
  });

  it('has nothing to do for what is over: none of it stays listed', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session(), await bench.session()];
    const holds = `{heddle:0}:session:${session.id}-1:holds`;
    const listed = () => bench.admin.zrangebyscore(holds, '-inf', '(inf');
    const uses: ((timeout: number) => Promise<unknown>)[] = [
      () => session.lock(name).with(() => {}),
      () => session.rlock(name).with(() => {}),
      () => session.semaphore(name, 2).with(() => {}),
      () => session.readWriteLock(name).write.with(() => {}),
      (timeout) => session.event(name).wait({ timeout }),
      (timeout) => session.countDownLatch(name, 1).wait({ timeout }),
      (timeout) =>
        session
          .barrier(name, 2)
          .wait({ timeout })
          .catch(() => {}),
      (timeout) =>
        session
          .queue(name)
          .get({ timeout })
          .catch(() => {}),
      () => session.queue(name).put(1),
      () => session.queue(name).get(),
      (timeout) => session.queue(name).join({ timeout }),
      async (timeout) => {
        const condition = session.condition(name, { lock: session.lock(`${name}-`) });
        await condition.acquire();
        await condition.wait({ timeout });
        await condition.release();
      },
    ];
    for (const use of uses) {
      await use(20);
      await until(async () => (await listed()).join() === '', `nothing is listed after ${use}`);
    }
    // And of who gave up where others hold.
    await other.lock(name).acquire();
    await other.semaphore(name, 2).acquire({ permits: 2 });
    expect(await session.lock(name).acquire({ timeout: 20 })).toBeNull();
    expect(await session.semaphore(name, 2).acquire({ timeout: 20 })).toBeNull();
    await until(async () => (await listed()).join() === '', 'nothing is listed of those who gave up');
  });

  it('drops no record of one that lives, whatever of', async () => {
    const name = bench.name();
    const living = await bench.session({ ttl: 60_000 });
    const condition = living.condition(name, { lock: living.lock(`${name}-`) });
    const waits: Promise<unknown>[] = [
      living.lock(name).acquire(),
      living.rlock(name).acquire(),
      living.semaphore(name, 2).acquire(),
      living.readWriteLock(name).read.acquire(),
      living.event(name).wait(),
      living.countDownLatch(name, 1).wait(),
      living.barrier(name, 2).wait(),
      living.queue(name).get(),
      condition.acquire().then(() => condition.wait()),
    ];
    for (const wait of waits) unheeded(wait);
    const core = coreOf(living);
    const { site } = core.partition(0);
    const { holds } = core.keyspace.ofSession(0, `${living.id}-1`);
    const records = async () =>
      (await bench.admin.zrangebyscore(holds, '-inf', '(inf')).flatMap((text) => parseRecord(text) ?? []);
    const dropOf = (kind: string) => core.kinds[kind]?.drop ?? '';
    const all = new Set(Object.keys(core.kinds).map(dropOf));
    await until(
      async () => new Set((await records()).map(({ kind }) => dropOf(kind))).size === all.size,
      'something is listed for each operation that drops',
    );
    const its = async () =>
      (await everything()).filter((line) => line.includes(name) && !line.includes(':calls: ')).sort();
    const before = await its();
    for (const record of await records()) {
      const operation = dropOf(record.kind);
      const keys = [...keysOfRecord(core.keyspace, core.kinds, 0, record), holds];
      const args = [record.name, record.id, `${living.id}-1`, 64, record.kind];
      const [answer] = await runAsNobody(core.line, core.operations, site, [{ operation, keys, args }]);
      expect(answer, operation).toEqual(['alive']);
    }
    expect(await its()).toEqual(before);
    await living.close();
  });

  it('does nothing to one that lives', async () => {
    const name = bench.name();
    const [living, other] = [await bench.session({ ttl: 60_000 }), await bench.session()];
    const lease = await living.lock(name).acquire();
    const core = coreOf(other);
    const swept = await sweep(
      core.line,
      core.operations,
      core.partition(0).site,
      core.kinds,
      `${living.id}-1`,
    );
    expect(swept).toMatchObject({ state: 'alive' });
    expect(await other.lock(name).locked()).toBe(true);
    expect((await living.members()).map(({ id }) => id)).toContain(living.id);
    await lease.release();
  });
});
