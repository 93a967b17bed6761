import { describe, expect, it, onTestFinished } from 'vitest';
import { lockConformance } from '../lock/lock.conformance.ts';
import type { AnyLock } from '../lock/lock.ts';
import { connect } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, until } from '../testing/waiting.ts';
import { readWriteLockConformance } from './read-write-lock.conformance.ts';
import type { DistributedLockSide, DistributedReadWriteLock } from './read-write-lock.distributed.ts';

const bench = redisBench();

readWriteLockConformance('distributed', {
  make: async () => (await bench.turn()).readWriteLock(bench.name()),
  another: async (lock) => (await bench.turn()).readWriteLock((lock as DistributedReadWriteLock).name),
});

lockConformance('distributed, the write side of a ReadWriteLock', {
  make: async () => (await bench.turn()).readWriteLock(bench.name()).write,
  another: async (lock: AnyLock) =>
    (await bench.turn()).readWriteLock((lock as DistributedLockSide).name).write,
  fifo: true,
  separateOwners: true,
});

describe('ReadWriteLock, distributed', () => {
  it('takes one command to lock a free side and one to unlock it', async () => {
    const lock = (await bench.session()).readWriteLock(bench.name());
    for (const side of [lock.read, lock.write]) {
      await (await side.acquire()).release();
      const sent = await bench.commandsDuring(async () => (await side.acquire()).release());
      expect(sent.filter((line) => line.includes('"semaphore.'))).toHaveLength(2);
    }
  });

  it('is held by one whose time was up before the answer came, or by nobody', async () => {
    const proxy = await startProxy(bench.url);
    const slow = await connect(proxy.url, { logger: {} });
    onTestFinished(() => slow.close());
    const name = bench.name();
    await (await slow.readWriteLock(name).write.acquire()).release();
    proxy.delayReplies(60);
    const lease = await slow.readWriteLock(name).write.acquire({ timeout: 10 });
    expect(lease?.valid).toBe(true);
    proxy.delayReplies(0);
    await slow.counter(bench.name()).add(1); // Whatever was sent with the answer has been done by now.
    const others = (await bench.session()).readWriteLock(name).write;
    expect(await others.acquire({ timeout: 0 })).toBe(null);
    await lease?.release();
    await (await others.acquire()).release();
  });

  it('leaves its last token for a minute, however it was used last; a look leaves nothing', async () => {
    const [name, looked, died] = [bench.name(), bench.name(), bench.name()];
    const session = await bench.session();
    const lock = session.readWriteLock(name);
    const state = (of: string) => bench.admin.pttl(`{heddle:0}:rwlock:${of}:state`);
    const hold = await lock.read.acquire();
    expect(await state(name)).toBeGreaterThan(86_000_000);
    await hold.release();
    expect(await lock.write.locked()).toBe(false);
    expect(await state(name)).toBeLessThan(61_000); // A minute, and what the block is ahead.
    await lock.write.with(async () => expect(await state(name)).toBeGreaterThan(86_000_000));
    expect(await state(name)).toBeLessThan(61_000);
    expect(await session.readWriteLock(looked).read.locked()).toBe(false);
    await session.readWriteLock(died).write.acquire();
    await session.close();
    expect(await state(looked)).toBe(-2);
    expect(await state(died)).toBeGreaterThan(50_000);
    expect(await state(died)).toBeLessThan(61_000);
  });

  it('lets the writer in when a reader’s session ends', async () => {
    const name = bench.name();
    const [reader, writer] = [await bench.session(), await bench.turn()];
    await reader.readWriteLock(name).read.acquire();
    const writing = writer.readWriteLock(name).write.acquire();
    await reader.close();
    await (await writing).release();
  });

  it('hands the write side on inside a session, with rising tokens, and in turns with other sessions', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session(), await bench.session()];
    const write = () => session.readWriteLock(name).write;
    const first = await write().acquire();
    const tokens = [first.token];
    let inside = 0;
    const all = Array.from({ length: 200 }, () =>
      write().with(async (lease) => {
        inside += 1;
        expect(inside).toBe(1);
        tokens.push(lease.token);
        await later(0, undefined);
        inside -= 1;
      }),
    );
    const reading = other.readWriteLock(name).read.acquire();
    const queue = `{heddle:0}:rwlock:${name}:queue`;
    await until(async () => (await bench.admin.zcard(queue)) === 1, 'the reader stands in line, alone');
    await first.release();
    const lease = await reading;
    // Its turn came after at most a block of tokens, not at the end.
    expect(inside).toBe(0);
    expect(tokens.length).toBeLessThanOrEqual(64);
    expect(lease.token).toBeGreaterThan(Math.max(...tokens));
    await lease.release();
    await Promise.all(all);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
  });

  it('leaves nobody behind, whoever in front gives up, is released by halves, or loses its session', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session({ ttl: 60_000, logger: {} }), await bench.turn()];
    const held = await other.readWriteLock(name).write.acquire();
    const write = (timeout?: number) => session.readWriteLock(name).write.acquire({ timeout });
    const [front, second, third] = [write(40), write(80), write()];
    expect([await front, await second]).toEqual([null, null]);
    await held.release();
    const lease = await third;
    const fourth = write();
    await bench.admin.del('{heddle:0}:sessions');
    await session
      .event(name)
      .isSet()
      .catch(() => {}); // Whatever is asked finds out.
    await until(() => lease?.signal.aborted, 'the session is lost');
    await (await fourth)?.release();

    const bounded = session.boundedSemaphore(bench.name(), 2);
    await bounded.acquire({ permits: 2 });
    const next = bounded.acquire({ permits: 2 });
    await bounded.release(1);
    await bounded.release(1);
    await (await next).release();
    expect(await bounded.value()).toBe(2);
  });

  it('serves writers in order of arrival where one in front gives up, or one had it without waiting', async () => {
    const [mine, other, another] = [await bench.session(), await bench.session(), await bench.session()];
    for (const tried of [false, true]) {
      const name = bench.name();
      const queue = `{heddle:0}:rwlock:${name}:queue`;
      const holder = tried ? mine : another;
      const held = await holder.readWriteLock(name).write.acquire({ timeout: 0 });
      const order: string[] = [];
      const enter = (who: string, session: typeof mine, timeout?: number) =>
        session
          .readWriteLock(name)
          .write.acquire({ timeout })
          .then(async (lease) => {
            if (lease !== null) order.push(who);
            await lease?.release();
          });
      const first = enter('first', mine, tried ? undefined : 200);
      const second = enter('second', mine);
      // Once: not at all while it holds the lock itself, which goes from one to the next here.
      const places = tried ? 0 : 1;
      await until(async () => (await bench.admin.zcard(queue)) === places, 'this session stands in line');
      const third = enter('third', other);
      await until(async () => (await bench.admin.zcard(queue)) === places + 1, 'and the other');
      if (!tried) await first;
      await held?.release();
      await Promise.all([first, second, third]);
      expect(order).toEqual(tried ? ['first', 'second', 'third'] : ['second', 'third']);
    }
  });
});
