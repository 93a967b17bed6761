import { getEventListeners } from 'node:events';
import { type RedisServers, startServers } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { lockConformance } from '../lock/lock.conformance.ts';
import type { AnyLock, Lease } from '../lock/lock.ts';
import { connect, type Session } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { later, until } from '../testing/waiting.ts';
import type { DistributedQuorumLock } from './quorum-lock.distributed.ts';

const TTL = 2000;
let servers: RedisServers;
const sessions: Session[] = [];
let names = 0;
const fresh = () => {
  names += 1;
  return `name ${names}`;
};

async function session(): Promise<Session> {
  const made = await connect(servers.urls[0], { ttl: TTL, connectTimeout: 2000, logger: {} });
  sessions.push(made);
  return made;
}
const turns: Session[] = [];
let turned = 0;
async function turn(): Promise<Session> {
  turned += 1;
  turns[turned % 2] ??= await session();
  return turns[turned % 2] as Session;
}
const quorumOf = (made: Session, name: string, urls = servers.urls): DistributedQuorumLock =>
  made.lock(name, { quorum: urls });

/** Servers count once they have run for a ttl. */
async function seasoned(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const admin = new Redis(url);
    const uptime = async () => Number(/uptime_in_seconds:(\d+)/.exec(await admin.info('server'))?.[1]);
    await until(async () => (await uptime()) * 1000 > TTL, 'it has run long enough to be trusted');
    admin.disconnect();
  }
}

beforeAll(async () => {
  servers = await startServers(5);
  await seasoned(servers.urls);
}, 60_000);

afterAll(async () => {
  await Promise.all(sessions.map((made) => made.close()));
  for (const url of servers.urls) {
    const admin = new Redis(url);
    expect((await admin.keys('*')).filter((key) => /:(session:|queue$|holds$)/.test(key))).toEqual([]);
    const clients = String(await admin.client('LIST'));
    expect(clients.match(/name=heddle-/g)).toBeNull();
    admin.disconnect();
  }
  await servers.close();
});

lockConformance('on a quorum of five', {
  make: async () => quorumOf(await turn(), fresh()),
  another: async (lock: AnyLock) => quorumOf(await turn(), (lock as DistributedQuorumLock).name),
  fifo: false,
  separateOwners: true,
  unordered: true,
});

describe('a lock on a quorum', () => {
  it('goes on where a minority is down, and is not given where a majority is', async () => {
    const name = fresh();
    const [a, b] = [quorumOf(await session(), name), quorumOf(await session(), name)];
    for (const lock of [a, b]) await lock.with(() => 1);
    const down = servers.servers.slice(3);
    for (const server of down) server.pause();
    const lease = await a.acquire();
    expect(await b.acquire({ timeout: 0 })).toBeNull();
    await lease.release();
    await b.with((held) => expect(held.token).toBeGreaterThan(lease.token));
    servers.servers[2]?.pause();
    // Also after the sessions at those that are silent have ended, and whatever is on its way to them still.
    for (let tries = 0; tries < 6; tries += 1) {
      await expect(a.acquire({ timeout: 0 })).rejects.toMatchObject({
        code: 'ERR_HEDDLE_REDIS_UNREACHABLE',
        message: expect.stringMatching(/[0-2] of 5 servers answered, fewer than the 3/),
      });
    }
    expect(await a.acquire({ timeout: 30 })).toBeNull();
    await expect(a.locked()).rejects.toMatchObject({ code: 'ERR_HEDDLE_REDIS_UNREACHABLE' });
    for (const server of servers.servers.slice(2)) server.resume();
    await a.with(() => 1);
  });

  it('has one listener on a signal together with all others that are acquired with it', async () => {
    const { signal } = new AbortController();
    const made = await session();
    const added = vi.spyOn(signal, 'addEventListener');
    const counts: number[] = [];
    added.mockImplementation((...args) => {
      EventTarget.prototype.addEventListener.apply(signal, args as never);
      counts.push(getEventListeners(signal, 'abort').length);
    });
    const leases = await Promise.all([1, 2, 3].map(() => quorumOf(made, fresh()).acquire({ signal })));
    expect(Math.max(...counts)).toBe(1);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    for (const lease of leases) await lease.release();
  });

  it('is lost, and its holder knows, when a majority is gone', async () => {
    const name = fresh();
    const lock = quorumOf(await session(), name);
    const lease = await lock.acquire();
    const voters: (typeof servers.servers)[number][] = [];
    for (const server of servers.servers) {
      const admin = new Redis(server.url);
      const voted = await admin.hexists(`{heddle:0}:quorum-lock:${name}:state`, 'holder');
      if (voted) voters.push(server);
      else server.pause();
      admin.disconnect();
    }
    for (const server of voters.slice(3)) server.pause();
    await later(TTL, undefined);
    expect(lease.valid).toBe(true);
    voters[0]?.pause();
    await until(() => lease.signal.aborted, 'it hears of its loss');
    expect(lease.valid).toBe(false);
    expect(lease.signal.reason.message).toMatch(/2 servers have it still, fewer than the 3/);
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    for (const server of servers.servers) server.resume();
    await until(
      async () =>
        (await lock.acquire({ timeout: 1000 }).then((again) => again?.release())) === undefined &&
        !(await lock.locked()),
      'it is free',
    );
  });

  it('stands on a server too that granted it late', async () => {
    const name = fresh();
    const three = servers.servers.slice(0, 3);
    const [early, , late] = three as [(typeof three)[0], (typeof three)[0], (typeof three)[0]];
    const urls = three.map(({ url }) => url);
    const made = await session();
    await quorumOf(made, fresh(), urls).with(() => 1);
    late.pause();
    const lease = await quorumOf(made, name, urls).acquire();
    late.resume();
    const admin = new Redis(late.url);
    const granted = () => admin.hexists(`{heddle:0}:quorum-lock:${name}:state`, 'holder');
    await until(granted, 'the third has granted it');
    early.pause();
    await later(TTL, undefined);
    expect(lease.valid).toBe(true);
    early.resume();
    await lease.release();
    await until(async () => (await granted()) === 0, 'it is given back there too');
    admin.disconnect();
  });

  it('gives rising tokens, though the servers’ clocks and counts differ', async () => {
    const name = fresh();
    const ahead = servers.urls.slice(0, 3);
    const [a, b] = [await session(), await session()];
    // On one server the name's last token lies far ahead: a majority without it must come after one with it.
    const admin = new Redis(ahead[0] as string);
    await admin.hset(`{heddle:0}:quorum-lock:${name}:state`, 'end', String(Date.now() * 1000 + 60_000_000));
    for (const made of [a, b]) await quorumOf(made, fresh(), ahead).with(() => 1);
    servers.servers[2]?.pause();
    const first = await quorumOf(a, name, ahead).acquire();
    expect(first.token).toBeGreaterThan(Date.now() * 1000 + 50_000_000);
    await first.release();
    servers.servers[2]?.resume();
    servers.servers[0]?.pause();
    const second = await quorumOf(b, name, ahead).acquire();
    expect(second.token).toBeGreaterThan(first.token);
    await second.release();
    servers.servers[0]?.resume();
    admin.disconnect();
  });

  it('lets one in at a time while connections break, and their tokens rise', async () => {
    const proxies = await Promise.all(servers.urls.slice(0, 3).map((url) => startProxy(url)));
    const urls = proxies.map(({ url }) => url);
    const name = fresh();
    let inside = 0;
    let most = 0;
    const tokens: number[] = [];
    let stop = false;
    const enter = async (lease: Lease | null) => {
      if (lease === null) return;
      inside += 1;
      most = Math.max(most, inside);
      tokens.push(lease.token);
      await later(1, undefined);
      inside -= lease.valid ? 1 : 0;
      if (!lease.valid) inside = 0;
      await lease.release().catch(() => {});
    };
    const workers = (await Promise.all([session(), session(), session()])).map(async (made) => {
      while (!stop) await enter(await quorumOf(made, name, urls).acquire({ timeout: 500 }));
    });
    for (let n = 0; n < 12; n += 1) {
      const before = tokens.length;
      await until(() => tokens.length > before + 2, 'the lock goes round');
      proxies[n % 3]?.cut();
    }
    stop = true;
    await Promise.all(workers);
    expect(most).toBe(1);
    expect(tokens).toEqual([...tokens].sort((x, y) => x - y));
    expect(new Set(tokens).size).toBe(tokens.length);
    for (const made of sessions.slice(-3)) await made.close();
  });

  it('does not count a server that has just started: it may have lost what it granted', async () => {
    const name = fresh();
    const made = await connect(servers.urls[0], { ttl: 60_000, logger: {} });
    await using young = await startServers(3);
    expect(await quorumOf(made, name, young.urls).acquire({ timeout: 0 })).toBeNull();
    await made.close();
  });

  it('ends with its maxHold, and with its session', async () => {
    const name = fresh();
    const made = await session();
    const lease = await made.lock(name, { quorum: servers.urls, maxHold: 30 }).acquire();
    await until(() => lease.signal.aborted, 'its time is over');
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    const kept = await quorumOf(made, name).acquire();
    await made.close();
    expect(kept.valid).toBe(false);
    await expect(quorumOf(made, name).acquire()).rejects.toMatchObject({ code: 'ERR_HEDDLE_SESSION_CLOSED' });
    const other = quorumOf(await session(), name);
    await (await other.acquire({ timeout: 5000 }))?.release();
  });

  it('refuses what is no quorum', async () => {
    const made = await turn();
    const lock = (quorum: unknown) => () => made.lock('x', { quorum: quorum as string[] });
    expect(lock([])).toThrow(RangeError);
    expect(lock(servers.urls.slice(0, 2))).toThrow(/3 servers or more/);
    expect(lock('redis://x')).toThrow(TypeError);
    expect(lock([...servers.urls.slice(0, 2), servers.urls[0]])).toThrow(/twice/);
    expect(() => made.lock('x', { quorum: servers.urls, maxHold: 0 })).toThrow(RangeError);
    expect(() => made.lock('x', { quorum: servers.urls, fair: true } as never)).toThrow(
      /unknown option "fair"/,
    );
    // The same server under another name.
    const twin = new URL(servers.urls[0] as string);
    twin.hostname = 'localhost';
    const twins = lock([...servers.urls.slice(0, 2), twin.href])();
    const told = () =>
      twins.acquire().then(
        (lease) => lease.release(),
        (error: Error) => error.message,
      );
    await until(async () => /one and the same/.test((await told()) ?? ''), 'it is found out');
  });
});
