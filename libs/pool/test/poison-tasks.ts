/** Tasks for `poison.spec.ts`. */
import process from 'node:process';
import { Redis } from 'ioredis';

/** Counts, then ends the process that runs it. */
export async function endHost([url, key]: [string, string]): Promise<never> {
  const redis = new Redis(url);
  await redis.incr(key);
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}
export const echo = (value: number): number => value;
