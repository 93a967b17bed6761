import { describe, expect, it } from 'vitest';
import { LeaseLostError } from '../errors.ts';
import { runAs } from '../identity.ts';
import { connect } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';
import { Lock } from './lock.local.ts';
import type { Lease } from './lock.ts';

const bench = redisBench();

const scripts = (commands: string[]) => commands.filter((line) => /"(lock|semaphore)\./.test(line)).length;

describe('session.acquireAll', () => {
  it('takes all that are free in one command, gives them back in one, for one lease', async () => {
    const session = await bench.session();
    const names = [bench.name(), bench.name(), bench.name()] as const;
    const [lock, rlock, whole] = [
      session.lock(names[0]),
      session.rlock(names[1]),
      session.readWriteLock(names[2]),
    ];
    const all = [whole.write, session.condition(names[0]), lock, rlock];
    await (await session.acquireAll(all)).release();
    const sent = await bench.commandsDuring(async () => {
      const lease = await session.acquireAll(all);
      expect(lease.valid).toBe(true);
      expect(await Promise.all(all.map((one) => one.locked()))).toEqual([true, true, true, true]);
      await lease.release();
      expect(lease.valid).toBe(false);
    });
    // One to take, one to look (of four, in one call), one to give back.
    expect(scripts(sent)).toBe(3);
    expect(await Promise.all(all.map((one) => one.locked()))).toEqual([false, false, false, false]);
    await session.close();
  });

  it('holds none while one is not free, when the time is up, and when the signal aborts', async () => {
    const [holder, session] = [await bench.session(), await bench.session()];
    const [a, b, c] = [bench.name(), bench.name(), bench.name()];
    const held = await holder.lock(c).acquire();
    const locks = [session.lock(c), session.lock(b), session.lock(a)];
    expect(await session.acquireAll(locks, { timeout: 0 })).toBeNull();
    expect(await session.acquireAll(locks, { timeout: 30 })).toBeNull();
    expect(await Promise.all(locks.map((lock) => lock.locked()))).toEqual([true, false, false]);
    const controller = new AbortController();
    const aborted = session.acquireAll(locks, { signal: controller.signal });
    expect(await stillPending(aborted)).toBe(true);
    controller.abort('enough');
    await expect(aborted).rejects.toBe('enough');
    expect(await Promise.all(locks.map((lock) => lock.locked()))).toEqual([true, false, false]);
    const waiting = session.acquireAll(locks);
    expect(await stillPending(waiting)).toBe(true);
    await held.release();
    await (await waiting).release();
    await Promise.all([holder.close(), session.close()]);
  });

  it('rejects with the reason of its signal, also where a part was lost meanwhile', async () => {
    const [holder, session] = [await bench.session(), await bench.session({ ttl: 400 })];
    const [a, b] = [bench.name(), bench.name()];
    const held = await holder.lock(b).acquire();
    const controller = new AbortController();
    const aborted = session.acquireAll([session.lock(a), session.lock(b)], { signal: controller.signal });
    aborted.catch(() => {});
    const line = `{heddle:0}:lock:${b}:queue`;
    await until(
      async () => (await bench.admin.zcard(line)) === 1,
      'it holds the one and waits for the other',
    );
    const lost = new Promise((resolve) => session.once('lost', resolve));
    const [life = ''] = await bench.admin.zrange(line, '0', '-1');
    await bench.admin.zrem('{heddle:0}:sessions', life);
    await lost;
    controller.abort('enough');
    await expect(aborted).rejects.toBe('enough');
    await held.release();
    await Promise.all([holder.close(), session.close()]);
  });

  it('gives all of them or none, where a part was lost while it waited for another', async () => {
    const [holder, session] = [await bench.session(), await bench.session({ ttl: 400 })];
    const [a, b] = [bench.name(), bench.name()];
    const held = await holder.lock(b).acquire();
    const acquiring = session.acquireAll([session.lock(a), session.lock(b)]);
    const line = `{heddle:0}:lock:${b}:queue`;
    const inLine = async () => (await bench.admin.zrange(line, '0', '-1'))[0];
    await until(inLine, 'it holds the one and waits for the other');
    const life = (await inLine()) ?? '';
    const lost = new Promise((resolve) => session.once('lost', resolve));
    await bench.admin.zrem('{heddle:0}:sessions', life);
    await lost;
    await until(async () => ![undefined, life].includes(await inLine()), 'its next life waits for the other');
    await held.release();
    const lease = await acquiring;
    expect(lease?.valid).toBe(true);
    for (const name of [a, b]) expect(await holder.lock(name).acquire({ timeout: 0 })).toBe(null);
    await lease?.release();
    await Promise.all([holder.close(), session.close()]);
  });

  it('is told of a loss at each release, and of one that came after none', async () => {
    const session = await bench.session({ namespace: 'all lost' });
    const take = () => session.acquireAll([session.lock('a'), session.rlock('b')]);
    const given = await take();
    await given.release();
    const lease = await take();
    const lost = new Promise((resolve) => session.once('lost', resolve));
    await bench.admin.del('{all lost:0}:sessions');
    await lost;
    for (let n = 0; n < 3; n += 1) await expect(lease.release()).rejects.toThrow(LeaseLostError);
    await given.release();
    await session.close();
  });

  it('takes a permit of a semaphore, in the same one command, or none', async () => {
    const session = await bench.session();
    const [lock, permits] = [session.lock(bench.name()), session.semaphore(bench.name(), 2)];
    const [other, gate] = [await bench.turn(), session.boundedSemaphore(bench.name(), 1)];
    await Promise.all([lock, permits, gate].map((one) => one.with(() => 1)));
    let lease: Lease | undefined;
    const sent = await bench.commandsDuring(async () => {
      lease = await session.acquireAll([gate, permits, lock]);
    });
    expect(scripts(sent)).toBe(1);
    expect([await permits.value(), await gate.value(), await lock.locked()]).toEqual([1, 0, true]);
    const free = other.lock(bench.name());
    const both = [free, other.boundedSemaphore(gate.name, 1)];
    expect(await other.acquireAll(both, { timeout: 0 })).toBeNull();
    expect(await other.acquireAll(both, { timeout: 20 })).toBeNull();
    expect(await free.locked()).toBe(false);
    await lease?.release();
    expect([await permits.value(), await gate.value(), await lock.locked()]).toEqual([2, 1, false]);
    await expect(session.acquireAll([gate, gate])).rejects.toThrow(/named twice/);
    await expect(other.acquireAll([other.semaphore(permits.name, 3)])).rejects.toMatchObject({
      code: 'ERR_HEDDLE_CONFIG_MISMATCH',
    });
    await session.close();
  });

  it('never waits in a circle over permits either', async () => {
    const [x, y] = [bench.name(), bench.name()];
    const [one, two] = [await bench.session(), await bench.session()];
    const taken = [
      () => one.acquireAll([one.semaphore(x, 1), one.lock(y)]),
      () => two.acquireAll([two.lock(y), two.semaphore(x, 1)]),
    ];
    let rounds = 0;
    const crew = taken.map(async (take) => {
      for (let turn = 0; turn < 40; turn += 1) {
        await using _ = await take();
        rounds += 1;
      }
    });
    await Promise.all(crew);
    expect(rounds).toBe(80);
    await Promise.all([one.close(), two.close()]);
  });

  it('never waits in a circle between sessions that name them differently', async () => {
    const names = [bench.name(), bench.name(), bench.name()];
    const orders = [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
    ];
    let count = 0;
    const sessions = await Promise.all(orders.map(() => bench.session()));
    await Promise.all(
      orders.map(async (order, n) => {
        const session = sessions[n] as (typeof sessions)[number];
        for (let turn = 0; turn < 40; turn += 1) {
          const lease = await session.acquireAll(order.map((at) => session.lock(names[at] as string)));
          const seen = count;
          await new Promise((resolve) => setImmediate(resolve));
          count = seen + 1;
          await lease.release();
        }
      }),
    );
    expect(count).toBe(120);
    await Promise.all(sessions.map((session) => session.close()));
  });

  it('enters an rlock again in the logical thread of the caller, and waits for nobody who waits', async () => {
    const session = await bench.turn();
    const [a, b] = [session.rlock(bench.name()), session.lock(bench.name())];
    await runAs('owner', () =>
      a.with(async () => {
        const lease = await session.acquireAll([b, a], { timeout: 0 });
        expect(lease?.valid).toBe(true);
        await lease?.release();
      }),
    );
    await (await session.acquireAll([])).release();
  });

  it('refuses what is no lock of the session, or named twice, and takes nothing', async () => {
    const [session, other] = [await bench.turn(), await bench.turn()];
    const lock = session.lock(bench.name());
    const whole = session.readWriteLock(bench.name());
    const refused: unknown[] = [
      null,
      lock,
      [lock, null],
      [lock, {}],
      [lock, session.event('e')],
      [lock, lock],
    ];
    refused.push([lock, session.lock(lock.name)], [whole.read, whole.write], [lock, other.lock('x')]);
    refused.push([lock, new Lock()], [lock, session.condition('c', { lock })]);
    for (const locks of refused) {
      await expect(session.acquireAll(locks as never)).rejects.toMatchObject({
        name: 'TypeError',
        code: 'ERR_HEDDLE_INVALID_ARG_TYPE',
      });
    }
    await expect(session.acquireAll([lock], { timeout: -1 })).rejects.toThrow(RangeError);
    expect(await lock.locked()).toBe(false);
  });

  it('hangs no longer than its time-out where Redis does not answer, and without one goes on waiting', async () => {
    const proxy = await startProxy(bench.url);
    const session = await connect(proxy.url, { connectTimeout: 1000, logger: {} });
    const two = () => [session.lock(bench.name()), session.lock(bench.name())];
    await (await session.acquireAll(two())).release();
    proxy.swallow();
    const [timed, patient] = [session.acquireAll(two(), { timeout: 50 }), session.acquireAll(two())];
    patient.catch(() => {});
    expect(await timed).toBeNull();
    const lease = await patient;
    expect(lease.valid).toBe(true);
    await lease.release();
    await session.close();
  });
});
