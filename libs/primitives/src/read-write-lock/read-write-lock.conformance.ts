/**
 * What a read-write lock does in every scope; bound as `lockConformance` is (`lock.conformance.ts`): `make` gives a
 * free one, `another` a second handle to it, in the distributed scope of another session. A spec binds
 * `lockConformance` to `.write` as well.
 */
import { describe, expect, it } from 'vitest';
import { NotHeldError, TimeoutError } from '../errors.ts';
import type { Lease } from '../lock/lock.ts';
import { later, stillPending } from '../testing/waiting.ts';
import type { AnyReadWriteLock } from './read-write-lock.ts';

export interface ReadWriteLockScope {
  make(): Promise<AnyReadWriteLock>;
  /** The same lock by another handle. */
  another(lock: AnyReadWriteLock): Promise<AnyReadWriteLock>;
}

const locked = async ({ read, write }: AnyReadWriteLock) => [await read.locked(), await write.locked()];

export function readWriteLockConformance(scope: string, { make, another }: ReadWriteLockScope): void {
  describe(`ReadWriteLock, ${scope}: what every scope does`, () => {
    it('lets many read at once, and nobody write meanwhile', async () => {
      const lock = await make();
      const other = await another(lock);
      const readers = [await lock.read.acquire(), await other.read.acquire(), await other.read.acquire()];
      expect(await locked(other)).toEqual([true, false]);
      expect(await lock.write.acquire({ timeout: 0 })).toBeNull();
      expect(await other.write.acquire({ timeout: 15 })).toBeNull();
      const writer = other.write.acquire();
      for (const reader of readers) {
        expect(await stillPending(writer, 5)).toBe(true);
        await reader.release();
      }
      await (await writer).release();
      expect(await locked(lock)).toEqual([false, false]);
    });

    it('lets one write, and nobody else read or write meanwhile', async () => {
      const lock = await make();
      const other = await another(lock);
      const writer = await lock.write.acquire();
      expect(await locked(other)).toEqual([false, true]);
      expect(await other.read.acquire({ timeout: 0 })).toBeNull();
      expect(await lock.read.acquire({ timeout: 10 })).toBeNull();
      expect(await other.write.acquire({ timeout: 0 })).toBeNull();
      const readers = [lock.read.acquire(), other.read.acquire(), lock.read.acquire({ timeout: 10_000 })];
      expect(await stillPending(Promise.race(readers))).toBe(true);
      await writer.release();
      const leases = await Promise.all(readers);
      expect(await locked(lock)).toEqual([true, false]);
      for (const lease of leases) await lease?.release();
      expect(await locked(lock)).toEqual([false, false]);
    });

    it('lets a writer in between readers that never leave a gap', async () => {
      const lock = await make();
      const other = await another(lock);
      let reading = await lock.read.acquire();
      const writer = other.write.acquire();
      await stillPending(writer, 5);
      const next = lock.read.acquire();
      expect(await lock.read.acquire({ timeout: 0 })).toBeNull();
      expect(await stillPending(next)).toBe(true);
      await reading.release();
      const writing = await writer;
      expect(await stillPending(next)).toBe(true);
      await writing.release();
      reading = await next;
      await reading.release();
    });

    it('lets readers go on where the writer before them gave up', async () => {
      const lock = await make();
      const reading = await lock.read.acquire();
      const controller = new AbortController();
      const hasty = lock.write.acquire({ timeout: 25 });
      const aborted = lock.write.acquire({ signal: controller.signal });
      await stillPending(aborted, 5);
      const waiting = (await another(lock)).read.acquire();
      expect(await hasty).toBeNull();
      controller.abort('enough');
      await expect(aborted).rejects.toBe('enough');
      await (await waiting).release();
      await reading.release();
      await (await lock.write.acquire()).release();
    });

    it('gives tokens that rise from grant to grant, on both sides', async () => {
      const lock = await make();
      let last = 0;
      for (const side of [lock.read, lock.write, lock.read, lock.write]) {
        const lease = await side.acquire();
        expect(lease.token).toBeGreaterThan(last);
        last = lease.token;
        await lease.release();
      }
    });

    it('ends with each lease its own hold, once', async () => {
      const lock = await make();
      const [first, second] = [await lock.read.acquire(), await lock.read.acquire()];
      await first.release();
      await first.release();
      expect([first.valid, second.valid]).toEqual([false, true]);
      await lock.read.release();
      expect(second.valid).toBe(false);
      const third: Lease = await lock.read.acquire();
      await second.release();
      expect(third.valid).toBe(true);
      await third.release();
      expect(await locked(lock)).toEqual([false, false]);
    });

    it('ends the oldest hold by release()', async () => {
      const lock = await make();
      const [first, second] = [await lock.read.acquire(), await lock.read.acquire()];
      await lock.read.release();
      await first.release();
      expect([first.valid, second.valid]).toEqual([false, true]);
      expect(await lock.read.locked()).toBe(true);
      await second.release();
    });

    it('throws for a release of what is not held, and changes nothing', async () => {
      const lock = await make();
      const release = async (side: 'read' | 'write') => lock[side].release();
      await expect(release('read')).rejects.toThrow(NotHeldError);
      await expect(release('write')).rejects.toThrow(NotHeldError);
      const reading = await lock.read.acquire();
      await expect(release('write')).rejects.toThrow(NotHeldError);
      const waiting = lock.write.acquire();
      await stillPending(waiting, 5);
      await expect(release('write')).rejects.toThrow(NotHeldError);
      await reading.release();
      const writing = await waiting;
      await expect(release('read')).rejects.toThrow(NotHeldError);
      await writing.release();
      expect(await locked(lock)).toEqual([false, false]);
    });

    it('keeps readers and writers apart under with', async () => {
      const lock = await make();
      const other = await another(lock);
      let reading = 0;
      let most = 0;
      let writing = 0;
      const read = (side: AnyReadWriteLock) =>
        side.read.with(async () => {
          reading += 1;
          most = Math.max(most, reading);
          await later(1, undefined);
          expect(writing).toBe(0);
          reading -= 1;
        });
      const write = (side: AnyReadWriteLock) =>
        side.write.with(async () => {
          writing += 1;
          await later(1, undefined);
          expect([reading, writing]).toEqual([0, 1]);
          writing -= 1;
        });
      await Promise.all(
        Array.from({ length: 30 }, (_, n) => (n % 3 === 0 ? write : read)(n % 2 ? lock : other)),
      );
      expect(most).toBeGreaterThan(1);
      await expect(lock.write.with(() => lock.read.with(() => 1, { timeout: 5 }))).rejects.toThrow(
        TimeoutError,
      );
      expect(await locked(lock)).toEqual([false, false]);
    });

    it('tells at once whoever waits without end for what the with around it keeps from all', async () => {
      const lock = await make();
      const deadlock = { code: 'ERR_HEDDLE_DEADLOCK', cycle: [expect.anything()] };
      for (const [outer, inner] of [
        [lock.read, lock.write],
        [lock.write, lock.read],
        [lock.write, lock.write],
      ] as const) {
        await expect(outer.with(() => inner.acquire())).rejects.toMatchObject(deadlock);
        await expect(outer.with(() => inner.with(() => {}))).rejects.toMatchObject(deadlock);
      }
      expect(await lock.read.with(() => lock.read.with(() => 1))).toBe(1);
      expect(await locked(lock)).toEqual([false, false]);
    });

    it.each(['read', 'write'] as const)('refuses what is no option, unchanged: %s', async (name) => {
      const side = (await make())[name];
      await expect(side.acquire({ timeout: -1 })).rejects.toThrow(RangeError);
      await expect(side.acquire({ timeout: '1' as never })).rejects.toThrow(TypeError);
      await expect(side.acquire(null as never)).rejects.toThrow(TypeError);
      await expect(side.acquire({ signal: {} as never })).rejects.toThrow(TypeError);
      await expect(side.acquire({ signal: AbortSignal.abort('no') })).rejects.toBe('no');
      await expect(side.with(5 as never)).rejects.toThrow(TypeError);
      expect(await side.locked()).toBe(false);
    });
  });
}
