/** What both executors do alike: each of these is run against either. */
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { asCompleted, type Executor, ThreadPoolExecutor, wait } from '@heddle/pool';
import { CancelledError, InvalidStateError } from '@heddle/primitives';
import { afterEach, describe, expect, it, vi } from 'vitest';
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

function* upwards(): Generator<number> {
  for (let n = 0; ; n += 1) yield n;
}

async function* upwardsLater(): AsyncGenerator<number> {
  yield* upwards();
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

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

  it.each([
    ['a plain input', upwards],
    ['an async input', upwardsLater],
  ])('is nobody’s when it is dropped while nothing is read, of %s', async (_, inputs) => {
    const pool = await make();
    const { signal } = new AbortController();
    const dropped: WeakRef<object>[] = [];
    const drop = async () => {
      const results = pool.with({ signal }).map('square', inputs(), { buffersize: 1 });
      expect((await results.next()).value).toBe(0);
      dropped.push(new WeakRef(results));
    };
    for (let n = 0; n < 20; n += 1) await drop();
    await until(() => {
      collectGarbage();
      expect(dropped.filter((map) => map.deref() !== undefined)).toHaveLength(0);
    });
    expect(listeners(signal)).toBe(0);
  });

  it('closes a plain input that aborts the signal itself', async () => {
    const stop = new AbortController();
    const pool = (await make()).with({ signal: stop.signal });
    let closed = false;
    function* inputs() {
      try {
        yield* [1, 2];
        stop.abort('why');
        yield 3;
      } finally {
        closed = true;
      }
    }
    const results = pool.map('square', inputs(), { buffersize: 1 });
    expect([(await results.next()).value, (await results.next()).value]).toEqual([1, 4]);
    await expect(results.next()).rejects.toMatchObject({ name: 'CancelledError', cause: 'why' });
    expect(closed).toBe(true);
  });

  it.each([
    ['its signal aborts', (_: unknown, stop: AbortController) => stop.abort('why'), 'CancelledError'],
    ['shutdown', (pool: Executor<typeof tasks>) => pool.shutdown(), 'InvalidStateError'],
  ])('reads no more after %s, which came while there was no room', async (_, end, name) => {
    const pool = await make();
    const stop = new AbortController();
    const read: number[] = [];
    async function* inputs() {
      for (const n of upwards()) {
        read.push(n);
        yield n;
      }
    }
    const results = pool.with({ signal: stop.signal }).map('square', inputs(), { buffersize: 2 });
    await results.next();
    await until(() => expect(read).toEqual([0, 1, 2]));
    await end(pool, stop);
    await expect(all(results)).rejects.toMatchObject({ name });
    expect(read).toEqual([0, 1, 2]);
  });

  it('does not submit an input that comes after it was left', async () => {
    const pool = await make();
    const late = Promise.withResolvers<object>();
    const inputs = {
      next: async () => ({ done: false, value: await late.promise }) as const,
      [Symbol.asyncIterator]: () => inputs,
    };
    const results = pool.map('echo', inputs);
    await results.return?.();
    const copied = vi.fn(() => 1);
    late.resolve({
      get it() {
        return copied();
      },
    });
    await turn();
    expect(copied).not.toHaveBeenCalled();
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

  it('gives the results of a chunk that shutdown finds half read', async () => {
    const pool = await make();
    const results = pool.map('square', idle(2, 3), { chunksize: 3 });
    await turn();
    await pool.shutdown();
    expect([(await results.next()).value, (await results.next()).value]).toEqual([4, 9]);
    await expect(results.next()).rejects.toThrow(InvalidStateError);
  });

  it('tells, where shutdown finds a chunk half read, that an input of it cannot travel', async () => {
    const pool = await make();
    async function* inputs() {
      yield () => 1;
      yield* idle();
    }
    const results = pool.map('echo', inputs(), { chunksize: 3 });
    await turn();
    await pool.shutdown();
    await expect(results.next()).rejects.toThrow(/args\[0\]/);
  });

  it.each([true, false])(
    'runs a chunk again as a whole, and gives what came before the error of its last attempt (ordered: %s)',
    async (ordered) => {
      const pool = (await make()).with({ retries: 1 });
      const options = { chunksize: 3, ordered };
      const results = await all(pool.map('fromAttempt', [1, 2, 1, 2], options));
      // The second chunk may be done before the first.
      expect(ordered ? results : results.sort()).toEqual(ordered ? [1, 2, 1, 2] : [1, 1, 2, 2]);
      const rest = pool.map('fromAttempt', [1, 2, 3], options);
      expect([await rest.next(), await rest.next()].map(({ value }) => value)).toEqual([1, 2]);
      await expect(rest.next()).rejects.toThrow('attempt 2 of 3');
    },
  );
});

describe.each(Object.keys(scopes))('a %s', (scope) => {
  const make = scopes[scope] as () => Promise<Executor<typeof tasks>>;

  it('takes an option that is undefined for one that is left out', async () => {
    const pool = (await make()).with({ retries: 1 }).with({ retries: undefined, timeout: undefined });
    expect(await pool.submit('fromAttempt', 2)).toBe(2);
  });

  it.each([null, 0, '', false])('gives the reason of an abort as the cause, also %j', async (reason) => {
    const future = (await make()).with({ delay: 60_000 }).submit('noop');
    await future.abort(reason);
    await expect(future).rejects.toHaveProperty('cause', reason);
  });

  it('ends at once what has no time to live', async () => {
    const pool = (await make()).with({ ttl: 0 });
    expect(await pool.submit('noop').exception()).toMatchObject({ name: 'TimeoutError' });
    await expect(all(pool.map('square', [1]))).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('ends who joined the task of a key by limits of its own, and the task goes on', async () => {
    const pool = (await make()).with({ dedupe: 'one' });
    const first = pool.submit('nap', 600);
    const { signal } = new AbortController();
    const stop = new AbortController();
    const joined = pool.with({ signal, ttl: 60_000 }).submit('nap', 1);
    const stopped = pool.with({ signal: stop.signal }).submit('nap', 1);
    const aborted = pool.with({ signal: AbortSignal.abort('before') }).submit('nap', 1);
    const dead = pool.with({ ttl: 0 }).submit('nap', 1);
    const late = pool.with({ ttl: 50 }).submit('nap', 1);
    stop.abort('why');
    await expect(stopped).rejects.toMatchObject({ name: 'CancelledError', cause: 'why' });
    await expect(aborted).rejects.toMatchObject({ name: 'CancelledError', cause: 'before' });
    await expect(dead).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(late).rejects.toMatchObject({ name: 'TimeoutError' });
    expect([first.done(), joined.done()]).toEqual([false, false]);
    expect(await joined).toBe(await first);
    expect(joined.id).toBe(first.id);
    expect(listeners(signal)).toBe(0);
  });

  it('has one listener on a signal with all else that it is given to, none once that is done', async () => {
    const { signal } = new AbortController();
    const pool = await make();
    const heeding = pool.with({ signal });
    const futures = [1, 2, 3].map((ms) => heeding.submit('nap', ms));
    const maps = [1, 2].map((n) => heeding.map('square', idle(n), { buffersize: 1 }));
    const schedules = await Promise.all(
      [1, 2].map(() => heeding.schedule('noop', [], { every: 60_000, delay: 60_000 })),
    );
    const held = pool.submit('nap', 20);
    const waits = [1, 2].flatMap(() => [
      held.result({ signal }),
      wait([held], { signal }),
      all(asCompleted([held], { signal })),
    ]);
    expect(listeners(signal)).toBe(1);
    await Promise.all([...futures, ...waits]);
    for (const map of maps) await map.return?.();
    for (const schedule of schedules) await schedule.cancel();
    await until(() => expect(listeners(signal)).toBe(0));
  });

  it('aborts the task of a key by any of its Futures, for all of them', async () => {
    const pool = (await make()).with({ dedupe: 'one' });
    const first = pool.submit('untilAborted');
    const joined = pool.with({ ttl: 60_000 }).submit('untilAborted');
    await joined.accepted;
    expect(await joined.abort('enough')).toBe(true);
    await expect(first).rejects.toMatchObject({ name: 'CancelledError' });
  });

  it('refuses options that there are not', async () => {
    const pool = await make();
    const future = pool.submit('noop');
    const wrong = { timout: 1 } as never;
    const two = [1, 2] as never;
    await expect(async () => pool.map('square', [1], wrong)).rejects.toThrow(/map: .*"timout".*chunksize/);
    await expect(async () => pool.map('square', [1], two)).rejects.toThrow(TypeError);
    await expect(pool.schedule('noop', [], wrong)).rejects.toThrow(TypeError);
    await expect(pool.shutdown(wrong)).rejects.toThrow(TypeError);
    await expect(future.result(wrong)).rejects.toThrow(TypeError);
    await expect(future.exception(wrong)).rejects.toThrow(TypeError);
    await expect(wait([future], wrong)).rejects.toThrow(TypeError);
    expect(() => asCompleted([future], wrong)).toThrow(TypeError);
    await future;
  });

  it('has a map left at the end of the block that uses it', async () => {
    const pool = await make();
    const returned = vi.fn(async () => ({ done: true, value: undefined }) as const);
    const inputs = {
      next: async () => ({ done: false, value: 3 }) as const,
      return: returned,
      [Symbol.asyncIterator]: () => inputs,
    };
    {
      await using results = pool.map('square', inputs, { buffersize: 1 });
      expect((await results.next()).value).toBe(9);
    }
    expect(returned).toHaveBeenCalledOnce();
  });
});

it('a DistributedExecutor with other options finds jobs and schedules too', async () => {
  await bench.host();
  const pool = bench.executor().with({ priority: 1 }).with({ retries: 1 });
  const future = pool.submit('square', 3);
  await future.accepted;
  expect(await pool.future(future.id)).toBe(9);
  const { id } = await pool.schedule('noop', [], { delay: 60_000 });
  expect(await pool.scheduled(id).cancel()).toBe(true);
});

it('a map of a DistributedExecutor ends with its session while its input has nothing to give', async () => {
  const session = await bench.anotherSession();
  const results = bench.executor({ session }).map('square', idle());
  const end = expect(results.next()).rejects.toMatchObject({ name: 'SessionClosedError' });
  await turn();
  await session.close();
  await end;
});
