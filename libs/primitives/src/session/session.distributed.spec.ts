import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { SessionClosedError } from '../errors.ts';
import { connect, coreOf } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import { type ConnectOptions, resolveOptions } from './options.ts';

const bench = redisBench();
const quiet = { logger: {} };

describe('the sign of life', () => {
  it.each([1, 10_000])('is one command a tick, with %i leases held', { timeout: 60_000 }, async (count) => {
    const session = await bench.session({ ttl: 1500, namespace: `ticks ${count}` });
    await session.lock('the first').with(() => expect(session.keeper).toBe('thread'));
    await Promise.all(Array.from({ length: count }, (_, n) => session.lock(`lock ${n}`).acquire()));
    expect(session.keeper).toBe('thread');
    const commands = await bench.commandsDuring(async () => {
      const start = performance.now();
      await until(() => performance.now() - start > 2000, 'several ticks have passed');
    });
    const own = commands.filter((line) => line.includes(`{ticks ${count}:0}`));
    // A third of the ttl apart: four of them, or a few less where the machine is busy; never more for more leases.
    expect(own.length).toBeGreaterThanOrEqual(2);
    expect(own.length).toBeLessThanOrEqual(5);
    await session.close();
  });

  it('is all that an idle session sends', async () => {
    const session = await bench.session({ ttl: 300, namespace: 'idle' });
    const commands = await bench.commandsDuring(async () => {
      const start = performance.now();
      await until(() => performance.now() - start > 350, 'some ticks have passed');
    });
    const own = commands.filter((line) => line.includes('{idle:0}'));
    expect(own.length).toBeLessThanOrEqual(5);
    expect(own.every((line) => /\] evalsha/i.test(line))).toBe(true);
    await session.close();
  });
});

describe('connect', () => {
  const refused: [string, () => Promise<unknown>, RegExp][] = [
    ['no Redis', () => connect('redis://127.0.0.1:1', quiet), /cannot be reached/],
    ['a wrong password', () => connect(bench.url.replace(/:[^:@]+@/, ':wrong@'), quiet), /credentials/],
    ['no password', () => connect(bench.url.replace(/\/\/.*@/, '//'), quiet), /credentials/],
  ];
  it.each(refused)('says what is wrong with %s', async (_, attempt, message) => {
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
    await expect(attempt()).rejects.toThrow(message);
    await until(
      () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length <= before,
      'nothing is left behind',
    );
  });

  it('gives up in connectTimeout where nobody answers', async () => {
    const silent = await startRedis({ sources: ['process'] });
    onTestFinished(() => silent.close());
    await silent.pause();
    const start = performance.now();
    await expect(connect(silent.url, { ...quiet, connectTimeout: 200 })).rejects.toMatchObject({
      code: 'ERR_HEDDLE_REDIS_UNREACHABLE',
    });
    expect(performance.now() - start).toBeLessThan(2000);
    await silent.resume();
  });

  it.each([2 ** 31, Infinity])('waits %d ms for an answer, where told to', async (connectTimeout) => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    const silent = await startRedis({ sources: ['process'] });
    onTestFinished(() => silent.close());
    await silent.pause();
    const connecting = connect(silent.url, { ...quiet, connectTimeout });
    expect(await stillPending(connecting)).toBe(true);
    await silent.resume();
    const session = await connecting;
    expect(await session.counter('answers').add()).toBe(1);
    expect(await session.lock('held').with((lease) => lease.valid)).toBe(true);
    await silent.pause();
    const asked = session.counter('answers').value();
    expect(await stillPending(asked)).toBe(true);
    await silent.resume();
    expect(await asked).toBe(1);
    await session.close();
    expect(warnings).toEqual([]);
  });

  it('refuses a read-only replica, unless it becomes a master in time', async () => {
    const replica = await startRedis({ sources: ['process'] });
    const admin = new Redis(replica.url);
    onTestFinished(async () => {
      admin.disconnect();
      await replica.close();
    });
    await admin.replicaof('127.0.0.1', 1);
    await expect(connect(replica.url, { ...quiet, connectTimeout: 600 })).rejects.toMatchObject({
      code: 'ERR_HEDDLE_REDIS_REFUSED',
      message: expect.stringMatching(/is a read-only replica.*address of its master/),
    });
    const connecting = connect(replica.url, { ...quiet, connectTimeout: 20_000 });
    await later(400, undefined);
    await admin.replicaof('NO', 'ONE');
    const session = await connecting;
    expect(await session.lock('here').with(() => 'held')).toBe('held');
    await session.close();
  });

  it('refuses a server that evicts keys', async () => {
    const evicting = await startRedis({
      sources: ['process'],
      config: { 'maxmemory-policy': 'allkeys-lru' },
    });
    onTestFinished(() => evicting.close());
    const attempt = connect(evicting.url, quiet);
    await expect(attempt).rejects.toThrow(/noeviction/);
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_HEDDLE_REDIS_REFUSED' });
  });

  it('refuses a server that is too old', async () => {
    const old = createServer((socket) => {
      const info = 'redis_version:6.2.14\r\nredis_mode:standalone\r\nloading:0';
      socket.on('data', (data) => {
        for (const [, command] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
          if (/hello/i.test(command ?? '')) socket.write("-ERR unknown command 'HELLO'\r\n");
          else if (/info/i.test(command ?? '')) socket.write(`$${info.length}\r\n${info}\r\n`);
          else socket.write('+OK\r\n');
        }
      });
    });
    await once(old.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void old.close());
    const { port } = old.address() as AddressInfo;
    await expect(connect(`redis://127.0.0.1:${port}`, quiet)).rejects.toThrow(/6\.2\.14.*7\.0 or newer/);
  });

  const wrong: [string, unknown, unknown, typeof TypeError | typeof RangeError][] = [
    ['a number', 5, undefined, TypeError],
    ['another protocol', 'http://localhost', undefined, TypeError],
    ['null', null, undefined, TypeError],
    ['options that are no object', 'redis://x', 5, TypeError],
    ['an unknown option', 'redis://x', { tll: 5 }, TypeError],
    ['a ttl of 0', 'redis://x', { ttl: 0 }, RangeError],
    ['a ttl that is NaN', 'redis://x', { ttl: Number.NaN }, RangeError],
    ['a ttl in words', 'redis://x', { ttl: 'soon' }, TypeError],
    ['a negative maxStall', 'redis://x', { maxStall: -1 }, RangeError],
    ['more hand-overs than a grant has tokens', 'redis://x', { maxLocalHandovers: 65 }, RangeError],
    ['fewer than no hand-over', 'redis://x', { maxLocalHandovers: -1 }, RangeError],
    ['half a hand-over', 'redis://x', { maxLocalHandovers: 0.5 }, RangeError],
    ['hand-overs that are no number', 'redis://x', { maxLocalHandovers: '4' }, TypeError],
    ['a namespace with a brace', 'redis://x', { namespace: 'a{b' }, TypeError],
    ['an empty namespace', 'redis://x', { namespace: '' }, TypeError],
    ['redis options that are none', 'redis://x', { redis: 'tls' }, TypeError],
  ];
  it.each(wrong)('refuses %s', async (_, redis, options, kind) => {
    await expect(connect(redis as string, options as ConnectOptions)).rejects.toThrow(kind);
  });

  const databases: [string, string, object?][] = [
    ['a word', '/x'],
    ['a fraction', '/1.5'],
    ['less than 0', '/-1'],
    ['more than a number', '/1/2'],
    ['a word in the query', '?db=x'],
    ['nothing in the query', '?db='],
    ['no number among the options', '', { db: Number.NaN }],
    ['a fraction among the options', '', { db: 1.5 }],
  ];
  it.each(databases)('refuses a database that is %s', async (_, suffix, redis) => {
    const attempt = connect(`${bench.url}${suffix}`, { ...quiet, redis });
    await expect(attempt).rejects.toThrow(TypeError);
    await expect(attempt).rejects.toThrow(/a whole number from 0 on/);
  });

  const secrets: [string, string][] = [
    ['redis://:pw@127.0.0.1:6379/x', 'redis://:***@127.0.0.1:6379/x'],
    ['redis://me:p@w@127.0.0.1:6379/x', 'redis://me:***@127.0.0.1:6379/x'],
    ['redis://127.0.0.1/x?password=pw&family=4', 'redis://127.0.0.1/x?password=***&family=4'],
    ['redis://me:p w@127.0.0.1:none', 'redis://me:***@127.0.0.1:none'],
  ];
  it.each(secrets)('names a URL that it refuses without its password: %s', async (url, shown) => {
    await expect(connect(url)).rejects.toThrow(`"${shown}"`);
  });

  it('takes a URL that ends with a slash for database 0', async () => {
    const session = await connect(`${bench.url}/`, quiet);
    expect((await session.members()).some(({ id }) => id === session.id)).toBe(true);
    await session.close();
  });

  it('takes a URL as an object, and refuses one of another protocol by its text', async () => {
    await (await connect(new URL(bench.url), quiet)).close();
    await expect(connect(new URL('http://me:pw@localhost'), quiet)).rejects.toThrow(
      /"http:\/\/me:\*\*\*@localhost\/" is no Redis URL/,
    );
  });

  it('takes a ttl that is no whole number, short or long', async () => {
    for (const ttl of [150.25, 864_000.123, 2 ** 31 - 1.5]) {
      const session = await connect(bench.url, { ...quiet, ttl, namespace: bench.name() });
      expect(await session.lock('x').with(() => session.semaphore('y').with(() => 'held'))).toBe('held');
      await session.close();
    }
  });

  it('takes a live client over, and never closes it', async () => {
    const client = new Redis(bench.url);
    const session = await connect(client, quiet);
    await session.lock('by a live client').with(() => 1);
    await session.close();
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('takes options alone, and ioredis’s own in `redis`', async () => {
    const { host, port, password } = new Redis(bench.url, { lazyConnect: true }).options;
    const session = await connect({
      ...quiet,
      redis: { host: host as string, port: port as number, password: password as string },
    });
    expect((await session.members()).some(({ id }) => id === session.id)).toBe(true);
    await session.close();
  });

  it('takes options alone also where their object inherits nothing, as that of parseArgs', async () => {
    const { host, port, password } = new Redis(bench.url, { lazyConnect: true }).options;
    const bare = Object.assign(Object.create(null), { ...quiet, redis: { host, port, password } });
    await (await connect(bare)).close();
  });
});

describe('$REDIS_URL', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('is where Redis is, unless connect is told', async () => {
    vi.stubEnv('REDIS_URL', bench.url);
    await (await connect(quiet)).close();
    vi.stubEnv('REDIS_URL', 'redis://127.0.0.1:1');
    await (await connect(bench.url, quiet)).close();
  });

  it('counts as none where it is empty', async () => {
    vi.stubEnv('REDIS_URL', '');
    const { host = '', port = 0, password = '' } = new Redis(bench.url, { lazyConnect: true }).options;
    await (await connect({ ...quiet, redis: { host, port, password } })).close();
    expect(resolveOptions(undefined).target).toMatchObject({ options: { host: '127.0.0.1', port: 6379 } });
    await expect(connect('', quiet)).rejects.toThrow(TypeError);
  });
});

describe('members', () => {
  it('lists the living, with what they said of themselves', async () => {
    const a = await bench.session({ namespace: 'members', name: 'first' });
    const b = await bench.session({ namespace: 'members' });
    const members = await b.members();
    expect(members.map(({ id }) => id).sort()).toEqual([a.id, b.id].sort());
    expect(members.find(({ id }) => id === a.id)).toMatchObject({
      name: 'first',
      pid: process.pid,
      since: expect.any(Date),
    });
    await a.close();
    expect((await b.members()).map(({ id }) => id)).toEqual([b.id]);
    await b.close();
  });
});

describe('a session whose Redis fails', () => {
  it('is lost when its data is, and its waiters join again by themselves', async () => {
    const redis = await startRedis({ sources: ['process'] });
    onTestFinished(() => redis.close());
    const [a, b] = [
      await connect(redis.url, { ...quiet, ttl: 500 }),
      await connect(redis.url, { ...quiet, ttl: 500 }),
    ];
    const reasons: string[] = [];
    a.on('lost', (reason) => reasons.push(reason));
    const lease = await a.lock('x').acquire();
    const waiting = b.lock('x').acquire();
    expect(await stillPending(waiting)).toBe(true);
    const admin = new Redis(redis.url);
    await admin.flushall();
    admin.disconnect();
    const next = await waiting;
    await until(() => reasons.length > 0, 'the first hears of it');
    expect(lease.valid).toBe(false);
    expect(lease.signal.reason).toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    expect(next.token).toBeGreaterThan(lease.token);
    expect(await a.lock('x').locked()).toBe(true);
    await Promise.all([a.close(), b.close()]);
  });

  it('ends no life that is being opened while those of the past are cleared away', async () => {
    const session = await bench.session({ ttl: 400, ...quiet });
    const { line } = coreOf(session);
    const [first, second, third] = [1, 2, 3].map((life) => `${session.id}-${life}`) as [
      string,
      string,
      string,
    ];
    const run = line.evalsha.bind(line);
    const opened = Promise.withResolvers<void>();
    // The first is not cleared away before the third is being opened, and that takes its time.
    line.evalsha = async (...call) => {
      const text = call.join(' ');
      if (text.includes('session.sweep') && text.includes(first)) await opened.promise;
      const reply = await run(...call);
      if (text.includes('session.open') && text.includes(third)) {
        opened.resolve();
        await later(600, undefined);
      }
      return reply;
    };
    const sessions = '{heddle:0}:sessions';
    const living = (id: string) => bench.admin.zscore(sessions, id);
    for (const id of [first, second]) {
      await until(() => living(id), 'it lives');
      await later(50, undefined); // It has been told that.
      await bench.admin.zrem(sessions, id);
    }
    await opened.promise;
    await later(700, undefined);
    expect(Number(await living(third))).toBeGreaterThan(0);
    await session.close();
  });

  it('is lost when Redis restarts, and goes on under a new life', async () => {
    const redis = await startRedis({ sources: ['process'] });
    onTestFinished(() => redis.close());
    const session = await connect(redis.url, { ...quiet, ttl: 500 });
    const events: string[] = [];
    for (const event of ['lost', 'reconnecting', 'ready'] as const)
      session.on(event, () => events.push(event));
    const lease = await session.lock('x').acquire();
    await redis.restart({ data: 'lose' });
    await until(() => !lease.valid, 'the lease is not valid any more');
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    const again = await session.lock('x').acquire();
    expect(again.token).toBeGreaterThan(lease.token);
    expect(events).toEqual(expect.arrayContaining(['lost', 'reconnecting', 'ready']));
    await session.close();
  });

  it('lets a wait end by its own time-out while Redis is away', async () => {
    const redis = await startRedis({ sources: ['process'] });
    onTestFinished(() => redis.close());
    const session = await connect(redis.url, { ...quiet, connectTimeout: 500, ttl: 500 });
    await session.lock('x').with(() => 1);
    await redis.pause();
    const start = performance.now();
    expect(await session.lock('x').acquire({ timeout: 100 })).toBeNull();
    expect(performance.now() - start).toBeLessThan(1000);
    await expect(session.lock('x').locked()).rejects.toMatchObject({ code: 'ERR_HEDDLE_REDIS_UNREACHABLE' });
    await redis.resume();
    await session.lock('x').with(() => 1);
    await session.close();
  });
});

describe('a listener of a session', () => {
  it('that throws, or rejects, is told as an error, and keeps no other from hearing', async () => {
    const logged: string[] = [];
    const session = await connect(bench.url, { logger: { error: (message) => logged.push(message) } });
    const core = coreOf(session);
    const heard: string[] = [];
    session.on('ready', () => {
      throw new Error('a bad one');
    });
    session.on('ready', async () => {
      throw new Error('a bad promise');
    });
    session.once('ready', () => heard.push('once'));
    session.on('ready', () => heard.push('always'));
    core.tell('ready');
    core.tell('ready');
    expect(heard).toEqual(['once', 'always', 'always']);
    await until(() => logged.length === 4, 'all four are told');
    expect(logged.filter((line) => line.includes('a listener of "ready" threw: a bad one'))).toHaveLength(2);

    session.on('error', async (error) => {
      heard.push(error.message);
      throw new Error('worse');
    });
    core.tell('ready');
    await until(() => logged.length === 6, 'what the last resort throws is logged');
    expect(logged.at(-1)).toContain('a listener of "error" threw: worse');
    expect(heard.slice(3)).toEqual([
      'a listener of "ready" threw: a bad one',
      'always',
      'a listener of "ready" threw: a bad promise',
    ]);
    await session.close();
  });
});

describe('close', () => {
  it('is not said to be lost where a sign of life meets its closing', async () => {
    const proxy = await startProxy(bench.url);
    const session = await connect(proxy.url, { ...quiet, ttl: 1500 });
    const lost: string[] = [];
    session.on('lost', (reason) => lost.push(reason));
    await (await session.lock(bench.name()).acquire()).release();
    proxy.delayReplies(1_200, (at) => at === 0); // Of commands; several ticks pass before it hears that it has ended.
    await session.close();
    expect(lost).toEqual([]);
  });

  it('leaves no key, connection or keeper behind, and refuses new work', async () => {
    const session = await bench.session({ namespace: 'closing' });
    await session.lock('a').acquire();
    await session.semaphore('b', 2).acquire();
    const waits = [session.event('c').wait(), session.barrier('d', 2).wait(), session.lock('a').acquire()];
    for (const wait of waits) wait.catch(() => {});
    expect(await stillPending(Promise.race(waits))).toBe(true);
    await session.close();
    for (const wait of waits) await expect(wait).rejects.toThrow(SessionClosedError);
    const left = await bench.admin.keys('{closing:0}:*');
    // Shapes, the last token and the namespace's epoch have no owner, and a TTL.
    expect(left.map((key) => key.replace('{closing:0}:', '')).sort()).toEqual([
      'barrier:d:state',
      'epoch',
      'lock:a:state',
      'semaphore:b:state',
    ]);
    for (const key of left) expect(await bench.admin.pttl(key)).toBeGreaterThan(0);
    await expect(session.event('c').set()).rejects.toThrow(SessionClosedError);
    await expect(session.members()).rejects.toThrow(SessionClosedError);
  });
});
