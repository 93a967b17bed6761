/** Jobs through Redis, results back: a submitter's process and a host's for each way, one after the other. */
import { startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { printTable } from '../distributed/statistics.ts';
import { Contender, inTurn } from './contenders.ts';
import { CHUNK, distributedWays } from './distributed-ways.ts';
import { BARE } from './local-ways.ts';

const THREADS = 2;
const ROUNDS = 5;
const JOBS = 2_000;
const INPUTS = 50_000;
const LATENCIES = 100;
/** Jobs that compute in a round, and their steps: some 20 ms each. */
const BURNS = 200;
const STEPS = 11_500_000;

/** The commands that Redis has run, also those of scripts. */
async function commandsRun(redis: Redis): Promise<number> {
  const stats = await redis.info('commandstats');
  return [...stats.matchAll(/calls=(\d+)/g)].reduce((all, [, calls]) => all + Number(calls), 0);
}

/** Seconds of processor time: of submitter, host and Redis. */
async function processorTime(redis: Redis, contender: Contender): Promise<number> {
  const used = [...(await redis.info('cpu')).matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)];
  const server = used.reduce((sum, [, seconds]) => sum + Number(seconds), 0);
  return server + (await contender.ask({ what: 'processor' }));
}

/** How often a job was given to a host because another gave no sign of life. */
async function stalled(redis: Redis): Promise<number> {
  let count = 0;
  for (const key of await redis.keys('*:events')) {
    const events = await redis.xrange(key, '-', '+');
    count += events.filter(([, fields]) => fields[fields.indexOf('event') + 1] === 'stalled').length;
  }
  return count;
}

export async function distributed(): Promise<void> {
  await using server = await startRedis({ sources: ['process'] });
  const redis = new Redis(server.url);
  const contenders = Object.keys(distributedWays).map(Contender.node);
  const computers: Contender[] = [];
  try {
    for (const contender of contenders)
      await contender.ask({ what: 'open', threads: THREADS, url: server.url });
    // What the cores can do at all, while it is measured what they do.
    const bare = Contender.node(BARE);
    computers.push(bare, ...contenders);
    await bare.ask({ what: 'open', threads: THREADS });
    const rates = await inTurn(contenders, ROUNDS, { what: 'rate', count: JOBS });
    const chunked = await inTurn(contenders, ROUNDS, { what: 'chunked', count: INPUTS }, 1);
    const latencies = await inTurn(contenders, ROUNDS, { what: 'latency', count: LATENCIES }, 3);
    const burns = await inTurn(computers, 3, { what: 'burn', count: BURNS, steps: STEPS }, 1);
    const limit = BURNS / (burns.get(BARE) ?? Number.NaN);
    const rows: string[][] = [];
    for (const contender of contenders) {
      const before = [await commandsRun(redis), await processorTime(redis, contender)] as const;
      await contender.ask({ what: 'rate', count: JOBS });
      const commands = (await commandsRun(redis)) - before[0];
      const processor = (await processorTime(redis, contender)) - before[1];
      const of = (seconds: Map<string, number>) => seconds.get(contender.name) ?? Number.NaN;
      const inputs = INPUTS / of(chunked);
      rows.push([
        contender.name,
        (JOBS / of(rates)).toFixed(0),
        Number.isNaN(inputs) ? '' : inputs.toFixed(0),
        (of(latencies) * 1000).toFixed(2),
        (BURNS / of(burns)).toFixed(1),
        (BURNS / of(burns) / limit).toFixed(2),
        (commands / JOBS).toFixed(1),
        ((1e6 * processor) / JOBS).toFixed(0),
      ]);
    }
    printTable(
      `Jobs through Redis, ${THREADS} threads: no-op, by ones and in chunks of ${CHUNK}; one at a time; of some 20 ms`,
      [
        '',
        'jobs/s',
        'inputs/s in chunks',
        'latency ms',
        'computing, jobs/s',
        '× bare',
        'commands a job',
        'µs of processors a job',
      ],
      rows,
    );
    console.log(`  jobs stalled, of all ways: ${await stalled(redis)}`);
  } finally {
    await Promise.all([...new Set([...contenders, ...computers])].map((each) => each.close()));
    redis.disconnect();
  }
}
