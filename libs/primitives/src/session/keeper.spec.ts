import type { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

it('a session whose keeper thread ends goes on by the sign of life of its own loop', async () => {
  const threads: Worker[] = [];
  const noted = (thread: Worker) => threads.push(thread);
  process.on('worker', noted);
  const warnings: string[] = [];
  const session = await bench.session({ ttl: 1_500, logger: { warn: (text) => warnings.push(text) } });
  const lease = await session.lock(bench.name()).acquire();
  process.off('worker', noted);
  expect(session.keeper).toBe('thread');
  await threads[0]?.terminate();
  await until(() => session.keeper === 'main loop', 'the loop has taken over');
  const ends = async () => Number(await bench.admin.zscore('{heddle:0}:sessions', `${session.id}-1`));
  const before = await ends();
  await until(async () => (await ends()) > before + 1_500, 'signs of life go on');
  expect(lease.valid).toBe(true);
  expect(warnings.join()).toContain('the keeper thread ended');
  await lease.release();
});
