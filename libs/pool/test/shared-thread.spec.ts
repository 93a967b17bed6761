/** Several jobs at once in one thread, and a bad one among them. */
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, type Future, WorkerHost } from '@heddle/pool';
import { CancelledError, TimeoutError } from '@heddle/primitives';
import { connect } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const GRACE = 100;

let server: EmbeddedRedis;
let plain: Redis;
let scenes = 0;

beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
  plain = new Redis(server.url);
});
afterAll(async () => {
  plain?.disconnect();
  await server?.[Symbol.asyncDispose]();
});

interface Scene {
  readonly executor: DistributedExecutor<typeof tasks>;
  /** Run in the only thread of the host, until the gate is opened; then each gives its attempt. */
  readonly beside: readonly Future<number>[];
  openGate(): Promise<unknown>;
}

async function withNeighbours(act: (scene: Scene) => Promise<void>): Promise<void> {
  scenes += 1;
  const gate = `gate-${scenes}`;
  await using session = await connect(server.url, { namespace: `shared-${scenes}` });
  await using host = new WorkerHost('work', {
    session,
    tasks: TASKS,
    threads: 1,
    concurrency: 3,
    gracePeriod: GRACE,
  });
  await host.start();
  await using executor = new DistributedExecutor<typeof tasks>('work', { session });
  const beside = [1, 2].map(() => executor.submit('untilGate', [server.url, gate]));
  const openGate = () => plain.set(gate, '1');
  try {
    await running(...beside);
    await act({ executor, beside, openGate });
  } finally {
    await openGate();
  }
}

const running = (...futures: Future<unknown>[]) =>
  until(() => expect(futures.map((future) => future.running())).not.toContain(false));

describe('a job that does not end when it is told to, in a thread with others', () => {
  it('is left behind: the others end as if it were not there, and another thread takes what is new', async () => {
    await withNeighbours(async ({ executor, beside, openGate }) => {
      const threads = new Set([await executor.submit('thread')]);
      const bad = executor.submit('nap', 600_000);
      await running(bad);
      await bad.abort();
      await expect(bad).rejects.toThrow(CancelledError);
      await until(async () => threads.add(await executor.submit('thread')).size === 2 || expect.fail());
      expect(beside.map((future) => future.done())).toEqual([false, false]);
      await openGate();
      expect(await Promise.all(beside)).toEqual([1, 1]);
    });
  });

  it('is left behind where it is out of time, too', async () => {
    await withNeighbours(async ({ executor, beside, openGate }) => {
      const threads = new Set([await executor.submit('thread')]);
      await expect(executor.with({ timeout: 50 }).submit('nap', 600_000)).rejects.toThrow(TimeoutError);
      await until(async () => threads.add(await executor.submit('thread')).size === 2 || expect.fail());
      await executor.submit('nap', 1500); // the thread is asked more than once whether it goes on
      await openGate();
      expect(await Promise.all(beside)).toEqual([1, 1]);
    });
  });

  it('loses them their thread where it stops its event loop: they begin again elsewhere', async () => {
    await withNeighbours(async ({ executor, beside, openGate }) => {
      const bad = executor.submit('spinForever');
      await running(bad);
      await bad.abort();
      await openGate();
      expect(await Promise.all(beside)).toEqual([2, 2]);
    });
  });
});
