import { type RedisCluster, startCluster } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAs } from '../identity.ts';
import { connect, type Session } from '../session.distributed.ts';
import { Slots } from '../testing/faults/slots.ts';
import { stillPending, until } from '../testing/waiting.ts';
import { inspectLocks } from './inspect.distributed.ts';
import { Keyspace } from './keys.ts';

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

  it('has conditions, wherever their locks lie', async () => {
    const [a, b] = [await session(), await session()];
    const names = Array.from({ length: 24 }, (_, n) => `condition ${n}`);
    const woken = await Promise.all(
      names.map(async (name) => {
        const lease = await a.condition(name).acquire();
        const waits = a.condition(name).wait({ timeout: 20_000 });
        // Granted to the other once the first waits, and not before.
        await b.condition(name).with(() => b.condition(name).notify());
        const was = await waits;
        await lease.release();
        return was;
      }),
    );
    expect(woken).toEqual(names.map(() => true));
    const timed = names.map((name) => b.condition(name).with(() => b.condition(name).wait({ timeout: 20 })));
    expect(await Promise.all(timed)).toEqual(names.map(() => false));
  });

  it('finds circles that go through several masters', async () => {
    const [a, b, c] = [await session(), await session(), await session()];
    const all = [a, b, c];
    const names = ['circle 0', 'circle 1', 'circle 2'];
    let inside = 0;
    const walks = all.map((own, at) =>
      runAs(`walker ${at}`, async () => {
        await using _ = await own.lock(names[at] as string).acquire();
        inside += 1;
        await until(() => inside === all.length, 'all hold one');
        await using __ = await own.lock(names[(at + 1) % all.length] as string).acquire();
      }),
    );
    const outcomes = await Promise.allSettled(walks);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatchObject({ reason: { code: 'ERR_HEDDLE_DEADLOCK' } });
  });

  it('goes on while slots move: whoever waits is told at once, wherever the slot is by then', {
    timeout: 60_000,
  }, async () => {
    const [a, b] = [await session(), await session()];
    using slots = new Slots(cluster);
    const keyspace = new Keyspace('heddle', 16);
    const names = Array.from({ length: 4 }, (_, n) => `moved ${n}`);
    for (let round = 0; round < 3; round += 1) {
      const leases = await Promise.all(names.map((name) => a.lock(name).acquire()));
      const permit = await a.semaphore('moved s', 1).acquire();
      const waits = names.map((name) => b.lock(name).acquire());
      const permits = b.semaphore('moved s', 1).acquire();
      const told = b.event(`moved e ${round}`).wait();
      const got = b.queue('moved q').get();
      await until(
        async () => (await inspectLocks(b)).filter(({ waiters }) => waiters.length === 1).length === 4,
        'all stand in line',
      );
      const used = [...names, 'moved s', `moved e ${round}`, 'moved q'];
      for (const tag of new Set(used.map((name) => keyspace.tag(keyspace.partitionOf(name)))))
        await slots.move(tag);
      await Promise.all(leases.map((lease) => lease.release()));
      await permit.release();
      await a.event(`moved e ${round}`).set();
      await a.queue('moved q').put(round);
      // Well within the ttl, after which whoever waits would ask again by itself.
      const begun = performance.now();
      for (const lease of [...(await Promise.all(waits)), await permits]) await lease.release();
      expect([await told, await got]).toEqual([true, round]);
      expect(performance.now() - begun).toBeLessThan(20_000);
      expect(leases.every(({ signal }) => !signal.aborted)).toBe(true);
    }
  });

  it('asks again where the connection on which one shard tells was cut: what it told meanwhile is not lost', async () => {
    const [a, b] = [await session(), await session()];
    const names = Array.from({ length: 6 }, (_, n) => `cut ${n}`);
    const leases = await Promise.all(names.map((name) => a.lock(name).acquire()));
    const waits = names.map((name) => b.lock(name).acquire());
    await until(
      async () => (await inspectLocks(b)).filter(({ waiters }) => waiters.length === 1).length === 6,
      'all stand in line',
    );
    const admins = cluster.masters.map(({ url }) => new Redis(url));
    await Promise.all(admins.map((admin) => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')));
    await Promise.all(leases.map((lease) => lease.release()));
    for (const admin of admins) admin.disconnect();
    for (const lease of await Promise.all(waits)) await lease.release();
  });

  it('does nothing by halves in a slot that moves', async () => {
    const [a, b] = [await session(), await session()];
    using slots = new Slots(cluster);
    const keyspace = new Keyspace('heddle', 16);
    const name = 'by halves';
    const permit = await a.semaphore(name, 1).acquire();
    const next = b.semaphore(name, 1).acquire();
    await until(async () => {
      const [queue = ''] = keyspace.of('semaphore', name, ['queue']);
      return (await slots.keys()).includes(queue);
    }, 'it stands in line');
    // All that the release is about is there at first; it takes away some of it before it goes on.
    let released: Promise<void> | undefined;
    await slots.move(keyspace.tag(keyspace.partitionOf(name)), async () => {
      released = permit.release();
      released.catch(() => {});
      expect(await stillPending(released, 150)).toBe(true);
    });
    await released;
    await (await next).release();
    expect(await a.semaphore(name, 1).value()).toBe(1);
  });
});
