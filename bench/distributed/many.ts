/** Ten thousand waiters beside ten, what a waiter and a lock take of memory, and what holding many costs. */
import { Redis } from 'ioredis';
import { withProcesses } from './processes.ts';
import { printRace, races } from './race.ts';
import { printTable } from './statistics.ts';
import { HEDDLE } from './ways-heddle.ts';

const LOCKS = 20_000;
const TTL = 3_000;

export async function manyWaiters(url: string): Promise<void> {
  for (const [count, parties, tasks] of [
    [2, 5, 1],
    [4, 25, 100],
  ] as const) {
    await withProcesses(count, async (processes) => {
      const results = await races(url, [HEDDLE], processes, { parties, tasks, ms: 1000 }, 3);
      printRace(
        `One lock, ${count * parties * tasks} waiters from ${count * parties} sessions`,
        results,
        'acquires',
      );
    });
  }
}

export async function memory(url: string): Promise<void> {
  await withProcesses(1, async ([process]) => {
    const rows: string[][] = [];
    for (const count of [1_000, 10_000]) {
      const bytes = await process?.do('heapPerWaiter', url, count);
      rows.push([`heap of one of ${count} waiters, bytes`, bytes?.toFixed(0) ?? '']);
    }
    const redis = new Redis(url);
    const number = async (section: string, pattern: RegExp) =>
      Number(pattern.exec(await redis.info(section))?.[1] ?? 0);
    const used = () => number('memory', /used_memory:(\d+)/);
    const scripts = () => number('commandstats', /cmdstat_evalsha:calls=(\d+)/);
    const before = await used();
    await process?.do('holdMany', url, LOCKS, TTL);
    rows.push([
      `Redis, for each of ${LOCKS} held locks, bytes`,
      (((await used()) - before) / LOCKS).toFixed(0),
    ]);
    const sent = await scripts();
    await new Promise((resolve) => setTimeout(resolve, TTL));
    rows.push([`commands in the time of three ticks, holding them`, String((await scripts()) - sent)]);
    await redis.quit();
    printTable('Memory', ['', ''], rows);
  });
}
