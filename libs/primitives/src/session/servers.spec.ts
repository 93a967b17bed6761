import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startRedis, startSentinel } from '@heddle/embedded-redis';
import { Redis, type RedisOptions } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect, type Session } from '../session.distributed.ts';
import { later, until } from '../testing/waiting.ts';

const TTL = 900;
const logger = {};

/** A certificate for 127.0.0.1 that only these tests trust; its key guards nothing. */
const tls = (name: string) => new URL(`../testing/tls/${name}.pem`, import.meta.url);
const ca = readFileSync(tls('certificate'));

/** Two sessions do with each other what sessions do; one of them is killed, and the other one has what it held. */
async function allWorks(open: () => Promise<Session>, keeper = 'thread'): Promise<void> {
  const [a, b] = [await open(), await open()];
  const lease = await a.lock('l').acquire();
  expect(a.keeper).toBe(keeper);
  const next = b.lock('l').acquire();
  await until(async () => (await b.lock('l').acquire({ timeout: 0 })) === null, 'it is held');
  await lease.release();
  const second = await next;
  expect(second.token).toBeGreaterThan(lease.token);
  await a.semaphore('s', 2).with(() => b.semaphore('s', 2).with(() => 1));
  const told = a.event('e').wait();
  await b.event('e').set();
  expect(await told).toBe(true);
  expect((await Promise.all([a.barrier('b', 2).wait(), b.barrier('b', 2).wait()])).sort()).toEqual([0, 1]);
  await a.queue('q').put({ n: 1 });
  expect(await b.queue('q').get()).toEqual({ n: 1 });
  const condition = a.condition('c');
  await condition.acquire();
  const woken = condition.wait();
  await b.condition('c').with(() => b.condition('c').notify());
  expect(await woken).toBe(true);
  await condition.release();
  expect((await a.members()).map(({ id }) => id).sort()).toEqual([a.id, b.id].sort());
  // Signs of life reach it: the lease outlives several times its ttl.
  await later(2 * TTL, undefined);
  expect(second.valid).toBe(true);
  await a.close();
  await b.close();
}

describe('a session works the same', () => {
  it('by a URL, by a live client, in another database', async () => {
    await using server = await startRedis({ sources: ['process'] });
    const live = new Redis(server.url);
    await Promise.all([
      allWorks(() => connect(server.url, { ttl: TTL, logger, namespace: 'by URL' })),
      allWorks(() => connect(live, { ttl: TTL, logger, namespace: 'by client' })),
      allWorks(() => connect(`${server.url}/3`, { ttl: TTL, logger })),
      allWorks(() => connect(server.url, { ttl: TTL, logger, redis: { db: 4 } })),
    ]);
    expect(live.status).toBe('ready');
    const keys = async (db: number) => {
      await live.select(db);
      return (await live.keys('{heddle:0}:*')).length;
    };
    expect(await keys(3)).toBeGreaterThan(0);
    expect(await keys(4)).toBeGreaterThan(0);
    live.disconnect();
  });

  it('with a key prefix', async () => {
    await using server = await startRedis({ sources: ['process'] });
    await allWorks(() => connect(server.url, { ttl: TTL, logger, redis: { keyPrefix: 'ours:' } }));
    const admin = new Redis(server.url);
    expect((await admin.keys('*')).filter((key) => !key.startsWith('ours:'))).toEqual([]);
    admin.disconnect();
  });

  it('over a Unix socket, by its path and by a URL', async () => {
    await using server = await startRedis({ sources: ['process'], socket: true, password: false });
    await Promise.all([
      allWorks(() => connect(server.socket, { ttl: TTL, logger })),
      allWorks(() => connect(server.url, { ttl: TTL, logger, namespace: 'by URL' })),
    ]);
  });

  it('over TLS; a certificate that nobody vouches for is refused', async () => {
    const at = (name: string) => fileURLToPath(tls(name));
    const config = {
      'tls-port': '0',
      'tls-cert-file': at('certificate'),
      'tls-key-file': at('key'),
      'tls-ca-cert-file': at('certificate'),
      'tls-auth-clients': 'no',
    };
    await using server = await startRedis({ sources: ['process'], config });
    const admin = new Redis(server.url);
    const port = await freePort();
    await admin.config('SET', 'tls-port', port);
    admin.disconnect();
    const url = `rediss://default:${encodeURIComponent(server.password ?? '')}@127.0.0.1:${port}`;
    await allWorks(() => connect(url, { ttl: TTL, logger, redis: { tls: { ca } } }));
    await expect(connect(url, { logger })).rejects.toMatchObject({
      code: 'ERR_HEDDLE_REDIS_UNREACHABLE',
      message: expect.stringMatching(/certificate/),
    });
  });

  it('where its options can’t go to a thread: the main loop gives the sign of life', async () => {
    await using server = await startRedis({ sources: ['process'] });
    const redis = {
      reconnectOnError: () => false,
      tls: undefined,
      natMap: () => null,
    } as unknown as RedisOptions;
    await allWorks(() => connect(server.url, { ttl: TTL, logger, redis }), 'main loop');
  });
});

describe('behind Sentinel', () => {
  it('a session works the same, and after a fail-over it is lost, comes back by itself, and its tokens rise', async () => {
    await using sentinel = await startSentinel({ replicas: 1, sentinels: 1, downAfter: 500 });
    const open = async () => {
      const live = new Redis({ ...sentinel.clientOptions, lazyConnect: true });
      onTestFinished(() => live.disconnect());
      return connect(live, { ttl: TTL, logger });
    };
    await allWorks(open);
    const session = await open();
    const losses: string[] = [];
    session.on('lost', (reason) => losses.push(reason));
    const lease = await session.lock('over').acquire();
    await (await sentinel.master()).kill();
    await until(() => lease.signal.aborted, 'the lease is lost');
    expect(lease.valid).toBe(false);
    const after = await session.lock('over').acquire();
    expect(after.token).toBeGreaterThan(lease.token);
    expect(losses.length).toBeGreaterThan(0);
    await session.close();
  }, 60_000);
});

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
