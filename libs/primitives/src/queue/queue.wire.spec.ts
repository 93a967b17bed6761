import { describe, expect, it } from 'vitest';
import { connect } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, until } from '../testing/waiting.ts';

const bench = redisBench();
const key = (name: string, part: string) => `{heddle:0}:queue:${name}:${part}`;
const inLine = (name: string, line: 'takers' | 'putters', count: number) =>
  until(async () => (await bench.admin.zcard(key(name, line))) === count, `${count} ${line} stand in line`);

/** A session behind a proxy of its own. */
async function behindProxy(ttl: number, connectTimeout = 1500) {
  const proxy = await startProxy(bench.url);
  const session = await connect(proxy.url, { ttl, connectTimeout, logger: {} });
  const losses: string[] = [];
  session.on('lost', (reason) => losses.push(reason));
  return { proxy, session, losses };
}

describe('a reply that is lost', () => {
  it('puts nothing twice and takes nothing away, whichever call it answered', async () => {
    const { proxy, session, losses } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 2 });
    const queue = session.queue(name, { maxsize: 2 });
    await queue.size();
    proxy.loseReplyTo(/queue\.put/);
    await queue.put('a');
    expect(await other.size()).toBe(1);
    proxy.loseReplyTo(/queue\.get/);
    expect(await queue.get()).toBe('a');
    expect(await other.size()).toBe(0);
    proxy.loseReplyTo(/queue\.task-done/);
    await queue.taskDone();
    await expect(queue.taskDone()).rejects.toMatchObject({ code: 'ERR_HEDDLE_OVER_RELEASE' });

    // One that waits for an item, one that waits for room.
    proxy.loseReplyTo(/queue\.get/);
    const getting = queue.get();
    await inLine(name, 'takers', 1);
    await other.put('b');
    expect(await getting).toBe('b');
    await Promise.all([other.put('c'), other.put('d')]);
    proxy.loseReplyTo(/queue\.put/);
    const putting = queue.put('e');
    await inLine(name, 'putters', 1);
    expect(await other.get()).toBe('c');
    await putting;

    // One that gives up.
    proxy.loseReplyTo(/queue\.cancel/);
    // Where the connection is not made anew in time, it does not know.
    await expect(queue.put('f', { timeout: 20 })).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_HEDDLE_(QUEUE_FULL|OUTCOME_UNKNOWN)$/),
    });
    expect([await other.get(), await other.get()]).toEqual(['d', 'e']);
    proxy.loseReplyTo(/queue\.cancel/);
    await expect(queue.get({ timeout: 20 })).rejects.toMatchObject({ code: 'ERR_HEDDLE_QUEUE_EMPTY' });
    await other.put('g');
    expect(await other.get()).toBe('g');
    expect(losses).toEqual([]);
    await session.close();
  });
});

describe('an item that meets a taker who gives up', { timeout: 60_000 }, () => {
  it('goes to the next where that one aborts', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const stop = new AbortController();
    const getting = session.queue(name).get({ signal: stop.signal });
    await inLine(name, 'takers', 1);
    proxy.delayReplies(50);
    const other = (await bench.session()).queue(name);
    await Promise.all([other.put('first'), other.put('second')]);
    expect(await bench.admin.hlen(key(name, 'outcomes'))).toBe(1);
    stop.abort('no longer');
    await expect(getting).rejects.toBe('no longer');
    await until(async () => (await other.size()) === 2, 'it is back');
    expect([await other.get(), await other.get()]).toEqual(['first', 'second']);
    await session.close();
  });

  it('is delivered where its time is up, or goes back where Redis is too slow for that', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name);
    /** Has an item put while a taker waits, and its news held up; gives what the taker was told. */
    const cross = async (delay: number): Promise<unknown> => {
      proxy.delayReplies(0);
      let end: unknown;
      const getting = session
        .queue(name)
        .get({ timeout: 200 })
        .catch((error) => error.code)
        .then((told) => (end = told));
      await until(
        async () => end !== undefined || (await bench.admin.zcard(key(name, 'takers'))) === 1,
        'it stands in line',
      );
      proxy.delayReplies(delay);
      await other.put('first');
      await getting;
      await other.put('second');
      const expected = end === 'first' ? ['second'] : ['first', 'second'];
      await until(
        async () => (await other.size()) === expected.length,
        'all is there that was not delivered',
      );
      for (const item of expected) expect(await other.get()).toBe(item);
      return end;
    };
    // The message is late; what asks whether it was all in vain is answered in time, unless this machine is busy.
    await until(async () => (await cross(210)) === 'first', 'it is delivered');
    await until(
      async () => (await cross(900)) === 'ERR_HEDDLE_QUEUE_EMPTY',
      'it is told that there was none',
    );
    await session.close();
  });

  it('is delivered to one alone, however often takers give up just then', async () => {
    const name = bench.name();
    const [a, b] = [(await bench.session()).queue<number>(name), (await bench.session()).queue<number>(name)];
    const taken: number[] = [];
    let stop = false;
    const takers = [a, b, a, b].map(async (queue, at) => {
      while (!stop) {
        const end = new AbortController();
        const timer = setTimeout(() => end.abort(), 1 + at);
        const options = at < 2 ? { timeout: 1 + at } : { signal: end.signal };
        await queue.get(options).then(
          (item) => taken.push(item),
          () => {},
        );
        clearTimeout(timer);
      }
    });
    for (let n = 0; n < 300; n += 1) {
      await b.put(n);
      if (n % 3 === 0) await later(2, undefined);
    }
    await until(() => taken.length >= 300, 'all are taken');
    stop = true;
    await Promise.all(takers);
    expect(taken.sort((x, y) => x - y)).toEqual(Array.from({ length: 300 }, (_, n) => n));
    await until(async () => (await bench.keysOf(name)).length === 1, 'only the shape is left');
  });
});

describe('a putter that gives up', { timeout: 60_000 }, () => {
  it('is told whether the item is in', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 1 });
    await other.put('first');
    const stop = new AbortController();
    const putting = session.queue(name, { maxsize: 1 }).put('second', { signal: stop.signal });
    await inLine(name, 'putters', 1);
    proxy.delayReplies(50);
    expect(await other.get()).toBe('first');
    stop.abort('too late');
    await putting; // It was in when the signal aborted.
    expect(await other.get()).toBe('second');
    proxy.delayReplies(0);

    await other.put('third');
    const late = session.queue(name, { maxsize: 1 }).put('fourth', { timeout: 1000 });
    await inLine(name, 'putters', 1);
    proxy.delayReplies(600);
    await expect(late).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN', primitive: name });
    await until(async () => (await bench.admin.exists(key(name, 'parcels'))) === 0, 'its item has gone');
    expect(await other.get()).toBe('third');
    expect(await other.size()).toBe(0);
    proxy.delayReplies(0);
    await session.close();
  });

  it('is told that it is not known where its session ends', async () => {
    const { proxy, session, losses } = await behindProxy(1000);
    const name = bench.name();
    const other = (await bench.session({ ttl: 1000 })).queue(name, { maxsize: 1 });
    await other.put('first');
    const putting = session.queue(name, { maxsize: 1 }).put('second');
    const getting = session.queue(`${name} of its own`).get();
    await inLine(name, 'putters', 1);
    proxy.delayReplies(3000);
    await expect(putting).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN', primitive: name });
    expect(losses.length).toBeGreaterThan(0);
    proxy.delayReplies(0);
    await inLine(name, 'putters', 0);
    expect(await other.get()).toBe('first');
    expect(await other.size()).toBe(0);
    // Whoever takes goes on under the next life.
    await (await bench.turn()).queue(`${name} of its own`).put('here');
    expect(await getting).toBe('here');
    await session.close();
  });

  it('is told so, too, where no call of it is on its way, or none was answered', async () => {
    const { proxy, session, losses } = await behindProxy(1000);
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 1 });
    await other.put('first');
    const queue = session.queue(name, { maxsize: 1 });
    const standing = queue.put('second');
    standing.catch(() => {});
    await inLine(name, 'putters', 1);
    await bench.admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    await expect(standing).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' });
    expect(await other.get()).toBe('first');
    expect(await other.size()).toBe(0);

    await queue.put('third');
    expect(await other.get()).toBe('third');
    proxy.delayReplies(3000);
    await expect(queue.put('fourth')).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' });
    proxy.delayReplies(0);
    const fifth = queue.put('fifth');
    expect(await other.get()).toBe('fourth'); // It was in: nobody could know.
    await fifth;
    expect(await other.get()).toBe('fifth');
    expect(losses.length).toBeGreaterThan(1);
    await session.close();
  });

  it('is told that its item is in, where that meets the end of its session', async () => {
    const { proxy, session } = await behindProxy(20_000);
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 1 });
    await other.put('first');
    const putting = session.queue(name, { maxsize: 1 }).put('second');
    await inLine(name, 'putters', 1);
    proxy.delayReplies(50);
    expect(await other.get()).toBe('first');
    const closing = session.close();
    await putting;
    await closing;
    expect(await other.get()).toBe('second');
  });

  it('is told the truth by a session that closes', async () => {
    const name = bench.name();
    const other = (await bench.session()).queue(name, { maxsize: 1 });
    await other.put(0);
    const session = await bench.session();
    const puts = [1, 2, 3].map((n) => session.queue(name, { maxsize: 1 }).put(n));
    const ends = Promise.allSettled(puts);
    await inLine(name, 'putters', 3);
    void other.get();
    await session.close();
    const told = (await ends).map((end) => (end.status === 'fulfilled' ? 'in' : end.reason.code));
    const size = await other.size();
    expect(told.filter((word) => word === 'in')).toHaveLength(size);
    expect(new Set([...told, 'in'])).toEqual(new Set(['in', 'ERR_HEDDLE_SESSION_CLOSED']));
  });
});
