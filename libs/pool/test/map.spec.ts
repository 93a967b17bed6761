import { BrokenExecutorError, ThreadPoolExecutor } from '@heddle/pool';
import { TimeoutError } from '@heddle/primitives';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestId } from './context.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./tasks.ts', import.meta.url);

let pool: ThreadPoolExecutor<typeof tasks>;
beforeAll(() => {
  pool = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 2 });
});
afterAll(() => pool.shutdown({ cancelFutures: true }));

function* upTo(end: number, seen: number[] = []): Generator<number> {
  for (let n = 0; n < end; n += 1) {
    seen.push(n);
    yield n;
  }
}

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}

const squares = (count: number) => Array.from({ length: count }, (_, n) => n * n);

describe('map', () => {
  it.each([
    { chunksize: 1 },
    { chunksize: 7 },
    { chunksize: 1000 },
    { chunksize: 3, buffersize: 10 },
    { buffersize: 1 },
    { chunksize: 10, buffersize: 2 },
  ])('gives the results in the order of the inputs: %j', async (options) => {
    expect(await all(pool.map('square', upTo(100), options))).toEqual(squares(100));
    expect(await all(pool.map('square', [], options))).toEqual([]);
  });

  it('or each as it comes', async () => {
    const results = await all(pool.map('square', upTo(200), { ordered: false, chunksize: 3 }));
    expect(results.sort((a, b) => a - b)).toEqual(squares(200));
  });

  it('reads a plain iterable at once, with buffersize only so far ahead', async () => {
    const seen: number[] = [];
    const eager = pool.map('square', upTo(50, seen));
    expect(seen.length).toBe(50);
    await all(eager);
    const lazily: number[] = [];
    const lazy = pool.map('square', upTo(Number.POSITIVE_INFINITY, lazily), { buffersize: 6, chunksize: 2 });
    expect(lazily.length).toBe(6);
    for (let n = 0; n < 20; n += 1) expect(await lazy.next()).toEqual({ done: false, value: n * n });
    expect(lazily.length).toBeLessThanOrEqual(26);
    await lazy.return?.();
    expect(await lazy.next()).toEqual({ done: true, value: undefined });
  });

  it.each([
    { chunksize: 5, buffersize: 3 },
    { chunksize: 3, buffersize: 8 },
    { chunksize: 4, buffersize: 1 },
  ])('reads no further ahead than buffersize, in smaller chunks where need be: %j', async (options) => {
    const read: number[] = [];
    const results = pool.map('square', upTo(20, read), options);
    for (let taken = 0; taken < 20; taken += 1) {
      expect(read.length - taken).toBeLessThanOrEqual(options.buffersize);
      expect((await results.next()).value).toBe(taken * taken);
    }
    expect((await results.next()).done).toBe(true);
  });

  it('reads an async input no further ahead than the workers can use', async () => {
    let read = 0;
    async function* inputs() {
      for (;;) yield read++;
    }
    const results = pool.map('square', inputs(), { chunksize: 3 });
    for (let n = 0; n < 30; n += 1) expect((await results.next()).value).toBe(n * n);
    expect(read).toBeLessThanOrEqual(30 + 2 * 2 * 3 + 3);
    await results.return?.();
  });

  it.each([1, 4])(
    'ends with the first error, after the results before it (chunks of %i)',
    async (chunksize) => {
      const results = pool.map('oddSquare', [1, 3, 5, 6, 7], { chunksize });
      const got: number[] = [];
      await expect(
        (async () => {
          for await (const result of results) got.push(result);
        })(),
      ).rejects.toThrow('even: 6');
      expect(got).toEqual([1, 9, 25]);
      expect(await results.next()).toEqual({ done: true, value: undefined });
    },
  );

  it('tells what goes wrong with the inputs after the results of those before', async () => {
    async function* inputs() {
      yield 2;
      throw new Error('no more');
    }
    const results = pool.map('square', inputs());
    expect((await results.next()).value).toBe(4);
    await expect(results.next()).rejects.toThrow('no more');
    async function* cut() {
      yield* [1, 2, 3, 4];
      throw new Error('in the middle of a chunk');
    }
    const chunks = pool.map('square', cut(), { chunksize: 3 });
    for (const square of [1, 4, 9, 16]) expect((await chunks.next()).value).toBe(square);
    await expect(chunks.next()).rejects.toThrow('in the middle');
    function* bad() {
      yield 1;
      throw new Error('at once');
    }
    expect(() => pool.map('square', bad())).toThrow('at once');
    expect(() => pool.map('echo', [() => 1])).toThrow(/args\[0\]/);
  });

  it.each([
    ['a task fails', 'oddSquare', {}, 'even: 2'],
    ['its time is over', 'nap', { timeout: 1 }, 'within 1 ms'],
    ['an input cannot travel', 'echo', {}, 'args[0]'],
  ] as const)(
    'tells whoever gives the inputs that no more are wanted, where %s',
    async (_, task, options, why) => {
      const closed: string[] = [];
      function* inputs() {
        try {
          yield 1;
          yield task === 'echo' ? () => 1 : 2;
          for (let n = 1000; ; n += 1) yield n;
        } finally {
          closed.push(requestId.get() ?? '');
        }
      }
      async function* later() {
        yield* inputs();
      }
      for (const given of [inputs(), later()]) {
        const map = () => all(pool.map(task, given as Iterable<never>, { ...options, buffersize: 1 }));
        await expect(requestId.run('mine', map)).rejects.toThrow(why);
      }
      await until(() => expect(closed).toEqual(['mine', 'mine']));
    },
  );

  it('can be passed on by a generator that is thrown into', async () => {
    let closed = false;
    async function* inputs() {
      try {
        for (let n = 0; ; n += 1) yield n;
      } finally {
        closed = true;
      }
    }
    async function* passOn() {
      yield* pool.map('square', inputs());
    }
    const results = passOn();
    await results.next();
    await expect(results.throw(new Error('thrown in'))).rejects.toThrow('thrown in');
    expect(closed).toBe(true);
  });

  it.each([true, false])(
    'gives a result for each input, also where dedupe makes one task of them: %s',
    async (ordered) => {
      await using alone = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 1 });
      const one = alone.with({ dedupe: 'one' });
      expect(await all(one.map('square', [3, 4, 5], { ordered }))).toEqual([9, 9, 9]);
    },
  );

  it('keeps chunks apart from single tasks of the same key, and from chunks of another length', async () => {
    await using alone = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 1 });
    const running = alone.submit('nap', 50); // until then none of them is done
    const one = alone.with({ dedupe: 'one' });
    const single = one.submit('square', 2);
    const chunks = all(one.map('square', [3, 4, 5], { chunksize: 2 }));
    const joined = one.submit('square', 6);
    expect([await single, await joined]).toEqual([4, 4]);
    expect(await chunks).toEqual([9, 16, 25]);
    await running;
  });

  it('leaves a task that may be somebody else’s too, by its key, when it is left', async () => {
    await using alone = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 1 });
    const running = alone.submit('nap', 50);
    const one = alone.with({ dedupe: 'one' });
    const shared = one.submit('square', 3);
    const results = one.map('square', [3]);
    await results.return?.();
    expect(await shared).toBe(9);
    await running;
  });

  it('gives what was there in time to who asks for it late, and waits for nothing more then', async () => {
    const results = pool.map('nap', [1, 2, 2500], { timeout: 300 });
    const begun = performance.now();
    await until(() => expect(performance.now() - begun).toBeGreaterThan(400));
    expect([(await results.next()).done, (await results.next()).done]).toEqual([false, false]);
    await expect(results.next()).rejects.toThrow(TimeoutError);
    expect((await results.next()).done).toBe(true);
  });

  it('ends when the pool is broken, while its input has nothing to give', async () => {
    await using broken = new ThreadPoolExecutor<typeof tasks>(TASKS, { initializer: 'failingInit' });
    async function* idle(): AsyncGenerator<number> {
      await new Promise(() => {});
    }
    const end = expect(broken.map('square', idle()).next()).rejects.toThrow(BrokenExecutorError);
    expect(await broken.submit('noop').exception()).toBeInstanceOf(BrokenExecutorError);
    await end;
    await expect(broken.map('square', idle()).next()).rejects.toThrow(BrokenExecutorError);
  });

  it('is over after its time', async () => {
    const results = pool.map('nap', [1, 2500], { timeout: 1000 });
    expect((await results.next()).done).toBe(false);
    await expect(results.next()).rejects.toThrow(TimeoutError);
  }, 10_000);

  it.each([
    ['a plain input', false],
    ['an async input', true],
  ])('reads %s, and submits it, in the context of its caller, however late', async (_, late) => {
    await using alone = new ThreadPoolExecutor<typeof tasks>(TASKS, { maxWorkers: 1 });
    await requestId.run('another', () => alone.submit('noop')); // its thread is started there
    const read: unknown[] = [];
    function* plain() {
      for (let n = 0; n < 4; n += 1) {
        read.push(requestId.get());
        yield undefined;
      }
    }
    async function* slow() {
      yield* plain();
    }
    const map = () => alone.map('context', late ? slow() : plain(), { buffersize: 1 });
    const mine = { requestId: 'mine', secret: undefined };
    expect(await all(requestId.run('mine', map))).toEqual([mine, mine, mine, mine]);
    expect(read).toEqual(['mine', 'mine', 'mine', 'mine']);
  });
});
