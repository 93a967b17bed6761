import { describe, expect, it } from 'vitest';
import type { Lease } from '../lock/lock.ts';
import { connect, type Session } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();

/** A session behind a proxy of its own. */
async function behindProxy(ttl: number, connectTimeout = 1500) {
  const proxy = await startProxy(bench.url);
  const session = await connect(proxy.url, { ttl, connectTimeout, logger: {} });
  const losses: string[] = [];
  session.on('lost', (reason) => losses.push(reason));
  return { proxy, session, losses };
}

describe('a reply that is lost', () => {
  it('does nothing twice and takes nothing away, whichever call it answered', async () => {
    const { proxy, session, losses } = await behindProxy(20_000);
    const [lock, permits, met, told] = [bench.name(), bench.name(), bench.name(), bench.name()];
    const other = await bench.session();
    await session.lock(lock).with(() => 1);

    proxy.loseReplyTo(/lock\.acquire/);
    const lease = await session.lock(lock).acquire();
    expect(await other.lock(lock).acquire({ timeout: 0 })).toBeNull();
    proxy.loseReplyTo(/lock\.release/);
    await lease.release();
    expect(await other.lock(lock).locked()).toBe(false);

    proxy.loseReplyTo(/semaphore\.acquire/);
    const permit = await session.semaphore(permits, 2).acquire();
    expect(await other.semaphore(permits, 2).value()).toBe(1);
    proxy.loseReplyTo(/semaphore\.release/);
    await permit.release();
    expect(await other.semaphore(permits, 2).value()).toBe(2);
    proxy.loseReplyTo(/semaphore\.release/);
    await session.semaphore(permits, 2).release(1);
    expect(await other.semaphore(permits, 2).value()).toBe(3);

    proxy.loseReplyTo(/barrier\.wait/);
    const first = session.barrier(met, 2).wait();
    await until(async () => (await other.barrier(met, 2).waiting()) === 1, 'it has arrived, once');
    expect([await other.barrier(met, 2).wait(), await first].sort()).toEqual([0, 1]);

    proxy.loseReplyTo(/event\.wait/);
    const waiting = session.event(told).wait();
    proxy.loseReplyTo(/event\.set/);
    await session.event(told).set();
    expect(await waiting).toBe(true);
    expect(losses).toEqual([]);
    await session.close();
  });

  it('of a wait that gave up leaves neither a place nor a hold', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const other = await bench.session();
    const held = [await other.lock(name).acquire(), await other.semaphore(name, 1).acquire()];
    for (const op of ['lock.acquire', 'lock.cancel', 'semaphore.acquire', 'semaphore.cancel']) {
      proxy.loseReplyTo(new RegExp(op.replace('.', '\\.')));
      const attempt = op.startsWith('lock')
        ? session.lock(name).acquire({ timeout: 30 })
        : session.semaphore(name, 1).acquire({ timeout: 30 });
      expect(await attempt).toBeNull();
    }
    for (const lease of held) await lease.release();
    const empty = async () =>
      (await bench.admin.exists(
        `{heddle:0}:lock:${name}:queue`,
        `{heddle:0}:semaphore:${name}:queue`,
        `{heddle:0}:semaphore:${name}:holders`,
      )) === 0;
    await until(empty, 'nothing is left in line or held');
    expect(await other.lock(name).acquire({ timeout: 0 })).not.toBeNull();
    await session.close();
  });
});

describe('connections that break at random', () => {
  it('count every hold once, in order of tokens, with scripts flushed in between', async () => {
    const [lock, permits] = [bench.name(), bench.name()];
    const rigs = [
      await behindProxy(20_000, 5000),
      await behindProxy(20_000, 5000),
      await behindProxy(20_000, 5000),
    ];
    const tokens: number[] = [];
    const inside = { lock: 0, permits: 0 };
    const most = { lock: 0, permits: 0 };
    let stop = false;
    const hold = async (kind: 'lock' | 'permits', lease: Lease | null) => {
      if (lease === null) return;
      inside[kind] += 1;
      most[kind] = Math.max(most[kind], inside[kind]);
      if (kind === 'lock') tokens.push(lease.token);
      await later(0, undefined);
      inside[kind] -= 1;
      await lease.release();
    };
    const work = rigs.flatMap(({ session }, n) => [
      (async () => {
        while (!stop) await hold('lock', await session.lock(lock).acquire());
      })(),
      (async () => {
        while (!stop) await hold('lock', await session.lock(lock).acquire({ timeout: 2 + n }));
      })(),
      ...Array.from({ length: 3 }, async (_, k) => {
        while (!stop) await hold('permits', await session.semaphore(permits, 2).acquire({ timeout: k * 3 }));
      }),
    ]);
    for (let n = 0; n < 30; n += 1) {
      const before = tokens.length;
      await until(() => tokens.length > before + 3, 'the lock goes round');
      const { proxy } = rigs[n % 3] as (typeof rigs)[number];
      if (n % 2) proxy.cut();
      else proxy.loseReplyTo(/lock|semaphore/);
      if (n % 3 === 0) await bench.admin.script('FLUSH');
      if (n % 5 === 0) await bench.admin.call('CLIENT', 'PAUSE', '20', 'ALL');
    }
    stop = true;
    await Promise.all(work);
    expect(rigs.flatMap(({ losses }) => losses)).toEqual([]);
    expect(most.lock).toBe(1);
    expect(most.permits).toBeLessThanOrEqual(2);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    const counts = () => bench.admin.hmget(`{heddle:0}:semaphore:${permits}:state`, 'used', 'limit');
    await until(
      async () => (await counts()).join() === '0,2',
      'a place that crossed its leaving went back too',
    );
    for (const part of ['queue', 'wants', 'holders'])
      expect(await bench.admin.exists(`{heddle:0}:semaphore:${permits}:${part}`)).toBe(0);
    expect(await bench.admin.exists(`{heddle:0}:lock:${lock}:queue`)).toBe(0);
    for (const { session } of rigs) await session.close();
  });
});

describe('connections that die unseen', () => {
  it('are replaced: the session goes on without a loss, and hears what it is granted', async () => {
    const { proxy, session, losses } = await behindProxy(6000);
    const name = bench.name();
    const other = await bench.session();
    const kept = await session.lock(bench.name()).acquire();
    const blocking = await other.lock(name).acquire();
    const waiting = session.lock(name).acquire();
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === 1,
      'it stands in line',
    );
    const start = performance.now();
    proxy.swallow();
    expect(
      await session
        .lock(name)
        .locked()
        .catch(() => true),
    ).toBe(true);
    await blocking.release();
    await (await waiting).release();
    await until(() => performance.now() - start > 6500, 'more than its ttl has passed');
    expect(losses).toEqual([]);
    expect(kept.valid).toBe(true);
    await kept.release();
    await session.close();
  });

  it('do not hold up a session that is opened anew', async () => {
    const { proxy, session, losses } = await behindProxy(300);
    const name = bench.name();
    const lease = await session.lock(name).acquire();
    proxy.swallow();
    await until(() => lease.signal.aborted, 'the lease is lost in time');
    await (await session.lock(name).acquire()).release();
    expect(losses.length).toBeGreaterThan(0);
    await session.close();
  });

  it('do not keep close() from its end', async () => {
    const { proxy, session } = await behindProxy(60_000, 1000);
    await session.lock(bench.name()).acquire();
    proxy.swallow();
    const closing = session.close();
    expect(await stillPending(closing, 3000)).toBe(false);
    await closing;
    await until(() => proxy.open === 0, 'no connection is left');
    // What it held goes with its ttl; this test need not wait for that.
    await bench.admin.zadd('{heddle:0}:sessions', 'XX', '0', `${session.id}-1`);
    await bench.session({ ttl: 300 });
    await until(
      async () => (await bench.admin.keys('*')).every((key) => !key.includes(session.id)),
      'somebody sweeps',
    );
  });
});

describe('a Redis that hangs', () => {
  const waits: Record<string, (session: Session, name: string) => Promise<unknown>> = {
    lock: (session, name) => session.lock(name).acquire({ timeout: 200 }),
    rlock: (session, name) => session.rlock(name).acquire({ timeout: 200 }),
    semaphore: (session, name) => session.semaphore(name).acquire({ timeout: 200 }),
    write: (session, name) => session.readWriteLock(name).write.acquire({ timeout: 200 }),
    acquireAll: (session, name) => session.acquireAll([session.lock(name)], { timeout: 200 }),
    event: (session, name) => session.event(name).wait({ timeout: 200 }),
    barrier: (session, name) => session.barrier(name, 2).wait({ timeout: 200 }),
    queue: (session, name) => session.queue(name).get({ timeout: 200 }),
    latch: (session, name) => session.countDownLatch(name, 1).wait({ timeout: 200 }),
  };

  it('costs a time-out one grace, whatever is waited for', async () => {
    const { proxy, session } = await behindProxy(60_000, 20_000);
    await session.lock(bench.name()).with(() => 1);
    proxy.swallow();
    const begun = performance.now();
    const took = Object.entries(waits).map(async ([kind, wait]) => {
      await wait(session, `${kind} ${bench.name()}`).catch(() => {});
      return [kind, performance.now() - begun] as const;
    });
    const late = (await Promise.all(took)).filter(([, ms]) => ms < 200 || ms > 650);
    expect(late).toEqual([]);
    proxy.cut();
    await session.close();
  });
});

describe('connect', () => {
  it('has connectTimeout for all its steps together', async () => {
    const proxy = await startProxy(bench.url);
    // No step takes longer than that; all of them do.
    proxy.delayReplies(250);
    await expect(connect(proxy.url, { connectTimeout: 400, logger: {} })).rejects.toMatchObject({
      code: 'ERR_HEDDLE_REDIS_UNREACHABLE',
      message: expect.stringContaining('within 400 ms'),
    });
    await (await connect(proxy.url, { connectTimeout: 20_000 })).close();
  });
});
