/** What one hears who asks for whom it waits: who holds, and what is free, or as good as free. */
import { describe, expect, it } from 'vitest';
import { coreOf } from '../session.distributed.ts';
import { bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';

const bench = redisBench();

async function scene() {
  const name = bench.name();
  const session = await bench.session();
  const { keyspace } = coreOf(session);
  const lock = keyspace.of('lock', name, ['state', 'queue']);
  const permits = keyspace.of('semaphore', name, ['state', 'queue', 'wants', 'holders']);
  const bare = async () => {
    const one = await bareSession(session, bench.admin);
    const asked = async (kind: string, keys: readonly (string | undefined)[]) => {
      const on = keys.map((key) => key ?? '');
      const [is, , free, ...holders] = await one.ask('deadlock.ask', on, [kind, name, 'q']);
      return [is, free, ...holders];
    };
    return {
      ...one,
      lock: () => one.ask('lock.acquire', lock, [name, 'lock', 0, 64]),
      permits: (count: number, limit: number, id = 1) =>
        one.ask('semaphore.acquire', permits, [name, 'semaphore', id, count, 0, String(limit), limit]),
      ofLock: () => asked('lock', [lock[0], lock[0]]),
      ofPermits: () => asked('semaphore', [permits[0], permits[3]]),
    };
  };
  return bare;
}

describe('for whom one waits', () => {
  it('at a lock is its holder; one that is free, or whose holder has died, keeps nobody', async () => {
    const bare = await scene();
    const [holder, waiter] = [await bare(), await bare()];
    expect(await waiter.ofLock()).toEqual(['held', '1']);
    await holder.lock();
    expect(await waiter.ofLock()).toEqual(['held', '0', holder.id, '', '1']);
    await holder.die();
    expect(await waiter.ofLock()).toEqual(['held', '1']);
  });

  it('at a semaphore are those who hold permits and live; the permits of the dead count as free', async () => {
    const bare = await scene();
    const [holder, dying, waiter] = [await bare(), await bare(), await bare()];
    expect(await waiter.ofPermits()).toEqual(['held', '1']);
    await holder.permits(2, 6);
    await dying.permits(3, 6);
    await dying.die();
    expect(await waiter.ofPermits()).toEqual(['held', '4', holder.id, '1', '2']);
  });

  it('are no more than a reply may hold; the rest count as free', async () => {
    const bare = await scene();
    const [holder, waiter] = [await bare(), await bare()];
    for (let id = 1; id <= 100; id += 1) await holder.permits(1, 100, id);
    const [, free, ...holders] = await waiter.ofPermits();
    expect(holders.length).toBeLessThanOrEqual(256);
    expect(Number(free)).toBe(100 - holders.length / 3);
  });
});
