/**
 * What a semaphore does in every scope; `semaphoreConformance` and `boundedSemaphoreConformance` are bound as
 * `lockConformance` is (`lock.conformance.ts`): `make` gives a fresh one, `another` a second handle to it, in the
 * distributed scope of another session.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { OverReleaseError, TimeoutError } from '../errors.ts';
import type { Lease } from '../lock/lock.ts';
import { later, stillPending } from '../testing/waiting.ts';
import type { AnySemaphore } from './semaphore.ts';

export interface SemaphoreScope {
  make(permits?: number): Promise<AnySemaphore>;
  /** The same semaphore by another handle. */
  another(semaphore: AnySemaphore): Promise<AnySemaphore>;
  /** Waiters of different handles are served first come, first served, and never overtaken by a smaller wish. */
  readonly fifo: boolean;
}

const badPermits: readonly [unknown, typeof TypeError | typeof RangeError][] = [
  [0, RangeError],
  [-1, RangeError],
  [1.5, RangeError],
  [Number.NaN, RangeError],
  [Number.POSITIVE_INFINITY, RangeError],
  ['1', TypeError],
  [null, TypeError],
];

export function semaphoreConformance(scope: string, bound: SemaphoreScope): void {
  describe(`Semaphore, ${scope}: what every scope does`, () => commonBehaviour(bound));
  describe(`Semaphore, ${scope}: releases beyond`, () => {
    it('counts up where more are released than were acquired', async () => {
      const semaphore = await bound.make(1);
      await semaphore.release(2);
      expect(await semaphore.value()).toBe(3);
      await semaphore.acquire({ permits: 3 });
      expect(await semaphore.value()).toBe(0);
    });
  });
}

export function boundedSemaphoreConformance(scope: string, bound: SemaphoreScope): void {
  describe(`BoundedSemaphore, ${scope}: what every scope does`, () => commonBehaviour(bound));
  describe(`BoundedSemaphore, ${scope}: releases beyond`, () => {
    it('throws for one release too many, and changes nothing', async () => {
      const semaphore = await bound.make(2);
      const release = async (n?: number) => semaphore.release(n);
      await expect(release()).rejects.toThrow(OverReleaseError);
      await expect(release()).rejects.toMatchObject({
        code: 'ERR_HEDDLE_OVER_RELEASE',
        primitive: expect.any(String),
      });
      await semaphore.acquire();
      await expect(release(2)).rejects.toThrow(OverReleaseError);
      expect(await semaphore.value()).toBe(1);
      await semaphore.release();
      expect(await semaphore.value()).toBe(2);
    });
  });
}

function commonBehaviour({ make, another, fifo }: SemaphoreScope): void {
  it('has one permit unless told', async () => {
    const semaphore = await make();
    expect(await semaphore.value()).toBe(1);
    const lease = await semaphore.acquire();
    expect(await semaphore.value()).toBe(0);
    expect(await semaphore.acquire({ timeout: 0 })).toBeNull();
    await lease.release();
    expect(await semaphore.value()).toBe(1);
  });

  it('lets so many in and no more, through every handle', async () => {
    const semaphore = await make(3);
    const handles = [semaphore, await another(semaphore)];
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (handles[n % 2] as AnySemaphore).with(async () => {
          inside += 1;
          most = Math.max(most, inside);
          await later(1, undefined);
          inside -= 1;
        }),
      ),
    );
    expect(most).toBe(3);
    expect(await semaphore.value()).toBe(3);
  });

  it('takes several permits at once, all or none', async () => {
    const semaphore = await make(4);
    const other = await another(semaphore);
    const three = await semaphore.acquire({ permits: 3 });
    expect(await other.acquire({ permits: 2, timeout: 0 })).toBeNull();
    expect(await other.value()).toBe(1);
    const two = other.acquire({ permits: 2 });
    expect(await stillPending(two)).toBe(true);
    await three.release();
    const lease = await two;
    expect(await semaphore.value()).toBe(2);
    await lease.release();
    expect(await semaphore.value()).toBe(4);
  });

  it('wakes as many waiters as permits came free', async () => {
    const semaphore = await make(3);
    const leases = await Promise.all([semaphore.acquire(), semaphore.acquire(), semaphore.acquire()]);
    let woken = 0;
    const waiters = Array.from({ length: 3 }, async () => {
      const lease = await semaphore.acquire();
      woken += 1;
      return lease;
    });
    await semaphore.release(2);
    await Promise.all(waiters.slice(0, 2));
    expect(await stillPending(waiters[2] as Promise<Lease>)).toBe(true);
    expect(woken).toBe(2);
    await leases[2]?.release();
    await waiters[2];
    expect(await semaphore.value()).toBe(0);
  });

  it('serves the waiters of one handle first come, first served', async () => {
    const semaphore = await make(1);
    const first = await semaphore.acquire();
    const order: number[] = [];
    const all = Array.from({ length: 6 }, (_, n) =>
      semaphore.acquire().then(async (lease) => {
        order.push(n);
        await lease.release();
      }),
    );
    await first.release();
    await Promise.all(all);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it.runIf(fifo)('does not let a small wish overtake a big one that came first', async () => {
    const semaphore = await make(3);
    const held = await semaphore.acquire({ permits: 2 });
    const big = semaphore.acquire({ permits: 3 });
    expect(await stillPending(big)).toBe(true);
    const small = (await another(semaphore)).acquire();
    expect(await stillPending(small)).toBe(true);
    await held.release();
    await (await big).release();
    await (await small).release();
  });

  it('gives up when the time is up, and leaves nothing queued', async () => {
    const semaphore = await make(2);
    const lease = await semaphore.acquire();
    const start = performance.now();
    expect(await semaphore.acquire({ permits: 2, timeout: 30 })).toBeNull();
    expect(performance.now() - start).toBeGreaterThan(25);
    expect(await semaphore.value()).toBe(1);
    await lease.release();
    expect(await semaphore.value()).toBe(2);
  });

  it('goes on to the next waiter where the first gives up', async () => {
    const semaphore = await make(2);
    const lease = await semaphore.acquire();
    const controller = new AbortController();
    const big = semaphore.acquire({ permits: 2, signal: controller.signal });
    const small = semaphore.acquire();
    await stillPending(big);
    controller.abort('enough');
    await expect(big).rejects.toBe('enough');
    await (await small).release();
    await lease.release();
    expect(await semaphore.value()).toBe(2);
  });

  it.each([0, 500, undefined])(
    'holds nothing where it rejects, though it was granted just then (timeout: %s)',
    async (timeout) => {
      const semaphore = await make(2);
      const other = await another(semaphore);
      for (let round = 0; round < 12; round += 1) {
        const controller = new AbortController();
        const taking = semaphore.acquire({ timeout, signal: controller.signal });
        if (round % 3 > 0) await new Promise((resolve) => setImmediate(resolve));
        if (round % 3 > 1) await other.value();
        controller.abort('enough');
        const lease = await taking.catch((reason: unknown) => {
          expect(reason).toBe('enough');
          return null;
        });
        expect(await other.value()).toBe(lease === null ? 2 : 1);
        await lease?.release();
      }
    },
  );

  it('rejects with the reason of a signal that has aborted, also where permits are free', async () => {
    const semaphore = await make(1);
    const reason = new Error('enough');
    await expect(semaphore.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await semaphore.value()).toBe(1);
  });

  it('leaves no listener on a signal', async () => {
    const semaphore = await make(1);
    const { signal } = new AbortController();
    const lease = await semaphore.acquire({ signal });
    expect(await semaphore.acquire({ signal, timeout: 5 })).toBeNull();
    await lease.release();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('gives each lease a greater token, and each gives back once', async () => {
    const semaphore = await make(3);
    const a = await semaphore.acquire();
    const b = await semaphore.acquire({ permits: 2 });
    expect(b.token).toBeGreaterThan(a.token);
    expect([a.valid, b.valid]).toEqual([true, true]);
    await b.release();
    await b.release();
    expect([a.valid, b.valid]).toEqual([true, false]);
    expect(await semaphore.value()).toBe(2);
    await a[Symbol.asyncDispose]();
    expect(await semaphore.value()).toBe(3);
  });

  it('runs a body with permits, however it ends, and throws TimeoutError where there were none', async () => {
    const semaphore = await make(2);
    expect(await semaphore.with(async () => await semaphore.value(), { permits: 2 })).toBe(0);
    await expect(semaphore.with(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
    expect(await semaphore.value()).toBe(2);
    const lease = await semaphore.acquire({ permits: 2 });
    await expect(semaphore.with(() => expect.unreachable(), { timeout: 5 })).rejects.toThrow(TimeoutError);
    await lease.release();
    await expect(semaphore.with(5 as never)).rejects.toThrow(TypeError);
    expect(await semaphore.value()).toBe(2);
  });

  it.each(badPermits)('refuses to acquire or release %s permits', async (permits, kind) => {
    const semaphore = await make(1);
    await expect(semaphore.acquire({ permits: permits as number })).rejects.toThrow(kind);
    await expect((async () => semaphore.release(permits as number))()).rejects.toThrow(kind);
    expect(await semaphore.value()).toBe(1);
  });

  it('refuses a wish for more permits than there are', async () => {
    const semaphore = await make(2);
    await expect(semaphore.acquire({ permits: 3 })).rejects.toThrow(RangeError);
    await expect(semaphore.acquire({ permits: 3, timeout: 0 })).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_HEDDLE_/),
    });
    expect(await semaphore.value()).toBe(2);
  });

  it.each([
    [-1, RangeError],
    [Number.NaN, RangeError],
    ['5', TypeError],
    [null, TypeError],
  ])('refuses %s as a time-out', async (timeout, kind) => {
    const semaphore = await make(1);
    await expect(semaphore.acquire({ timeout: timeout as number })).rejects.toThrow(kind);
    expect(await semaphore.value()).toBe(1);
  });
}
