import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Session } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { until } from '../testing/waiting.ts';
import { Confirmer, resolveDurability, type WaitingClient } from './durability.ts';

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

  it('is not confirmed by another server than the one that granted', async () => {
    const client: WaitingClient = {
      pexpire: async () => 1,
      wait: async () => 1,
      info: async () => 'run_id:other',
      disconnect: () => {},
    };
    const confirmer = new Confirmer(client, { replicas: 1, timeout: 10 }, 'key', 1, 'mine');
    await expect(confirmer.confirm()).rejects.toThrow('another server took over');
  });

  it('is never confirmed by what was asked before', async () => {
    const asked: PromiseWithResolvers<number>[] = [];
    const client: WaitingClient = {
      pexpire: async () => 1,
      info: async () => 'run_id:x',
      disconnect: () => {},
      wait() {
        const answer = Promise.withResolvers<number>();
        asked.push(answer);
        return answer.promise;
      },
    };
    const confirmer = new Confirmer(client, { replicas: 1, timeout: 10 }, 'key', 1, 'x');
    const first = confirmer.confirm();
    await until(() => asked.length === 1, 'it asks');
    const [second, third] = [confirmer.confirm(), confirmer.confirm()];
    asked[0]?.resolve(1);
    await first;
    await until(() => asked.length === 2, 'it asks again, once for both');
    asked[1]?.resolve(0);
    await expect(second).rejects.toThrow('0 of 1 replicas had it within 10 ms');
    await expect(third).rejects.toThrow('0 of 1 replicas');
    expect(asked).toHaveLength(2);
    expect(resolveDurability({ replicas: 2 }, 10_000)).toEqual({ replicas: 2, timeout: 1000 });
  });
});
