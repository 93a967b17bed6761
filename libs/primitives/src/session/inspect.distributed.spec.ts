import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { connect } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { inspectLocks } from './inspect.distributed.ts';

const bench = redisBench();

it('shows who holds and who waits, with tokens and remaining time', async () => {
  const options = { namespace: 'look*[at]' };
  const [a, b, c] = [
    await bench.session({ ...options, name: 'first' }),
    await bench.session(options),
    await bench.session(options),
  ];
  expect(await inspectLocks(a)).toEqual([]);
  const lease = await a.lock('x:y').acquire();
  const waits = [b.lock('x:y').acquire()];
  await until(async () => (await bench.admin.zcard('{look*[at]:0}:lock:x:y:queue')) === 1, 'b waits');
  waits.push(c.lock('x:y').acquire());
  await until(async () => (await bench.admin.zcard('{look*[at]:0}:lock:x:y:queue')) === 2, 'c waits');
  const [seen, ...others] = await inspectLocks(b);
  expect(others).toEqual([]);
  expect(seen).toMatchObject({
    name: 'x:y',
    token: lease.token,
    holder: { session: a.id, name: 'first', pid: process.pid, host: expect.any(String) },
    waiters: [{ session: b.id }, { session: c.id }],
  });
  expect(seen?.holder?.remaining).toBeGreaterThan(0);
  expect(seen?.holder?.remaining).toBeLessThanOrEqual(10_000);
  await lease.release();
  for (const wait of waits) await (await wait).release();
  expect(await inspectLocks(c)).toEqual([]);
});

it('says which it was where Redis stands still, refuses, or the session closes, and never hangs', async () => {
  await using redis = await startRedis({ sources: ['process'], password: false });
  const admin = new Redis(redis.url);
  await admin.call('ACL', 'SETUSER', 'narrow', 'on', '>secret', '~*', '&*', '+@all', '-scan');
  const url = redis.url.replace('redis://', 'redis://narrow:secret@');
  const session = await connect(redis.url, { connectTimeout: 2000, logger: {} });
  const narrow = await connect(url, { logger: {} });
  await expect(inspectLocks(narrow)).rejects.toMatchObject({
    code: 'ERR_HEDDLE_REDIS_REFUSED',
    message: expect.stringMatching(/^Redis refused inspectLocks\(\): NOPERM/),
  });
  await redis.pause();
  await expect(inspectLocks(session)).rejects.toMatchObject({
    code: 'ERR_HEDDLE_REDIS_UNREACHABLE',
    message: expect.stringMatching(/^inspectLocks\(\): Redis at /),
  });
  const looking = expect(inspectLocks(session)).rejects.toMatchObject({ code: 'ERR_HEDDLE_SESSION_CLOSED' });
  const closing = session.close();
  await looking;
  await redis.resume();
  await Promise.all([closing, narrow.close()]);
  admin.disconnect();
});
