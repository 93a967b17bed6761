import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';
import { inspectLocks } from './inspect.distributed.ts';
import type { ConnectOptions } from './options.ts';

const bench = redisBench();
const door = new URL('../session.distributed.ts', import.meta.url).href;

/** Runs a program of its own with `-e`, and gives what it said once it has ended by itself. */
async function program(text: string, meanwhile = async () => {}): Promise<{ code: number; said: string }> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, '--input-type=module', '-e', text, bench.url, door],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (said += piece));
  const [[code]] = await Promise.all([once(child, 'close'), meanwhile()]);
  return { code, said };
}

describe('a process with a session', () => {
  it('ends by itself after close(), whatever was held or waited for', async () => {
    const { code, said } = await program(`
      const { connect } = await import(process.argv[2]);
      const [a, b] = [await connect(process.argv[1]), await connect(process.argv[1], { namespace: 'b' })];
      const lease = await a.lock('ends').acquire();
      await b.semaphore('ends', 2).acquire();
      const waits = [a.lock('ends').acquire(), a.event('ends').wait(), b.barrier('ends', 2).wait({ timeout: 60_000 })];
      const ends = waits.map((wait) => wait.catch((error) => error.code));
      console.log(a.keeper, b.keeper, lease.valid);
      await Promise.all([a.close(), b.close(), a.close()]);
      console.log(lease.valid, (await Promise.all(ends)).join());
    `);
    expect(said.trim().split('\n')).toEqual([
      'thread thread true',
      `false ${Array(3).fill('ERR_HEDDLE_SESSION_CLOSED').join()}`,
    ]);
    expect(code).toBe(0);
  });

  it('lives as long as somebody waits, and not because a lease is forgotten', async () => {
    const { code, said } = await program(`
      const { connect } = await import(process.argv[2]);
      await using session = await connect(process.argv[1], { namespace: 'waits' });
      await session.lock('x').acquire();
      console.log(await session.lock('x').acquire({ timeout: 150 }));
    `);
    expect({ code, said: said.trim() }).toEqual({ code: 0, said: 'null' });
  });
});

describe('the first hold of a process', () => {
  it.each(['lock', 'semaphore'])(
    'of a %s is in line at once, and had no sooner than its keeper',
    async (kind) => {
      const holder = await connect(bench.url, { namespace: kind });
      const held = await (kind === 'lock' ? holder.lock('first') : holder.semaphore('first', 1)).acquire();
      const { code, said } = await program(
        `
      const { connect } = await import(process.argv[2]);
      await using session = await connect(process.argv[1], { namespace: '${kind}' });
      const waiting = session.${kind}('first'${kind === 'lock' ? '' : ', 1'}).acquire();
      const { keeper } = session;
      const lease = await waiting;
      console.log(keeper, session.keeper, lease.valid);
    `,
        async () => {
          const line = `{${kind}:0}:${kind}:first:queue`;
          await until(async () => (await bench.admin.zcard(line)) === 1, 'it stands in line');
          await held.release();
        },
      );
      expect({ code, said: said.trim() }).toEqual({ code: 0, said: 'main loop thread true' });
      await holder.close();
    },
  );

  it.each(['lock', 'semaphore'])('of a %s is given up without waiting for the keeper', async (kind) => {
    const { code, said } = await program(`
      const { connect } = await import(process.argv[2]);
      await using session = await connect(process.argv[1], { namespace: 'gives up' });
      for (const timeout of [undefined, 0]) {
        const first = session.${kind}('first'${kind === 'lock' ? '' : ', 1'});
        const controller = new AbortController();
        const taking = first.acquire({ timeout, signal: controller.signal });
        await first.${kind === 'lock' ? 'locked' : 'value'}();
        controller.abort('enough');
        await taking.catch((reason) => console.log(reason, session.keeper));
        console.log(await first.${kind === 'lock' ? 'locked' : 'value'}());
      }
    `);
    const free = kind === 'lock' ? 'false' : '1';
    expect({ code, said: said.trim().split('\n') }).toEqual({
      code: 0,
      said: ['enough main loop', free, 'enough main loop', free],
    });
  });
});

describe('a first place that is given up', () => {
  it('passes nothing on to who comes meanwhile, before the keeper watches over it', async () => {
    const holder = await connect(bench.url, { namespace: 'passes on' });
    for (let round = 0; round < 6; round += 1) {
      const fresh = await connect(bench.url, { namespace: 'passes on' });
      const held = await holder.lock('x').acquire();
      const lock = fresh.lock('x');
      const controller = new AbortController();
      const first = lock.acquire({ signal: controller.signal });
      first.catch(() => {});
      await lock.locked();
      const releasing = held.release();
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort('enough');
      for (let step = 0; step < 5 * (round % 3); step += 1) await Promise.resolve();
      const lease = await lock.acquire();
      expect([fresh.keeper, lease.valid]).toEqual(['thread', true]);
      await lease.release();
      await releasing;
      await fresh.close();
    }
    await holder.close();
  });
});

describe('a session inside a worker thread', () => {
  it('has a keeper of its own, and ends with its thread', async () => {
    const worker = new Worker(
      `
      const { parentPort, workerData } = require('node:worker_threads');
      (async () => {
        const { connect } = await import(workerData.door);
        const session = await connect(workerData.url, { namespace: 'thread', ttl: 300 });
        const lease = await session.lock('x').acquire();
        for (const end = performance.now() + 700; performance.now() < end; );
        parentPort.postMessage([session.keeper, lease.valid]);
        parentPort.once('message', async () => {
          await session.close();
          parentPort.close();
        });
      })();
      `,
      { eval: true, workerData: { door, url: bench.url }, execArgv: ['--conditions=@heddle/source'] },
    );
    const [said] = await once(worker, 'message');
    expect(said).toEqual(['thread', true]);
    worker.postMessage('close');
    const [code] = await once(worker, 'exit');
    expect(code).toBe(0);
  });
});

describe('connections of every kind', () => {
  const handOver = async (target: string | Redis, options: ConnectOptions = {}) => {
    const made = [
      await connect(target, { logger: {}, ...options }),
      await connect(target, { logger: {}, ...options }),
    ];
    const [a, b] = made as [(typeof made)[0], (typeof made)[0]];
    const lease = await a.lock('x').acquire();
    const waiting = b.lock('x').acquire();
    const told = b.event('e').wait();
    expect(await stillPending(Promise.race([waiting, told]))).toBe(true);
    expect(await inspectLocks(a)).toMatchObject([{ name: 'x', holder: { session: a.id } }]);
    await lease.release();
    await (await waiting).release();
    await a.event('e').set();
    expect(await told).toBe(true);
    expect((await a.members()).map(({ id }) => id).sort()).toEqual([a.id, b.id].sort());
    const keeper = a.keeper;
    await Promise.all([a.close(), b.close()]);
    return keeper;
  };

  it('a database by its number', async () => {
    expect(await handOver(`${bench.url}/5`, { namespace: 'db' })).toBe('thread');
    expect(await bench.admin.keys('{db:0}*')).toEqual([]);
  });

  it('a live client with a key prefix and a database', async () => {
    const client = new Redis(bench.url, { keyPrefix: 'app:', db: 6 });
    expect(await handOver(client, { namespace: 'prefixed' })).toBe('thread');
    const look = new Redis(bench.url, { db: 6 });
    expect((await look.keys('*')).every((key) => key.startsWith('app:{prefixed:0}:'))).toBe(true);
    for (const one of [client, look]) one.disconnect();
  });

  it('a live client on a Unix socket', async () => {
    const redis = await startRedis({ sources: ['process'], socket: true });
    const client = new Redis(redis.url);
    onTestFinished(async () => {
      client.disconnect();
      await redis.close();
    });
    expect(redis.socket).toBeDefined();
    expect(await handOver(client)).toBe('thread');
    expect(await client.ping()).toBe('PONG');
  });

  it('one whose options can’t go to a thread: the main loop gives the sign of life, and says so', async () => {
    const client = new Redis(bench.url, { dnsLookup: () => {} } as never);
    expect(await handOver(client, { namespace: 'function' })).toBe('main loop');
    const warnings: string[] = [];
    const session = await connect(client, {
      namespace: 'function',
      ttl: 300,
      logger: { warn: (message) => warnings.push(message) },
    });
    const lease = await session.lock('y').acquire();
    const start = performance.now();
    await until(() => performance.now() - start > 700, 'several times its ttl has passed');
    expect(lease.valid).toBe(true);
    expect(warnings.join()).toMatch(/no keeper thread/);
    await session.close();
    client.disconnect();
  });
});
