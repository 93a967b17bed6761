/** Pools of threads for a spec file, ended with the test that made them, and words of memory that its tasks wait at. */
import { type Executor, ThreadPoolExecutor, type ThreadPoolOptions } from '@heddle/pool';
import { afterEach, expect } from 'vitest';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);

export type MakePool = (options?: ThreadPoolOptions) => ThreadPoolExecutor<typeof tasks>;

export function poolBench(): MakePool {
  const open: Executor<typeof tasks>[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((executor) => executor.shutdown({ cancelFutures: true })));
  });
  return (options = {}) => {
    const made = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 2, gracePeriod: 100, ...options });
    open.push(made);
    return made;
  };
}

export function words(count = 8): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * 4));
}

/** Resolves when a thread has set the word. */
export async function marked(memory: Int32Array, at: number, value = 1): Promise<void> {
  await until(() => expect(Atomics.load(memory, at)).toBe(value));
}

export function openGate(memory: Int32Array, at: number): void {
  Atomics.store(memory, at, 1);
  Atomics.notify(memory, at);
}
