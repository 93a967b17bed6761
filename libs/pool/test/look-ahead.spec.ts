/** How far ahead `map` reads an async input. */
import { hostname } from 'node:os';
import { expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

/** Inputs without end, and how many have been read. */
function endless(): { inputs: AsyncGenerator<number>; read(): number } {
  let read = 0;
  async function* count(): AsyncGenerator<number> {
    for (;;) {
      read += 1;
      yield read;
    }
  }
  return { inputs: count(), read: () => read };
}

/** A host that has announced itself, and takes no job. */
async function announce(id: string, queue: string, threads: number, concurrency?: number): Promise<void> {
  const key = (part: string) => `{${bench.namespace}:fleet}:${part}`;
  const status = {
    id,
    host: hostname(),
    queue,
    queues: [queue],
    threads,
    concurrency,
    tasks: [],
    version: '',
  };
  await bench.plain.set(key(`host:${id}`), JSON.stringify(status), 'PX', 60_000);
  await bench.plain.sadd(key('hosts'), id);
}

/** Inputs that are read and whose results are not taken, once that is as many as `most` and stays so. */
async function ahead(options: { parallelism?: number }, most: number): Promise<void> {
  const { inputs, read } = endless();
  const run = bench.executor(options).map('square', inputs);
  let taken = 0;
  await until(async () => {
    await run.next();
    taken += 1;
    expect(read() - taken).toBe(most);
  });
  await run.return?.();
}

it('is by what the hosts of the queue announce to run at once, or by what it was told', async () => {
  await bench.host({ threads: 1 });
  await ahead({}, 2 * 16);
  await announce('large', 'work', 40);
  await announce('elsewhere', 'other', 100);
  await ahead({}, 2 * 41);
  await announce('waiting', 'work', 3, 20);
  await ahead({}, 2 * 101);
  await ahead({ parallelism: 3 }, 2 * 3);
});
