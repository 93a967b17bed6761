import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { connect, type Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isAlive, Program, runToEnd, until } from '../../worker/test/program.ts';

const namespace = `test-lock-${process.pid}`;
let redis: EmbeddedRedis;
let session: Session;
let name: string;
let names = 0;

beforeAll(async () => {
  redis = await startRedis();
  session = await connect(redis.url, { namespace });
});
afterAll(async () => {
  await session.close();
  await redis.close();
});
beforeEach(() => {
  names += 1;
  name = `lock ${names}`;
});

const env = () => ({ REDIS_URL: redis.url, HEDDLE_NAMESPACE: namespace });
const lock = (...args: string[]) => new Program('heddle', ['lock', name, ...args], { env: env() });
const lockToEnd = (...args: string[]) => runToEnd('heddle', ['lock', name, ...args], { env: env() });

describe('heddle lock', { timeout: 60_000 }, () => {
  it('runs CMD with its arguments, the lock and the token, and ends as it ends', async () => {
    const script = 'echo "$HEDDLE_LOCK|$HEDDLE_TOKEN|$1|$2"; echo err >&2; exit 7';
    const first = await lockToEnd('--', 'sh', '-c', script, 'sh', 'a b', '--timeout');
    expect(first).toMatchObject({ code: 7, err: 'err\n' });
    const [, token] = /^lock \d+\|(\d+)\|a b\|--timeout\n$/.exec(first.out) ?? [];
    const second = await lockToEnd('--', 'sh', '-c', 'echo $HEDDLE_TOKEN');
    expect(second.code).toBe(0);
    expect(Number(second.out)).toBeGreaterThan(Number(token));
    expect(await session.lock(name).locked()).toBe(false);
  });

  it('lets no two run at a time', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'heddle-lock-'));
    const file = join(dir, 'count');
    writeFileSync(file, '0');
    const script = 'n=$(cat "$1"); sleep 0.05; echo $((n + 1)) > "$1"';
    const ends = await Promise.all(
      Array.from({ length: 5 }, () => lockToEnd('--', 'sh', '-c', script, 'sh', file)),
    );
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
    expect(readFileSync(file, 'utf8')).toBe('5\n');
    rmSync(dir, { recursive: true });
  });

  it('gives up after --timeout, with 124, and leaves the line', async () => {
    await using _lease = await session.lock(name).acquire();
    for (const timeout of ['0', '100']) {
      const ended = await lockToEnd('--timeout', timeout, '--', 'true');
      expect(ended).toMatchObject({ code: 124, err: `heddle: ${name} was not free within ${timeout} ms\n` });
    }
  });

  it('waits in line until it is its turn, or a signal ends the wait', async () => {
    const lease = await session.lock(name).acquire();
    await using waiting = lock('--', 'echo', 'mine');
    await until(async () => (await waitersOf(name)) === 1);
    await using impatient = lock('--', 'echo', 'never');
    await until(async () => (await waitersOf(name)) === 2);
    process.kill(impatient.pid, 'SIGTERM');
    expect(await impatient.ended).toMatchObject({ code: 143, out: '' });
    await lease.release();
    expect(await waiting.ended).toMatchObject({ code: 0, out: 'mine\n' });
  });

  it('passes signals on, and tells by which CMD ended', async () => {
    await using handled = lock(
      '--',
      'sh',
      '-c',
      'trap "echo caught; exit 5" TERM; echo up; while :; do sleep 0.05; done',
    );
    await handled.said(/up/);
    process.kill(handled.pid, 'SIGTERM');
    expect(await handled.ended).toMatchObject({ code: 5, out: 'up\ncaught\n' });
    expect((await lockToEnd('--', 'sh', '-c', 'kill -KILL $$')).code).toBe(137);
    expect((await lockToEnd('--', 'sh', '-c', 'kill -SEGV $$')).code).toBe(139);
    expect((await lockToEnd('--', '')).code).toBe(127);
  });

  it('ends CMD and says 125 when the lease is lost', async () => {
    const script = 'trap "echo told; exit 0" TERM; echo up; while :; do sleep 0.05; done';
    await using program = lock('--ttl', '500', '--', 'sh', '-c', script);
    await program.said(/up/);
    await loseSessionsOf(program.pid);
    expect(await program.ended).toMatchObject({ code: 125, out: 'up\ntold\n' });
    expect(program.err).toContain(`the lease of ${name} is lost`);
  });

  it('kills a CMD that does not end though the lease is lost', async () => {
    const script = 'trap "" TERM; echo up; while :; do sleep 0.05; done';
    await using program = lock('--ttl', '500', '--kill-after', '100', '--', 'sh', '-c', script);
    await program.said(/up/);
    const family = program.descendants();
    await loseSessionsOf(program.pid);
    expect(await program.ended).toMatchObject({ code: 125 });
    await until(() => !family.some(isAlive));
  });

  it.each([
    [['--', 'no-such-command'], 127, 'heddle: no-such-command: not found'],
    [['--', '/etc/passwd'], 126, "heddle: /etc/passwd: can't be executed (EACCES)"],
    [[], 2, 'heddle: NAME or CMD is missing (only "lock '],
    [['--timeout', '-1', '--', 'true'], 2, '--timeout: must be a whole number'],
    [['--timout', '1', '--', 'true'], 2, "unknown option '--timout'"],
    [['--redis', 'redis://127.0.0.1:1', '--', 'true'], 69, '127.0.0.1:1'],
  ] as const)('says what is wrong with %j', async (args, code, message) => {
    const ended = await lockToEnd(...args);
    expect(ended).toMatchObject({ code, err: expect.stringContaining(message) });
    expect(ended.err).not.toContain('    at ');
    expect(await session.lock(name).locked()).toBe(false);
  });

  it('refuses a name that is none', async () => {
    name = 'a{b}';
    expect(await lockToEnd('--', 'true')).toMatchObject({ code: 2, err: expect.stringContaining('"a{b}"') });
  });
});

describe('heddle locks', { timeout: 60_000 }, () => {
  it('shows holders, tokens, waiters and the time that remains', async () => {
    expect(await show()).toEqual([]);
    await using holder = lock('--', 'sh', '-c', 'echo $HEDDLE_TOKEN; sleep 60');
    const [token] = await holder.said(/\d+/);
    await using waiter = lock('--', 'true');
    await until(async () => (await waitersOf(name)) === 1);
    expect(await show()).toEqual([
      {
        name,
        token: Number(token),
        holder: expect.objectContaining({
          pid: holder.pid,
          name: 'heddle lock',
          remaining: expect.any(Number),
        }),
        waiters: [expect.objectContaining({ pid: waiter.pid })],
      },
    ]);
    const { out } = await runToEnd('heddle', ['locks'], { env: env() });
    for (const part of [name, token, `:${holder.pid} heddle lock`, `:${waiter.pid} heddle lock`]) {
      expect(out).toContain(part);
    }
  });

  async function show(): Promise<unknown> {
    const { out } = await runToEnd('heddle', ['locks', '--json'], { env: env() });
    return JSON.parse(out).locks;
  }
});

async function waitersOf(lockName: string): Promise<number> {
  const { out } = await runToEnd('heddle', ['locks', '--json'], { env: env() });
  const locks: { name: string; waiters: unknown[] }[] = JSON.parse(out).locks;
  return locks.find((found) => found.name === lockName)?.waiters.length ?? 0;
}

/** As if Redis had forgotten the sessions of a process: its leases are lost. */
async function loseSessionsOf(pid: number): Promise<void> {
  const ids = (await session.members()).filter((member) => member.pid === pid).map(({ id }) => id);
  expect(ids).toHaveLength(1);
  const client = new Redis(redis.url);
  for (const key of await client.keys(`*${namespace}*:sessions`)) {
    const incarnations = await client.zrange(key, '0', '-1');
    for (const one of incarnations) if (ids.some((id) => one.startsWith(id))) await client.zrem(key, one);
  }
  client.disconnect();
}
