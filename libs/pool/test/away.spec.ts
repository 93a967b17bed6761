/** A host that closes while Redis does not answer. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type RedisProcess, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, fleet, WorkerHost } from '@heddle/pool';
import { connect, type Session } from '@heddle/primitives/distributed';
import { expect, it, onTestFinished } from 'vitest';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

/** What closing takes at the most: `gracePeriod`, that of the threads, five seconds for Redis; and some for a busy machine. */
const BOUND = 200 + 100 + 5000 + 4000;

const namespace = `away-${process.pid}`;

const ownRedis = () => startRedis({ sources: ['process'] }) as Promise<RedisProcess>;

async function away(redis: RedisProcess, how: 'stopped' | 'killed'): Promise<void> {
  if (how === 'stopped') redis.pause();
  else await redis.kill();
}

/** Not started yet; with the codes of the errors it tells of. */
function host(session: Session, queue: string): { host: WorkerHost; told: unknown[] } {
  const told: unknown[] = [];
  const made = new WorkerHost(queue, {
    ...{ session, tasks: new URL('./tasks.ts', import.meta.url), threads: 2 },
    ...{ gracePeriod: 100, stallTimeout: 600 },
    onError: (error) => told.push('code' in error ? error.code : error.message),
  });
  return { host: made, told };
}

/** Milliseconds that closing takes. */
async function close({ host }: { host: WorkerHost }): Promise<number> {
  const begun = performance.now();
  await host.close({ gracePeriod: 200 });
  return performance.now() - begun;
}

const outcomeUnknown = (told: readonly unknown[]) =>
  told.filter((code) => code === 'ERR_HEDDLE_OUTCOME_UNKNOWN');

it.each(['stopped', 'killed'] as const)(
  'closes without Redis where that was %s, and says so once, idle or with jobs',
  { timeout: 60_000 },
  async (how) => {
    await using redis = await ownRedis();
    await using session = await connect(redis.url, { namespace });
    const idle = host(session, 'idle');
    const busy = host(session, 'busy');
    await Promise.all([idle.host.start(), busy.host.start()]);
    const executor = new DistributedExecutor<typeof tasks>('busy', { session });
    const futures = [executor.submit('spinForever'), executor.submit('untilAborted')];
    for (const future of futures) future.result().catch(() => {});
    await until(() => expect(busy.host.status().busy).toBe(2));

    await away(redis, how);
    const took = await Promise.all([close(idle), close(busy)]);

    expect(Math.max(...took)).toBeLessThan(BOUND);
    for (const { told } of [idle, busy]) expect(outcomeUnknown(told)).toHaveLength(1);
    expect(busy.host.status().busy).toBe(0);
    const before = [idle.told.length, busy.told.length];
    if (how === 'stopped') redis.resume();
    else await redis.restart();
    await until(async () => expect(await session.members()).toHaveLength(1));
    expect([idle.told.length, busy.told.length]).toEqual(before);
    if (how === 'killed') return;
    // Its jobs go to the next as those of a host that died.
    const heir = host(session, 'busy');
    await heir.host.start();
    await until(() => expect(heir.host.status().busy).toBe(2));
    await heir.host.close({ gracePeriod: 0 });
    await executor.shutdown({ wait: false, cancelFutures: true });
  },
);

it('closes before it has started, where Redis does not answer, and does not start when that is back', {
  timeout: 60_000,
}, async () => {
  await using redis = await ownRedis();
  await using session = await connect(redis.url, { namespace });
  const waiting = host(session, 'waiting');
  redis.pause();
  const started = waiting.host.start();
  started.catch(() => {});
  expect(await close(waiting)).toBeLessThan(BOUND + 5000); // its threads start first
  redis.resume();
  await expect(started).rejects.toThrow();
  expect((await fleet(session)).hosts).toEqual([]);
});

it.each(['stopped', 'killed'] as const)(
  'leaves nothing behind that keeps its process where Redis was %s',
  {
    timeout: 60_000,
  },
  async (how) => {
    await using redis = await ownRedis();
    const terms = JSON.stringify({ quiet: true, gracePeriod: 100 });
    const child: ChildProcess = fork(new URL('./host-process.ts', import.meta.url), [
      ...[redis.url, namespace, 'work', terms],
    ]);
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child, 'message');
    await away(redis, how);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  },
);

it('says that Redis went away as the host started, where it can be of no use any more', async () => {
  await using redis = await ownRedis();
  await using session = await connect(redis.url, { namespace });
  session.on('error', () => {});
  const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
  redis.pause();
  const before = sockets();
  const { host: made } = host(session, 'opening');
  const starting = made.start();
  starting.catch(() => {});
  await until(() => expect(sockets()).toBeGreaterThan(before)); // It has asked something, and no answer comes.
  await redis.kill();
  await redis.restart();
  // Which of its connections was cut before it was ready decides whether that is found out before Redis is back.
  await expect(starting).rejects.toMatchObject({
    code: 'ERR_HEDDLE_REDIS_UNREACHABLE',
    message: expect.stringContaining('start another host when it is back'),
  });
  await made.close({ gracePeriod: 100 });
});
