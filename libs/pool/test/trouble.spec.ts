/** What a host tells its owner of a Redis that is away, and of jobs that are its no more. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type RedisProcess, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, WorkerHost } from '@heddle/pool';
import { LeaseLostError, RedisUnreachableError, setExceptHook } from '@heddle/primitives';
import { connect } from '@heddle/primitives/distributed';
import { expect, it, onTestFinished } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const module = new URL('./tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(module);

/** A server that hangs up on everybody, and how often it has. */
async function hangingUp(port: number): Promise<AsyncDisposable & { times(): number }> {
  let times = 0;
  const server = createServer((socket) => {
    times += 1;
    socket.destroy();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  expect((server.address() as AddressInfo).port).toBe(port);
  return {
    times: () => times,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

it('tells once that Redis is out of reach, however often it tries, and again the next time', {
  timeout: 60_000,
}, async () => {
  await using redis = (await startRedis({ sources: ['process'] })) as RedisProcess;
  await using session = await connect(redis.url, { namespace: 'trouble' });
  const told: Error[] = [];
  await using host = new WorkerHost('work', {
    ...{ session, tasks: module, threads: 1 },
    onError: (error) => told.push(error),
  });
  await host.start();
  await using pool = new DistributedExecutor<typeof tasks>('work', { session });
  expect(await pool.submit('square', 2)).toBe(4);
  const port = Number(new URL(redis.url).port);
  for (const outages of [1, 2]) {
    await redis.kill();
    {
      await using server = await hangingUp(port);
      await until(() => expect(server.times()).toBeGreaterThan(20));
    }
    await redis.restart();
    expect(await pool.submit('square', 3)).toBe(9);
    expect(told).toHaveLength(outages);
    expect(told.at(-1)).toBeInstanceOf(RedisUnreachableError);
    expect(told.at(-1)?.message).toMatch(new RegExp(`127\\.0\\.0\\.1:${port} is out of reach \\(.+\\)`));
  }
});

it('tells once of a Redis that has become a replica, and takes no writes', async () => {
  const told: Error[] = [];
  await bench.host({ threads: 1, onError: (error) => told.push(error) });
  await bench.plain.call('REPLICAOF', '127.0.0.1', '1');
  try {
    const refusals = async () =>
      Number(/errorstat_READONLY:count=(\d+)/.exec(await bench.plain.info('errorstats'))?.[1] ?? 0);
    await until(async () => expect(await refusals()).toBeGreaterThan(30));
    await until(() => expect(told).not.toHaveLength(0));
  } finally {
    await bench.plain.call('REPLICAOF', 'NO', 'ONE');
  }
  expect(await bench.executor().submit('square', 3)).toBe(9);
  expect(told.map(({ message }) => message)).toEqual([
    expect.stringMatching(
      /^Redis refused .*: READONLY .*against a read only replica\.?; it is a replica now/,
    ),
  ]);
});

it.each([
  ['before it ends', 300],
  ['as it ends', 60_000],
] as const)('tells once of a job that went to another host, and is heard of %s', async (_, stallTimeout) => {
  const told: Error[] = [];
  await bench.host({ threads: 1, stallTimeout, onError: (error) => told.push(error) });
  const gate = `${bench.namespace}:gate`;
  const future = bench.executor().submit('untilGate', [bench.url, gate]);
  await until(() => expect(future.running()).toBe(true));
  await bench.plain.set(`${bench.key(future.id)}:lock`, 'another');
  if (stallTimeout < 1000) await until(() => expect(told).toHaveLength(1));
  await bench.plain.set(gate, 'open');
  await until(() => expect(told).toHaveLength(1));
  expect(told[0]).toBeInstanceOf(LeaseLostError);
  expect(told[0]?.message).toContain(`job ${future.id} of queue work was given to another host`);
  await bench.plain.del(gate);
  await future.abort();
});

it.each([
  [
    'throws',
    () => {
      throw new TypeError('nobody catches it');
    },
  ],
  ['rejects', () => Promise.reject(new TypeError('nobody catches it'))],
])('goes on where onError itself %s: that goes to the exception hook', async (_, onError) => {
  const told: unknown[] = [];
  const before = setExceptHook(({ error }) => told.push(error));
  onTestFinished(() => void setExceptHook(before));
  await bench.host({ threads: 1, onError });
  expect(await bench.executor().submit('throwLater')).toBe('returned');
  await until(() => expect(told).toHaveLength(2)); // one that it threw, one that it rejected with
  expect(told.every((error) => error instanceof TypeError)).toBe(true);
  expect(await bench.executor().submit('square', 3)).toBe(9);
});

it('tells once of a job that was removed while it ran', async () => {
  const told: Error[] = [];
  const host = await bench.host({ threads: 1, onError: (error) => told.push(error) });
  const gate = `${bench.namespace}:gate`;
  const future = bench.executor().submit('untilGate', [bench.url, gate]);
  await until(() => expect(future.running()).toBe(true));
  await bench.plain.del(bench.key(future.id), `${bench.key(future.id)}:lock`);
  await bench.plain.set(gate, 'open');
  await until(() => expect(host.status().running).toBe(0));
  expect(await bench.executor().submit('square', 3)).toBe(9);
  expect(told.map(({ message }) => message)).toEqual([
    expect.stringMatching(new RegExp(`job ${future.id} of queue work is not in Redis any more`)),
  ]);
  await bench.plain.del(gate);
});
