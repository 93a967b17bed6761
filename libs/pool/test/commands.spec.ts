import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, WorkerHost } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as tasks from './tasks.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const JOBS = 500;

let server: EmbeddedRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.[Symbol.asyncDispose]();
});

/** How often Redis ran each command so far, those of scripts included. */
async function commandsRun(): Promise<Map<string, number>> {
  const stats = await redis.info('commandstats');
  return new Map(
    [...stats.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].map(([, name = '', calls]) => [name, Number(calls)]),
  );
}

/** Commands for each of `JOBS` jobs, of so many sessions in equal parts, from `submit` to the result: all, and messages. */
async function commandsPerJob(
  submitters: number,
): Promise<{ all: number; published: number; large: number }> {
  const options = { namespace: `commands-${submitters}` };
  await using hosts = await connect(server.url, options);
  const sessions = await Promise.all(Array.from({ length: submitters }, () => connect(server.url, options)));
  await using host = new WorkerHost('work', { session: hosts, tasks: TASKS, threads: 1, concurrency: 8 });
  await host.start();
  const executors = sessions.map((session) => new DistributedExecutor<typeof tasks>('work', { session }));
  const round = (each: number) =>
    Promise.all(
      executors.flatMap((executor, n) =>
        Array.from({ length: each }, async (_, i) => {
          expect(await executor.submit('add', n, i)).toBe(n + i);
        }),
      ),
    );
  await round(1); // scripts are loaded, connections made
  const before = await commandsRun();
  await round(JOBS / submitters);
  const after = await commandsRun();
  await Promise.all(executors.map((executor) => executor.shutdown()));
  await Promise.all(sessions.map((session) => session.close()));
  const ran = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  const all = [...after.keys()].reduce((sum, name) => sum + ran(name), 0);
  const large = ran('persist') + ran('unlink'); // what large values take
  return { all: all / JOBS, published: ran('publish') / JOBS, large };
}

describe('what a job costs Redis', () => {
  it('is the same number of commands with one submitter and with fifty, and one message at the most', async () => {
    const one = await commandsPerJob(1);
    const fifty = await commandsPerJob(50);
    expect(one.published).toBeLessThanOrEqual(1);
    expect(fifty.published).toBeLessThanOrEqual(1);
    expect([one.large, fifty.large]).toEqual([0, 0]);
    // BullMQ's own 37, the sessions' pulses, and a look in vain now and then; the messages, one of which may carry many
    // results, apart.
    const [alone, together] = [one.all - one.published, fifty.all - fifty.published];
    expect(Math.max(alone, together)).toBeLessThan(40);
    expect(Math.abs(together - alone)).toBeLessThan(2);
  }, 60_000);
});
