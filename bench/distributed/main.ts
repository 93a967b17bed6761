/** All measurements between processes, on a private Redis; names as arguments choose some of them. */
import { loadavg } from 'node:os';
import { startRedis } from '@heddle/embedded-redis';
import { cohorts, contended, handOver, semaphore } from './contended.ts';
import { crash } from './crash.ts';
import { free } from './free.ts';
import { manyWaiters, memory } from './many.ts';

const measurements = { free, contended, cohorts, semaphore, handOver, manyWaiters, memory, crash } as const;

const chosen = process.argv.slice(2);
await using redis = await startRedis({ sources: ['process'] });
for (const [name, measure] of Object.entries(measurements)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  await measure(redis.url);
  console.log(`  (load ${loadavg()[0]?.toFixed(1)})`);
}
