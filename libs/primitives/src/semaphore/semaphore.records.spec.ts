/** What operations on permits leave in Redis, and what they answer; where holders and waiters die, or are not reached. */
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
const MOST = 2 ** 29 - 1;

/** A semaphore of so many permits, or what else is made of permits, and operations on it. */
async function scene(limit: number, kind = 'semaphore') {
  const name = bench.name();
  const [session, other] = [await bench.session(), await bench.session()];
  const core = coreOf(session);
  const { site } = core.partition(0);
  const keys = core.keyspace.of(kind, name, ['state', 'queue', 'wants', 'holders']);
  const [state = '', queue = '', wants = '', holders = ''] = keys;
  const shape = kind === 'semaphore' ? String(limit) : kind;
  const bare = async () => {
    const one = await bareSession(session, bench.admin);
    return {
      ...one,
      acquire: (wait: 0 | 1, permits = 1, id = 1) =>
        one.ask('semaphore.acquire', keys, [name, kind, id, permits, wait, shape, limit]),
      release: (permits: number, raise = 0, id = 1) =>
        one.ask('semaphore.release', keys, [
          name,
          kind,
          shape,
          limit,
          raise,
          ...(permits > 0 ? [id, permits] : []),
        ]),
      cancel: (id = 1) => one.ask('semaphore.cancel', keys, [name, kind, id]),
    };
  };
  const asNobody = async (operation: string, on: readonly string[], ...args: (string | number)[]) =>
    (await runAsNobody(core.line, core.operations, site, [{ operation, keys: on, args }]))[0];
  return {
    name,
    other,
    state,
    queue,
    wants,
    holders,
    bare,
    advance: () => asNobody('semaphore.advance', keys, name, kind),
    value: () => asNobody('semaphore.value', [state, holders], kind, shape, limit),
    sweep: async (dead: string) => {
      const unswept: string[] = [];
      const { state: is } = await sweep(core.line, core.operations, site, core.kinds, dead, (record) =>
        unswept.push(record),
      );
      return [is, ...unswept];
    },
    /** So many in line before all others, all of them dead. */
    async crowdOfDead(count = 300) {
      const dead = Array.from({ length: count }, (_, n) => `${n.toString(16).padStart(24, '0')}-1#1`);
      await bench.admin.zadd(queue, ...dead.flatMap((one, n) => [n, one]));
      await bench.admin.hset(wants, ...dead.flatMap((one) => [one, '1']));
    },
    inLine: (count: number) =>
      until(async () => (await bench.admin.zcard(queue)) === count, `${count} stand in line`),
  };
}

/** Somebody listens for all: whoever is told is reached. */
async function allAreReached() {
  const ear = new Redis(bench.url);
  onTestFinished(() => ear.disconnect());
  await ear.psubscribe('{heddle:0}:inbox:*');
}

describe('permits that are asked for', () => {
  it('again, as where the reply or the message was lost, are those that were granted', async () => {
    const { bare, value } = await scene(2);
    const one = await bare();
    const granted = await one.acquire(1);
    expect(granted[0]).toBe('granted');
    expect(await one.acquire(1)).toEqual(granted);
    expect(await one.cancel()).toEqual(granted);
    expect(await value()).toEqual(['value', '1']);
  });

  it('where there are none yet can be waited for, one at a time', async () => {
    const { bare, state } = await scene(0);
    const one = await bare();
    expect(await one.acquire(1, 2)).toEqual(['too many', '0']);
    expect(await one.acquire(1)).toEqual(['queued']);
    expect(await bench.admin.pttl(state)).toBeGreaterThan(HOUR);
    await one.release(0, 1);
    expect((await one.acquire(1))[0]).toBe('granted');
  });

  it('by a try are had where all in line have died', async () => {
    const { bare, crowdOfDead, queue, wants } = await scene(1);
    const one = await bare();
    await crowdOfDead(3);
    expect((await one.acquire(0))[0]).toBe('granted');
    expect(await bench.admin.exists(queue, wants)).toBe(0);
  });

  it('by a try that is refused leave nothing', async () => {
    const { bare, queue, wants } = await scene(2);
    const [holder, large, late] = [await bare(), await bare(), await bare()];
    await holder.acquire(0);
    expect(await large.acquire(1, 2)).toEqual(['queued']);
    expect(await late.acquire(0)).toEqual(['busy']);
    expect(await bench.admin.zrange(queue, '0', '-1')).toEqual([`${large.id}#1`]);
    expect(await bench.admin.hkeys(wants)).toEqual([`${large.id}#1`]);
    expect(await late.listed()).toEqual([]);
    expect(await large.cancel()).toEqual(['left']);
    expect(await bench.admin.exists(queue, wants)).toBe(0);
    expect(await large.listed()).toEqual([]);
  });

  it('are waited for at once where one who died stood before', async () => {
    const { bare, crowdOfDead } = await scene(2);
    const [holder, one] = [await bare(), await bare()];
    await holder.acquire(0);
    await crowdOfDead(1);
    expect(await one.acquire(1, 2)).toEqual(['queued']);
  });

  it.each(['queue', 'wants', 'holders'] as const)(
    'are a clear error where %s is of another type, and nothing is changed',
    async (part) => {
      const all = await scene(2);
      const one = await all.bare();
      await all.value();
      await bench.admin.rpush(all[part], 'not ours');
      expect(await one.acquire(1)).toMatchObject({ 0: 'error', 1: expect.stringContaining('WRONGTYPE') });
      expect(await bench.admin.hget(all.state, 'used')).toBe('0');
      expect(await one.listed()).toEqual([]);
      await bench.admin.del(all[part]);
    },
  );
});

describe('permits that are given back', () => {
  it('in part leave the hold its tokens, and are none of more than it has', async () => {
    const { bare, holders, value } = await scene(3);
    const one = await bare();
    const [, first, last] = await one.acquire(0, 3);
    expect(await one.release(4)).toEqual(['gone']);
    expect(await one.release(1)).toEqual(['released']);
    expect(await bench.admin.hgetall(holders)).toEqual({ [`${one.id}#1`]: `2 ${first} ${last}` });
    expect(await one.release(3)).toEqual(['gone']);
    expect(await value()).toEqual(['value', '1']);
    expect(await one.release(2)).toEqual(['released']);
    expect(await one.listed()).toEqual([]);
  });

  it('and that a fail-over had put back in line leave nothing of them there, which no sweep would find', async () => {
    const { bare, queue, wants, value } = await scene(1);
    const [holder, one] = [await bare(), await bare()];
    await holder.acquire(0);
    expect(await one.acquire(1)).toEqual(['queued']);
    expect(await one.release(1)).toEqual(['gone']);
    expect(await bench.admin.exists(queue, wants)).toBe(0);
    expect([await one.listed(), await value()]).toEqual([[], ['value', '0']]);
    await holder.release(1);
    expect(await value()).toEqual(['value', '1']);
  });

  it('by one who had none are more for those who wait, up to what can be counted', async () => {
    const { name, other, bare, inLine } = await scene(1);
    const [holder, generous] = [await bare(), await bare()];
    await holder.acquire(0);
    const next = other.semaphore(name, 1).acquire();
    await inLine(1);
    expect(await generous.release(0, MOST)).toEqual(['full', String(MOST)]);
    expect(await generous.release(0, 1)).toEqual(['released']); // Nothing is left to go on with.
    await (await next).release();
    expect(await generous.release(0, MOST - 2)).toEqual(['released']);
    expect(await generous.release(0, 1)).toEqual(['full', String(MOST)]);
  });

  it('to 300 at once, which no single script may, are had by all', async () => {
    await allAreReached();
    const { bare, holders, advance } = await scene(0);
    const [many, generous] = [await bare(), await bare()];
    for (let id = 1; id <= 300; id += 1) await many.acquire(1, 1, id);
    expect(await generous.release(0, 300)).toEqual(['more']);
    expect(await bench.admin.hlen(holders)).toBe(256);
    expect(await advance()).toEqual(['done']);
    expect(await bench.admin.hlen(holders)).toBe(300);
  });
});

describe('a line with more dead than a script may pass over', () => {
  it('is had by who comes, in steps', async () => {
    const { bare, crowdOfDead, wants, advance } = await scene(1);
    const one = await bare();
    await crowdOfDead();
    expect(await one.acquire(1)).toEqual(['more']);
    expect((await one.acquire(1))[0]).toBe('granted');
    expect(await bench.admin.exists(wants)).toBe(0);
    await one.release(1);
    await crowdOfDead();
    expect([await advance(), await advance()]).toEqual([['more'], ['done']]);
    expect(await bench.admin.exists(wants)).toBe(0);
  });

  it('is had by a try, in steps', async () => {
    const { name, other, crowdOfDead, queue, value } = await scene(1);
    await value();
    await crowdOfDead();
    const lease = await other.semaphore(name, 1).acquire({ timeout: 0 });
    expect(lease).toMatchObject({ valid: true });
    expect(await bench.admin.exists(queue)).toBe(0);
    await lease?.release();
  });

  it('goes on to who lives behind one who asks again and is granted as the last of a step', async () => {
    const { name, other, bare, inLine, crowdOfDead, state, holders } = await scene(2);
    const patient = await bench.session({ ttl: 60_000 });
    await (await bare()).acquire(0, 2);
    const first = other.semaphore(name, 2).acquire();
    await inLine(1);
    const second = patient.semaphore(name, 2).acquire();
    await inLine(2);
    await crowdOfDead(255);
    // As where it was released while nobody could be told.
    await bench.admin.hset(state, 'used', '0');
    await bench.admin.del(holders);
    const core = coreOf(other);
    core.opened();
    for (const lease of await Promise.all([first, second])) await lease.release();
  });

  it.each(['released', 'gave up'])(
    'goes on to who lives though who %s dies before that, by its sweep',
    async (how) => {
      const { name, other, bare, inLine, crowdOfDead, holders, sweep } = await scene(2);
      const [holder, large] = [await bare(), await bare()];
      await holder.acquire(0, how === 'released' ? 2 : 1);
      if (how === 'gave up') await large.acquire(1, 2);
      const next = other.semaphore(name, 2).acquire();
      await inLine(how === 'released' ? 1 : 2);
      await crowdOfDead();
      const dying = how === 'released' ? holder : large;
      expect(await (how === 'released' ? holder.release(2) : large.cancel())).toEqual(['more']);
      await dying.die();
      expect(await sweep(dying.id)).toEqual(['swept']);
      expect(Object.keys(await bench.admin.hgetall(holders))).toContainEqual(
        expect.stringContaining(other.id),
      );
      await (await next).release();
    },
  );

  it('leaves nothing listed of what was released, once that has gone on', async () => {
    const { name, other, crowdOfDead, queue } = await scene(1);
    const lease = await other.semaphore(name, 1).acquire();
    await crowdOfDead();
    await lease.release();
    const list = `{heddle:0}:session:${other.id}-1:holds`;
    const listed = () => bench.admin.zrangebyscore(list, '-inf', '(inf');
    await until(async () => (await listed()).length === 0, 'nothing is listed');
    expect(await bench.admin.exists(queue)).toBe(0);
  });

  it.each(['released', 'given up', 'swept'])('goes on to who lives, %s', async (how) => {
    const { name, other, bare, inLine, crowdOfDead, queue, wants, advance, sweep } = await scene(2);
    const [holder, large] = [await bare(), await bare()];
    await holder.acquire(0);
    await large.acquire(1, 2);
    const next = other.semaphore(name, 2).acquire();
    await inLine(2);
    // Behind the one who wants more than there is.
    await crowdOfDead();
    await bench.admin.zadd(queue, -1, `${large.id}#1`);
    if (how === 'swept') {
      await large.die();
      expect(await sweep(large.id)).toEqual(['swept']);
    } else if (how === 'given up') {
      expect(await large.cancel()).toEqual(['more']);
      expect(await advance()).toEqual(['done']);
    } else {
      await large.cancel();
      await advance();
      await (await next).release();
      await large.acquire(0, 1);
      const again = other.semaphore(name, 2).acquire();
      await inLine(1);
      await crowdOfDead();
      expect(await holder.release(1)).toEqual(['more']);
      expect(await advance()).toEqual(['done']);
      await (await again).release();
      return;
    }
    await (await next).release();
    expect(await bench.admin.exists(queue, wants)).toBe(0);
  });
});

describe('those in line whom no message reaches', () => {
  it('keep nobody behind them waiting, be they hundreds, and find their places again', async () => {
    const { name, other, bare, inLine, queue, wants, advance } = await scene(2);
    const [holder, deaf] = [await bare(), await bare()];
    await holder.acquire(0, 2);
    for (let id = 1; id <= 300; id += 1) await deaf.acquire(1, 1, id);
    const next = other.semaphore(name, 2).acquire({ permits: 2 });
    await inLine(301);
    expect(await holder.release(2)).toEqual(['more']);
    expect(await advance()).toEqual(['done']);
    const lease = await next;
    const looked = () => bench.admin.zrange(queue, '0', '+inf', 'BYSCORE');
    expect(await looked()).toEqual([]); // Nobody looks at them a second time.

    const late = other.semaphore(name, 2).acquire();
    await inLine(301);
    expect(await deaf.acquire(1, 1, 2)).toEqual(['queued']);
    expect(await deaf.acquire(1, 1, 1)).toEqual(['queued']);
    expect((await looked()).slice(0, 2)).toEqual([`${deaf.id}#1`, `${deaf.id}#2`]);
    await lease.release();
    expect(await late).toMatchObject({ valid: true }); // They are as deaf as before.
    expect((await deaf.acquire(1, 1, 1))[0]).toBe('granted');
    await deaf.release(1);
    for (let id = 2; id <= 300; id += 1) expect(await deaf.cancel(id)).toEqual(['left']);
    expect(await bench.admin.exists(queue, wants)).toBe(0);
    expect(await deaf.listed()).toEqual([]);
    await (await late).release();
  });
});

describe('where the shape is gone, as after its TTL', () => {
  it('there is nothing to go on with, and nothing that keeps a sweep', async () => {
    const { bare, state, advance, sweep } = await scene(1);
    const one = await bare();
    await one.acquire(0);
    await bench.admin.del(state);
    expect(await advance()).toEqual(['done']);
    await one.die();
    expect(await sweep(one.id)).toEqual(['swept']);
    expect(await bench.admin.exists(state)).toBe(0);
  });

  it('a place in line can be left', async () => {
    const { bare, state, queue, wants } = await scene(1);
    const [one, waiting] = [await bare(), await bare()];
    await one.acquire(0);
    await waiting.acquire(1);
    await bench.admin.del(state);
    expect(await waiting.cancel()).toEqual(['left']);
    expect(await bench.admin.exists(state, queue, wants)).toBe(0);
  });

  it.each(['value', 'acquire', 'release'])(
    'what is held counts all the same, seen by %s first',
    async (first) => {
      const { bare, state, value } = await scene(5);
      const [one, other] = [await bare(), await bare()];
      await one.acquire(0, 2);
      await one.acquire(0, 1, 2);
      await bench.admin.del(state);
      if (first === 'value') expect(await value()).toEqual(['value', '2']);
      if (first === 'release') expect(await one.release(1)).toEqual(['released']);
      expect(await other.acquire(0, 4)).toEqual(['busy']);
      expect(await value()).toEqual(['value', first === 'release' ? '3' : '2']);
      await one.release(first === 'release' ? 1 : 2);
      await one.release(1, 0, 2);
      expect(await value()).toEqual(['value', '5']);
    },
  );

  it('the readers of a lock to read and write keep its writer out', async () => {
    const { bare, state, value } = await scene(MOST, 'rwlock');
    const [reader, writer] = [await bare(), await bare()];
    await reader.acquire(0);
    await bench.admin.del(state);
    expect(await value()).toEqual(['value', String(MOST - 1)]);
    expect(await writer.acquire(0, MOST)).toEqual(['busy']);
    await reader.release(1);
    expect((await writer.acquire(0, MOST))[0]).toBe('granted');
  });
});

describe('a lock to read and write', () => {
  it('has a token for each reader, and a block for a writer, and no key for a look', async () => {
    const { bare, value, state } = await scene(MOST, 'rwlock');
    expect(await value()).toEqual(['value', String(MOST)]);
    expect(await bench.admin.exists(state)).toBe(0);
    const one = await bare();
    const [, reader, same] = await one.acquire(0);
    expect(same).toBe(reader);
    await one.release(1);
    const [, writer, end] = await one.acquire(0, MOST);
    expect(Number(end) - Number(writer)).toBe(63);
    await one.release(MOST);
  });

  it('is kept for a minute where nobody waits, and longer where one does who is not reached', async () => {
    const { bare, state } = await scene(MOST, 'rwlock');
    const [one, deaf] = [await bare(), await bare()];
    await one.acquire(0, MOST);
    await deaf.acquire(1, MOST);
    expect(await one.release(MOST)).toEqual(['released']);
    expect(await bench.admin.pttl(state)).toBeGreaterThan(HOUR);
    expect((await deaf.acquire(1, MOST))[0]).toBe('granted');
    expect(await deaf.release(MOST)).toEqual(['released']);
    expect(await bench.admin.pttl(state)).toBeLessThan(61_000);
  });
});
