/** A holder is killed: how long after the end of its ttl the next has the lock. */
import { Redis } from 'ioredis';
import { Forked, withProcesses } from './processes.ts';
import { percentile, printTable } from './statistics.ts';

const TTL = 500;
const TIMES = 10;

async function recovery(
  redis: Redis,
  url: string,
  waiters: Forked,
  sessions: number,
  tasks: number,
): Promise<number> {
  const name = `crash ${sessions} ${tasks} ${performance.now()}`;
  const holder = new Forked();
  const id = await holder.do('hold', url, name, TTL);
  const granted = waiters.do('waitFor', url, name, sessions, tasks);
  while ((await redis.zcard(`{heddle:0}:lock:${name}:queue`)) < sessions);
  await holder.kill();
  const end = Number(await redis.zscore('{heddle:0}:sessions', `${id}-1`));
  return (await granted) - end;
}

export async function crash(url: string): Promise<void> {
  const redis = new Redis(url);
  const rows: string[][] = [];
  for (const [sessions, tasks] of [
    [1, 1],
    [10, 100],
  ] as const) {
    await withProcesses(1, async ([waiters]) => {
      const times: number[] = [];
      for (let n = 0; n <= TIMES; n += 1) {
        const time = await recovery(redis, url, waiters as Forked, sessions, tasks);
        if (n > 0) times.push(time);
      }
      rows.push([
        `${sessions * tasks} waiting`,
        percentile(times, 0.5).toFixed(1),
        Math.max(...times).toFixed(1),
      ]);
    });
  }
  await redis.quit();
  printTable(`From the end of a dead holder's ttl to the next grant`, ['', 'p50 ms', 'longest ms'], rows);
}
