/** Tasks that submit tasks. */
import { ThreadPoolExecutor } from '@heddle/pool';

/** What a task that this one submits, in a pool of this thread's own, has left. */
export async function remainingInside(ttl?: number): Promise<number> {
  const module = new URL('./tasks.ts', import.meta.url);
  await using inner = new ThreadPoolExecutor<typeof import('./tasks.ts')>(module, { maxWorkers: 1 });
  return inner.with({ ttl }).submit('remaining');
}
