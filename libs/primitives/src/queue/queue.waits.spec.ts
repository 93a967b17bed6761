/** What becomes of waits at a queue, as it stands in Redis: asked again, given up, swept; told to somebody or to nobody. */
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runAsNobody } from '../session/run-operations.ts';
import { sweep } from '../session/sweep.ts';
import { coreOf } from '../session.distributed.ts';
import { bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();
const HOUR = 3_600_000;
const PARTS = ['state', 'items', 'takers', 'putters', 'parcels', 'joiners', 'outcomes'] as const;

/** A queue, and operations on it. */
async function scene(shape = 'Queue 0') {
  const name = bench.name();
  const session = await bench.session();
  const core = coreOf(session);
  const { site } = core.partition(0);
  const keys = core.keyspace.of('queue', name, PARTS);
  const key = Object.fromEntries(PARTS.map((part, at) => [part, keys[at]])) as Record<
    (typeof PARTS)[number],
    string
  >;
  const asNobody = async (operation: string, ...args: (string | number)[]) =>
    (await runAsNobody(core.line, core.operations, site, [{ operation, keys, args: [name, ...args] }]))[0];
  return {
    name,
    key,
    record: `queue\n1\n${name}`,
    bare: async () => {
      const one = await bareSession(session, bench.admin);
      const ask = (operation: string, id: number, ...args: (string | number)[]) =>
        one.ask(operation, keys, [name, id, ...args]);
      return {
        ...one,
        wait: `${one.id}#1`,
        get: (wait: 0 | 1, id = 1) => ask('queue.get', id, wait, shape),
        /** Asked again without the item, as clients do. */
        put: (wait: 0 | 1, body = '', id = 1) => ask('queue.put', id, wait, shape, '8', body),
        join: (wait: 0 | 1) => ask('queue.join', 1, wait, shape),
        /** What became of it was read. */
        forget: () => one.ask('queue.forget', [key.takers, key.outcomes], [name, 1]),
        cancel: (keep: 0 | 1, id = 1) => ask('queue.cancel', id, keep),
      };
    },
    advance: () => asNobody('queue.advance'),
    taskDone: () => asNobody('queue.task-done', shape),
    shutdown: (immediate: 0 | 1) => asNobody('queue.shutdown', shape, immediate),
    sweep: (dead: string) => sweep(core.line, core.operations, site, core.kinds, dead),
    bodies: async () => (await bench.admin.zrange(key.items, '0', '-1')).map((item) => item.split(' ')[2]),
    outcomes: () => bench.admin.hgetall(key.outcomes),
    field: (which: string) => bench.admin.hget(key.state, which),
  };
}

/** Somebody listens for all: whoever is told is reached. Gives what was said to them. */
async function allAreReached(): Promise<string[]> {
  const heard: string[] = [];
  const ear = new Redis(bench.url);
  onTestFinished(() => ear.disconnect());
  ear.on('pmessage', (_pattern: string, _channel: string, message: string) => {
    if (message.startsWith('queue\n')) heard.push(message);
  });
  await ear.psubscribe('{heddle:0}:inbox:*');
  return heard;
}

describe('a wait for an item', () => {
  it('that is asked for again has the item it was given, and no other', async () => {
    const { bare, bodies, record } = await scene();
    const [putter, taker] = [await bare(), await bare()];
    await putter.put(0, 'one');
    await putter.put(0, 'two');
    const got = await taker.get(1);
    expect(got).toMatchObject({ 0: 'item', 2: expect.stringMatching(/ one$/) });
    expect(await taker.get(1)).toEqual(got);
    expect(await taker.listed()).toEqual([record]);
    expect(await bodies()).toEqual(['two']);
  });

  it('is listed while it stands in line, and no more once it only tries', async () => {
    const { bare, key, record } = await scene();
    const taker = await bare();
    expect((await taker.get(1))[0]).toBe('waiting');
    expect(await taker.listed()).toEqual([record]);
    expect(await taker.get(0)).toEqual(['busy', '', '0']);
    expect(await taker.listed()).toEqual([]);
    expect(await bench.admin.exists(key.takers)).toBe(0);
  });

  it('whose item was read is given no other, also where a fail-over undid that it was given one', async () => {
    await allAreReached();
    const { bare, bodies, outcomes } = await scene();
    const [putter, taker] = [await bare(), await bare()];
    await taker.get(1); // As it stands in line again where its item was put once more.
    await taker.forget();
    await putter.put(0, 'x');
    expect(await bodies()).toEqual(['x']);
    expect(await outcomes()).toEqual({});
    expect(await taker.listed()).toEqual([]);
  });

  it('that is given up keeps the item where it is to, or gives it to the next in line', async () => {
    await allAreReached();
    const { bare, outcomes, bodies, key } = await scene();
    const [putter, first, second] = [await bare(), await bare(), await bare()];
    await first.get(1);
    await second.get(1);
    await putter.put(0, 'x');
    const given = await outcomes();
    expect(Object.keys(given)).toEqual([first.wait]);
    expect(await first.cancel(1)).toMatchObject(['item', '', expect.stringMatching(/ x$/)]);
    expect(await outcomes()).toEqual(given);
    expect(await first.cancel(0)).toEqual(['left', '', '0']);
    expect(await outcomes()).toEqual({ [second.wait]: given[first.wait] });
    expect(await first.listed()).toEqual([]);
    // With nobody in line it is where it was.
    await second.cancel(0);
    expect(await bodies()).toEqual(['x']);
    expect(await bench.admin.exists(key.takers, key.outcomes)).toBe(0);
  });

  it('gives the item up also where the queue is gone, as after its TTL, and that has an end', async () => {
    const { bare, bodies, key, advance } = await scene();
    const [putter, taker] = [await bare(), await bare()];
    await putter.put(0, 'x');
    await taker.get(1);
    await bench.admin.del(key.state);
    expect(await advance()).toEqual(['done', '']);
    expect(await taker.cancel(0)).toEqual(['left', '', '1']);
    expect(await bodies()).toEqual(['x']);
    expect(await bench.admin.pttl(key.items)).toBeGreaterThan(HOUR);
  });

  it('gives no item back to a queue whose items were dropped: it counts as dealt with', async () => {
    const { bare, bodies, shutdown, field } = await scene();
    const [putter, taker] = [await bare(), await bare()];
    await putter.put(0, 'x');
    await taker.get(1);
    await shutdown(1);
    expect(await field('unfinished')).toBe('1');
    await taker.cancel(0);
    expect([await field('unfinished'), await bodies()]).toEqual(['0', []]);
  });

  it.each(['SimpleQueue 0', 'Queue 0'])(
    'of a dead session is swept by and by: the next who lives has its item (%s)',
    async (shape) => {
      await allAreReached();
      const { bare, outcomes, sweep, key } = await scene(shape);
      const [putter, dying, next] = [await bare(), await bare(), await bare()];
      await putter.put(0, 'x');
      await dying.get(1);
      const dead = Array.from({ length: 300 }, (_, n) => `${n.toString(16).padStart(24, '0')}-1#1`);
      await bench.admin.zadd(key.takers, ...dead.flatMap((one, n) => [n, one]));
      await bench.admin.zadd(key.takers, 1e15, next.wait);
      await dying.die();
      expect(await sweep(dying.id)).toEqual({ state: 'swept' });
      expect(Object.keys(await outcomes())).toEqual([next.wait]);
      await next.cancel(0);
    },
  );

  it('hears of a long item without the item', async () => {
    const heard = await allAreReached();
    const { bare, outcomes } = await scene();
    const [putter, one, other] = [await bare(), await bare(), await bare()];
    await one.get(1);
    await other.get(1);
    await putter.put(0, 'short');
    await putter.put(0, 'x'.repeat(3000));
    expect(Object.keys(await outcomes())).toHaveLength(2);
    await until(() => heard.length === 2, 'both were heard');
    expect(heard.map((message) => message.split('\n').slice(4).join())).toEqual([
      expect.stringMatching(/^item,.* short$/),
      'item',
    ]);
  });
});

describe('a wait for room', () => {
  const FULL = 'Queue 1';

  it('that is asked for again is told that its item was put, and puts it once', async () => {
    await allAreReached();
    const { bare, bodies, outcomes, key } = await scene(FULL);
    const [first, second, taker] = [await bare(), await bare(), await bare()];
    await first.put(0, 'one');
    expect((await second.put(1, 'two'))[0]).toBe('waiting');
    await taker.get(1);
    expect(await outcomes()).toMatchObject({ [second.wait]: 'put' });
    expect(await bench.admin.exists(key.putters, key.parcels)).toBe(0);
    expect(await second.put(1)).toEqual(['put', '']);
    expect(await bodies()).toEqual(['two']);
    expect(await second.cancel(0)).toEqual(['put', '']);
    expect(await second.listed()).toEqual([]);
  });

  it('of which nothing is known is not put without its item', async () => {
    const { bare, bodies } = await scene();
    expect(await (await bare()).put(1)).toEqual(['gone', '']);
    expect(await bodies()).toEqual([]);
  });

  it('that only tries leaves nothing, nor one that had a place', async () => {
    const { bare, key, record } = await scene(FULL);
    const [first, second] = [await bare(), await bare()];
    await first.put(0, 'one');
    expect(await second.put(0, 'two')).toEqual(['busy', '', '1']);
    expect(await bench.admin.exists(key.putters, key.parcels)).toBe(0);
    await second.put(1, 'two');
    expect(await second.listed()).toEqual([record]);
    expect(await second.put(0)).toEqual(['busy', '', '1']);
    expect(await bench.admin.exists(key.putters, key.parcels)).toBe(0);
    expect(await second.listed()).toEqual([]);
  });

  it('behind the dead, and behind those whose items are gone, is served at once, and listed until it has read that', async () => {
    const { bare, bodies, key, record } = await scene('Queue 2');
    const one = await bare();
    await bench.admin.zadd(key.putters, 1, `${'0'.repeat(24)}-1#1`, 2, `${(await bare()).id}#1`);
    await bench.admin.hset(key.parcels, `${'0'.repeat(24)}-1#1`, '8 of the dead');
    expect((await one.put(1, 'mine'))[0]).toBe('put');
    expect(await bodies()).toEqual(['mine']);
    expect(await one.listed()).toEqual([record]);
    expect(await bench.admin.exists(key.putters, key.parcels)).toBe(0);
  });

  it('hears that the queue was shut, where nobody could tell it', async () => {
    const { bare, bodies, key } = await scene(FULL);
    const [first, second] = [await bare(), await bare()];
    await first.put(0, 'one');
    await second.put(1, 'two');
    await bench.admin.hset(key.state, 'shut', 'drains'); // As where the shutdown met its bound before it.
    expect((await second.put(1))[0]).toBe('shut');
    expect(await second.listed()).toEqual([]);
    expect(await bodies()).toEqual(['one']);
  });
});

describe('a wait for all to be dealt with', () => {
  it('that is over stays over where its message was lost, whatever is put since', async () => {
    const { bare, taskDone, outcomes, key } = await scene();
    const [putter, joiner] = [await bare(), await bare()];
    await putter.put(0, 'one');
    expect((await joiner.join(1))[0]).toBe('waiting');
    await taskDone();
    expect(await outcomes()).toEqual({ [joiner.wait]: 'joined' });
    await putter.put(0, 'two');
    expect(await joiner.join(1)).toEqual(['joined', '']);
    expect(await bench.admin.exists(key.joiners)).toBe(0);
  });

  it('leaves its line where it finds out by itself', async () => {
    const { bare, key } = await scene();
    const [putter, joiner] = [await bare(), await bare()];
    await putter.put(0, 'one');
    await joiner.join(1);
    await bench.admin.hset(key.state, 'unfinished', '0'); // As where whoever dealt with it met the bound of a script.
    expect(await joiner.join(1)).toEqual(['joined', '']);
    expect(await bench.admin.exists(key.joiners)).toBe(0);
  });

  it('is listed no more where its own question lets it go, and nobody is who came later', async () => {
    const { bare, key, outcomes, record } = await scene();
    const [putter, joiner, late] = [await bare(), await bare(), await bare()];
    await putter.put(0, 'one');
    await joiner.join(1);
    await late.join(1);
    const score = (await bench.admin.zscore(key.joiners, joiner.wait)) ?? '';
    await bench.admin.hset(key.state, 'zero', score); // As above, and more was put since.
    expect((await joiner.join(1))[0]).toBe('joined');
    expect(await joiner.listed()).toEqual([]);
    expect(await outcomes()).toEqual({});
    expect(await bench.admin.zrange(key.joiners, '0', '-1')).toEqual([late.wait]);
    expect(await late.listed()).toEqual([record]);
  });
});

describe('those in line whom no message reaches', () => {
  const ids = Array.from({ length: 300 }, (_, at) => at + 1);
  const lookedAt = async (line: string) =>
    (await bench.admin.zrange(line, '0', '+inf', 'BYSCORE')).map((wait) => wait.split('#')[1]);

  it('keep no taker behind them waiting, be they hundreds, and find their places again', async () => {
    const { name, bare, key, advance, outcomes } = await scene();
    const [deaf, putter] = [await bare(), await bare()];
    const live = (await bench.session()).queue(name);
    for (const id of ids) expect(await deaf.get(1, id)).toEqual(['waiting', '']);
    const next = live.get();
    await until(async () => (await bench.admin.zcard(key.takers)) === 301, 'it stands behind them');
    expect(await putter.put(0, '1')).toEqual(['put', 'more']);
    expect(await advance()).toEqual(['done', '']);
    expect(await next).toBe(1);
    expect(await lookedAt(key.takers)).toEqual([]); // Nobody looks at them a second time.

    expect(await deaf.get(1, 3)).toEqual(['waiting', '']);
    expect(await bench.admin.pttl(key.takers)).toBeGreaterThan(HOUR);
    const late = live.get();
    await until(async () => (await lookedAt(key.takers)).length === 2, 'it stands behind one');
    for (const id of [2, 1, 2]) expect(await deaf.get(1, id)).toEqual(['waiting', '']);
    expect((await lookedAt(key.takers)).slice(0, 3)).toEqual(['1', '2', '3']);
    await putter.put(0, '2');
    expect(await late).toBe(2); // They are as deaf as before.
    await putter.put(0, '3');
    expect((await deaf.get(1, 2))[0]).toBe('item');
    await deaf.cancel(0, 2);
    expect((await deaf.get(1, 1))[0]).toBe('item');
    for (const id of ids) expect((await deaf.cancel(0, id))[0]).toBe('left');
    await until(async () => Object.keys(await outcomes()).length === 0, 'what was taken was read');
    expect(await bench.admin.exists(key.takers)).toBe(0);
    expect(await deaf.listed()).toEqual([]);
    expect(await live.get({ timeout: 0 })).toBe(3);
  });

  it('keep no putter behind them waiting, be they hundreds, and find their places again', async () => {
    const { name, bare, key, bodies, advance, outcomes } = await scene('Queue 1');
    const [deaf, first] = [await bare(), await bare()];
    const live = (await bench.session()).queue(name, { maxsize: 1 });
    await first.put(0, '0');
    for (const id of ids) expect(await deaf.put(1, `${id}`, id)).toEqual(['waiting', '']);
    const next = live.put('next');
    await until(async () => (await bench.admin.zcard(key.putters)) === 301, 'it stands behind them');
    expect(await first.get(0)).toMatchObject({ 0: 'item', 1: 'more' });
    expect(await advance()).toEqual(['done', '']);
    await next;
    expect(await bodies()).toEqual(['"next"']);
    expect(await lookedAt(key.putters)).toEqual([]); // Nobody looks at them a second time.

    expect(await deaf.put(1, '', 3)).toEqual(['waiting', '']);
    expect(await bench.admin.pttl(key.putters)).toBeGreaterThan(HOUR);
    const late = live.put('late');
    await until(async () => (await lookedAt(key.putters)).length === 2, 'it stands behind one');
    for (const id of [2, 1, 2]) expect(await deaf.put(1, '', id)).toEqual(['waiting', '']);
    expect((await lookedAt(key.putters)).slice(0, 3)).toEqual(['1', '2', '3']);
    expect(await live.get()).toBe('next');
    await late; // They are as deaf as before.
    expect(await live.get()).toBe('late');
    expect(await deaf.put(1, '', 2)).toEqual(['put', '']);
    expect(await bodies()).toEqual(['2']);
    expect(await deaf.cancel(0, 2)).toEqual(['put', '']);
    for (const id of ids) expect(await deaf.cancel(0, id)).toEqual(['left', '', '1']);
    await until(async () => (await outcomes())[first.wait] !== undefined, 'the rest was read');
    await first.cancel(0);
    await until(async () => Object.keys(await outcomes()).length === 0, 'all was read');
    expect(await bench.admin.exists(key.putters, key.parcels)).toBe(0);
    expect(await deaf.listed()).toEqual([]);
  });

  it('hear of a shutdown as they ask again, and leave nothing', async () => {
    const { bare, key, bodies, shutdown, outcomes } = await scene('Queue 1');
    const [taker, putter, other] = [await bare(), await bare(), await bare()];
    await taker.get(1);
    await other.put(0, 'one');
    await putter.put(1, 'two');
    await other.get(0);
    expect([await lookedAt(key.takers), await lookedAt(key.putters)]).toEqual([[], []]);
    await other.cancel(1);
    await shutdown(1);
    expect((await taker.get(1))[0]).toBe('shut');
    expect((await putter.put(1))[0]).toBe('shut');
    await other.cancel(0);
    expect([await outcomes(), await bodies()]).toEqual([{}, []]);
    expect(await bench.admin.exists(key.takers, key.putters, key.parcels)).toBe(0);
    for (const one of [taker, putter]) expect(await one.listed()).toEqual([]);
  });

  it.each(['die', 'only try again'])('leave nothing where they %s', async (end) => {
    const { bare, key, bodies, sweep, outcomes } = await scene('Queue 1');
    const [taker, putter, other] = [await bare(), await bare(), await bare()];
    await taker.get(1);
    await other.put(0, 'one');
    await putter.put(1, 'two');
    await other.get(0);
    await other.cancel(0); // It goes back: there is no room.
    expect([await lookedAt(key.takers), await lookedAt(key.putters)]).toEqual([[], []]);
    if (end === 'die') {
      for (const one of [taker, putter]) await one.die();
      for (const { id } of [taker, putter]) expect(await sweep(id)).toEqual({ state: 'swept' });
    } else {
      expect(await putter.put(0)).toEqual(['busy', '', '1']);
      await other.get(0);
      expect(await taker.get(0)).toEqual(['busy', '', '0']);
      await other.cancel(0);
      for (const one of [taker, putter]) expect(await one.listed()).toEqual([]);
    }
    expect([await outcomes(), await bodies()]).toEqual([{}, ['one']]);
    expect(await bench.admin.exists(key.takers, key.putters, key.parcels)).toBe(0);
  });
});

describe('a queue whose items were dropped', () => {
  it('stays so, also where it is shut down again', async () => {
    const { shutdown, field } = await scene();
    await shutdown(1);
    await shutdown(0);
    expect(await field('shut')).toBe('dropped');
  });
});
