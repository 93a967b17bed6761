import { describe, expect, it } from 'vitest';
import { forked } from '../testing/processes.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();
const key = (name: string, part: string) => `{heddle:0}:queue:${name}:${part}`;
const inLine = (name: string, line: 'takers' | 'putters' | 'joiners', count: number) =>
  until(async () => (await bench.admin.zcard(key(name, line))) === count, `${count} ${line} stand in line`);
const noKeyNames = (id: string) =>
  until(async () => (await bench.admin.keys('*')).every((each) => !each.includes(id)), 'no key names it');

// Processes take their time to start where the machine is busy.
const PATIENT = { timeout: 60_000 };

describe('a taker that dies', PATIENT, () => {
  it('after it was given an item and before it read it: that goes to another, before all that came later', async () => {
    const name = bench.name();
    const dead = await forked();
    const id = await dead.do('connect', bench.url, { ttl: 2000 });
    void dead.do('get', name).catch(() => {});
    await inLine(name, 'takers', 1);
    const session = await bench.session({ ttl: 2000 });
    const queue = session.queue(name);
    await queue.size();
    dead.signal('SIGSTOP');
    await queue.put('first');
    expect(await queue.size()).toBe(0); // Granted: its connection still stands.
    await queue.put('second');
    await dead.kill();
    await until(async () => (await queue.size()) === 2, 'it is back');
    expect([await queue.get(), await queue.get()]).toEqual(['first', 'second']);
    await noKeyNames(id);
    expect(await queue.join({ timeout: 0 })).toBe(false);
    await session.close();
  });

  it('gives what it had not read to one who waits', async () => {
    const name = bench.name();
    const dead = await forked();
    const id = await dead.do('connect', bench.url, { ttl: 2000 });
    void dead.do('get', name).catch(() => {});
    await inLine(name, 'takers', 1);
    // Its own asking again would come too late.
    const session = await bench.session({ ttl: 15_000 });
    const other = (await bench.turn()).queue(name);
    const waiting = session.queue(name).get();
    await inLine(name, 'takers', 2);
    dead.signal('SIGSTOP');
    await other.put('item');
    expect(await stillPending(waiting, 100)).toBe(true);
    await dead.kill();
    await noKeyNames(id);
    expect(await stillPending(waiting, 200)).toBe(false);
    expect(await waiting).toBe('item');
    await session.close();
  });

  it('in the middle of a line leaves it, and that of those who join', async () => {
    const name = bench.name();
    const session = await bench.session({ ttl: 6000 });
    const queue = session.queue(name);
    await queue.put(1);
    const dead = await forked();
    const id = await dead.do('connect', bench.url, { ttl: 1000 });
    expect(await queue.get()).toBe(1);
    const waits = [queue.get(), queue.join()];
    await inLine(name, 'takers', 1);
    for (const deed of ['get', 'join'] as const) void dead.do(deed, name).catch(() => {});
    await inLine(name, 'takers', 2);
    await inLine(name, 'joiners', 2);
    await dead.kill();
    await noKeyNames(id);
    await inLine(name, 'takers', 1);
    await inLine(name, 'joiners', 1);
    await queue.taskDone();
    await queue.put(2);
    expect(await Promise.all(waits)).toEqual([2, true]);
    await session.close();
  });

  it('while it waits is passed over at once', async () => {
    const name = bench.name();
    const dead = await forked();
    const id = await dead.do('connect', bench.url, { ttl: 3000 });
    void dead.do('get', name).catch(() => {});
    await inLine(name, 'takers', 1);
    const session = await bench.session({ ttl: 3000 });
    const waiting = session.queue(name).get();
    await inLine(name, 'takers', 2);
    await dead.kill();
    await until(
      async () => (await bench.admin.pubsub('NUMSUB', `{heddle:0}:inbox:${id}`))[1] === 0,
      'it hears no more',
    );
    await session.queue(name).put('item');
    expect(await waiting).toBe('item');
    // For Redis the dead one still lives.
    expect(Number(await bench.admin.zscore('{heddle:0}:sessions', `${id}-1`))).toBeGreaterThan(Date.now());
    await noKeyNames(id);
    await session.close();
  });

  it('after it has read an item and asked for another takes that one along', async () => {
    const name = bench.name();
    const dead = await forked();
    const id = await dead.do('connect', bench.url, { ttl: 1000 });
    const session = await bench.session({ ttl: 1000 });
    const queue = session.queue(name);
    await queue.put('first');
    expect(await dead.do('get', name)).toBe('first');
    void dead.do('get', name).catch(() => {});
    await inLine(name, 'takers', 1);
    await dead.kill();
    await noKeyNames(id);
    expect(await queue.size()).toBe(0);
    await session.close();
  });
});

describe('a putter that dies', PATIENT, () => {
  it('while it waits for room puts nothing, and those behind it go on', async () => {
    const name = bench.name();
    const session = await bench.session({ ttl: 1000 });
    const queue = session.queue(name, { maxsize: 1 });
    await queue.put('first');
    const dead = await forked();
    const id = await dead.do('connect', bench.url, { ttl: 1000 });
    void dead.do('put', name, 'of the dead', 1).catch(() => {});
    await inLine(name, 'putters', 1);
    const behind = (await bench.turn()).queue(name, { maxsize: 1 }).put('second');
    await inLine(name, 'putters', 2);
    await dead.kill();
    await until(
      async () => (await bench.admin.pubsub('NUMSUB', `{heddle:0}:inbox:${id}`))[1] === 0,
      'it hears no more',
    );
    expect(await queue.get()).toBe('first');
    await behind;
    expect(await queue.get()).toBe('second');
    await noKeyNames(id);
    expect(await queue.size()).toBe(0);
    await until(async () => (await bench.keysOf(name)).length === 1, 'only the shape is left');
    await session.close();
  });
});

describe('takers that are killed in the middle of it', PATIENT, () => {
  it('lose no item; each may have the one it had just read delivered once more', async () => {
    const [name, list, kills] = [bench.name(), 'taken down', 5];
    const session = await bench.session({ ttl: 1000 });
    const queue = session.queue(name);
    const taker = async () => {
      const process = await forked();
      const id = await process.do('connect', bench.url, { ttl: 1000 });
      void process.do('takeInto', name, list).catch(() => {});
      return { ...process, id };
    };
    const takers = await Promise.all([taker(), taker()]);
    const dead: string[] = [];
    let put = 0;
    const more = async (count: number) => {
      for (const end = put + count; put < end; put += 1) await queue.put(put);
    };
    for (let n = 0; n < kills; n += 1) {
      const putting = more(60);
      const before = await bench.admin.llen(list);
      await until(async () => (await bench.admin.llen(list)) > before + 10 * n, 'some are taken');
      await takers[n % 2]?.kill();
      dead.push(takers[n % 2]?.id ?? '');
      await putting;
      takers[n % 2] = await taker();
    }
    const taken = async () => new Set(await bench.admin.lrange(list, 0, -1));
    // What the dead had just read comes back when they are swept, and is taken by those who live.
    const swept = async () =>
      (await bench.admin.keys('*')).every((key) => !dead.some((id) => key.includes(id)));
    await until(swept, 'the dead are swept');
    await until(async () => (await taken()).size === put, 'all are taken');
    const none = async () => (await bench.admin.exists(key(name, 'items'), key(name, 'outcomes'))) === 0;
    await until(none, 'nothing is on its way');
    expect(await bench.admin.llen(list)).toBeLessThanOrEqual(put + kills);
    await queue.shutdown();
    for (const process of takers) await process.do('close');
    // Somebody must live to sweep those who died last.
    await until(async () => (await bench.keysOf(name)).length === 1, 'only the shape is left');
    await session.close();
    await bench.admin.del(list);
  });
});

describe('four processes', { timeout: 180_000 }, () => {
  it('pass 10,000 items on, each once, in the order of each putter', async () => {
    const [name, maxsize] = [bench.name(), 100];
    const processes = await Promise.all(Array.from({ length: 4 }, () => forked()));
    await Promise.all(processes.map((process) => process.do('connect', bench.url, {})));
    const takers = processes.map((process) => process.do('takeAll', name, 4, maxsize));
    await Promise.all(processes.map((process, n) => process.do('putMany', name, n * 2500, 2500, maxsize)));
    const queue = (await bench.turn()).queue(name, { maxsize });
    expect(await queue.join({ timeout: 120_000 })).toBe(true);
    await queue.shutdown();
    const lines = (await Promise.all(takers)).flat() as number[][];
    expect(lines.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
    // Each line of takers has each putter's items in the order in which they were put.
    for (const line of lines)
      for (let putter = 0; putter < 4; putter += 1) {
        const own = line.filter((item) => Math.floor(item / 2500) === putter);
        expect(own).toEqual([...own].sort((a, b) => a - b));
      }
    await Promise.all(processes.map((process) => process.do('close')));
    expect(await bench.keysOf(name)).toEqual([key(name, 'state')]);
  });
});
