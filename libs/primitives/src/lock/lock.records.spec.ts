/** What a lock's operations leave in Redis: who holds, who is listed, how long it is kept; where holders and waiters die. */
import { describe, expect, it } from 'vitest';
import { runAsNobody } from '../session/run-operations.ts';
import { sweep } from '../session/sweep.ts';
import { coreOf, type Session } from '../session.distributed.ts';
import { bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();
const HOUR = 3_600_000;

/** A lock, one session to act, another to come later, and operations on the lock. */
async function scene() {
  const name = bench.name();
  const [session, other] = [await bench.session(), await bench.session()];
  const core = coreOf(session);
  const { site } = core.partition(0);
  const keys = core.keyspace.of('lock', name, ['state', 'queue']);
  const [state = '', queue = ''] = keys;
  const field = (which: string) => bench.admin.hget(state, which);
  const bare = async () => {
    const one = await bareSession(session, bench.admin);
    return {
      ...one,
      acquire: (wait: 0 | 1) => one.ask('lock.acquire', keys, [name, 'lock', wait, 64]),
      release: (first: string | undefined, { rejoin = 0, keep = 0 } = {}) =>
        one.ask('lock.release', keys, [name, 'lock', first ?? '', rejoin, keep, 64]),
      cancel: (keep: 0 | 1) => one.ask('lock.cancel', keys, [name, 'lock', keep]),
      raise: (first: string | undefined, token: number) =>
        one.ask('lock.raise', [state], [first ?? '', token]),
    };
  };
  const asNobody = async (operation: string, ...args: (string | number)[]) =>
    (await runAsNobody(core.line, core.operations, site, [{ operation, keys, args }]))[0];
  return {
    name,
    session,
    other,
    state,
    queue,
    field,
    bare,
    advance: () => asNobody('lock.advance', name, 'lock', 64),
    expire: (holder: string, first: string | number) =>
      asNobody('lock.expire', name, 'lock', holder, first, 64),
    sweep: (dead: string) => sweep(core.line, core.operations, site, core.kinds, dead),
    /** More in line than one script may pass over, all of them dead. */
    crowdOfDead: () =>
      bench.admin.zadd(
        queue,
        ...Array.from({ length: 300 }, (_, n) => [n, `${n.toString(16).padStart(24, '0')}-1`]).flat(),
      ),
    inLine: (count: number) =>
      until(async () => (await bench.admin.zcard(queue)) === count, `${count} stand in line`),
  };
}

const lifeOf = (session: Session) => `${session.id}-1`;
const listed = (session: Session) =>
  bench.admin.zrangebyscore(`{heddle:0}:session:${lifeOf(session)}:holds`, '-inf', '(inf');

describe('a lock whose holder has died, before anybody has swept it', () => {
  it('is free to who comes, with a later token', async () => {
    const { name, other, bare } = await scene();
    const dead = await bare();
    const [, , last] = await dead.acquire(0);
    expect(await other.lock(name).locked()).toBe(true);
    await dead.die();
    expect(await other.lock(name).locked()).toBe(false);
    const lease = await other.lock(name).acquire({ timeout: 0 });
    expect(lease?.token).toBeGreaterThan(Number(last));
    expect(await dead.release(last)).toEqual([]); // No session: nothing of it is done.
    expect(await other.lock(name).locked()).toBe(true);
    await lease?.release();
  });

  it('goes to the first in line by whatever looks at it, and by nothing while its holder lives', async () => {
    const { name, other, bare, inLine, field, advance } = await scene();
    const holder = await bare();
    await holder.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    expect(await advance()).toEqual(['done']);
    expect(await field('holder')).toBe(holder.id);
    await holder.die();
    expect(await advance()).toEqual(['done']);
    await (await next).release();
  });

  it('goes to the first in line also by the sweep of another, who only waited', async () => {
    const { name, other, bare, inLine, sweep } = await scene();
    const [holder, waiter] = [await bare(), await bare()];
    await holder.acquire(0);
    await waiter.acquire(1);
    const next = other.lock(name).acquire();
    await inLine(2);
    for (const dead of [holder, waiter]) await dead.die();
    expect(await sweep(waiter.id)).toEqual({ state: 'swept' });
    await (await next).release();
  });
});

describe('a free lock with more dead in line than a script may pass over', () => {
  it('is had by a try, and by one who waits, whose session has it listed', async () => {
    const { name, session, other, crowdOfDead, queue } = await scene();
    await crowdOfDead();
    await (await session.lock(name).acquire({ timeout: 0 }))?.release();
    expect(await bench.admin.exists(queue)).toBe(0);
    await crowdOfDead();
    const lease = await other.lock(name).acquire();
    expect(await listed(other)).toEqual([`lock\n\n${name}`]);
    await lease.release();
  });

  it('has its first asker listed from the beginning', async () => {
    const { name, bare, crowdOfDead } = await scene();
    await crowdOfDead();
    const one = await bare();
    expect(await one.acquire(1)).toEqual(['more']);
    expect(await one.listed()).toEqual([`lock\n\n${name}`]);
    expect((await one.acquire(1))[0]).toBe('granted');
  });

  it.each(['released', 'swept', 'at the end of its maxHold'])('goes on to who lives, %s', async (how) => {
    const { name, other, bare, crowdOfDead, inLine, sweep, expire, advance, field } = await scene();
    const holder = await bare();
    const [, first = ''] = await holder.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    await crowdOfDead();
    if (how === 'swept') {
      await holder.die();
      expect(await sweep(holder.id)).toEqual({ state: 'swept' });
    } else {
      const [begin, goOn] =
        how === 'released'
          ? [() => holder.release(first), advance]
          : [() => expire(holder.id, first), () => expire(holder.id, first)];
      expect([await begin(), await goOn()]).toEqual([['more'], ['done']]);
    }
    expect(await field('holder')).toBe(lifeOf(other));
    await (await next).release();
  });

  it('goes on to who lives though who released it dies before that, by its sweep', async () => {
    const { name, other, bare, crowdOfDead, inLine, sweep, field } = await scene();
    const holder = await bare();
    const [, first = ''] = await holder.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    await crowdOfDead();
    expect(await holder.release(first)).toEqual(['more']);
    await holder.die();
    expect(await sweep(holder.id)).toEqual({ state: 'swept' });
    expect(await field('holder')).toBe(lifeOf(other));
    await (await next).release();
  });

  it('is listed no more by who released it, once that has gone on', async () => {
    const { name, session, crowdOfDead, queue } = await scene();
    const lease = await session.lock(name).acquire();
    await crowdOfDead();
    await lease.release();
    await until(async () => (await listed(session)).length === 0, 'it is listed no more');
    expect(await bench.admin.exists(queue)).toBe(0);
  });

  it('takes as many steps as it needs', async () => {
    const { crowdOfDead, advance, queue } = await scene();
    await crowdOfDead();
    expect([await advance(), await advance()]).toEqual([['more'], ['done']]);
    expect(await bench.admin.exists(queue)).toBe(0);
  });
});

describe('who stands in line without being told', () => {
  it('is passed over by one who comes, whose session has the lock listed', async () => {
    const { name, other, bare, queue } = await scene();
    const [holder, deaf] = [await bare(), await bare()];
    const [, first] = await holder.acquire(0);
    await deaf.acquire(1);
    expect(await holder.release(first)).toEqual(['released']);
    const lease = await other.lock(name).acquire({ timeout: 0 });
    expect(await listed(other)).toEqual([`lock\n\n${name}`]);
    expect(await bench.admin.zrange(queue, '0', '-1')).toEqual([deaf.id]);
    await lease?.release();
  });

  it('keeps nobody behind it waiting, be they hundreds, and finds its place again', async () => {
    const { name, other, bare, queue, inLine, advance } = await scene();
    const holder = await bare();
    const [, first] = await holder.acquire(0);
    const crowd = await Promise.all(Array.from({ length: 300 }, bare));
    for (const deaf of crowd) expect((await deaf.acquire(1))[0]).toBe('queued');
    const next = other.lock(name).acquire();
    await inLine(301);
    expect(await holder.release(first)).toEqual(['more']);
    expect(await advance()).toEqual(['done']);
    const lease = await next;
    const looked = () => bench.admin.zrange(queue, '0', '+inf', 'BYSCORE');
    expect(await looked()).toEqual([]); // Nobody looks at them a second time.

    const late = other.lock(name).acquire();
    const [one, two] = crowd as [(typeof crowd)[0], (typeof crowd)[0]];
    for (const deaf of [two, one, two]) expect((await deaf.acquire(1))[0]).toBe('queued');
    expect((await looked()).slice(0, 2)).toEqual([one.id, two.id]);
    await lease.release(); // They are as deaf as before.
    await (await late).release();
    expect((await two.acquire(0))[0]).toBe('granted');
    for (const deaf of crowd) if (deaf !== two) expect(await deaf.cancel(0)).toEqual(['left']);
    expect(await bench.admin.exists(queue)).toBe(0);
  });

  it('keeps the key of a lock that is free', async () => {
    const { bare, expire, state, field } = await scene();
    const [holder, deaf] = [await bare(), await bare()];
    const [, first = ''] = await holder.acquire(0);
    await deaf.acquire(1);
    expect(await expire(deaf.id, first)).toEqual(['done']);
    expect(await field('holder')).toBe(holder.id);
    await expire(holder.id, first);
    expect(await field('holder')).toBeNull();
    expect(await bench.admin.pttl(state)).toBeGreaterThan(HOUR);
    await deaf.acquire(1);
    await deaf.release((await field('first')) ?? '');
  });
});

describe('one who comes where others are told', () => {
  it('hears which grants were made before, and leaves nothing if it does not wait', async () => {
    const { name, other, bare, inLine, field, queue } = await scene();
    const [dead, late] = [await bare(), await bare()];
    await dead.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    await dead.die();
    expect(await late.acquire(0)).toEqual(['busy']);
    const lease = await next;
    expect(await bench.admin.exists(queue)).toBe(0);
    expect(await late.listed()).toEqual([]);
    expect(await late.acquire(1)).toEqual(['queued', await field('end')]);
    await lease.release();
  });

  it('keeps the place that it has, where it only tries', async () => {
    const { name, other, bare, inLine } = await scene();
    const [dead, late] = [await bare(), await bare()];
    await dead.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    await late.acquire(1);
    await dead.die();
    expect(await late.acquire(0)).toEqual(['busy']);
    const lease = await next;
    await inLine(1);
    await lease.release();
  });

  it('hears of the grant that its own question made', async () => {
    const { name, other, bare, inLine, field } = await scene();
    const [dead, late] = [await bare(), await bare()];
    await dead.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    await dead.die();
    const [is, past] = await late.acquire(1);
    const lease = await next;
    expect([is, past]).toEqual(['queued', await field('end')]);
    expect(lease.token).toBeLessThan(Number(past));
    await late.cancel(0);
    await lease.release();
  });
});

describe('a token that another server gave', () => {
  it('is come after by every later one, where the hold is the caller’s, and lowers none', async () => {
    const { bare, field } = await scene();
    const [one, other] = [await bare(), await bare()];
    const [, before] = await one.acquire(0);
    const [, first, last] = await one.acquire(0);
    const [lower, higher] = [Number(last) - 1, Number(last) + 5_000_000];
    expect(await other.raise(first, higher)).toEqual(['gone']);
    expect(await one.raise(before, higher)).toEqual(['gone']);
    expect((await one.raise(first, lower))[0]).toBe('raised');
    expect(await field('end')).toBe(last);
    expect((await one.raise(first, higher))[0]).toBe('raised');
    expect(await field('end')).toBe(String(higher));
    await one.release(first);
    const [, next] = await other.acquire(0);
    expect(next).toBe(String(higher + 1));
    await other.release(next);
  });
});

describe('what a session has listed of a lock', () => {
  it('stays where it waits at a condition, whatever it gives up', async () => {
    const { name, bare } = await scene();
    const [one, other] = [await bare(), await bare()];
    const record = [`lock\n\n${name}`];
    const [, first] = await one.acquire(0);
    expect(await one.release(first, { keep: 1 })).toEqual(['released']);
    expect(await one.listed()).toEqual(record);
    expect(await one.release(first, { keep: 1 })).toEqual(['gone']);
    expect(await one.listed()).toEqual(record);
    const [, its] = await other.acquire(0);
    expect((await one.acquire(1))[0]).toBe('queued');
    expect(await one.cancel(1)).toEqual(['left']);
    expect(await one.listed()).toEqual(record);
    expect(await one.release(first)).toEqual(['gone']);
    expect(await one.listed()).toEqual([]);
    await other.release(its);
  });

  it('stays where a grant of before is given back, and it holds again or stands in line', async () => {
    const { name, bare } = await scene();
    const [one, other] = [await bare(), await bare()];
    const record = [`lock\n\n${name}`];
    const [, first] = await one.acquire(0);
    const [, again] = await one.acquire(0);
    expect(await one.release(first)).toEqual(['gone']);
    expect(await one.listed()).toEqual(record);
    expect(await one.release(again)).toEqual(['released']);
    const [, its] = await other.acquire(0);
    expect((await one.acquire(1))[0]).toBe('queued');
    expect(await one.release(again)).toEqual(['gone']);
    expect(await one.listed()).toEqual(record);
    await other.release(its);
    expect((await one.acquire(0))[0]).toBe('granted');
  });
});

describe('a lock that is given back', () => {
  it('is kept until the clock is past its last token, and a minute', async () => {
    const { bare, state } = await scene();
    const one = await bare();
    const ahead = Date.now() * 1000 + 300_000_000;
    await bench.admin.hset(state, 'end', String(ahead));
    const [, first] = await one.acquire(0);
    await one.release(first);
    const left = await bench.admin.pttl(state);
    expect(left).toBeGreaterThan(330_000);
    expect(left).toBeLessThan(361_000);
  });

  it('is kept no longer than that where those in line have died', async () => {
    const { bare, state, queue } = await scene();
    const one = await bare();
    const [, first] = await one.acquire(0);
    await bench.admin.zadd(queue, 1, `${'0'.repeat(24)}-1`);
    expect(await one.release(first)).toEqual(['released']);
    expect(await bench.admin.pttl(state)).toBeLessThan(61_000);
    expect(await bench.admin.hkeys(state)).toEqual(['end']);
  });

  it('tells who stands at the end of the line at once which grants were made before', async () => {
    const { name, other, bare, inLine, field } = await scene();
    const one = await bare();
    const [, first] = await one.acquire(0);
    const next = other.lock(name).acquire();
    await inLine(1);
    const reply = await one.release(first, { rejoin: 1 });
    const lease = await next;
    expect(reply).toEqual(['queued', await field('end')]);
    expect(lease.token).toBeLessThan(Number(reply[1]));
    await one.cancel(0);
    await lease.release();
  });

  it('leaves no first token where its holder was swept', async () => {
    const { bare, sweep, state } = await scene();
    const dead = await bare();
    await dead.acquire(0);
    await dead.die();
    await sweep(dead.id);
    expect(await bench.admin.hkeys(state)).toEqual(['end']);
  });
});
