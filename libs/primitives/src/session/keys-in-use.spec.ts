import { describe, expect, it, onTestFinished } from 'vitest';
import { coreOf } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

describe('keys in use', () => {
  const HOUR = 3_600_000;
  const key = (kind: string, name: string, part: string) => `{heddle:0}:${kind}:${name}:${part}`;
  const inLine = (kind: string, name: string, count: number) =>
    until(
      async () => (await bench.admin.zcard(key(kind, name, 'queue'))) === count,
      `${count} stand in line`,
    );

  /** As if whoever came last had come two minutes ago, and nobody had put off the key's end for almost a day. */
  async function ageLine(kind: string, name: string): Promise<void> {
    const queue = key(kind, name, 'queue');
    const [last = ''] = await bench.admin.zrange(queue, '-1', '-1');
    await bench.admin.zincrby(queue, -120e6, last);
    await bench.admin.pexpire(queue, 20_000);
  }

  async function ageGrants(kind: string, name: string, parts: readonly string[]): Promise<void> {
    await bench.admin.hincrby(key(kind, name, 'state'), 'end', -120e6);
    for (const part of parts) await bench.admin.pexpire(key(kind, name, part), 20_000);
  }

  const ends = (kind: string, name: string, parts: readonly string[]) =>
    Promise.all(parts.map((part) => bench.admin.pttl(key(kind, name, part))));

  it('of a lock do not expire while it goes round, however long that is', async () => {
    const name = bench.name();
    const [a, b, c] = [await bench.session(), await bench.session(), await bench.session()];
    const held = await a.lock(name).acquire();
    const second = b.lock(name).acquire();
    await inLine('lock', name, 1);
    await ageLine('lock', name);
    const third = c.lock(name).acquire();
    await inLine('lock', name, 2);
    await ageGrants('lock', name, ['state']);
    await held.release();
    const next = await second;
    expect(Math.min(...(await ends('lock', name, ['state', 'queue'])))).toBeGreaterThan(HOUR);
    await next.release();
    await (await third).release();
  });

  it('of a semaphore do not expire while its permits go round', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const held = [await a.semaphore(name, 2).acquire(), await a.semaphore(name, 2).acquire()];
    const second = b.semaphore(name, 2).acquire();
    await inLine('semaphore', name, 1);
    await ageLine('semaphore', name);
    await bench.admin.pexpire(key('semaphore', name, 'wants'), 20_000);
    const third = b.semaphore(name, 2).acquire();
    await inLine('semaphore', name, 2);
    expect(Math.min(...(await ends('semaphore', name, ['queue', 'wants'])))).toBeGreaterThan(HOUR);
    await ageGrants('semaphore', name, ['state', 'holders']);
    await held[0]?.release();
    const next = await second;
    expect(Math.min(...(await ends('semaphore', name, ['state', 'holders'])))).toBeGreaterThan(HOUR);
    await held[1]?.release();
    await next.release();
    await (await third).release();
    // Nobody holds any: the holders have a key of their own anew, and with it a new end.
    const again = await a.semaphore(name, 2).acquire();
    expect(Math.min(...(await ends('semaphore', name, ['state', 'holders'])))).toBeGreaterThan(HOUR);
    // Its shape lives for a day after its last use.
    await bench.admin.pexpire(key('semaphore', name, 'state'), 20_000);
    await again.release();
    expect(Math.min(...(await ends('semaphore', name, ['state'])))).toBeGreaterThan(HOUR);
  });

  /** Holds and waits of every kind in a namespace of their own, by sessions of that ttl. */
  async function everything(namespace: string, ttl: number): Promise<void> {
    const [a, b] = [await bench.session({ namespace, ttl }), await bench.session({ namespace, ttl })];
    // One record there is but a mark.
    const holds = `{${namespace}:0}:session:${b.id}-1:holds`;
    await a.lock('l').acquire();
    await a.rlock('r').acquire();
    await a.semaphore('s', 2).acquire();
    await a.semaphore('s', 2).acquire();
    await a.readWriteLock('w').read.acquire();
    await a.queue('q', { maxsize: 1 }).put(1);
    await a.counter('n').add(1);
    await a.event('up').set();
    await a.queue('given').put(1);
    await a.queue('given').put(2);
    // It does not say what of its outcomes it has read: they stay.
    const life = coreOf(b).partition(0).current;
    if (life !== undefined) life.later = () => {};
    await Promise.all([b.queue('given').get(), a.barrier('t', 2).wait(), b.barrier('t', 2).wait()]);
    const condition = a.condition('c', { lock: a.lock('cl') });
    const waits: Promise<unknown>[] = [
      b.lock('l').acquire(),
      b.rlock('r').acquire(),
      b.semaphore('s', 2).acquire(),
      b.readWriteLock('w').write.acquire(),
      b.queue('q', { maxsize: 1 }).put(2),
      b.queue('q', { maxsize: 1 }).join(),
      b.queue('empty').get(),
      b.event('e').wait(),
      b.barrier('b', 2).wait(),
      b.countDownLatch('d', 1).wait(),
      condition.acquire().then(() => condition.wait()),
    ];
    for (const wait of waits) wait.catch(() => {});
    await until(async () => (await bench.admin.zcard(holds)) === 13, 'all of the other wait');
    const line = `{${namespace}:0}:condition:*:waiters`;
    await until(async () => (await bench.admin.keys(line)).length === 1, 'this one waits');
    onTestFinished(() => Promise.all([a.close(), b.close()]).then(() => {}));
  }

  it('and all others have an end, a hundred ttls away where that is more than a day', async () => {
    const namespace = 'ends';
    await everything(namespace, 1_200_000);
    // The last token of a lock that nobody has is kept for a minute.
    const all = await bench.admin.keys(`{${namespace}:0}:*`);
    const keys = all.filter((each) => !each.endsWith(':lock:cl:state'));
    const short: string[] = [];
    for (const each of keys) if ((await bench.admin.pttl(each)) < 119_000_000) short.push(each);
    expect(short).toEqual([]);
    expect(keys.length).toBeGreaterThan(30);
  });

  it('of whatever kind are kept by the sign of life of who holds or waits there', async () => {
    const namespace = 'kept';
    await everything(namespace, 1_500);
    const keys = (await bench.admin.keys(`{${namespace}:0}:*`)).filter(
      (each) => !/:counter:|:event:up:|:queue:q:parcels$/.test(each),
    );
    for (const each of keys) await bench.admin.pexpire(each, 20_000);
    // As if each had been kept alive long ago last.
    for (const holds of keys.filter((each) => each.endsWith(':holds')))
      for (const record of await bench.admin.zrange(holds, '0', '-1'))
        if (record !== '') await bench.admin.zadd(holds, 'XX', 1, record);
    const short = async () => {
      const found: string[] = [];
      for (const each of keys) if ((await bench.admin.pttl(each)) < HOUR) found.push(each);
      return found;
    };
    let left: string[] = keys;
    await until(async () => {
      left = await short();
      return left.length === 0;
    }, 'all are kept').catch(() => expect(left).toEqual([]));
  });

  it('that have no owner are kept by each use, whatever came of it', async () => {
    const session = await bench.session();
    const [n, e, d, s, b] = Array.from({ length: 5 }, () => bench.name()) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const [event, latch, semaphore] = [
      session.event(e),
      session.countDownLatch(d, 2),
      session.semaphore(s, 2),
    ];
    const [counter, barrier] = [session.counter(n), session.barrier(b, 2)];
    const uses: [string, () => Promise<unknown>][] = [
      [key('counter', n, 'value'), () => counter.add(1)],
      [key('counter', n, 'value'), () => counter.value()],
      [key('counter', n, 'value'), () => counter.compareAndSet(1, 2)],
      [key('counter', n, 'value'), () => counter.compareAndSet(1, 2)],
      [key('event', e, 'state'), () => event.set()],
      [key('event', e, 'state'), () => event.isSet()],
      [key('event', e, 'state'), () => event.wait({ timeout: 0 })],
      [key('event', e, 'state'), () => event.clear()],
      [key('latch', d, 'state'), () => latch.count()],
      [key('latch', d, 'state'), () => latch.wait({ timeout: 0 })],
      [key('latch', d, 'state'), () => latch.countDown()],
      [key('semaphore', s, 'state'), () => semaphore.value()],
      [key('barrier', b, 'state'), () => barrier.reset()],
      [key('barrier', b, 'state'), () => barrier.waiting()],
    ];
    for (const [at, use] of uses) {
      await bench.admin.pexpire(at, 20_000);
      await use();
      expect(await bench.admin.pttl(at), String(use)).toBeGreaterThan(HOUR);
    }
  });

  it('are kept few at a time, longest ago first, by a session with many', async () => {
    const namespace = 'many';
    const session = await bench.session({ namespace, ttl: 1_500 });
    const names = Array.from({ length: 150 }, (_, n) => String(n));
    await Promise.all(names.map((name) => session.lock(name).acquire()));
    const holds = `{${namespace}:0}:session:${session.id}-1:holds`;
    const of = (name: string) => `{${namespace}:0}:lock:${name}:state`;
    const commands = await bench.commandsDuring(async () => {
      const aged = bench.admin.multi();
      for (const name of names) {
        aged.pexpire(of(name), 20_000);
        aged.zadd(holds, 'XX', 1 + Number(name), `lock\n\n${name}`);
      }
      await aged.exec();
      await until(async () => (await bench.admin.pttl(of('149'))) > HOUR, 'the last is kept');
    });
    // Six keys of its own, and two for each lock.
    const counts = commands
      .flatMap((line) => /evalsha "\w+" "(\d+)" "\{many:/.exec(line)?.[1] ?? [])
      .map(Number);
    expect(Math.max(...counts)).toBe(6 + 2 * 64);
    expect(counts.filter((count) => count > 6)).toEqual([134, 134, 50]);
    for (const name of names) expect(await bench.admin.pttl(of(name))).toBeGreaterThan(HOUR);
    await session.close();
  });
});
