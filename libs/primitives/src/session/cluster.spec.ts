import { type RedisCluster, startCluster } from '@heddle/embedded-redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Session } from '../session.distributed.ts';
import { stillPending, until } from '../testing/waiting.ts';
import { inspectLocks } from './inspect.distributed.ts';

describe('on a Cluster', () => {
  let cluster: RedisCluster;
  const sessions: Session[] = [];
  const session = async () => {
    const made = await connect(cluster.masters[0]?.url, { ttl: 60_000, logger: {} });
    sessions.push(made);
    return made;
  };

  beforeAll(async () => {
    cluster = await startCluster({ masters: 3, replicas: 0 });
  }, 60_000);

  afterAll(async () => {
    await Promise.all(sessions.map((made) => made.close()));
    await cluster.close();
  });

  it('spreads names over all masters, and hands each lock from session to session', async () => {
    const [a, b] = [await session(), await session()];
    const names = Array.from({ length: 24 }, (_, n) => `name ${n}`);
    const leases = await Promise.all(names.map((name) => a.lock(name).acquire()));
    const waits = names.map((name) => b.lock(name).acquire());
    expect(await stillPending(Promise.race(waits), 100)).toBe(true);
    await until(
      async () => (await inspectLocks(b)).every(({ waiters }) => waiters.length === 1),
      'all stand in line',
    );
    const seen = await inspectLocks(b);
    expect(seen.map(({ name }) => name).sort()).toEqual([...names].sort());
    expect(
      seen.every(({ holder, waiters }) => holder?.session === a.id && waiters[0]?.session === b.id),
    ).toBe(true);
    await Promise.all(leases.map((lease) => lease.release()));
    for (const [n, lease] of (await Promise.all(waits)).entries()) {
      expect(lease.token).toBeGreaterThan(leases[n]?.token ?? 0);
      await lease.release();
    }
  });

  it('has semaphores, events and barriers', async () => {
    const [a, b] = [await session(), await session()];
    const permit = await a.semaphore('s', 1).acquire();
    const next = b.semaphore('s', 1).acquire();
    const told = b.event('e').wait();
    const met = [a.barrier('b', 2).wait()];
    expect(await stillPending(Promise.race([next, told, ...met]), 100)).toBe(true);
    await permit.release();
    await (await next).release();
    await a.event('e').set();
    expect(await told).toBe(true);
    met.push(b.barrier('b', 2).wait());
    expect((await Promise.all(met)).sort()).toEqual([0, 1]);
  });

  it('has queues, wherever they lie', async () => {
    const [a, b] = [await session(), await session()];
    const names = Array.from({ length: 12 }, (_, n) => `queue ${n}`);
    const gets = names.map((name) => a.queue(name, { maxsize: 1 }).get());
    expect(await stillPending(Promise.race(gets), 100)).toBe(true);
    await Promise.all(names.map((name) => b.queue(name, { maxsize: 1 }).put(name)));
    expect(await Promise.all(gets)).toEqual(names);
    const puts = names.flatMap((name) => [1, 2].map((n) => b.queue(name, { maxsize: 1 }).put(n)));
    const joins = names.map((name) => b.queue(name, { maxsize: 1 }).join());
    expect(await stillPending(Promise.all(puts), 100)).toBe(true);
    for (const name of names) {
      const queue = a.queue(name, { maxsize: 1 });
      expect([await queue.get(), await queue.get()]).toEqual([1, 2]);
      for (let n = 0; n < 3; n += 1) await queue.taskDone();
      await queue.shutdown();
    }
    await Promise.all([...puts, ...joins]);
  });

  it('frees what a session held when that closes, wherever it lies', async () => {
    const [a, b] = [await session(), await session()];
    const names = Array.from({ length: 12 }, (_, n) => `freed ${n}`);
    await Promise.all(names.map((name) => a.lock(name).acquire()));
    const waits = names.map((name) => b.lock(name).acquire());
    await a.close();
    for (const lease of await Promise.all(waits)) await lease.release();
  });
});
