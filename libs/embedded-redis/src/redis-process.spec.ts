import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { gone, watchForLeftovers } from '../test/private-folder.ts';
import { type RedisOptions, type RedisProcess, startRedis } from './index.ts';

watchForLeftovers();

const clients: Redis[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

function connect({ url }: RedisProcess): Redis {
  const client = new Redis(url, { retryStrategy: () => 10, maxRetriesPerRequest: null });
  clients.push(client.on('error', () => {}));
  return client;
}

const start = (options: RedisOptions = {}) => startRedis({ ...options, sources: ['process'] });

describe('a server run as a process', () => {
  it('answers nobody while paused, and all of them when resumed', async () => {
    await using redis = await start();
    await using other = await start();
    const [client, elsewhere] = [connect(redis), connect(other)];
    await client.ping();
    redis.pause();
    let answered = false;
    const pong = client.ping().then((answer) => {
      answered = true;
      return answer;
    });
    for (let round = 0; round < 200; round++) await elsewhere.ping();
    expect(answered).toBe(false);
    expect(redis.running).toBe(true);
    redis.resume();
    expect(await pong).toBe('PONG');
  });

  it('comes back empty at the same address after it was killed', async () => {
    await using redis = await start();
    const client = connect(redis);
    await client.set('shuttle', 'weft');
    const { pid, url } = redis;
    await redis.kill();
    expect(redis.running).toBe(false);
    await redis.restart();
    expect(redis.running).toBe(true);
    expect(redis.url).toBe(url);
    expect(redis.pid).not.toBe(pid);
    expect(await client.get('shuttle')).toBeNull();
  });

  it('keeps its data over a restart when asked to, once', async () => {
    await using redis = await start();
    const client = connect(redis);
    await client.set('shuttle', 'weft');
    await redis.restart({ data: 'keep' });
    expect(await client.get('shuttle')).toBe('weft');
    await redis.restart();
    expect(await client.get('shuttle')).toBeNull();
  });

  it('keeps what it persists even when killed, unless told to lose it', async () => {
    await using redis = await start({ persist: true });
    const client = connect(redis);
    await client.set('shuttle', 'weft');
    await redis.kill();
    await redis.restart();
    expect(await client.get('shuttle')).toBe('weft');
    await redis.restart({ data: 'lose' });
    expect(await client.get('shuttle')).toBeNull();
  });

  it('can be restarted on its socket, and while paused', async () => {
    await using redis = await start({ socket: true });
    redis.pause();
    await redis.restart({ data: 'keep' });
    expect(await connect(redis).ping()).toBe('PONG');
  });

  it("tells when it died of itself, and can't be paused, resumed or saved then", async () => {
    await using redis = await start();
    const client = connect(redis);
    await client.ping();
    const last = new Redis(redis.url, { retryStrategy: null });
    await last.shutdown('NOSAVE').catch(() => {});
    await vi.waitFor(() => expect(redis.running).toBe(false), { timeout: 5_000, interval: 10 });
    const notRunning = expect.objectContaining({ code: 'ERR_HEDDLE_REDIS_NOT_RUNNING' });
    expect(() => redis.pause()).toThrow(notRunning);
    expect(() => redis.resume()).toThrow(notRunning);
    await expect(redis.restart({ data: 'keep' })).rejects.toThrow(notRunning);
    await redis.kill();
    await redis.restart();
    expect(await client.ping()).toBe('PONG');
  });

  it('carries out what is asked of it at once in turn', async () => {
    await using redis = await start();
    await Promise.all([redis.kill(), redis.restart(), redis.kill(), redis.restart()]);
    expect(await connect(redis).ping()).toBe('PONG');
  });

  it('is closed once, even if paused, and does nothing afterwards', async () => {
    const redis = await start();
    redis.pause();
    await Promise.all([redis.close(), redis.close()]);
    await redis.close();
    await gone(redis);
    const closed = expect.objectContaining({ code: 'ERR_HEDDLE_REDIS_CLOSED' });
    expect(() => redis.pause()).toThrow(closed);
    await expect(redis.restart()).rejects.toThrow(closed);
  });

  it('refuses to restart with data it does not know what to do with', async () => {
    await using redis = await start();
    const restarted = redis.restart({ data: 'some' as 'keep' });
    await expect(restarted).rejects.toThrow(expect.objectContaining({ code: 'ERR_HEDDLE_OUT_OF_RANGE' }));
    expect(await connect(redis).ping()).toBe('PONG');
  });
});

describe('the servers of a process that ends', () => {
  type Owned = { dir: string; port: number }[];

  const owners: ChildProcess[] = [];
  afterEach(() => {
    for (const owner of owners.splice(0)) owner.kill('SIGKILL');
  });

  async function own(how: 'stay' | 'leave'): Promise<{ owner: ChildProcess; owned: Owned }> {
    const owner = fork(new URL('../test/owner.ts', import.meta.url), [how], {
      detached: true,
      execArgv: ['--conditions=@heddle/source'],
    });
    owners.push(owner);
    const [owned] = (await once(owner, 'message')) as [Owned];
    return { owner, owned };
  }

  it('go with it when it is killed, paused or restarted as they may be', async () => {
    const { owner, owned } = await own('stay');
    expect(owned).toHaveLength(3);
    owner.kill('SIGKILL');
    await Promise.all(owned.map(gone));
  });

  it("don't keep it from ending, and then go too", async () => {
    const { owner, owned } = await own('leave');
    if (owner.exitCode === null) expect(await once(owner, 'exit')).toEqual([0, null]);
    await Promise.all(owned.map(gone));
  });

  it("aren't ended by a Ctrl-C that it handles itself", async () => {
    const { owner, owned } = await own('stay');
    process.kill(-Number(owner.pid), 'SIGINT');
    expect(await once(owner, 'message')).toEqual(['PONG', undefined]);
    owner.kill('SIGKILL');
    await Promise.all(owned.map(gone));
  });
});
