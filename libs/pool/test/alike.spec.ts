/** What both executors do alike: each of these is run against either. */
import { getEventListeners } from 'node:events';
import { type Executor, ThreadPoolExecutor } from '@heddle/pool';
import { CancelledError, InvalidStateError } from '@heddle/primitives';
import { afterEach, describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(TASKS);
const pools: ThreadPoolExecutor<typeof tasks>[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.shutdown({ cancelFutures: true })));
});

/** Its threads run already. */
const scopes: Record<string, () => Promise<Executor<typeof tasks>>> = {
  ThreadPoolExecutor: async () => {
    const pool = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 2, gracePeriod: 100 });
    pools.push(pool);
    await pool.submit('noop');
    return pool;
  },
  DistributedExecutor: async () => {
    await bench.host();
    return bench.executor();
  },
};

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** Gives these, and nothing more for ever. */
async function* idle(...inputs: number[]): AsyncGenerator<number> {
  yield* inputs;
  await new Promise(() => {});
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

describe.each(Object.keys(scopes))('map of a %s', (scope) => {
  const make = scopes[scope] as () => Promise<Executor<typeof tasks>>;

  it.each([{}, { buffersize: 1 }, { ordered: false }])(
    'can be left while its input has nothing to give: %j',
    async (options) => {
      const pool = await make();
      for await (const result of pool.map('square', idle(3), options)) {
        expect(result).toBe(9);
        break;
      }
      const left = pool.map('square', idle(3), options);
      await expect(left.throw?.(new Error('enough'))).rejects.toThrow('enough');
      const stream = new ReadableStream<number>({ start: (at) => at.enqueue(3) });
      for await (const result of pool.map('square', stream, options)) {
        expect(result).toBe(9);
        break;
      }
    },
  );

  it('waits for an input that is closed while nobody reads it, and tells what comes of that', async () => {
    const pool = await make();
    const inputs = {
      next: async () => ({ done: false, value: 3 }) as const,
      return: () => Promise.reject(new Error('not closed')),
      [Symbol.asyncIterator]: () => inputs,
    };
    const results = pool.map('square', inputs, { buffersize: 1 });
    await results.next();
    await turn();
    await expect(results.return?.()).rejects.toThrow('not closed');
  });

  it('ends with its signal while its input has nothing to give, after the results before', async () => {
    const pool = await make();
    const stop = new AbortController();
    const results = pool.with({ signal: stop.signal }).map('square', idle(3));
    expect((await results.next()).value).toBe(9);
    const end = results.next();
    stop.abort('why');
    await expect(end).rejects.toMatchObject({ name: 'CancelledError', cause: 'why' });
    expect((await results.next()).done).toBe(true);
    await until(() => expect(listeners(stop.signal)).toBe(0));
  });

  it('rejects where its signal has aborted before, also without inputs', async () => {
    const pool = (await make()).with({ signal: AbortSignal.abort('before') });
    for (const inputs of [[], [1], idle(), idle(1)]) {
      const error = await all(pool.map('square', inputs)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CancelledError);
      expect(error).toMatchObject({ cause: 'before' });
    }
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    const pool = (await make()).with({ signal });
    await all(pool.map('square', [1, 2, 3], { buffersize: 2 }));
    await pool.map('square', idle(1)).return?.();
    await expect(all(pool.map('fail', idle(1) as never))).rejects.toThrow();
    await until(() => expect(listeners(signal)).toBe(0));
  });

  it('ends with shutdown while its input has nothing to give, after the results before', async () => {
    const pool = await make();
    const results = pool.with({}).map('nap', idle(20));
    await turn();
    await pool.shutdown();
    expect((await results.next()).done).toBe(false);
    await expect(results.next()).rejects.toThrow(InvalidStateError);
  });

  it.each([true, false])(
    'runs a chunk again as a whole, and gives what came before the error of its last attempt (ordered: %s)',
    async (ordered) => {
      const pool = (await make()).with({ retries: 1 });
      const options = { chunksize: 3, ordered };
      expect(await all(pool.map('fromAttempt', [1, 2, 1, 2], options))).toEqual([1, 2, 1, 2]);
      const results = pool.map('fromAttempt', [1, 2, 3], options);
      expect([await results.next(), await results.next()].map(({ value }) => value)).toEqual([1, 2]);
      await expect(results.next()).rejects.toThrow('attempt 2 of 3');
    },
  );
});
