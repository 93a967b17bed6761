/** A local way that does what it is told. */
import { median } from '../distributed/statistics.ts';
import { type LocalPool, localWays } from './local-ways.ts';
import type { Order } from './orders.ts';

const collect = (globalThis as { gc?: () => void }).gc;

/** Steps that keep a thread busy for some seconds. */
const LONG = 2_000_000_000;

/** Seconds that `work` takes. */
async function timed(work: () => PromiseLike<unknown>): Promise<number> {
  collect?.();
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const together = (pool: LocalPool, count: number, steps: number) =>
  pool.all?.(count, steps) ?? Promise.all(Array.from({ length: count }, () => pool.run(steps)));

async function latency(pool: LocalPool, count: number): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const start = performance.now();
    await pool.run(0);
    times.push(performance.now() - start);
  }
  return median(times) / 1000;
}

/** Of all its threads, in seconds. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Bytes of heap of each of so many tasks that wait behind others, and are waited for by nobody yet. */
async function bytesEach(pool: LocalPool, threads: number, count: number): Promise<number> {
  const long = Array.from({ length: threads }, () => pool.run(LONG));
  await new Promise((resolve) => setTimeout(resolve, 50));
  collect?.();
  const before = process.memoryUsage().heapUsed;
  const waiting = Array.from({ length: count }, () => pool.run(0));
  await new Promise((resolve) => setTimeout(resolve, 50));
  collect?.();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  await Promise.all([...long, ...waiting]);
  return bytes;
}

export function localContender(name: string): (order: Order) => Promise<number> {
  const make = localWays[name];
  if (make === undefined) throw new RangeError(`no such way: ${name}`);
  let pool: LocalPool | undefined;
  return async ({ what, threads = 2, count = 1, steps = 0 }) => {
    if (what === 'open') {
      await pool?.close();
      const opened = await make(threads);
      pool = opened;
      await together(opened, 4 * threads, 0);
      return 0;
    }
    const open = pool as LocalPool;
    if (what === 'rate') return timed(() => together(open, count, 0));
    if (what === 'chunked')
      return open.inChunks === undefined
        ? Number.NaN
        : timed(() => open.inChunks?.(count) ?? Promise.resolve());
    if (what === 'latency') return latency(open, count);
    if (what === 'burn') return timed(() => together(open, count, steps));
    if (what === 'processor') return processorTime();
    if (what === 'futures') return bytesEach(open, threads, count);
    throw new RangeError(`${name} does not know ${what}`);
  };
}
