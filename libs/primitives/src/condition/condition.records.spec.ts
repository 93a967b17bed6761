/** What a condition's operations leave in Redis: who waits there, who stands in the lock's line, who is passed over. */
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { nameOn } from '../session/keys.ts';
import { runAsNobody } from '../session/run-operations.ts';
import { sweep } from '../session/sweep.ts';
import { coreOf } from '../session.distributed.ts';
import { type BareSession, bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';

const bench = redisBench();
/** More than one script may pass over. */
const ids = Array.from({ length: 300 }, (_, at) => at + 1);

/** A condition on a lock, and operations on both. */
async function scene() {
  const lock = bench.name();
  const session = await bench.session();
  const core = coreOf(session);
  const { site } = core.partition(0);
  const name = nameOn('lock', lock, 'c');
  const [state = '', queue = ''] = core.keyspace.of('lock', lock, ['state', 'queue']);
  const [waiters = ''] = core.keyspace.of('condition', name, ['waiters'], 0);
  const holdsOf = (id: string) => core.keyspace.ofSession(0, id).holds;
  const list = (id: string, wait: number) =>
    bench.admin.zadd(holdsOf(id), Date.now(), `condition\n${wait}\n${name}`);
  const bare = async () => {
    const one = await bareSession(session, bench.admin);
    return {
      ...one,
      acquire: (wait: 0 | 1 = 0) => one.ask('lock.acquire', [state, queue], [lock, 'lock', wait, 64]),
      release: (first = '') => one.ask('lock.release', [state, queue], [lock, 'lock', first, 0, 1, 64]),
      join: (first = '', id = 1) =>
        one.ask('condition.join', [state, waiters], [name, id, lock, 'lock', first]),
      /** One that waits already. */
      stand: async (id = 1) => {
        await bench.admin.zadd(waiters, Date.now() * 1000 + id, `${one.id}#${id}`);
        await list(one.id, id);
        await bench.admin.zadd(holdsOf(one.id), Date.now(), `lock\n\n${lock}`);
      },
      /** One that was notified, and has not said yet that it woke; what it had of the lock was swept. */
      woken: (id = 1) => list(one.id, id),
      look: (id = 1) => one.ask('condition.look', [waiters], [id]),
      leave: (id = 1, woke: 0 | 1 = 0) => one.ask('condition.leave', [waiters], [name, id, woke]),
      /** It has no list of records among its keys. */
      notify: (n: number, first = '') =>
        one.ask('condition.notify', [state, queue, waiters], [name, first, n]),
    };
  };
  return {
    lock,
    name,
    bare,
    sweep: (dead: BareSession) => sweep(core.line, core.operations, site, core.kinds, dead.id),
    drop: async (dead: BareSession, id = 1) => {
      const keys = [state, queue, waiters, holdsOf(dead.id)];
      const args = [name, id, dead.id, 64, 'condition'];
      const operation = 'condition.drop';
      return (await runAsNobody(core.line, core.operations, site, [{ operation, keys, args }]))[0];
    },
    waiting: () => bench.admin.zrange(waiters, '(-inf', '+inf', 'BYSCORE'),
    inLine: () => bench.admin.zrange(queue, '0', '-1'),
    /** More in the lock's line than one script may pass over, all of them dead. */
    crowdOfDead: () =>
      bench.admin.zadd(queue, ...ids.flatMap((n) => [n, `${n.toString(16).padStart(24, '0')}-1`])),
    holder: () => bench.admin.hget(state, 'holder'),
  };
}

/** Hears for some sessions: whoever is told is reached. */
async function areReached(...some: readonly BareSession[]) {
  const ear = new Redis(bench.url);
  onTestFinished(() => ear.disconnect());
  for (const { id } of some) await ear.subscribe(`{heddle:0}:inbox:${id.slice(0, 24)}`);
}

describe('a grant of before', () => {
  it('lets nobody wait under it, nor notify', async () => {
    const { bare, waiting } = await scene();
    const [one, other] = [await bare(), await bare()];
    const [, first] = await one.acquire();
    const [, again] = await one.acquire();
    await other.stand();
    expect(await one.join(first)).toEqual(['not held']);
    expect(await one.notify(1, first)).toEqual(['not held']);
    expect(await waiting()).toEqual([`${other.id}#1`]);
    expect(await one.join(again)).toEqual(['joined']);
    expect(await one.notify(2, again)).toEqual(['notified']);
    expect(await waiting()).toEqual([]);
    await one.release(again);
  });
});

describe('a notification', () => {
  it('puts nobody in line who holds the lock', async () => {
    const { bare, inLine, waiting } = await scene();
    const [one, other] = [await bare(), await bare()];
    await areReached(one, other);
    const [, first] = await one.acquire();
    await one.stand(1);
    await other.stand(2);
    expect(await one.notify(2, first)).toEqual(['notified']);
    expect(await waiting()).toEqual([]);
    expect(await inLine()).toEqual([other.id]);
    await one.release(first);
  });

  it('goes to no more than were meant, first to those who are reached, and to none who has died', async () => {
    const { bare, inLine, waiting } = await scene();
    const [one, dead, deaf, deafToo, reached] = [
      await bare(),
      await bare(),
      await bare(),
      await bare(),
      await bare(),
    ];
    await areReached(dead, reached);
    const [, first] = await one.acquire();
    for (const [at, each] of [dead, deaf, deafToo, reached].entries()) await each.stand(at + 1);
    await dead.die();
    expect(await one.notify(2, first)).toEqual(['notified']);
    expect(await inLine()).toEqual([reached.id, deaf.id]);
    expect(await waiting()).toEqual([`${deafToo.id}#3`]);
    await one.release(first);
  });
});

describe('a wait of one who died', () => {
  it('is nobody’s to drop while it lives', async () => {
    const { bare, drop, waiting } = await scene();
    const one = await bare();
    await one.stand();
    expect(await drop(one)).toEqual(['alive']);
    expect(await waiting()).toEqual([`${one.id}#1`]);
  });

  it.each(['is free', 'is held by one who died', 'is held'])(
    'that was notified is spent on another, who has the lock where that %s',
    async (how) => {
      const { bare, sweep, waiting, inLine, holder } = await scene();
      const [dead, next, held] = [await bare(), await bare(), await bare()];
      await areReached(next);
      const [, first] = how === 'is free' ? [] : await held.acquire();
      await dead.woken();
      await next.stand();
      for (const each of how === 'is held by one who died' ? [dead, held] : [dead]) await each.die();
      expect(await sweep(dead)).toEqual({ state: 'swept' });
      expect(await waiting()).toEqual([]);
      expect([await holder(), await inLine()]).toEqual(
        how === 'is held' ? [held.id, [next.id]] : [next.id, []],
      );
      if (how === 'is held') await held.release(first);
    },
  );

  it('that was not notified is spent on nobody', async () => {
    const { bare, drop, waiting } = await scene();
    const [dead, next] = [await bare(), await bare()];
    await areReached(next);
    await dead.stand(1);
    await next.stand(2);
    await dead.die();
    expect(await drop(dead)).toEqual(['dropped']);
    expect(await waiting()).toEqual([`${next.id}#2`]);
  });

  it('that was notified is spent on one other, however many sweep it', async () => {
    const { bare, drop, waiting } = await scene();
    const [dead, next, last] = [await bare(), await bare(), await bare()];
    await areReached(next, last);
    await dead.woken();
    await next.stand(1);
    await last.stand(2);
    await dead.die();
    expect(await drop(dead)).toEqual(['dropped']);
    expect(await drop(dead)).toEqual(['dropped']);
    expect(await waiting()).toEqual([`${last.id}#2`]);
  });

  it('is spent on one other where it gives up just then, and dies before it has woken', async () => {
    const { bare, sweep, waiting } = await scene();
    const [one, hasty, next, last] = [await bare(), await bare(), await bare(), await bare()];
    await areReached(hasty, next, last);
    const [, first] = await one.acquire();
    for (const [at, each] of [hasty, next, last].entries()) await each.stand(at + 1);
    expect(await one.notify(1, first)).toEqual(['notified']);
    expect(await hasty.leave(1)).toEqual(['notified']);
    await hasty.die();
    await sweep(hasty);
    expect(await waiting()).toEqual([`${last.id}#3`]);
    await next.leave(2);
    await next.leave(2, 1);
    await next.die();
    await sweep(next);
    expect(await waiting()).toEqual([`${last.id}#3`]);
  });

  it('is spent on nobody where a notification went past it', async () => {
    const { bare, sweep, waiting } = await scene();
    const [one, dead, next, last] = [await bare(), await bare(), await bare(), await bare()];
    await areReached(next, last);
    const [, first] = await one.acquire();
    for (const [at, each] of [dead, next, last].entries()) await each.stand(at + 1);
    await dead.die();
    expect(await one.notify(1, first)).toEqual(['notified']);
    expect(await sweep(dead)).toEqual({ state: 'swept' });
    expect(await waiting()).toEqual([`${last.id}#3`]);
    await one.release(first);
  });
});

describe('waits whom no message reaches', () => {
  /** One that holds the lock; 300 waits of one who hears nothing, and behind them one who hears. */
  async function crowd() {
    const at = await scene();
    const { bare } = at;
    const [one, deaf, reached] = [await bare(), await bare(), await bare()];
    await areReached(reached);
    const [, first = ''] = await one.acquire();
    for (const id of ids) await deaf.stand(id);
    await reached.stand(301);
    /** As clients do. */
    const notify = async (n: number) => {
      for (let owed = n; ; ) {
        const [is, left] = await one.notify(owed, first);
        if (is !== 'more') return is;
        owed = Number(left);
      }
    };
    return { ...at, one, first, deaf, reached, notify };
  }

  it('keep nobody behind them waiting, be they hundreds, and find their places again', async () => {
    const { one, first, deaf, reached, notify, waiting, inLine } = await crowd();
    expect(await one.notify(1, first)).toEqual(['more', '1']);
    expect(await notify(1)).toBe('notified');
    expect(await inLine()).toEqual([reached.id]);
    expect(await waiting()).toHaveLength(300);

    for (const id of [2, 1, 2]) expect(await deaf.look(id)).toEqual(['waiting']);
    expect((await waiting()).slice(-2)).toEqual([`${deaf.id}#1`, `${deaf.id}#2`]);
    await reached.stand(302);
    expect(await notify(1)).toBe('notified'); // They are as deaf as before.
    expect(await waiting()).toHaveLength(300);
    expect(await notify(3)).toBe('notified');
    const states = [];
    for (const id of [1, 2, 3, 4]) states.push(...(await deaf.look(id)));
    expect(states).toEqual(['notified', 'notified', 'notified', 'waiting']);
    for (const id of ids) expect(await deaf.leave(id)).toEqual([id > 3 ? 'left' : 'notified']);
    expect(await waiting()).toEqual([]);
    await one.release(first);
  });

  it('are notified where none is left who is reached', async () => {
    const { one, first, reached, deaf, notify, waiting, inLine } = await crowd();
    expect(await notify(1000)).toBe('notified');
    expect(await waiting()).toEqual([]);
    expect(await inLine()).toEqual([reached.id, deaf.id]);
    await one.release(first);
  });

  it('are as many as there were, and none notified, where they die', async () => {
    const { one, first, deaf, reached, notify, waiting, sweep, inLine } = await crowd();
    expect(await notify(2)).toBe('notified');
    await reached.stand(302);
    await reached.stand(303);
    await deaf.die();
    expect(await sweep(deaf)).toEqual({ state: 'swept' });
    // One of theirs was notified: that is spent on another.
    expect(await waiting()).toEqual([`${reached.id}#303`]);
    expect(await inLine()).toEqual([reached.id]);
    await one.release(first);
  });

  it('do not keep what was spent on one who died from those behind them, nor do as many dead in the lock’s line', async () => {
    const { one, first, deaf, reached, waiting, sweep, bare, crowdOfDead, holder } = await crowd();
    const dead = await bare();
    await dead.woken();
    await one.release(first);
    await crowdOfDead();
    await dead.die();
    expect(await sweep(dead)).toEqual({ state: 'swept' });
    expect(await waiting()).toHaveLength(300);
    expect((await deaf.look(1))[0]).toBe('waiting');
    expect(await holder()).toBe(reached.id);
  });
});
