import { describe, expect, it } from 'vitest';
import { currentLogicalThread } from '../identity.ts';
import { connect, coreOf } from '../session.distributed.ts';
import { LeaseWords } from '../shared-memory/lease-words.ts';
import { bareLife } from '../testing/bare-life.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, until } from '../testing/waiting.ts';
import { HeldLease } from './held-lease.ts';

const bench = redisBench();
const quiet = { logger: {} };

describe('calls that cross', () => {
  it('keep their order where the script of the first has to be loaded again', async () => {
    const session = await bench.session();
    const name = bench.name();
    await session.semaphore(name, 1).with(() => 1);
    const { line } = coreOf(session);
    const sent = line.evalsha.bind(line);
    let forgotten = true;
    line.evalsha = async (sha, keys, ...rest) => {
      if (!forgotten || !rest.join().includes('semaphore.acquire')) return sent(sha, keys, ...rest);
      forgotten = false;
      await later(30, undefined); // The call after it is served meanwhile.
      throw Object.assign(new Error('NOSCRIPT No matching script.'), { name: 'ReplyError' });
    };
    const controller = new AbortController();
    const aborted = session.semaphore(name, 1).acquire({ signal: controller.signal });
    await until(() => !forgotten, 'it was sent');
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    const next = await session.semaphore(name, 1).acquire({ timeout: 5000 });
    expect(next).not.toBeNull();
    await next?.release();
    expect(await session.semaphore(name, 1).value()).toBe(1);
  });

  it('tell what was surely not done from what may have been', async () => {
    const session = await bench.session({ ttl: 60_000, ...quiet });
    const name = bench.name();
    await session.event(name).isSet();
    await bench.admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    // Refused, since Redis does not know the session: done again under its next life, and once.
    await session.event(name).set();
    expect(await session.event(name).isSet()).toBe(true);
  });

  it('are not done again under the next life where they may have been done, and say so', async () => {
    const proxy = await startProxy(bench.url);
    const session = await connect(proxy.url, { ttl: 60_000, ...quiet });
    const name = bench.name();
    const counter = session.counter(name);
    proxy.delayReplies(60_000);
    const added = counter.add();
    await until(
      async () => (await bench.admin.get(`{heddle:0}:counter:${name}:value`)) === '1',
      'it is done',
    );
    await bench.admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    proxy.delayReplies(0);
    proxy.cut();
    await expect(added).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' });
    expect(await counter.value()).toBe(1);
    await session.close();
  });
});

describe('a lease under a life that has ended', () => {
  it('is lost from the start', () => {
    const words = new LeaseWords();
    words.extendTo(1e15);
    const life = bareLife('x', words);
    life.end('the clock of Redis was set');
    const claim = { kind: 'lock', name: 'x', session: 'x', owner: currentLogicalThread(), asked: 0 };
    const lease = new HeldLease(claim, 1, life, () => Promise.resolve());
    expect(lease.valid).toBe(false);
    expect(lease.signal.aborted).toBe(true);
    expect(lease.signal.reason).toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
  });
});

describe('time-outs that cross', () => {
  it('the end of a barrier’s round: the party has its index', async () => {
    const [slow, other] = [await bench.session(), await bench.session()];
    const name = bench.name();
    // Its messages are lost: it learns of the round's end only by giving up.
    coreOf(slow).inbox.on('barrier', () => {});
    const first = slow.barrier(name, 2).wait({ timeout: 1000 });
    first.catch(() => {});
    await until(async () => (await other.barrier(name, 2).waiting()) === 1, 'it has arrived');
    const second = await other.barrier(name, 2).wait();
    expect([await first, second].sort()).toEqual([0, 1]);
    expect(await other.barrier(name, 2).broken()).toBe(false);
  });

  it('a barrier’s own: Infinity waits on', async () => {
    const [a, b] = [await bench.session(), await bench.session()];
    const name = bench.name();
    const patient = a.barrier(name, 2, { timeout: 40 }).wait({ timeout: Number.POSITIVE_INFINITY });
    patient.catch(() => {});
    await until(async () => (await b.barrier(name, 2).waiting()) === 1, 'it has arrived');
    await later(80, undefined);
    await b.barrier(name, 2).wait();
    await patient;
  });

  it('maxHold, in a loop that stands still: no trace of the hold stays', async () => {
    const session = await bench.session();
    const other = await bench.session();
    const name = bench.name();
    const lock = session.lock(name, { maxHold: 300 });
    await lock.with(() => 1);
    const lease = await lock.acquire();
    const next = other.lock(name).acquire();
    await until(
      async () => !lease.valid || (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === 1,
      'another stands in line',
    );
    for (const end = performance.now() + 350; performance.now() < end; );
    expect(lease.valid).toBe(false);
    await (await next).release();
    await until(async () => {
      const holds = await bench.admin.zrange(`{heddle:0}:session:${session.id}-1:holds`, '0', '-1');
      return holds.every((record) => !record.includes(name));
    }, 'it is not listed any more');
  });
});

describe('a death among many', () => {
  it('breaks a barrier for all of 600 at once, which no single script may', async () => {
    const name = bench.name();
    const dying = await bench.session({ ttl: 300, ...quiet });
    const patient = await bench.session({ ttl: 60_000 });
    const waits = [
      dying.barrier(name, 1000).wait(),
      ...Array.from({ length: 600 }, () => patient.barrier(name, 1000).wait()),
    ].map((wait) => wait.catch((error) => error.code));
    await until(async () => (await patient.barrier(name, 1000).waiting()) === 601, 'all wait');
    await bench.admin.zadd('{heddle:0}:sessions', 'XX', '0', `${dying.id}-1`);
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['ERR_HEDDLE_BROKEN_BARRIER']));
  });
});

describe('a close that crosses', () => {
  it('a broken connection: what is held is given back all the same', async () => {
    const proxy = await startProxy(bench.url);
    const session = await connect(proxy.url, { ttl: 60_000, ...quiet });
    const name = bench.name();
    await session.lock(name).acquire();
    const broken = new Promise<void>((resolve) => session.once('reconnecting', resolve));
    proxy.cut();
    await broken;
    await session.close();
    const other = await bench.session();
    expect(await other.lock(name).acquire({ timeout: 0 })).not.toBeNull();
  });

  it('an opening: no pulse goes on behind its back', async () => {
    const session = await connect(bench.url, { ttl: 300, ...quiet });
    await session.lock(bench.name()).acquire();
    const lost = new Promise((resolve) => session.once('lost', resolve));
    await bench.admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    await lost;
    await session.close();
    await until(
      async () => (await bench.admin.keys('*')).every((key) => !key.includes(session.id)),
      'nothing of it is left',
    );
  });
});

describe('a release of another shape', () => {
  it('is refused, and what is held stays held', async () => {
    const session = await bench.session();
    const name = bench.name();
    const lease = await session.semaphore(name, 2).acquire();
    const mismatch = {
      code: 'ERR_HEDDLE_CONFIG_MISMATCH',
      existing: { permits: 2 },
      requested: { permits: 3 },
    };
    await expect(session.semaphore(name, 3).release()).rejects.toMatchObject(mismatch);
    expect(lease.valid).toBe(true);
    expect(await session.semaphore(name, 2).value()).toBe(1);
    await lease.release();
    expect(await session.semaphore(name, 2).value()).toBe(2);
  });
});
