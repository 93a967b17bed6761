/** Jobs through Redis, results back: a submitter's process and a host's for each way, one after the other. */
import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { printTable } from '../distributed/statistics.ts';
import { Contender, inTurn } from './contenders.ts';
import { CHUNK, distributedWays } from './distributed-ways.ts';

const THREADS = 2;
const ROUNDS = 5;
const JOBS = 3_000;
const INPUTS = 50_000;
const LATENCIES = 100;
/** Jobs that compute in a round, and their steps: some 20 ms each. */
const BURNS = 40;
const STEPS = 10_000_000;

/** The commands that Redis has run, also those of scripts. */
async function commandsRun(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats');
  return [...stats.matchAll(/calls=(\d+)/g)].reduce((all, [, calls]) => all + Number(calls), 0);
}

export async function distributed(): Promise<void> {
  await using server = await startRedis({ sources: ['process'] });
  const redis = new Redis(server.url);
  const contenders = Object.keys(distributedWays).map(Contender.node);
  try {
    for (const contender of contenders)
      await contender.ask({ what: 'open', threads: THREADS, url: server.url });
    const rates = await inTurn(contenders, ROUNDS, { what: 'rate', count: JOBS });
    const chunked = await inTurn(contenders, ROUNDS, { what: 'chunked', count: INPUTS });
    const latencies = await inTurn(contenders, ROUNDS, { what: 'latency', count: LATENCIES });
    const burns = await inTurn(contenders, 3, { what: 'burn', count: BURNS, steps: STEPS });
    const rows: string[][] = [];
    for (const contender of contenders) {
      const before = await commandsRun(redis);
      await contender.ask({ what: 'rate', count: JOBS });
      const commands = (await commandsRun(redis)) - before;
      const of = (seconds: Map<string, number>) => seconds.get(contender.name) ?? Number.NaN;
      const inputs = INPUTS / of(chunked);
      rows.push([
        contender.name,
        (JOBS / of(rates)).toFixed(0),
        Number.isNaN(inputs) ? '' : inputs.toFixed(0),
        (of(latencies) * 1000).toFixed(2),
        (BURNS / of(burns)).toFixed(1),
        (commands / JOBS).toFixed(1),
      ]);
    }
    printTable(
      `Jobs through Redis, ${THREADS} threads: no-op, by ones and in chunks of ${CHUNK}; one at a time; of some 20 ms`,
      ['', 'jobs/s', 'inputs/s in chunks', 'latency ms', 'computing, jobs/s', 'commands a job'],
      rows,
    );
  } finally {
    await Promise.all(contenders.map((each) => each.close()));
    redis.disconnect();
  }
}
