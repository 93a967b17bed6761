/** What a session's own operations leave in Redis, and whom they tell; in a namespace in which nobody else is. */
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockOperations } from '../lock/lock.scripts.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { Keyspace } from './keys.ts';
import { renewal, Script, Scripts, scriptTexts } from './lua.ts';
import { type Answer, CallSite, runAsNobody, runOperations } from './run-operations.ts';
import { sessionOperations } from './session.scripts.ts';

const bench = redisBench();
const [HOUR, DAY] = [3_600_000, 86_400_000];
const TTL = 60_000;

const scripts = new Scripts(scriptTexts([...sessionOperations, ...lockOperations]));
const beat = new Script(renewal());
const keyspace = new Keyspace('nobody else', 1);
const site = new CallSite(keyspace, 0, DAY, false);
const { sessions, ring, members, epoch } = keyspace.shared(0);

const idOf = (letter: string) => `${letter.repeat(24)}-1`;
const [a, b, c, d] = [idOf('a'), idOf('b'), idOf('c'), idOf('d')];
const watch = (who: string, whom: string, remaining = TTL, keep = 0) =>
  `${who.slice(0, 24)}: watch ${who} ${whom} ${remaining} ${keep}`;

let ear: Redis;
let heard: string[] = [];

beforeEach(async () => {
  heard = [];
  ear = new Redis(bench.url);
  ear.on('pmessage', (_, channel: string, message: string) =>
    heard.push(`${channel.slice(keyspace.inbox(0).length)}: ${message.replaceAll('\n', ' ')}`),
  );
  await ear.psubscribe(`${keyspace.inbox(0)}*`);
});

afterEach(async () => {
  ear.disconnect();
  await bench.admin.del(...(await bench.admin.keys(`${keyspace.tag(0)}:*`)));
});

const run = async (operation: string, keys: readonly string[], args: readonly (string | number)[]) =>
  (await runAsNobody(bench.admin, scripts, site, [{ operation, keys, args }]))[0] ?? [];

function open(id: string, ttl = TTL) {
  const { calls, holds } = keyspace.ofSession(0, id);
  return run(
    'session.open',
    [calls, ring, members, holds, epoch],
    [id, ttl, JSON.stringify({ ttl }), 'word'],
  );
}
const end = (id: string) => run('session.end', [ring, members], [id]);
function sweep(id: string, ...spoiled: string[]) {
  const { calls, holds } = keyspace.ofSession(0, id);
  return run('session.sweep', [calls, ring, members, holds], [id, ...spoiled]);
}
function renew(id: string, after = id) {
  const { calls, holds } = keyspace.ofSession(0, id);
  return beat.run(bench.admin, [sessions, calls, ring, members, holds, epoch], [id, TTL, DAY, after, 16]);
}
/** Whom it is to watch, as its sign of life is told. */
async function watched(id: string, after = id): Promise<string[]> {
  const [state, , , , , , named] = (await renew(id, after)) as [string, ...string[], string[]];
  expect(state).toBe('alive');
  return (named as unknown as string[]).filter((_, at) => at % 2 === 0);
}
/** As if that one's end had passed some time ago. */
const expire = (id: string) => bench.admin.zadd(sessions, 'XX', 1, id);
/** As if it had missed a sign of life, or two: its end comes in so many ms. */
const late = (id: string, remaining = TTL / 2) =>
  bench.admin.zadd(sessions, 'XX', Date.now() + remaining, id);
/** Nobody hears what that one is told. */
const deafen = async (id: string) => {
  await ear.punsubscribe();
  for (const other of [a, b, c, d])
    if (other !== id) await ear.psubscribe(`${keyspace.inbox(0)}${other.slice(0, 24)}*`);
  await ear.psubscribe(`${keyspace.inbox(0)}test`);
};

/** What was told so far: messages come in order, and the last is the test's own. */
async function told(): Promise<string[]> {
  await bench.admin.publish(`${keyspace.inbox(0)}test`, 'mark');
  await until(() => heard.includes('test: mark'), 'all was heard');
  return heard.splice(0).filter((message) => message !== 'test: mark');
}

describe('the ring of sessions', () => {
  it('has each watched by the one before, and the first by the last', async () => {
    await open(b);
    expect([await watched(b), await told()]).toEqual([[], []]);
    await open(c);
    expect([await watched(c), await told()]).toEqual([[b], [watch(b, c)]]);
    await open(a);
    expect([await watched(a), await told()]).toEqual([[b], [watch(c, a)]]);
    expect([await watched(b), await watched(c)]).toEqual([[c], [a]]);
  });

  it('has one who is late watched on by the one before, who sees to those after it too', async () => {
    for (const id of [a, b, c, d]) await open(id);
    await late(b);
    expect(await watched(a)).toEqual([b, c]);
    await expire(c);
    expect(await watched(a)).toEqual([b, c, d]);
    for (const id of [b, d]) await expire(id);
    expect(await watched(a)).toEqual([b, c, d]);
    await open(b);
    expect(await watched(a)).toEqual([b]);
  });

  it('takes one for late by its own ttl, and one without for as it is', async () => {
    await open(a);
    await open(b, 3 * TTL);
    await open(c);
    await late(b, TTL);
    expect(await watched(a)).toEqual([b, c]);
    await bench.admin.hset(members, b, '{"name":"\\"ttl\\":180000"}');
    expect(await watched(a)).toEqual([b]);
    await told();
    await open(c);
    expect(await told()).toEqual([watch(b, c)]);
    await expire(b);
    expect(await watched(a)).toEqual([b, c]);
  });

  it.each([
    ['of no number', '{"ttl":1.2.3}'],
    ['of dots', '{"ttl":...}'],
  ])(
    'takes one whose ttl is %s for one that says none: nobody else is the worse for it',
    async (_, about) => {
      for (const id of [a, b]) await open(id);
      await bench.admin.hset(members, b, about);
      expect(await watched(a)).toEqual([b]);
      await told();
      expect((await open(c))[0]).toBe('open');
      expect(await told()).toEqual([watch(b, c)]);
    },
  );

  it('goes round once where one who is not there any more ends again', async () => {
    for (const id of [a, c, d]) await open(id);
    for (const id of [a, c, d]) await late(id);
    await told();
    await end(b);
    expect(await told()).toEqual([
      expect.stringMatching(`^${'a'.repeat(24)}: watch ${a} ${c} `),
      expect.stringMatching(`^${'d'.repeat(24)}: watch ${d} ${c} `),
    ]);
  });

  it('names no more than 16 at once', async () => {
    const many = Array.from({ length: 20 }, (_, n) => idOf('b').replace(/^bb/, (n + 16).toString(16)));
    for (const id of [a, ...many]) await open(id);
    for (const id of many) await expire(id);
    expect(await watched(a)).toEqual(many.slice(0, 16));
    expect(await watched(a, many[15])).toEqual(many.slice(16));
    expect(await watched(a, many[19])).toEqual([]);
    for (const id of many) await sweep(id);
  });

  it('tells of one that opens whoever can see to it: not one who is late, or deaf, alone', async () => {
    for (const id of [a, b, d]) await open(id);
    await late(b);
    await told();
    await open(c);
    expect(await told()).toEqual([watch(b, c), watch(a, c)]);
    await open(b);
    await told();
    await deafen(b);
    await open(c);
    // Until b is late a tick of a's names b alone.
    const [message = '', ...others] = await told();
    expect(others).toEqual([]);
    expect(message).toMatch(watch(a, c).replace(/0$/, ''));
    const keep = Number(message.split(' ').at(-1));
    expect(keep).toBeGreaterThan(0);
    expect(keep).toBeLessThanOrEqual(0.35 * TTL);
    // Nobody is left who could be told.
    for (const id of [a, d]) await expire(id);
    ear.disconnect();
    expect((await open(c))[0]).toBe('open');
  });

  it('tells the dead nothing: of a thousand that end at once each would tell hundreds that have ended', async () => {
    for (const id of [a, b, d]) await open(id);
    await expire(b);
    await told();
    await open(c);
    expect(await told()).toEqual([watch(a, c)]);
    await end(c);
    expect(await told()).toEqual([expect.stringMatching(`^${'a'.repeat(24)}: watch ${a} ${d} `)]);
  });

  it('tells in whole ms', async () => {
    await open(a);
    await open(b, 500.5);
    expect(await told()).toEqual([watch(a, b, 501)]);
  });

  it('has one who renews in its place again, where it was lost', async () => {
    for (const id of [a, b]) await open(id);
    await bench.admin.zrem(ring, a);
    await renew(a);
    expect(await bench.admin.zrange(ring, '0', '-1')).toEqual([a, b]);
  });

  it('tells who watched one that ends whom to watch instead', async () => {
    for (const id of [a, b, c]) await open(id);
    await told();
    await end(b);
    const [message = '', ...others] = await told();
    expect(others).toEqual([]);
    expect(message).toMatch(`${'a'.repeat(24)}: watch ${a} ${c} `);
    expect(Number(message.split(' ').at(-2))).toBeGreaterThan(TTL - 30_000);
    await sweep(b);
    // Of two the other has nobody left to watch.
    await end(a);
    expect(await told()).toEqual([]);
    await sweep(a);
    await end(c);
    expect(await told()).toEqual([]);
  });

  it('tells of one that ends those before the one who is late too, and nobody to watch itself', async () => {
    for (const id of [a, b, c]) await open(id);
    await late(b);
    await told();
    await end(c);
    expect(await told()).toEqual([expect.stringMatching(`^${'b'.repeat(24)}: watch ${b} ${a} `)]);
  });

  it('gives one that is dead already no time', async () => {
    for (const id of [a, b, c]) await open(id);
    await expire(c);
    await told();
    expect(await renew(b)).toMatchObject({ 6: [c, '0', a, expect.any(String)] });
    await end(b);
    expect(await told()).toEqual([watch(a, c, 0)]);
  });
});

describe('a life', () => {
  it('is not given by its end, nor again by a sign of life after that', async () => {
    await end(a);
    expect(await bench.admin.zscore(sessions, a)).toBeNull();
    expect(((await renew(a)) as string[])[0]).toBe('gone');
    await open(a);
    await expire(a);
    expect(((await renew(a)) as string[])[0]).toBe('gone');
    expect(await bench.admin.zscore(sessions, a)).toBe('1');
  });

  it('has keys that all have an end from the beginning, put off by its signs of life', async () => {
    await open(a);
    const { calls, holds } = keyspace.ofSession(0, a);
    const keys = [sessions, calls, ring, members, holds, epoch];
    for (const key of keys) {
      expect(await bench.admin.pttl(key), key).toBeGreaterThan(HOUR);
      await bench.admin.pexpire(key, 20_000);
    }
    await renew(a);
    for (const key of keys) expect(await bench.admin.pttl(key), key).toBeGreaterThan(HOUR);
  });

  it('that has ended is swept in bounded steps, and what can not be dropped is left out', async () => {
    await open(a);
    const { holds } = keyspace.ofSession(0, a);
    const records = Array.from({ length: 300 }, (_, n) => `kind\n${n}\nname`);
    await bench.admin.zadd(holds, ...records.flatMap((record) => [1, record]));
    expect((await sweep(a))[0]).toBe('alive');
    await end(a);
    const [is, ...some] = await sweep(a);
    expect([is, some.length]).toEqual(['left', 256]);
    const [still, ...others] = await sweep(a, ...some);
    expect(still).toBe('left');
    expect([...some, ...others].sort()).toEqual(records.sort());
    expect(await sweep(a, ...others)).toEqual(['swept']);
    expect((await bench.admin.keys(`${keyspace.tag(0)}:*`)).sort()).toEqual([epoch]);
  });
});

describe('where the count of those who heard says nothing, on a Cluster,', () => {
  it('one who is told counts as told', async () => {
    const sharded = new CallSite(keyspace, 0, DAY, true);
    for (const id of [a, b]) await open(id);
    let seq = 0;
    const ask = async (at: CallSite, id: string, operation: string, args: readonly (string | number)[]) => {
      const { calls, holds } = keyspace.ofSession(0, id);
      seq += 1;
      const envelope = { caller: id, calls, epoch: 1, seq, slot: 0, before: undefined, read: '' };
      const keys = [...keyspace.of('lock', 'x', ['state', 'queue']), holds];
      const reply = await runOperations(bench.admin, scripts, at, [{ operation, keys, args }], envelope);
      return (reply as Answer[])[1] ?? [];
    };
    ear.disconnect();
    for (const [at, holder] of [
      [site, null],
      [sharded, b],
    ] as const) {
      const [, first = ''] = await ask(at, a, 'lock.acquire', ['x', 'lock', 0, 64]);
      await ask(at, b, 'lock.acquire', ['x', 'lock', 1, 64]);
      await ask(at, a, 'lock.release', ['x', 'lock', first, 0, 0, 64]);
      expect(await bench.admin.hget(keyspace.of('lock', 'x', ['state'])[0] ?? '', 'holder')).toBe(holder);
      await ask(at, b, 'lock.cancel', ['x', 'lock', 0]);
    }
  });
});
