/** All measurements of the pools; names as arguments choose some of them. */
import { loadavg } from 'node:os';
import { distributed } from './distributed.ts';
import { local } from './local.ts';
import { memory } from './memory.ts';

const measurements = { local, distributed, memory } as const;

const chosen = process.argv.slice(2);
for (const [name, measure] of Object.entries(measurements)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  await measure();
  console.log(`  (load ${loadavg()[0]?.toFixed(1)})`);
}
