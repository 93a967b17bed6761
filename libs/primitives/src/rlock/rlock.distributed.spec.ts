import { describe, expect, it } from 'vitest';
import { LeaseLostError, NotHeldError } from '../errors.ts';
import { runAs } from '../identity.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending } from '../testing/waiting.ts';
import { rlockConformance } from './rlock.conformance.ts';
import type { DistributedRLock } from './rlock.distributed.ts';

const bench = redisBench();

rlockConformance('distributed', {
  make: async () => (await bench.turn()).rlock(bench.name()),
  another: async (lock) => (await bench.turn()).rlock((lock as DistributedRLock).name),
});

describe('RLock, distributed', () => {
  it('asks nobody to enter again, and tells nobody but of the last release', async () => {
    const lock = (await bench.session()).rlock(bench.name());
    await lock.with(() => {});
    const sent = await bench.commandsDuring(() => lock.with(() => lock.with(() => lock.with(() => {}))));
    expect(sent.filter((line) => line.includes('"lock.'))).toHaveLength(2);
  });

  it('is the owner’s through any handle of the session, and keeps its token', async () => {
    const session = await bench.turn();
    const [a, b] = ['same', 'same'].map((name) => session.rlock(name));
    await runAs('owner', async () => {
      const outer = await a?.acquire();
      const inner = await b?.acquire({ timeout: 0 });
      expect(inner?.token).toBe(outer?.token);
      await b?.release();
      await a?.release();
      await expect(a?.release()).rejects.toThrow(NotHeldError);
    });
  });

  it('is another lock than a lock of that name', async () => {
    const session = await bench.turn();
    const name = bench.name();
    await using _ = await session.lock(name).acquire();
    await using lease = await session.rlock(name).acquire({ timeout: 0 });
    expect(lease?.valid).toBe(true);
  });

  it('loses every level when the session is lost, and is taken anew by whoever was the owner', async () => {
    const session = await bench.session({ namespace: 'lost levels' });
    const lock = session.rlock('x');
    await runAs('owner', async () => {
      const levels = [await lock.acquire(), await lock.acquire(), await lock.acquire()];
      const lost = new Promise((resolve) => session.once('lost', resolve));
      await bench.admin.del('{lost levels:0}:sessions');
      await lost;
      expect(levels.map(({ valid }) => valid)).toEqual([false, false, false]);
      for (const { signal } of levels) expect(signal.reason).toBeInstanceOf(LeaseLostError);
      for (const level of levels.reverse()) await expect(level.release()).rejects.toThrow(LeaseLostError);
      for (const level of levels) await expect(level.release()).rejects.toThrow(LeaseLostError);
      const again = await lock.acquire();
      for (const level of levels) await expect(level.release()).rejects.toThrow(LeaseLostError);
      expect(again.token).toBeGreaterThan(levels[0]?.token ?? 0);
      await again.release();
    });
    await session.close();
  });

  it('has levels that were given back before it was lost, and are not lost', async () => {
    const session = await bench.session({ namespace: 'given back' });
    const lock = session.rlock('x');
    await runAs('owner', async () => {
      const [outer, inner] = [await lock.acquire(), await lock.acquire()];
      await inner.release();
      const lost = new Promise((resolve) => session.once('lost', resolve));
      await bench.admin.del('{given back:0}:sessions');
      await lost;
      await inner.release();
      await expect(outer.release()).rejects.toThrow(LeaseLostError);
    });
    await session.close();
  });

  it('hands over inside a session without Redis, owner by owner', async () => {
    const lock = (await bench.session()).rlock(bench.name());
    const first = await runAs('first', () => lock.acquire());
    let inside = 0;
    const sent = await bench.commandsDuring(async () => {
      const all = Array.from({ length: 100 }, () =>
        lock.with(async () => {
          inside += 1;
          await lock.with(() => expect(inside).toBe(1));
          inside -= 1;
        }),
      );
      expect(await stillPending(Promise.race(all), 1)).toBe(true);
      await first.release();
      await Promise.all(all);
    });
    expect(sent.filter((line) => line.includes('"lock.')).length).toBeLessThan(8);
  });
});
