/** Hosts renew the locks of the jobs they have, and of no others. */
import { expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

it('does not take a job for lost that has gone back to the queue while its lock was to be renewed', async () => {
  const told: string[] = [];
  // Looks each 500 ms at locks that are older than that.
  const host = await bench.host({ stallTimeout: 3000, onError: ({ message }) => told.push(message) });
  const future = bench.executor().submit('untilAborted');
  await until(() => expect(host.status().busy).toBe(1));
  await bench.plain.call('CLIENT', 'PAUSE', '1500', 'ALL');
  await host.close({ gracePeriod: 0 });
  expect(told).toEqual([]);
  expect(await bench.plain.llen(bench.key('wait'))).toBe(1);
  expect(await future.cancel()).toBe(true);
});
