import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect } from '../session.distributed.ts';
import { stillPending, until } from '../testing/waiting.ts';

const quiet = { logger: {} };

/** A Redis of the test's own, to be hurt. */
async function ownRedis() {
  const redis = await startRedis({ sources: ['process'] });
  const admin = new Redis(redis.url);
  admin.on('error', () => {});
  onTestFinished(async () => {
    admin.disconnect();
    await redis.close();
  });
  return { redis, admin };
}

describe('connect, to a Redis that refuses', () => {
  it.each(['sessions', 'ring', 'members', 'epoch'])(
    'says so where a key of another type stands at %s',
    async (part) => {
      const { redis, admin } = await ownRedis();
      if (part === 'epoch') await admin.lpush('{heddle:0}:epoch', 'spoiled');
      else await admin.set(`{heddle:0}:${part}`, 'spoiled');
      const attempt = connect(redis.url, { ...quiet, connectTimeout: 10_000 });
      await expect(attempt).rejects.toMatchObject({
        code: 'ERR_HEDDLE_REDIS_REFUSED',
        message: expect.stringMatching(/WRONGTYPE/),
      });
      await until(
        async () => !((await admin.client('LIST')) as string).includes('name=heddle'),
        'no connection is left',
      );
    },
  );
});

describe('a Redis that stands still', () => {
  it('takes nothing later for one who was told that it is unreachable', async () => {
    const { redis } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, connectTimeout: 1000, ttl: 10_000 });
    const other = await connect(redis.url, { ...quiet, ttl: 10_000 });
    await session.lock('x').with(() => 1);
    await session.semaphore('s', 1).with(() => 1);
    await redis.pause();
    const attempts = [
      session.lock('x').acquire({ timeout: 0 }),
      session.semaphore('s', 1).acquire({ timeout: 0 }),
    ];
    for (const attempt of attempts) {
      await expect(attempt).rejects.toMatchObject({ code: 'ERR_HEDDLE_REDIS_UNREACHABLE' });
    }
    await redis.resume();
    const leases = await Promise.all([
      other.lock('x').acquire({ timeout: 10_000 }),
      other.semaphore('s', 1).acquire({ timeout: 10_000 }),
    ]);
    expect(leases).not.toContain(null);
    await Promise.all([session.close(), other.close()]);
  });

  it('ends what asks and changes within connectTimeout, saying which it was', async () => {
    const { redis } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, connectTimeout: 1000, ttl: 60_000 });
    await redis.pause();
    const unreachable = { code: 'ERR_HEDDLE_REDIS_UNREACHABLE' };
    const unknown = { code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' };
    const all = Promise.all([
      expect(session.lock('x').locked()).rejects.toMatchObject(unreachable),
      expect(session.event('x').isSet()).rejects.toMatchObject(unreachable),
      expect(session.semaphore('x', 1).value()).rejects.toMatchObject(unreachable),
      expect(session.barrier('x', 2).waiting()).rejects.toMatchObject(unreachable),
      expect(session.members()).rejects.toMatchObject(unreachable),
      expect(session.barrier('y', 2).wait({ timeout: 0 })).rejects.toMatchObject(unreachable),
      expect(session.event('x').wait({ timeout: 0 })).rejects.toMatchObject(unreachable),
      expect(session.event('x').set()).rejects.toMatchObject(unknown),
      expect(session.event('x').clear()).rejects.toMatchObject(unknown),
      expect(session.barrier('x', 2).abort()).rejects.toMatchObject(unknown),
    ]);
    expect(await stillPending(all, 6000)).toBe(false);
    await all;
    await redis.resume();
    await session.close();
  });

  it('lets an abort end an attempt that must not wait', async () => {
    const { redis } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, connectTimeout: 5000, ttl: 60_000 });
    await session.lock('x').with(() => 1);
    await redis.pause();
    const controller = new AbortController();
    const attempts = [
      session.lock('x').acquire({ timeout: 0, signal: controller.signal }),
      session.semaphore('x', 1).acquire({ timeout: 0, signal: controller.signal }),
      session.event('x').wait({ timeout: 0, signal: controller.signal }),
      session.barrier('x', 2).wait({ timeout: 0, signal: controller.signal }),
    ];
    for (const attempt of attempts) attempt.catch(() => {});
    expect(await stillPending(Promise.race(attempts))).toBe(true);
    controller.abort(new Error('enough'));
    for (const attempt of attempts) {
      expect(await stillPending(attempt, 2000)).toBe(false);
      await expect(attempt).rejects.toThrow('enough');
    }
    await redis.resume();
    expect(await session.lock('x').acquire({ timeout: 10_000 })).not.toBeNull();
    await session.close();
  });

  it('settles with SessionClosedError whatever is asked when the session closes', async () => {
    const { redis } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, connectTimeout: 3000, ttl: 60_000 });
    await session.lock('x').with(() => 1);
    await redis.pause();
    const asked = [
      session.lock('x').acquire({ timeout: 0 }),
      session.lock('x').locked(),
      session.semaphore('x', 1).acquire({ timeout: 0 }),
      session.semaphore('x', 1).value(),
      session.barrier('x', 2).wait({ timeout: 0 }),
      session.event('x').isSet(),
    ];
    for (const one of asked) one.catch(() => {});
    const closing = session.close();
    for (const one of asked) {
      expect(await stillPending(one, 1500)).toBe(false);
      await expect(one).rejects.toMatchObject({ code: 'ERR_HEDDLE_SESSION_CLOSED' });
    }
    await closing;
    await redis.resume();
  });

  it('never holds a session up that is lost and has more to give back than it held', async () => {
    const { redis } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, connectTimeout: 10_000, ttl: 300 });
    await session.semaphore('s', 2).acquire();
    await redis.pause();
    // The loop stands still past the deadline: the end of the life is found out by the call itself.
    for (const end = performance.now() + 400; performance.now() < end; );
    const released = session.semaphore('s', 2).release(2);
    released.catch(() => {});
    await redis.resume();
    await released;
    expect(await session.semaphore('s', 2).value()).toBe(3);
    await session.close();
  });
});

describe('a session whose credentials stop working', () => {
  it('says so, once and at each call, until they work again', async () => {
    const { redis, admin } = await ownRedis();
    const become = (password: string) =>
      admin.call('ACL', 'SETUSER', 'weaver', 'on', 'resetpass', `>${password}`, '~*', '&*', '+@all');
    await become('first');
    const url = redis.url.replace(/\/\/.*@/, '//weaver:first@');
    const session = await connect(url, { ...quiet, ttl: 30_000, connectTimeout: 1500 });
    const errors: unknown[] = [];
    session.on('error', (error) => errors.push(error));
    const counter = session.counter('c');
    expect(await counter.add()).toBe(1);
    await become('second');
    await admin.call('CLIENT', 'KILL', 'USER', 'weaver');
    const refused = { code: 'ERR_HEDDLE_REDIS_REFUSED', message: expect.stringMatching(/credentials/) };
    await expect(counter.value()).rejects.toMatchObject(refused);
    await expect(session.lock('x').acquire({ timeout: 0 })).rejects.toMatchObject(refused);
    expect(errors).toEqual([expect.objectContaining(refused)]);
    await become('first');
    await until(async () => (await counter.value().catch(() => 0)) === 1, 'it is let in again');
    expect(errors).toHaveLength(1);
    await session.close();
  });
});

describe('a session that was lost', () => {
  it('is told to be so once, where Redis was silent for longer than a next life would have lasted', async () => {
    const { redis } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, ttl: 600 });
    const losses: string[] = [];
    session.on('lost', (reason) => losses.push(reason));
    await session.lock('x').acquire();
    await redis.pause();
    const end = performance.now() + 2000; // more than two such lives
    await until(() => performance.now() > end && losses.length > 0, 'two lives would be over');
    await redis.resume();
    expect(await session.lock('y').with(() => 1)).toBe(1);
    expect(losses).toHaveLength(1);
    await session.close();
  });

  it('has the keeper watch over what its waiters are granted under the next life', async () => {
    const { redis, admin } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, ttl: 600 });
    const other = await connect(redis.url, { ...quiet, ttl: 60_000 });
    const blocking = await other.lock('x').acquire();
    const waiting = session.lock('x').acquire();
    expect(await stillPending(waiting)).toBe(true);
    const lost = new Promise((resolve) => session.once('lost', resolve));
    await admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    await lost;
    await until(
      async () => (await admin.zrange('{heddle:0}:lock:x:queue', '0', '-1')).includes(`${session.id}-2`),
      'it stands in line again',
    );
    await blocking.release();
    const lease = await waiting;
    expect(session.keeper).toBe('thread');
    expect(lease.valid).toBe(true);
    await Promise.all([session.close(), other.close()]);
  });

  it('tells no listener twice, and survives one that throws', async () => {
    const { redis, admin } = await ownRedis();
    const session = await connect(redis.url, { ...quiet, ttl: 600 });
    const errors: Error[] = [];
    session.on('error', (error) => errors.push(error));
    session.on('lost', () => {
      throw new Error('a bad listener');
    });
    const lease = await session.lock('x').acquire();
    await admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    await until(() => lease.signal.aborted, 'the lease is lost');
    await until(() => errors.length > 0, 'the listener’s error is told');
    expect(errors[0]?.message).toContain('a bad listener');
    await session.lock('x').with(() => 1);
    expect(session.keeper).toBe('thread');
    await session.close();
  });
});
