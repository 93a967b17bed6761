/** The submitter of a distributed way, and its host in another process. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { median } from '../distributed/statistics.ts';
import { distributedWays, type Submitter } from './distributed-ways.ts';
import { processorTime } from './local-contender.ts';
import type { Order } from './orders.ts';

const collect = (globalThis as { gc?: () => void }).gc;

/** Seconds that `work` takes. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** The same with a collection of garbage before it: what was left by others is not its. */
function timedAlone(work: () => Promise<unknown>): Promise<number> {
  collect?.();
  return timed(work);
}

async function latency({ all }: Submitter, count: number): Promise<number> {
  collect?.();
  const times: number[] = [];
  for (let n = 0; n < count; n += 1) times.push(await timed(() => all(1, 0)));
  return median(times);
}

async function startHost(name: string, url: string, threads: number): Promise<ChildProcess> {
  const host = fork(
    fileURLToPath(new URL('./host.process.ts', import.meta.url)),
    [name, url, String(threads)],
    {
      execArgv: process.execArgv.filter((arg) => arg !== '--expose-gc'),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  );
  await once(host, 'message');
  return host;
}

interface Usage extends NodeJS.MemoryUsage {
  readonly processor: number;
}

async function usageOf(host: ChildProcess): Promise<Usage> {
  const answer = once(host, 'message');
  host.send('usage');
  const [usage] = (await answer) as [Usage];
  return usage;
}

export function distributedContender(name: string): (order: Order) => Promise<number> {
  const way = distributedWays[name];
  if (way === undefined) throw new RangeError(`no such way: ${name}`);
  let submitter: Submitter | undefined;
  let host: ChildProcess | undefined;
  return async ({ what, threads = 2, count = 1, steps = 0, url = '' }) => {
    if (what === 'open') {
      host = await startHost(name, url, threads);
      submitter = await way.submitter(url);
      await submitter.all(20, 0);
      return 0;
    }
    const { all, inChunks, later } = submitter as Submitter;
    if (what === 'rate') return timedAlone(() => all(count, 0));
    if (what === 'chunked') return inChunks === undefined ? Number.NaN : timedAlone(() => inChunks(count));
    if (what === 'latency') return latency(submitter as Submitter, count);
    if (what === 'burn') return timedAlone(() => all(count, steps));
    if (what === 'processor') return processorTime() + (await usageOf(host as ChildProcess)).processor;
    if (what === 'hostHeap') return (await usageOf(host as ChildProcess)).heapUsed;
    if (what === 'hostMemory') return (await usageOf(host as ChildProcess)).rss;
    if (what === 'futures' && later !== undefined) return bytesEach(count, later);
    throw new RangeError(`${name} does not know ${what}`);
  };
}

/** Bytes of heap of each of so many. */
async function bytesEach(count: number, make: () => object): Promise<number> {
  collect?.();
  const before = process.memoryUsage().heapUsed;
  const kept = Array.from({ length: count }, make);
  await (kept.at(-1) as { accepted?: Promise<void> }).accepted;
  collect?.();
  return (process.memoryUsage().heapUsed - before) / kept.length;
}
