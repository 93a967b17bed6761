/**
 * What queues do in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives an empty queue of
 * that kind, `another` a second handle to it, in the distributed scope of another session.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import {
  NotCloneableError,
  OverReleaseError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
} from '../errors.ts';
import { stillPending } from '../testing/waiting.ts';
import type { AnyQueue, AnySimpleQueue } from './queue.ts';

export type QueueKind = 'Queue' | 'LifoQueue' | 'PriorityQueue';

export interface QueueScope {
  make(kind: QueueKind, maxsize?: number): Promise<AnyQueue>;
  makeSimple(): Promise<AnySimpleQueue>;
  /** The same queue by another handle. */
  another<Q extends AnySimpleQueue>(queue: Q): Promise<Q>;
}

const EMPTY = { timeout: 0 };

async function drain(queue: AnySimpleQueue): Promise<unknown[]> {
  const items: unknown[] = [];
  while (!(await queue.empty())) items.push(await queue.get(EMPTY));
  return items;
}

export function queueConformance(scope: string, { make, makeSimple, another }: QueueScope): void {
  const kinds = ['Queue', 'LifoQueue', 'PriorityQueue'] as const;

  describe(`queues, ${scope}: order`, () => {
    it.each([
      ['Queue', [3, 1, 2]],
      ['LifoQueue', [2, 1, 3]],
      ['PriorityQueue', [1, 2, 3]],
    ] as const)('%s gives its items in its order, to every handle', async (kind, order) => {
      const queue = await make(kind);
      const other = await another(queue);
      for (const item of [3, 1, 2]) await queue.put(item);
      expect([await other.size(), await other.empty(), await other.full()]).toEqual([3, false, false]);
      expect(await drain(other)).toEqual(order);
      expect([await queue.size(), await queue.empty()]).toEqual([0, true]);
    });

    it('orders priorities: numbers, strings, arrays element by element; first in first out among equals', async () => {
      const queue = await make('PriorityQueue');
      const sorted = [
        ...[Number.NEGATIVE_INFINITY, -2.5, -1, 0, 1e-9, 2, 10, Number.POSITIVE_INFINITY],
        ...['', 'B', 'a', 'a\0', 'ab', 'b', 'é', '\u{1f600}', '\uffff'],
        ...[
          [],
          [-1, 'z'],
          [0],
          [0, 0],
          [0, 'a'],
          [0, [1]],
          [1, { n: 1 }],
          [1, { n: 0 }],
          [2, null],
          ['x', 1],
        ],
      ];
      const mixed = [...sorted.entries()].sort(([a], [b]) => ((a * 8) % 27) - ((b * 8) % 27));
      const tied = [
        [1, { n: 1 }],
        [1, { n: 0 }],
      ].map((item) => JSON.stringify(item));
      mixed.sort(([, a], [, b]) => tied.indexOf(JSON.stringify(a)) - tied.indexOf(JSON.stringify(b)));
      for (const [, item] of mixed) await queue.put(item);
      expect(await drain(queue)).toEqual(sorted);
    });

    it.each([[null], [undefined], [true], [Number.NaN], [1n], [{}], [[{}]], [[null, 1]], [new Date()]])(
      'refuses %o as a priority',
      async (item: unknown) => {
        const queue = await make('PriorityQueue');
        await expect(queue.put(item)).rejects.toThrow(TypeError);
        expect(await queue.size()).toBe(0);
      },
    );

    it('orders by what stands before an array in itself, and refuses one that has no other', async () => {
      const queue = await make('PriorityQueue');
      const [late, early, endless]: unknown[][] = [[2], [1], []];
      for (const item of [late, early, endless]) item?.push(item, item);
      await queue.put(late);
      await queue.put(early);
      await expect(queue.put(endless)).rejects.toThrow(TypeError);
      const got = (await drain(queue)) as unknown[][];
      expect(got.map(([first]) => first)).toEqual([1, 2]);
      expect(got[0]?.[1]).toBe(got[0]);
    });

    it('refuses an array nested too deeply by name, instead of overflowing', async () => {
      const queue = await make('PriorityQueue');
      for (const first of [[], [1]]) {
        let nest: unknown[] = [1];
        for (let n = 0; n < 100_000; n += 1) nest = [...first, nest];
        await expect(queue.put(nest)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_HEDDLE_/) });
      }
      expect(await queue.size()).toBe(0);
    });
  });

  describe(`queues, ${scope}: items`, () => {
    it('carries every value that travels, as it was when it was put', async () => {
      const queue = await makeSimple();
      const [shared, changed] = [{ deep: [1] }, { deep: [1] }];
      const bytes = new Uint8Array([1, 2, 3, 4]);
      const items = [
        ...[undefined, null, true, 'é\u{1f600}', -0, Number.NaN, 2n ** 70n, [], {}, changed],
        ...[new Map([[{ a: 1 }, new Set([1])]]), new Date(5), /a/gi, bytes, bytes.subarray(1, 3)],
        ...[bytes.buffer, Buffer.from('x'), [shared, shared], 'x'.repeat(5000)],
      ];
      for (const item of items) await queue.put(item);
      changed.deep.push(2);
      const got = await drain(queue);
      expect(got).toEqual(items.map((item) => (item === changed ? { deep: [1] } : item)));
      expect((got[14] as Uint8Array).buffer.byteLength).toBe(2);
      const [first, second] = got[17] as unknown[];
      expect(first).toBe(second);
    });

    it('go into a simple one without end: it is never full', async () => {
      const queue = await makeSimple();
      for (let n = 0; n < 50; n += 1) await queue.put(n);
      expect([await queue.size(), await queue.full()]).toEqual([50, false]);
      expect(await drain(await another(queue))).toHaveLength(50);
    });

    it('keeps errors what they are', async () => {
      const queue = await makeSimple();
      await queue.put(
        Object.assign(new RangeError('no', { cause: new QueueFullError('why') }), { extra: 1 }),
      );
      const error = (await queue.get()) as Error;
      expect(error).toBeInstanceOf(RangeError);
      expect(error).toMatchObject({ message: 'no', extra: 1 });
      expect(error.cause).toBeInstanceOf(QueueFullError);
    });

    it.each([
      ['item', () => 1],
      ['item.a[1]', { a: [1, Symbol('s')] }],
      ['item.b', { b: new (class Made {})() }],
      ['item', Promise.resolve()],
    ])('refuses what can not travel, telling where: %s', async (path, item) => {
      const queue = await make('Queue');
      await expect(queue.put(item)).rejects.toThrow(NotCloneableError);
      await expect(queue.put(item)).rejects.toMatchObject({ path });
      expect(await queue.size()).toBe(0);
      expect(await queue.join({ timeout: 0 })).toBe(true);
    });
  });

  describe.each(kinds)(`%s, ${scope}: waiting`, (kind) => {
    it('gives getters what putters put, in either order of coming', async () => {
      const queue = await make(kind);
      const other = await another(queue);
      const getters = [other.get(), queue.get(), other.get({ timeout: 10_000 })];
      expect(await stillPending(Promise.race(getters))).toBe(true);
      for (const item of [1, 2, 3]) await queue.put(item);
      expect((await Promise.all(getters)).sort()).toEqual([1, 2, 3]);
    });

    it('lets putters wait for room, and has an item in before put returns where there is some', async () => {
      const queue = await make(kind, 2);
      const other = await another(queue);
      await Promise.all([queue.put(1), queue.put(2)]);
      expect(await other.full()).toBe(true);
      await expect(other.put(3, EMPTY)).rejects.toThrow(QueueFullError);
      await expect(queue.put(3, { timeout: 10 })).rejects.toMatchObject({ code: 'ERR_HEDDLE_QUEUE_FULL' });
      const waiting = other.put(3);
      expect(await stillPending(waiting)).toBe(true);
      const first = await queue.get();
      await waiting;
      expect([first, ...(await drain(queue))].sort()).toEqual([1, 2, 3]);
    });

    it('tells when the time is up, and aborts, leaving nothing behind', async () => {
      const queue = await make(kind, 1);
      await expect(queue.get(EMPTY)).rejects.toThrow(QueueEmptyError);
      await expect(queue.get({ timeout: 10 })).rejects.toMatchObject({ code: 'ERR_HEDDLE_QUEUE_EMPTY' });
      const controller = new AbortController();
      const { signal } = controller;
      const getting = queue.get({ signal });
      await stillPending(getting, 5);
      controller.abort('enough');
      await expect(getting).rejects.toBe('enough');
      await expect(queue.put(1, { signal })).rejects.toBe('enough');
      expect(await queue.size()).toBe(0);
      await queue.put(1);
      const second = new AbortController();
      const putting = queue.put(2, { signal: second.signal });
      await stillPending(putting, 5);
      second.abort('again');
      await expect(putting).rejects.toBe('again');
      expect(await drain(queue)).toEqual([1]);
      expect(
        getEventListeners(signal, 'abort').length + getEventListeners(second.signal, 'abort').length,
      ).toBe(0);
    });

    it('joins once each item has been dealt with', async () => {
      const queue = await make(kind);
      const other = await another(queue);
      expect(await queue.join()).toBe(true);
      await expect((async () => queue.taskDone())()).rejects.toThrow(OverReleaseError);
      await queue.put(1);
      await queue.put(2);
      const joined = [queue.join(), other.join({ timeout: 10_000 })];
      expect(await queue.join({ timeout: 0 })).toBe(false);
      expect(await queue.join({ timeout: 10 })).toBe(false);
      await expect(queue.join({ signal: AbortSignal.abort('no') })).rejects.toBe('no');
      for (let n = 0; n < 2; n += 1) {
        await other.get();
        expect(await stillPending(Promise.race(joined), 5)).toBe(true);
        await other.taskDone();
      }
      expect(await Promise.all(joined)).toEqual([true, true]);
      await expect((async () => other.taskDone())()).rejects.toMatchObject({
        code: 'ERR_HEDDLE_OVER_RELEASE',
      });
      expect(await queue.join()).toBe(true);
    });
  });

  describe.each(kinds)(`%s, ${scope}: shutdown`, (kind) => {
    it('at once counts as done no more than was owed', async () => {
      const queue = await make(kind);
      await queue.put(1);
      await queue.put(2);
      await queue.taskDone();
      await queue.taskDone();
      await queue.shutdown({ immediate: true });
      expect(await queue.join({ timeout: 1000 })).toBe(true);
      await expect((async () => queue.taskDone())()).rejects.toThrow(OverReleaseError);
    });

    it('lets takers drain, and ends putters at once', async () => {
      const queue = await make(kind, 2);
      const other = await another(queue);
      await queue.put(1);
      await queue.put(2);
      const putting = other.put(3);
      putting.catch(() => {});
      await stillPending(putting, 5);
      await queue.shutdown();
      await expect(putting).rejects.toThrow(QueueShutDownError);
      await expect(other.put(4)).rejects.toMatchObject({ code: 'ERR_HEDDLE_QUEUE_SHUT_DOWN' });
      expect([await other.get(), await queue.get()].sort()).toEqual([1, 2]);
      await expect(other.get()).rejects.toThrow(QueueShutDownError);
      await expect(queue.get(EMPTY)).rejects.toThrow(QueueShutDownError);
      expect(await queue.join({ timeout: 0 })).toBe(false);
      await queue.taskDone();
      await queue.taskDone();
      await queue.shutdown();
      expect(await queue.join()).toBe(true);
    });

    it('ends getters that wait, of every handle', async () => {
      const queue = await make(kind);
      const getters = [queue.get(), (await another(queue)).get()];
      for (const getter of getters) getter.catch(() => {});
      await stillPending(Promise.race(getters), 5);
      await queue.shutdown();
      for (const getter of getters) await expect(getter).rejects.toThrow(QueueShutDownError);
    });

    it('drops the rest where immediate, as dealt with', async () => {
      const queue = await make(kind);
      for (const item of [1, 2, 3]) await queue.put(item);
      await queue.get();
      const joined = (await another(queue)).join();
      await queue.shutdown({ immediate: true });
      expect(await queue.size()).toBe(0);
      await expect(queue.get()).rejects.toThrow(QueueShutDownError);
      expect(await stillPending(joined, 5)).toBe(true);
      await queue.taskDone();
      expect(await joined).toBe(true);
      await expect((async () => queue.taskDone())()).rejects.toThrow(OverReleaseError);
    });

    it('ends an iteration once the rest has been taken', async () => {
      const queue = await make(kind);
      const seen: unknown[] = [];
      const iterating = (async () => {
        for await (const item of await another(queue)) seen.push(item);
      })();
      for (const item of [1, 2, 3]) await queue.put(item);
      await queue.shutdown();
      await iterating;
      expect(seen.sort()).toEqual([1, 2, 3]);
      expect(await queue.join({ timeout: 0 })).toBe(false);
    });

    it('takes nothing for an iteration that was left while it waited', async () => {
      const queue = await make(kind);
      const items = queue[Symbol.asyncIterator]();
      const next = items.next();
      expect(await stillPending(next)).toBe(true);
      expect((await items.return?.())?.done).toBe(true);
      expect([(await next).done, (await items.next()).done]).toEqual([true, true]);
      await queue.put(1);
      expect(await queue.get({ timeout: 0 })).toBe(1);
    });
  });

  describe(`queues, ${scope}: misuse`, () => {
    it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses %s as a maxsize', async (maxsize) => {
      await expect((async () => make('Queue', maxsize))()).rejects.toThrow(RangeError);
    });

    it('refuses what is no option, unchanged', async () => {
      const queue = await make('Queue');
      for (const call of [
        (options: never) => queue.put(1, options),
        (options: never) => queue.get(options),
        (options: never) => queue.join(options),
      ]) {
        await expect(call({ timeout: -1 } as never)).rejects.toThrow(RangeError);
        await expect(call({ timeout: '1' } as never)).rejects.toThrow(TypeError);
        await expect(call({ signal: {} } as never)).rejects.toThrow(TypeError);
        await expect(call(null as never)).rejects.toThrow(TypeError);
      }
      for (const wrong of [{ immediate: 1 }, { immediatly: true }, null, true])
        await expect((async () => queue.shutdown(wrong as never))()).rejects.toThrow(TypeError);
      await expect((async () => make('Queue', '2' as never))()).rejects.toThrow(TypeError);
      expect(await queue.size()).toBe(0);
      await queue.put(1);
    });
  });
}
