/** What a condition's operations leave in Redis: who waits there, who stands in the lock's line, who is passed over. */
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { nameOn } from '../session/keys.ts';
import { runAsNobody } from '../session/run-operations.ts';
import { coreOf } from '../session.distributed.ts';
import { type BareSession, bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';

const bench = redisBench();

/** A condition on a lock, and operations on both. */
async function scene() {
  const lock = bench.name();
  const session = await bench.session();
  const core = coreOf(session);
  const { site } = core.partition(0);
  const name = nameOn('lock', lock, 'c');
  const [state = '', queue = ''] = core.keyspace.of('lock', lock, ['state', 'queue']);
  const [waiters = ''] = core.keyspace.of('condition', name, ['waiters'], 0);
  const bare = async () => {
    const one = await bareSession(session, bench.admin);
    return {
      ...one,
      acquire: (wait: 0 | 1 = 0) => one.ask('lock.acquire', [state, queue], [lock, 'lock', wait, 64]),
      release: (first = '') => one.ask('lock.release', [state, queue], [lock, 'lock', first, 0, 1, 64]),
      join: (first = '', id = 1) =>
        one.ask('condition.join', [state, waiters], [name, id, lock, 'lock', first]),
      /** One that waits already: all that is known of it. */
      stand: (id = 1) => bench.admin.zadd(waiters, Date.now() * 1000 + id, `${one.id}#${id}`),
      /** It has no list of records among its keys. */
      notify: (n: number, first = '') =>
        one.ask('condition.notify', [state, queue, waiters], [name, first, n]),
    };
  };
  return {
    lock,
    name,
    bare,
    drop: async (dead: BareSession, id = 1) => {
      const { holds } = core.keyspace.ofSession(0, dead.id);
      const keys = [state, queue, waiters, holds];
      const args = [name, id, dead.id, 64, 'condition'];
      const operation = 'condition.drop';
      return (await runAsNobody(core.line, core.operations, site, [{ operation, keys, args }]))[0];
    },
    waiting: () => bench.admin.zrange(waiters, '0', '-1'),
    inLine: () => bench.admin.zrange(queue, '0', '-1'),
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
      const { bare, drop, waiting, inLine, holder } = await scene();
      const [dead, next, held] = [await bare(), await bare(), await bare()];
      await areReached(next);
      const [, first] = how === 'is free' ? [] : await held.acquire();
      await next.stand();
      for (const each of how === 'is held by one who died' ? [dead, held] : [dead]) await each.die();
      expect(await drop(dead)).toEqual(['dropped']);
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
});
