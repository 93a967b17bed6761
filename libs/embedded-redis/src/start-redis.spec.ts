import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { gone, ProgramFolder, watchForLeftovers } from '../test/private-folder.ts';
import { findBinary } from './binary.ts';
import { type RedisOptions, RedisUnavailableError, startRedis, startSentinel } from './index.ts';
import { freePort } from './port.ts';

watchForLeftovers();
beforeEach(() => {
  vi.stubEnv('REDIS_URL', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function ask<T>(url: string, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: null });
  client.on('error', () => {});
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

async function refusal(options?: RedisOptions): Promise<RedisUnavailableError> {
  const error = await startRedis(options).then(
    (redis) => redis.close(),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof RedisUnavailableError)) throw error ?? new Error('there was a Redis');
  expect(error.code).toBe('ERR_HEDDLE_REDIS_UNAVAILABLE');
  return error;
}

describe('a private process', () => {
  it('serves on loopback with a password, keeps nothing on disk, and is gone after use', async () => {
    let place: { dir: string; port: number | undefined };
    {
      await using redis = await startRedis({ sources: ['process'] });
      place = { dir: redis.dir, port: redis.port };
      expect(redis).toMatchObject({ via: 'process', host: '127.0.0.1', running: true });
      expect(Number.parseInt(redis.version, 10)).toBeGreaterThanOrEqual(7);
      await ask(redis.url, async (client) => {
        expect(await client.set('shuttle', 'weft')).toBe('OK');
        expect(await client.config('GET', 'bind')).toContain('127.0.0.1');
        expect(await client.config('GET', 'save')).toContain('');
        expect(await client.config('GET', 'appendonly')).toContain('no');
      });
      await expect(ask(`redis://127.0.0.1:${redis.port}`, (client) => client.ping())).rejects.toThrow(
        /NOAUTH/,
      );
      expect(await readdir(redis.dir)).toEqual(['redis.conf']);
    }
    await gone(place);
  });

  it('listens on a Unix socket alone when asked, whatever the password', async () => {
    await using redis = await startRedis({ socket: true, password: `it's "a b"\\@:/?#` });
    expect(redis).toMatchObject({ via: 'process', port: undefined, host: undefined });
    expect(await ask(redis.url, (client) => client.config('GET', 'port'))).toEqual(['port', '0']);
  });

  it('takes the port, the password and the directives asked for', async () => {
    const port = await freePort();
    await using redis = await startRedis({
      port,
      password: false,
      config: { maxmemory: '32mb', databases: 3, user: ['ann on >secret ~* +@all', 'bob off'] },
    });
    expect(redis.url).toBe(`redis://127.0.0.1:${port}`);
    const answers = ask(redis.url, async (client) => [
      await client.config('GET', 'maxmemory'),
      await client.acl('USERS'),
    ]);
    expect(await answers).toEqual([
      ['maxmemory', String(32 * 2 ** 20)],
      ['ann', 'bob', 'default'],
    ]);
    expect(await ask(`redis://ann:secret@127.0.0.1:${port}`, (client) => client.acl('WHOAMI'))).toBe('ann');
  });

  it('says which port is taken', async () => {
    await using redis = await startRedis({ sources: ['process'] });
    const { attempts } = await refusal({ sources: ['process'], port: Number(redis.port) });
    expect(attempts).toMatchObject([{ source: 'process', reason: expect.stringMatching(/already in use/) }]);
  });

  it("passes on what the server says of a directive that isn't one", async () => {
    const { attempts } = await refusal({ sources: ['process'], config: { loom: 'yes' } });
    expect(attempts).toMatchObject([
      { source: 'process', reason: expect.stringMatching(/loom yes[\s\S]*Bad directive/) },
    ]);
  });

  it('persists in a directory for the next server', async () => {
    const persist = await mkdtemp(join(tmpdir(), 'kept-'));
    {
      await using redis = await startRedis({ persist });
      await ask(redis.url, (client) => client.set('shuttle', 'weft'));
    }
    {
      await using redis = await startRedis({ persist });
      expect(await ask(redis.url, (client) => client.get('shuttle'))).toBe('weft');
    }
    await rm(persist, { recursive: true });
  });

  it('is refused when the only program is too old, mute or never ready', async () => {
    using programs = new ProgramFolder();
    await programs.add('redis-server', 'echo "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64"');
    await programs.add('valkey-server', 'echo "usage: valkey-server"');
    vi.stubEnv('PATH', programs.path);
    const { attempts } = await refusal({ sources: ['process'] });
    expect(attempts).toEqual([
      {
        source: 'process',
        target: join(programs.path, 'redis-server'),
        reason: 'is version 6.2.14; 7 or later is needed',
      },
      {
        source: 'process',
        target: join(programs.path, 'valkey-server'),
        reason: "doesn't say its version: usage: valkey-server",
      },
    ]);

    await programs.add(
      'redis-server',
      'test "$1" = --version && echo "Redis server v=7.2.0" || exec /bin/sleep 60',
    );
    const late = await refusal({ sources: ['process'], startTimeout: 100 });
    expect(late.attempts).toMatchObject([{ reason: expect.stringMatching(/wasn't ready within 100 ms/) }]);
  });

  it('is run with valkey-server where there is no redis-server', async () => {
    const real = await findBinary(process.env, []);
    using programs = new ProgramFolder();
    await programs.add(
      'valkey-server',
      `test "$1" = --version && echo "Valkey server v=8.1.0" || exec ${real?.path} "$@"`,
    );
    vi.stubEnv('PATH', programs.path);
    await using redis = await startRedis();
    expect(redis).toMatchObject({ via: 'process', product: 'valkey', version: '8.1.0' });
  });
});

describe('$REDIS_URL', () => {
  it('is used, neither flushed nor stopped', async () => {
    await using theirs = await startRedis({ sources: ['process'] });
    await ask(theirs.url, (client) => client.set('theirs', 'still'));
    vi.stubEnv('REDIS_URL', theirs.url);
    {
      await using redis = await startRedis();
      const { url, host, port, password, version } = theirs;
      expect(redis).toMatchObject({ via: 'url', url, host, port, password, version });
    }
    expect(await ask(theirs.url, (client) => client.get('theirs'))).toBe('still');
  });

  it('may lead to a Unix socket', async () => {
    await using theirs = await startRedis({ socket: true });
    await using redis = await startRedis({ url: theirs.url });
    expect(redis).toMatchObject({ via: 'url', socket: theirs.socket, port: undefined });
  });

  it('is passed over for a server that must be private', async () => {
    vi.stubEnv('REDIS_URL', 'redis://127.0.0.1:1');
    await using redis = await startRedis({ sources: ['process'] });
    expect(redis.via).toBe('process');
  });

  it('that leads nowhere is an error that keeps its password to itself', async () => {
    vi.stubEnv('REDIS_URL', `redis://ann:secret@127.0.0.1:${await freePort()}`);
    const error = await refusal();
    expect(error.attempts).toMatchObject([{ source: 'url', reason: expect.stringMatching(/ECONNREFUSED/) }]);
    expect(error.message).toMatch(/unset REDIS_URL/);
    expect(error.message).not.toMatch(/secret/);
  });

  it.each([
    ['http://127.0.0.1:80', /redis:\/\//],
    ['nonsense', /redis:\/\//],
  ])('that is %s is refused', async (url, reason) => {
    expect((await refusal({ url })).attempts).toMatchObject([{ reason: expect.stringMatching(reason) }]);
  });

  it('with a wrong password is refused', async () => {
    await using theirs = await startRedis({ sources: ['process'] });
    const { attempts } = await refusal({ url: theirs.url.replace(String(theirs.password), 'wrong') });
    expect(attempts).toMatchObject([{ reason: expect.stringMatching(/WRONGPASS|NOAUTH/) }]);
  });

  it('that leads to a Sentinel is refused', async () => {
    await using group = await startSentinel({ sentinels: 1 });
    const { attempts } = await refusal({ url: String(group.sentinels[0]?.url) });
    expect(attempts).toMatchObject([{ reason: expect.stringMatching(/is a Sentinel/) }]);
  });

  it.each([
    ['is too old', '$23\r\nredis_version:6.2.14\r\nx:1\r\n', /version 6\.2\.14; 7 or later/],
    ['is no Redis', '$5\r\nhello\r\n', /without a version/],
    ['answers nothing', '', /time|Command timed out/i],
  ])('that leads to a server which %s is refused', async (_, answer, reason) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        for (const [command] of String(chunk).matchAll(/\r\n(info|hello|client|auth|select)\r\n/gi)) {
          if (answer !== '') socket.write(/info/i.test(command) ? answer : '-ERR unknown command\r\n');
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const url = `redis://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const { attempts } = await refusal({ url, startTimeout: answer === '' ? 100 : 5_000 });
    expect(attempts).toMatchObject([{ reason: expect.stringMatching(reason) }]);
    server.close();
  });
});

it('where there is nothing, the error lists every way that was tried, and the command to install one', async () => {
  using programs = new ProgramFolder();
  vi.stubEnv('PATH', programs.path);
  const error = await refusal({ image: 'heddle.invalid/no-such-image:0' });
  expect(error.attempts).toMatchObject([
    { source: 'url', target: '$REDIS_URL', reason: 'not set' },
    { source: 'process', target: 'redis-server, valkey-server', reason: 'neither is on the PATH' },
    { source: 'docker', target: 'heddle.invalid/no-such-image:0', reason: expect.stringMatching(/./) },
  ]);
  for (const { reason } of error.attempts) expect(error.message).toContain(reason);
  expect(error.remedy).toMatch(/install/i);
  expect(error.message).toContain(error.remedy);
});
