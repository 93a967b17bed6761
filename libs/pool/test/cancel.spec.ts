import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, type Future } from '@heddle/pool';
import { connect, type Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type * as tasks from './cancel-tasks.ts';
import { until } from './until.ts';

let server: EmbeddedRedis;
let folder: string;
let hosts = 0;
let namespace: string;
let file: string;

beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
  folder = mkdtempSync(join(tmpdir(), 'heddle-cancel-'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await server?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  hosts += 1;
  namespace = `cancel-${hosts}`;
  file = join(folder, namespace);
});

async function withHost(
  use: (executor: DistributedExecutor<typeof tasks>, host: ChildProcess, session: Session) => Promise<void>,
): Promise<void> {
  await using session = await connect(server.url, { namespace });
  const options = { module: new URL('./cancel-tasks.ts', import.meta.url).href, stallTimeout: 6000 };
  const script = new URL('./host-process.ts', import.meta.url);
  const host = fork(script, [server.url, namespace, 'work', JSON.stringify(options)]);
  await once(host, 'message');
  try {
    await using executor = new DistributedExecutor<typeof tasks>('work', { session });
    // So quick that it fetches as many ahead as it may.
    await Promise.all(Array.from({ length: 200 }, () => executor.submit('quick')));
    await use(executor, host, session);
  } finally {
    if (host.exitCode === null && host.signalCode === null) {
      host.kill('SIGKILL');
      await once(host, 'exit');
    }
  }
}

const begun = () => new Set(existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);

async function occupied(executor: DistributedExecutor<typeof tasks>): Promise<Future<void>[]> {
  const long = [executor.submit('untilAborted'), executor.submit('untilAborted')];
  await until(() => expect(long.map((each) => each.running())).toEqual([true, true]));
  return long;
}

describe('a job that its host has fetched ahead and not begun', () => {
  it('can be cancelled', async () => {
    await withHost(async (executor) => {
      for (let round = 0; round < 3; round += 1) {
        const [long, behind] = [
          [executor.submit('untilAborted'), executor.submit('untilAborted')],
          Array.from({ length: 10 }, () => executor.submit('begin', file)),
        ];
        await Promise.all([...long, ...behind].map(({ accepted }) => accepted));
        expect(await Promise.all(behind.map((future) => future.cancel()))).not.toContain(false);
        expect(behind.map((future) => future.cancelled())).not.toContain(false);
        await Promise.all(long.map((future) => future.abort()));
        await Promise.all(Array.from({ length: 50 }, () => executor.submit('quick')));
      }
      expect(begun()).toEqual(new Set());
    });
  });

  it('gives its dedupe key back as it is cancelled', async () => {
    const plain = new Redis(server.url);
    onTestFinished(() => plain.disconnect());
    await withHost(async (executor) => {
      for (let round = 0; round < 10; round += 1) {
        const long = [executor.submit('untilAborted'), executor.submit('untilAborted')];
        const behind = executor.with({ dedupe: 'k' }).submit('begin', file);
        await Promise.all([...long, behind].map(({ accepted }) => accepted));
        expect(await behind.cancel()).toBe(true);
        expect(await plain.get(`{${namespace}:queue:work}:work:de:k`)).toBeNull();
        await Promise.all(long.map((future) => future.abort()));
        await Promise.all(Array.from({ length: 50 }, () => executor.submit('quick')));
      }
    });
  });

  it('is either cancelled or begun, never both and never neither', async () => {
    await withHost(async (executor) => {
      const counts = { cancelled: 0, begun: 0 };
      for (let round = 0; round < 20; round += 1) {
        const futures = Array.from({ length: 20 }, () => executor.submit('begin', file));
        await futures[round % 20]?.accepted;
        if (round % 2 === 0) await futures[round % 3];
        const answers = await Promise.all(futures.map((future) => future.cancel()));
        await Promise.all(futures.map((future) => future.exception().catch(() => null)));
        const ran = begun();
        for (const [n, future] of futures.entries()) {
          expect(ran.has(future.id), `job ${n} of round ${round}`).toBe(!answers[n]);
          expect(future.cancelled()).toBe(answers[n]);
          counts[answers[n] === true ? 'cancelled' : 'begun'] += 1;
        }
      }
      expect(Math.min(counts.cancelled, counts.begun)).toBeGreaterThan(0);
    });
  }, 60_000);

  it('goes back before long, and has had no attempt by that', async () => {
    const plain = new Redis(server.url);
    onTestFinished(() => plain.disconnect());
    await withHost(async (executor) => {
      const behind: Future<number>[] = [];
      const long = [executor.submit('untilAborted'), executor.submit('untilAborted')];
      for (let n = 0; n < 10; n += 1) behind.push(executor.submit('attempt'));
      await until(() => expect(long.map((each) => each.running())).toEqual([true, true]));
      // All are there for others while both threads are taken.
      const waiting = `{${namespace}:queue:work}:work:wait`;
      await until(async () => expect(await plain.llen(waiting)).toBe(10));
      await Promise.all(long.map((future) => future.abort()));
      expect(new Set(await Promise.all(behind))).toEqual(new Set([1]));
    });
  }, 30_000);

  it('says no where its host runs it, or does not answer', async () => {
    await withHost(async (executor, host) => {
      const long = await occupied(executor);
      expect(await Promise.all(long.map((future) => future.cancel()))).toEqual([false, false]);
      host.kill('SIGSTOP');
      expect(await long[0]?.cancel()).toBe(false);
      host.kill('SIGCONT');
      await Promise.all(long.map((future) => future.abort()));
    });
  }, 30_000);
});
