import { startCluster, startRedis } from '@heddle/embedded-redis';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lease } from '../lock/lock.ts';
import { connect, type Session } from '../session.distributed.ts';
import { Slots } from '../testing/faults/slots.ts';
import { startProxy } from '../testing/proxy.ts';
import { until } from '../testing/waiting.ts';
import { Keyspace } from './keys.ts';
import type { ConnectOptions } from './options.ts';

const keyspace = new Keyspace('heddle', 16);
const plain = { sources: ['process'], password: false } as const;

/** A server and its replica, and sessions of the one; both are ended with it. */
async function pair() {
  const primary = await startRedis(plain);
  const replica = await startRedis(plain);
  const [admin, follower] = [new Redis(primary.url), new Redis(replica.url)];
  for (const client of [admin, follower]) client.on('error', () => {});
  await follower.replicaof(primary.host ?? '', primary.port ?? 0);
  const linked = async () =>
    /state=online/.test(await admin.info('replication')) &&
    /master_link_status:up/.test(await follower.info('replication'));
  await until(linked, 'the replica follows');
  // The first confirmation after that can take a second.
  await admin.set('linked', 1);
  await admin.del('linked');
  await until(async () => (await admin.wait(1, 1000)) === 1, 'the replica confirms');
  const sessions: Session[] = [];
  return {
    primary,
    replica,
    admin,
    follower,
    async session(ttl = 20_000, timeout = 400) {
      const options = { ttl, durability: { replicas: 1, timeout }, logger: {} };
      const made = await connect(primary.url, options);
      sessions.push(made);
      return made;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sessions.map((session) => session.close()));
      for (const client of [admin, follower]) client.disconnect();
      await Promise.all([primary.close(), replica.close()]);
    },
  };
}

describe('durable grants', () => {
  let servers: Awaited<ReturnType<typeof pair>>;
  beforeAll(async () => {
    servers = await pair();
  });
  afterAll(() => servers[Symbol.asyncDispose]());

  it('are given once a replica has them; otherwise given back, and the error says so', async () => {
    const session = await servers.session();
    const others = await connect(servers.primary.url);
    await session.lock('a').with((lease) => expect(lease.valid).toBe(true));
    await session.semaphore('s', 2).with(() => 1);
    servers.replica.pause();
    const refusals = [
      session.lock('a').acquire(),
      session.rlock('r').acquire({ timeout: 0 }),
      session.semaphore('s', 2).acquire(),
      session.readWriteLock('w').write.acquire(),
      session.acquireAll([session.lock('x'), session.lock('y')]),
    ];
    for (const refused of refusals) {
      await expect(refused).rejects.toMatchObject({
        code: 'ERR_HEDDLE_NOT_REPLICATED',
        message: expect.stringContaining('0 of 1 replicas had it within 400 ms'),
      });
    }
    // Nothing was kept.
    for (const name of ['a', 'x', 'y'])
      expect(await others.lock(name).acquire({ timeout: 0 })).not.toBeNull();
    expect(await others.semaphore('s', 2).value()).toBe(2);
    servers.replica.resume();
    await others.close();
    await session.lock('a').with((lease) => expect(lease.valid).toBe(true));
  });

  it('are confirmed together: one WAIT for all that are granted at a time, none for a hand-over in the session', async () => {
    const session = await servers.session();
    await session.lock('first').with(() => 1);
    const waits = async () =>
      Number(/cmdstat_wait:calls=(\d+)/.exec(await servers.admin.info('commandstats'))?.[1] ?? 0);
    const before = await waits();
    const leases = await Promise.all(Array.from({ length: 50 }, (_, n) => session.lock(`n ${n}`).acquire()));
    // Signs of life are a third of twenty seconds apart.
    expect((await waits()) - before).toBeLessThanOrEqual(6);
    await Promise.all(leases.map((lease) => lease.release()));
    const turns = await waits();
    await Promise.all(Array.from({ length: 50 }, () => session.lock('one').with(() => 1)));
    expect((await waits()) - turns).toBeLessThanOrEqual(2);
  });

  it('end where signs of life reach no replica, though Redis has them', async () => {
    const session = await servers.session(1200, 100);
    const lease = await session.lock('kept').acquire();
    servers.replica.pause();
    const { promise, resolve } = Promise.withResolvers<void>();
    lease.signal.addEventListener('abort', () => resolve());
    await promise;
    expect(lease.valid).toBe(false);
    expect(lease.signal.reason).toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    servers.replica.resume();
  });

  it('are told of at once where no replica was ever there, and leave nothing where they are aborted', async () => {
    const session = await servers.session(20_000, 5000);
    servers.replica.pause();
    const controller = new AbortController();
    const aborted = session.lock('aborted').acquire({ signal: controller.signal });
    await until(() => servers.admin.exists('{heddle:0}:lock:aborted:state'), 'Redis has granted it');
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await until(async () => !(await session.lock('aborted').locked()), 'it is free');
    servers.replica.resume();
  });

  it('are not waited for on a connection that is dead: it is made anew', async () => {
    const proxy = await startProxy(servers.primary.url);
    await using session = await connect(proxy.url, {
      ttl: 20_000,
      durability: { replicas: 1, timeout: 100 },
      logger: {},
    });
    await session.lock('dead').with(() => 1);
    // The command connection is the first, the subscriber's the second.
    proxy.swallow((at) => at === 2);
    await expect(session.lock('dead').acquire()).rejects.toMatchObject({
      code: 'ERR_HEDDLE_NOT_REPLICATED',
      message: expect.stringContaining('broke'),
    });
    await until(async () => {
      const lease = await session
        .lock('dead')
        .acquire()
        .catch(() => null);
      await lease?.release();
      return lease !== null;
    }, 'another one confirms');
  });

  it('that another handle releases meanwhile are said to be released, not unconfirmed', async () => {
    const session = await servers.session(20_000, 2000);
    await session.lock('other handle').with(() => 1);
    servers.replica.pause();
    // A round under way: the next grant is asked about after it.
    const first = session.lock('first in the round').acquire();
    await until(() => servers.admin.exists('{heddle:0}:lock:first in the round:state'), 'it is asked about');
    const second = session.lock('other handle').acquire();
    second.catch(() => {});
    // It has been granted once it can be released here: that Redis has granted it does not say that this was read.
    const released = () =>
      session
        .lock('other handle')
        .release()
        .then(
          () => true,
          () => false,
        );
    await until(released, 'the second is granted, and released');
    servers.replica.resume();
    await expect(second).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    await (await first).release();
  });

  it('let a condition wake without the lock where that was not confirmed, and say so', async () => {
    const session = await servers.session();
    await using others = await connect(servers.primary.url);
    const condition = session.condition('c');
    const lease = await condition.acquire();
    const woken = condition.wait({ timeout: 50 });
    servers.replica.pause();
    expect(await woken).toBe(false);
    expect(lease.valid).toBe(false);
    expect(lease.signal.reason.message).toContain('0 of 1 replicas had it');
    await (await others.condition('c').acquire()).release();
    servers.replica.resume();
  });
});

describe('a fail-over', () => {
  it('to the replica grants nothing that a durable lease still holds', async () => {
    await using servers = await pair();
    const session = await servers.session(4000, 1000);
    const lease = await session.lock('a').acquire();
    const waiting = session.semaphore('s', 1);
    await waiting.acquire();
    servers.primary.kill();
    await servers.follower.replicaof('NO', 'ONE');
    await using next = await connect(servers.replica.url);
    expect(await next.lock('a').acquire({ timeout: 0 })).toBeNull();
    expect(await next.semaphore('s', 1).acquire({ timeout: 0 })).toBeNull();
    const granted = await next.lock('a').acquire();
    expect(lease.valid).toBe(false);
    expect(granted.token).toBeGreaterThan(lease.token);
    await granted.release();
  });
});

/** A Cluster of three masters with a replica each, and whose is which. */
async function cluster() {
  const servers = await startCluster({ masters: 3, replicas: 1, password: false });
  const admin = new Cluster([...servers.startupNodes], servers.clientOptions);
  admin.on('error', () => {});
  const sessions: Session[] = [];
  const placeOf = async (name: string) => {
    const slot = Number(await admin.cluster('KEYSLOT', `{heddle:${keyspace.partitionOf(name)}}:sessions`));
    return servers.masters.findIndex(({ host, port }) => admin.slots[slot]?.[0] === `${host}:${port}`);
  };
  /** A name that lies with each master, in their order. */
  const names: string[] = [];
  for (let n = 0; names.filter(Boolean).length < servers.masters.length; n += 1)
    names[await placeOf(`name ${n}`)] ??= `name ${n}`;
  return {
    ...servers,
    whole: servers,
    names,
    /** A replica takes its master's place, without waiting until the others have missed that. */
    async takeOver(place: number) {
      const replica = new Redis(servers.replicas[place]?.url ?? '');
      await replica.cluster('FAILOVER', 'TAKEOVER');
      replica.disconnect();
    },
    async session(options: ConnectOptions) {
      const made = await connect(servers.masters[0]?.url, { logger: {}, ...options });
      sessions.push(made);
      return made;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sessions.map((session) => session.close()));
      admin.disconnect();
      await servers.close();
    },
  };
}

describe('on a Cluster', { timeout: 90_000 }, () => {
  it('each master’s own replicas confirm what lies there', async () => {
    await using servers = await cluster();
    const session = await servers.session({ ttl: 1500, durability: { replicas: 1, timeout: 300 } });
    const [here = '', there = ''] = servers.names;
    const held = await Promise.all(servers.names.map((name) => session.lock(name).acquire()));
    await Promise.all(servers.names.map((name) => session.semaphore(`${name} s`, 2).with(() => 1)));
    const begun = performance.now();
    await until(() => performance.now() - begun > 2000, 'signs of life were needed');
    expect(held.map(({ valid }) => valid)).toEqual([true, true, true]);
    await Promise.all(held.map((lease) => lease.release()));

    servers.replicas[0]?.pause();
    await expect(session.lock(here).acquire()).rejects.toMatchObject({
      code: 'ERR_HEDDLE_NOT_REPLICATED',
      message: expect.stringContaining('0 of 1 replicas had it within 300 ms'),
    });
    await session.lock(there).with((lease) => expect(lease.valid).toBe(true));
    servers.replicas[0]?.resume();
  });

  it('whoever has the slot after it has moved confirms', async () => {
    await using servers = await cluster();
    const session = await servers.session({ ttl: 3000, durability: { replicas: 1, timeout: 500 } });
    const [here = ''] = servers.names;
    const lease = await session.lock(here).acquire();
    using slots = new Slots(servers.whole);
    await slots.move(`{heddle:${keyspace.partitionOf(here)}}:sessions`);
    await session.semaphore(here, 1).with(() => 1);
    const moved = performance.now();
    await until(() => performance.now() - moved > 3500, 'signs of life were needed');
    expect(lease.valid).toBe(true);
    await lease.release();
  });

  it('a replica that takes over grants nothing that a durable lease still holds, and whoever holds it hears of it', async () => {
    await using servers = await cluster();
    const ttl = 12_000;
    const session = await servers.session({ ttl, durability: { replicas: 1, timeout: 1000 } });
    const other = await servers.session({ ttl });
    const [here = '', there = ''] = servers.names;
    const [lost, kept] = [await session.lock(here).acquire(), await session.lock(there).acquire()];
    // Of another kind, the same name lies in the same place.
    const undurable = await other.semaphore(here, 1).acquire();
    await servers.masters[0]?.kill();
    await servers.takeOver(0);
    const took = () => other.lock(here).acquire({ timeout: 0 });
    let asked: Lease | null | undefined;
    await until(async () => {
      asked = await took().catch(() => undefined);
      return asked !== undefined;
    }, 'the replica takes over');
    expect(asked).toBeNull();
    // Which has no replica of its own: nothing confirms the signs of life.
    await until(() => lost.signal.aborted && undurable.signal.aborted, 'the holders hear of it');
    expect(undurable.signal.reason.message).toContain('failed over');
    expect(kept.valid).toBe(true);
    await kept.release();
  });
});

describe('durability', () => {
  it('is refused where the server has fewer replicas', async () => {
    await using server = await startRedis(plain);
    await expect(connect(server.url, { durability: { replicas: 1 } })).rejects.toMatchObject({
      code: 'ERR_HEDDLE_REDIS_REFUSED',
      message: expect.stringContaining('has 0 replicas, fewer than the 1'),
    });
  });

  it.each([
    [null, TypeError],
    ['2', TypeError],
    [{ replicas: 0 }, RangeError],
    [{ replicas: 1.5 }, RangeError],
    [{ replicas: 1, timeout: 0 }, RangeError],
    [{ replicas: 1, timeout: 2501 }, RangeError],
    [{ replicas: 1, timeout: Number.NaN }, RangeError],
    [{ replicas: 1, quorum: 2 }, TypeError],
  ])('of %j is refused before anything is connected', async (durability, type) => {
    await expect(connect('redis://127.0.0.1:1', { durability: durability as never })).rejects.toThrow(type);
  });
});
