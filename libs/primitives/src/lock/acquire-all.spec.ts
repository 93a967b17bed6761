import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Condition } from '../condition/condition.local.ts';
import { Event } from '../event/event.local.ts';
import { runAs } from '../identity.ts';
import { ReadWriteLock } from '../read-write-lock/read-write-lock.local.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { Semaphore } from '../semaphore/semaphore.local.ts';
import { attach, share } from '../sharing/share.ts';
import { stillPending } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { acquireAll } from './acquire-all.ts';
import { Lock } from './lock.local.ts';

const locked = (...locks: { locked(): boolean }[]) => locks.map((lock) => lock.locked());

describe('acquireAll', () => {
  it('takes all for one lease, whose end ends all', async () => {
    const [a, b] = [new Lock(), new RLock()];
    const semaphore = new Semaphore(2);
    const condition = new Condition(new Lock());
    const { read, write } = new ReadWriteLock();
    const lease = await acquireAll([read, condition, semaphore, b, a]);
    expect([...locked(a, b, condition, read, write), semaphore.value()]).toEqual([
      ...[true, true, true, true, false],
      1,
    ]);
    expect(lease).toMatchObject({ valid: true, abandoned: false });
    expect(lease.signal.aborted).toBe(false);
    await lease.release();
    await lease.release();
    expect([...locked(a, b, condition, read), semaphore.value()]).toEqual([
      ...[false, false, false, false],
      2,
    ]);
    expect(lease.valid).toBe(false);
  });

  it('is disposable, and gives tokens that rise', async () => {
    const [a, b] = [new Lock(), new Lock()];
    await (await a.acquire()).release();
    let last = 0;
    for (const locks of [
      [a, b],
      [b, a],
    ]) {
      await using lease = await acquireAll(locks);
      expect(lease.token).toBeGreaterThan(last);
      last = lease.token;
    }
    expect(locked(a, b)).toEqual([false, false]);
    await (await acquireAll([])).release();
  });

  it('holds none when the time is up, or the signal aborts', async () => {
    const [a, b, c] = [new Lock(), new Lock(), new Lock()];
    const holder = await c.acquire();
    const start = performance.now();
    expect(await acquireAll([c, b, a], { timeout: 20 })).toBeNull();
    expect(performance.now() - start).toBeGreaterThan(15);
    expect(await acquireAll([a, b, c], { timeout: 0 })).toBeNull();
    expect(locked(a, b)).toEqual([false, false]);
    const controller = new AbortController();
    const aborted = acquireAll([a, c, b], { signal: controller.signal });
    expect(await stillPending(aborted)).toBe(true);
    expect(locked(a, b)).toEqual([true, true]);
    controller.abort('enough');
    await expect(aborted).rejects.toBe('enough');
    expect(locked(a, b)).toEqual([false, false]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await holder.release();
    await (await acquireAll([a, b, c], { timeout: 1000 }))?.release();
  });

  it('lets its time-out be for all together', async () => {
    const [a, b] = [new Lock(), new Lock()];
    const first = await a.acquire();
    await b.acquire();
    const start = performance.now();
    const waiting = acquireAll([a, b], { timeout: 200 });
    setTimeout(() => void first.release(), 160);
    expect(await waiting).toBeNull();
    expect(performance.now() - start).toBeLessThan(350);
    expect(locked(a)).toEqual([false]);
  });

  it('takes them in the order they were made in, by whatever handle and in whatever order they are named', async () => {
    const [a, b] = [new Lock(), new Lock()];
    const holder = await a.acquire();
    const over: Lock = attach(structuredClone(share(b)));
    const waiting = acquireAll([over, a]);
    expect(await stillPending(waiting)).toBe(true);
    expect(b.locked()).toBe(false);
    await holder.release();
    expect((await waiting).valid).toBe(true);
    expect(over.locked()).toBe(true);
  });

  it('never waits in a circle between threads that name them differently', async () => {
    const [a, b, c] = [new Lock(), new Lock(), new Lock()];
    const cells = new Int32Array(new SharedArrayBuffer(4));
    const url = new URL('./acquire-all.ts', import.meta.url).href;
    const target = async (locks: Lock[], counts: Int32Array, module: string) => {
      const { acquireAll: all } = (await import(module)) as { acquireAll: typeof acquireAll };
      for (let n = 0; n < 300; n += 1) {
        const lease = await all(locks);
        counts[0] = (counts[0] as number) + 1;
        await lease.release();
      }
    };
    const threads = [
      [a, b, c],
      [c, b, a],
      [b, c, a],
    ].map((locks) => new Thread({ target, args: [locks, cells, url] }));
    for (const thread of threads) thread.start();
    await Promise.all(threads.map((thread) => thread.result));
    expect(cells[0]).toBe(900);
    expect(locked(a, b, c)).toEqual([false, false, false]);
  });

  it('enters an RLock again in the logical thread of the caller', async () => {
    const [a, b] = [new RLock(), new Lock()];
    await runAs('owner', () =>
      a.with(async () => {
        await (await acquireAll([b, a], { timeout: 0 }))?.release();
      }),
    );
    expect(locked(a, b)).toEqual([false, false]);
  });

  it('refuses what is no local lock, or named twice, and takes nothing', async () => {
    const lock = new Lock();
    const whole = new ReadWriteLock();
    const over = attach(structuredClone(share(lock)));
    const refused: unknown[] = [null, lock, [lock, null], [lock, {}], [lock, new Event()], [lock, lock]];
    refused.push([lock, over], [whole.read, whole.write], [lock, new Condition(lock)], [lock, whole]);
    for (const locks of refused) {
      await expect(acquireAll(locks as never)).rejects.toThrow(TypeError);
      await expect(acquireAll(locks as never)).rejects.toMatchObject({ code: 'ERR_HEDDLE_INVALID_ARG_TYPE' });
    }
    await expect(acquireAll([lock], { timeout: -1 })).rejects.toThrow(RangeError);
    await expect(acquireAll([lock], null as never)).rejects.toThrow(TypeError);
    await expect(acquireAll([], { signal: AbortSignal.abort('no') })).rejects.toBe('no');
    expect(lock.locked()).toBe(false);
  });
});
