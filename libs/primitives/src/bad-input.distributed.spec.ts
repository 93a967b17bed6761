import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { observe } from './opentelemetry.distributed.ts';
import { inspectLocks } from './session/inspect.distributed.ts';
import { connect, type Session } from './session.distributed.ts';
import { redisBench } from './testing/redis.ts';
import { until } from './testing/waiting.ts';

const bench = redisBench();

/** What `code` throws, or rejects with. */
async function failure(code: () => unknown): Promise<unknown> {
  try {
    await code();
  } catch (error) {
    return error;
  }
  throw new Error('it was accepted');
}

/** Makes one of that name with one argument more than it takes. */
const further = (make: (name: string) => unknown, session: Session, more: unknown) =>
  Reflect.apply(make, session, ['x', more]);

const kind = { name: 'TypeError', code: 'ERR_HEDDLE_INVALID_ARG_TYPE' };
const range = { name: 'RangeError', code: 'ERR_HEDDLE_OUT_OF_RANGE' };

describe('a number where options are taken', () => {
  it('is refused with the names of those there are', async () => {
    const session = await bench.session();
    const of = (names: string) => `options must be an object such as { ${names} }, not 2`;
    expect(await failure(() => session.queue('x', 2 as never))).toMatchObject({
      ...kind,
      message: `Queue: ${of('maxsize')}`,
    });
    expect(await failure(() => session.semaphore('x', 3).acquire(2 as never))).toMatchObject({
      ...kind,
      message: `semaphore.acquire: ${of('permits: 2')}`,
    });
  });
});

describe('what is of another kind, distributed', () => {
  const doors: Record<string, (session: Session) => unknown> = {
    'lock.with(fn, null)': (session) => session.lock('x').with(() => 1, null as never),
    'rlock.with(fn, null)': (session) => session.rlock('x').with(() => 1, null as never),
    'condition.with(fn, null)': (session) => session.condition('x').with(() => 1, null as never),
    'semaphore.with(fn, null)': (session) => session.semaphore('x').with(() => 1, null as never),
    'readWriteLock.read.with(fn, null)': (session) =>
      session.readWriteLock('x').read.with(() => 1, null as never),
    'session.lock(name, 5)': (session) => session.lock('x', 5 as never),
    'session.lock(name, null)': (session) => session.lock('x', null as never),
    'session.lock(name, [])': (session) => session.lock('x', [] as never),
    'session.rlock(name, { maxHold })': (session) => further(session.rlock, session, { maxHold: 5 }),
    'session.counter(name, 5)': (session) => further(session.counter, session, 5),
    'session.event(name, true)': (session) => further(session.event, session, true),
    'session.readWriteLock(name, {})': (session) => further(session.readWriteLock, session, {}),
    'session.simpleQueue(name, {})': (session) => further(session.simpleQueue, session, {}),
    'session.on(an event that there is none)': (session) => session.on('closed' as never, () => {}),
    'session.once(an event that there is none)': (session) => session.once('closed' as never, () => {}),
    'session.off(an event that there is none)': (session) => session.off('closed' as never, () => {}),
    'session.queue(name, [])': (session) => session.queue('x', [] as never),
    'lock.acquire([])': (session) => session.lock('x').acquire([] as never),
    'lock.acquire({ timout })': (session) => session.lock('x').acquire({ timout: 5 } as never),
    'lock.acquire({ permits })': (session) => session.lock('x').acquire({ permits: 5 } as never),
    'semaphore.acquire({ permits, timout })': (session) =>
      session.semaphore('x').acquire({ permits: 1, timout: 5 } as never),
    'queue.get({ timout })': (session) => session.queue('x').get({ timout: 5 } as never),
    'event.wait({ timout })': (session) => session.event('x').wait({ timout: 5 } as never),
    'connect(url, [])': () => connect(bench.url, [] as never),
    'redis options in a list': () => connect(bench.url, { redis: [] as never }),
    'durability in a list': () => connect(bench.url, { durability: [] as never }),
    'a maxHold of null': (session) => session.lock('x', { maxHold: null as never }),
    'a quorum of texts that are no URLs': (session) => session.lock('x', { quorum: ['a', 'b', 'c'] }),
    'a quorum of numbers': (session) => session.lock('x', { quorum: [1, 2, 3] as never }),
    'a quorum of objects': (session) => session.lock('x', { quorum: [{}, {}, {}] as never }),
    'inspectLocks of no session': () => inspectLocks({} as never),
    'observe({ meter: 5 })': () => observe({ meter: 5 as never }),
    'observe({ meter: null })': () => observe({ meter: null as never }),
    'observe({ tracer: "x" })': () => observe({ tracer: 'x' as never }),
    'durability without replicas': () => connect(bench.url, { durability: {} as never }),
    'durability of replicas as text': () => connect(bench.url, { durability: { replicas: '1' as never } }),
    'durability of a timeout as text': () =>
      connect(bench.url, { durability: { replicas: 1, timeout: '5' as never } }),
    'a logger that is null': () => connect(bench.url, { logger: null as never }),
    'a logger that is a text': () => connect(bench.url, { logger: 'x' as never }),
  };
  it.each(Object.entries(doors))('%s is a TypeError with a code, at once', async (_, door) => {
    const session = await bench.turn();
    expect(await failure(() => door(session))).toMatchObject(kind);
  });
});

describe('what nobody reads', () => {
  it('is refused by its name, and what is left out is not', async () => {
    const session = await bench.turn();
    expect(() => further(session.rlock, session, { maxHold: 5 })).toThrow(
      /session\.rlock takes a name alone, not \{ maxHold \}/,
    );
    const counted = { semaphore: 'number', boundedSemaphore: 'number', countDownLatch: 'count' } as const;
    for (const [method, takes] of Object.entries(counted)) {
      const make: (...args: unknown[]) => unknown = Reflect.get(session, method);
      expect(() => make.call(session, 'x', 2, { maxHold: 5 })).toThrow(
        `session.${method} takes a name and a ${takes} alone, not { maxHold }; leave that out`,
      );
      expect(make.call(session, 'x', 2, undefined)).toMatchObject({ name: 'x' });
    }
    expect(() => session.on('nope' as never, () => {})).toThrow(/"nope".*lost, reconnecting, ready, error/);
    expect(further(session.rlock, session, undefined)).toMatchObject({ name: 'x' });
  });
});

describe('a semaphore, distributed', () => {
  it('has no more permits than one of this process can have, and keeps what it has', async () => {
    const semaphore = (await bench.session()).semaphore(bench.name(), 2);
    expect(await failure(() => semaphore.release(Number.MAX_SAFE_INTEGER))).toMatchObject(range);
    const lease = await semaphore.acquire();
    expect(await failure(() => semaphore.release(2 ** 29 - 1))).toMatchObject(range);
    expect([lease.valid, await semaphore.value()]).toEqual([true, 1]);
    await semaphore.release(2);
    expect([lease.valid, await semaphore.value()]).toEqual([false, 3]);
  });

  it('of another shape is told of as that, also where this session holds none', async () => {
    const name = bench.name();
    const [one, other] = [await bench.session(), await bench.session()];
    await one.boundedSemaphore(name, 2).acquire();
    const mismatch = { code: 'ERR_HEDDLE_CONFIG_MISMATCH' };
    expect(await failure(() => other.boundedSemaphore(name, 3).release())).toMatchObject(mismatch);
    expect(await failure(() => other.boundedSemaphore(name, 2).release())).toMatchObject({
      code: 'ERR_HEDDLE_OVER_RELEASE',
    });
  });
});

describe('a Redis that begins to refuse', () => {
  it('is told of as such, by the name of what it refused, also once the session was lost', async () => {
    await using server = await startRedis({ sources: ['process'], password: false });
    const admin = new Redis(server.url);
    await admin.call('ACL', 'SETUSER', 'narrow', 'on', '>secret', '~*', '&*', '+@all');
    const url = server.url.replace('redis://', 'redis://narrow:secret@');
    const session = await connect(url, { ttl: 600, connectTimeout: 1000, logger: {} });
    const errors: Error[] = [];
    session.on('error', (error) => errors.push(error));
    const lost = new Promise((resolve) => session.once('lost', resolve));
    await session.lock('held').acquire();
    await admin.call('ACL', 'SETUSER', 'narrow', '-evalsha', '-eval');
    const refused = { code: 'ERR_HEDDLE_REDIS_REFUSED', primitive: 'x' };
    expect(await failure(() => session.event('x').set())).toMatchObject(refused);
    expect(await failure(() => session.counter('x').add(1))).toMatchObject(refused);
    await lost;
    await until(() => errors.length > 0, 'Redis has refused a new life');
    expect(await failure(() => session.lock('x').acquire({ timeout: 0 }))).toMatchObject(refused);
    const back = new Promise((resolve) => session.once('ready', () => resolve(undefined)));
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await back;
    expect(await failure(() => session.lock('x').acquire({ timeout: 0 }))).toMatchObject(refused);
    await admin.call('ACL', 'SETUSER', 'narrow', '+evalsha', '+eval');
    await (await session.lock('x').acquire()).release();
    await session.close();
    admin.disconnect();
  });
});
