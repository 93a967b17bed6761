/**
 * What a Future takes that waits, and whether a host grows. `HEDDLE_BENCH_JOBS=1000000` has the host do so many jobs
 * (default 50,000).
 */
import process from 'node:process';
import { startRedis } from '@heddle/embedded-redis';
import { printTable } from '../distributed/statistics.ts';
import { Contender } from './contenders.ts';
import { HOST } from './distributed-ways.ts';
import { HEDDLE } from './local-ways.ts';

const FUTURES = 100_000;
const JOBS = Number(process.env.HEDDLE_BENCH_JOBS ?? 50_000);
/** Jobs submitted at a time. */
const BATCH = 5_000;

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;

export async function memory(): Promise<void> {
  await using server = await startRedis({ sources: ['process'] });
  const local = Contender.node(HEDDLE);
  const submitter = Contender.node(HOST);
  try {
    await local.ask({ what: 'open', threads: 2 });
    await submitter.ask({ what: 'open', threads: 2, url: server.url });
    const rows = [
      [
        `a queued Future of ${FUTURES}, one host, bytes`,
        (await local.ask({ what: 'futures', count: FUTURES })).toFixed(0),
      ],
      [
        `the same, of a distributed executor`,
        (await submitter.ask({ what: 'futures', count: FUTURES })).toFixed(0),
      ],
    ];
    for (let done = 0; done < JOBS; done += BATCH) {
      await submitter.ask({ what: 'rate', count: BATCH });
      const part = (done + BATCH) / JOBS;
      if (part !== 0.2 && part !== 0.6 && part < 1) continue;
      const [heap, whole] = [
        await submitter.ask({ what: 'hostHeap' }),
        await submitter.ask({ what: 'hostMemory' }),
      ];
      rows.push([
        `a host after ${done + BATCH} jobs: heap of its main thread, whole process`,
        `${megabytes(heap)}, ${megabytes(whole)}`,
      ]);
    }
    printTable('Memory', ['', ''], rows);
  } finally {
    await Promise.all([local.close(), submitter.close()]);
  }
}
