import { describe, expect, it, onTestFinished } from 'vitest';
import { BrokenBarrierError, QueueEmptyError } from '../errors.ts';
import { coreOf } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import type { ScriptClient } from './lua.ts';
import { SHORTAGE_RETRY } from './refused.ts';
import { sweep } from './sweep.ts';

const bench = redisBench();

/** Sets directives for one test. */
async function withConfig(
  config: Record<string, [during: string, after: string]>,
): Promise<() => Promise<void>> {
  const set = async (which: 0 | 1) => {
    for (const [name, values] of Object.entries(config)) await bench.admin.config('SET', name, values[which]);
  };
  onTestFinished(() => set(1));
  await set(0);
  return () => set(1);
}

describe('a Redis that is full', () => {
  it('takes back whatever is given back, also where the call tells of replies that were read', async () => {
    const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session({ ttl: 60_000 })];
    const name = bench.name();
    const queue = session.queue(name);
    const long = async () => {
      await queue.put('x'.repeat(4000));
      await queue.get();
    };
    const lock = session.lock(name);
    const first = await lock.acquire();
    const after = Array.from({ length: 70 }, () => lock.acquire());
    const permits = await session.semaphore(name, 4).acquire({ permits: 3 });
    const told = other.event(name).wait();
    const reading = await session.readWriteLock(name).read.acquire();
    await until(async () => (await bench.admin.zcard(`{heddle:0}:event:${name}:waiters`)) === 1, 'it waits');
    await long();

    const relieve = await withConfig({ maxmemory: ['1mb', '0'] });
    await expect(other.queue(name).put('x')).rejects.toThrow(/OOM.*raise maxmemory/);
    await first.release();
    // More than a block of tokens: in between the lock goes back, and the session to the end of the line.
    for (const waiting of after) await (await waiting).release();
    await session.semaphore(name, 4).release(1);
    await permits.release();
    await reading.release();
    await session.event(name).set();
    expect(await told).toBe(true);
    await relieve();
    expect(await other.lock(name).acquire({ timeout: 0 })).not.toBeNull();
    expect(await other.semaphore(name, 4).value()).toBe(4);
  });
});

describe('a Redis that is full', () => {
  it('takes signs of life all the same', async () => {
    const session = await bench.session({ ttl: 1_000 });
    const lease = await session.lock(bench.name()).acquire();
    const relieve = await withConfig({ maxmemory: ['1mb', '0'] });
    const end = async () => Number(await bench.admin.zscore('{heddle:0}:sessions', `${session.id}-1`));
    const before = await end();
    await until(async () => (await end()) > before + 1_000, 'its end is put off, again and again');
    expect(lease.valid).toBe(true);
    await relieve();
    await lease.release();
  });
});

describe('a Redis that takes no writes for a while', () => {
  it('is given back what it refused once it does, and grants no token twice', async () => {
    const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session({ ttl: 60_000 })];
    const name = bench.name();
    const lock = session.lock(name);
    const first = await lock.acquire();
    const tokens = [first.token];
    const turns = Array.from({ length: 5 }, () => lock.with((lease) => tokens.push(lease.token)));
    const permit = await session.semaphore(name, 1).acquire();
    const relieve = await withConfig({ 'min-replicas-to-write': ['1', '0'] });
    await first.release(); // From one to the next here; the last one gives it back.
    const ends = await Promise.allSettled(turns);
    expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    await expect(permit.release()).rejects.toThrow(/NOREPLICAS.*connect them/);
    // Redis has it held: who tries hears that, and not that Redis does not answer.
    expect(await lock.acquire({ timeout: 0 })).toBeNull();
    // It is asked for again meanwhile, by this session and by another.
    const again = lock.acquire();
    await relieve();
    const lease = await again;
    expect(lease.token).toBeGreaterThan(Math.max(...tokens));
    await lease.release();
    const elsewhere = await other.lock(name).acquire();
    expect(elsewhere.token).toBeGreaterThan(lease.token);
    await elsewhere.release();
    await until(async () => (await other.semaphore(name, 1).value()) === 1, 'the permit is back');
  });
});

describe('a Redis that takes no writes for longer', () => {
  it('has back in the end what it refused to take back, and grants nothing to those who have left', async () => {
    const ttl = 1_000;
    const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session({ ttl })];
    const [held, name] = [bench.name(), bench.name()];
    const permit = await other.semaphore(held, 1).acquire();
    const holds = [await session.lock(name).acquire(), await session.semaphore(name, 1).acquire()];
    // Two give up meanwhile; those who do not are asked for again meanwhile, and refused.
    const waits = [
      other.lock(name).acquire({ timeout: 400 }),
      other.semaphore(name, 1).acquire({ timeout: 400 }),
      other.rlock('other').acquire(),
    ];
    const queued = async () =>
      (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) +
      (await bench.admin.zcard(`{heddle:0}:semaphore:${name}:queue`));
    await until(async () => (await queued()) === 2, 'they stand in line');
    const relieve = await withConfig({ 'min-replicas-to-write': ['1', '0'] });
    await expect(permit.release()).rejects.toThrow(/NOREPLICAS/);
    await Promise.allSettled(waits.slice(0, 2));
    const begun = performance.now();
    await until(() => performance.now() - begun > 1_200, 'more than one attempt was refused');
    await relieve();
    await until(async () => (await queued()) === 0, 'their places are given up');
    for (const hold of holds) await hold.release();
    await (await session.lock(name).acquire()).release();
    await (await session.semaphore(name, 1).acquire()).release();
    await until(async () => (await session.semaphore(held, 1).value()) === 1, 'the permit is back');
  });
});

describe('who gives up where Redis takes no writes', () => {
  const NO_WRITES = { 'min-replicas-to-write': ['1', '0'] } as const satisfies Record<
    string,
    [string, string]
  >;
  const pair = async () => {
    const ttl = 60_000;
    return [await bench.session({ ttl }), await bench.session({ ttl }), bench.name()] as const;
  };
  const listed = async (key: string) => bench.admin.zcard(`{heddle:0}:${key}`);

  it('waits no more at a condition, and holds its lock again once it can be had', async () => {
    const [session, other, name] = await pair();
    const lock = session.lock(name);
    const condition = session.condition(name, { lock });
    const lease = await lock.acquire();
    const before = lease.token;
    const waited = condition.wait({ timeout: 300 });
    const waiters = `condition:lock:${Buffer.byteLength(name)}:${name}:${name}:waiters`;
    await until(async () => (await listed(waiters)) === 1, 'it waits');
    const relieve = await withConfig(NO_WRITES);
    const refused = lock.acquire();
    await expect(refused).rejects.toThrow(/NOREPLICAS/);
    const begun = performance.now();
    await until(() => performance.now() - begun > 1_200, 'more than one attempt was refused');
    await relieve();
    expect(await waited).toBe(false);
    expect(lease).toMatchObject({ valid: true });
    expect(lease.token).toBeGreaterThan(before);
    await lease.release();
    await (await other.lock(name).acquire({ timeout: 2_000 }))?.release();
    expect(await lock.locked()).toBe(false);
  });

  it('takes no item of a queue along', async () => {
    const [session, other, name] = await pair();
    const gone = session.queue(name).get({ timeout: 300 });
    await until(async () => (await listed(`queue:${name}:takers`)) === 1, 'it waits');
    const relieve = await withConfig(NO_WRITES);
    await expect(gone).rejects.toThrow(QueueEmptyError);
    await relieve();
    await until(async () => (await listed(`queue:${name}:takers`)) === 0, 'it waits no more');
    await other.queue(name).put('kept');
    expect(await other.queue(name).get({ timeout: 0 })).toBe('kept');
  });

  it('is no party of a barrier', async () => {
    const [session, other, name] = await pair();
    const gone = session.barrier(name, 2).wait({ timeout: 300 });
    await until(async () => (await listed(`barrier:${name}:arrivals`)) === 1, 'it waits');
    const relieve = await withConfig(NO_WRITES);
    await expect(gone).rejects.toThrow(BrokenBarrierError);
    await relieve();
    await until(() => other.barrier(name, 2).broken(), 'it has broken the barrier');
    expect(await listed(`barrier:${name}:arrivals`)).toBe(0);
  });

  it('takes no notification along, and waits for an event anew all the same', async () => {
    const [session, other, name] = await pair();
    const condition = session.condition(name);
    await condition.acquire();
    const gone = condition.wait({ timeout: 300 });
    const flag = session.event(name).wait({ timeout: 300 });
    await until(async () => (await listed(`event:${name}:waiters`)) === 1, 'it waits');
    const relieve = await withConfig(NO_WRITES);
    expect(await flag).toBe(false);
    await relieve();
    const again = session.event(name).wait();
    expect(await gone).toBe(false);
    await condition.release();
    const elsewhere = other.condition(name);
    await elsewhere.acquire();
    const notified = elsewhere.wait();
    await session.condition(name).acquire();
    await session.condition(name).notify();
    await session.condition(name).release();
    expect(await notified).toBe(true);
    await elsewhere.release();
    // Longer than it takes until what was refused is asked again.
    const begun = performance.now();
    await until(() => performance.now() - begun > SHORTAGE_RETRY + 100, 'what was refused was asked again');
    await other.event(name).set();
    expect(await again).toBe(true);
    await until(async () => (await listed(`event:${name}:waiters`)) === 0, 'nobody is registered');
  });

  it('says later what it has read: nothing of that is kept', async () => {
    const [session, other, name] = await pair();
    const got = session.queue(name).get();
    await until(async () => (await listed(`queue:${name}:takers`)) === 1, 'it waits');
    await other.queue(name).put('once');
    expect(await got).toBe('once');
    const relieve = await withConfig(NO_WRITES);
    await expect(session.queue(name).put('refused')).rejects.toThrow(/NOREPLICAS/); // What was read is told along with it.
    await relieve();
    const outcomes = `{heddle:0}:queue:${name}:outcomes`;
    await until(async () => (await bench.admin.exists(outcomes)) === 0, 'it is told again');
  });
});

describe('a session that loses its life where Redis takes no writes', () => {
  it('leaves nothing of it where it closes before it has another', async () => {
    const namespace = 'shortage-closing';
    const session = await bench.session({ namespace, ttl: 1_000 });
    await session.lock('x').acquire();
    const refused = new Promise((resolve) => session.on('error', resolve));
    const relieve = await withConfig({ 'min-replicas-to-write': ['1', '0'] });
    await refused; // It has tried in vain to end the life that it lost, and to begin another.
    await relieve();
    await session.close();
    const left = (await bench.admin.keys(`{${namespace}:0}:*`)).filter((key) => !key.endsWith(':state'));
    expect(left).toEqual([`{${namespace}:0}:epoch`]);
  });
});

describe('the sweep of a dead session', () => {
  it('leaves no record unswept because Redis took no writes for a moment', async () => {
    const namespace = 'shortage-sweep';
    const [dead, other] = [await bench.session({ namespace }), await bench.session({ namespace })];
    await dead.lock('x').acquire();
    await bench.admin.zadd(`{${namespace}:0}:sessions`, 0, `${dead.id}-1`);
    const core = coreOf(other);
    const { line, operations, kinds } = core;
    const { site } = core.partition(0);
    let scripts = 0;
    const client: ScriptClient = {
      eval: (...args) => line.eval(...args),
      evalsha: async (...args) => {
        scripts += 1;
        if (scripts !== 2) return line.evalsha(...args);
        const relieve = await withConfig({ 'min-replicas-to-write': ['1', '0'] });
        return line.evalsha(...args).finally(relieve);
      },
    };
    const unswept: string[] = [];
    const swept = sweep(client, operations, site, kinds, `${dead.id}-1`, (record) => unswept.push(record));
    await expect(swept).rejects.toThrow(/NOREPLICAS/);
    expect(await sweep(line, operations, site, kinds, `${dead.id}-1`)).toEqual({ state: 'swept' });
    expect(unswept).toEqual([]);
    await (await other.lock('x').acquire()).release();
  });
});

describe('the last token of a lock', () => {
  it('is kept for longer than the clock needs to be past it', async () => {
    const session = await bench.session({ ttl: 60_000 });
    const name = bench.name();
    const state = `{heddle:0}:lock:${name}:state`;
    const ahead = 300_000;
    await bench.admin.hset(state, 'end', String((Date.now() + ahead) * 1000));
    const early = await session.lock(name).acquire();
    await early.release();
    expect(await bench.admin.pttl(state)).toBeGreaterThan(ahead);
    const late = await session.lock(name).acquire();
    expect(late.token).toBeGreaterThan(early.token);
    await late.release();
  });
});
