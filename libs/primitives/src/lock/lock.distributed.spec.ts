import { describe, expect, it, vi } from 'vitest';
import { NotHeldError, SessionClosedError } from '../errors.ts';
import { coreOf } from '../session.distributed.ts';
import { holdReplies } from '../testing/held-replies.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import { INNER } from './inner-lock.distributed.ts';
import { lockConformance } from './lock.conformance.ts';
import type { DistributedLock } from './lock.distributed.ts';
import type { AnyLock, Lease } from './lock.ts';

const bench = redisBench();

lockConformance('distributed', {
  make: async () => (await bench.turn()).lock(bench.name()),
  another: async (lock: AnyLock) => (await bench.turn()).lock((lock as DistributedLock).name),
  fifo: true,
  separateOwners: true,
});

const evals = (commands: string[]) =>
  commands.filter((line) => /\] eval/i.test(line) && !line.includes('"session.'));
/** Signs of life run a script of their own, with nothing of the operations' envelope. */
const calls = (commands: string[]) => evals(commands).filter((line) => line.includes('"lock.'));

describe('Lock, distributed: what clients send', () => {
  it('one command to take a free lock, one to release it', async () => {
    const session = await bench.session();
    const lock = session.lock(bench.name());
    await (await lock.acquire()).release();
    let lease: Lease | undefined;
    const taking = await bench.commandsDuring(async () => {
      lease = await lock.acquire();
    });
    const releasing = await bench.commandsDuring(async () => lease?.release());
    expect(calls(taking)).toHaveLength(1);
    expect(calls(releasing)).toHaveLength(1);
  });

  it.each([2, 500])(
    'two a contended hand-over, with %i sessions waiting',
    { timeout: 60_000 },
    async (count) => {
      const name = bench.name();
      const sessions = await Promise.all(Array.from({ length: count }, () => bench.session({ ttl: 60_000 })));
      const holder = await bench.session();
      const first = await holder.lock(name).acquire();
      let turns = 0;
      const all = sessions.map(async (session) => {
        const lease = await session.lock(name).acquire();
        turns += 1;
        await lease.release();
      });
      await until(
        async () => (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === count,
        'all stand in line',
      );
      const commands = await bench.commandsDuring(async () => {
        await first.release();
        await Promise.all(all);
      });
      expect(turns).toBe(count);
      // Each had asked before; since then one release each, and the first holder's.
      expect(calls(commands)).toHaveLength(count + 1);
      await Promise.all(sessions.map((session) => session.close()));
    },
  );
});

describe('Lock, distributed: its seat', () => {
  it('is one for all handles while anybody uses it, and is used again by the handle that made it', async () => {
    const session = await bench.session();
    const name = bench.name();
    const [one, other] = [session.lock(name), session.lock(name)];
    const seats = { one: one[INNER].seat(), other: other[INNER].seat() };
    expect(seats.other).toBe(seats.one);
    await one.with(async () => {
      for (const lock of [other, other, one]) expect(await lock.acquire({ timeout: 0 })).toBeNull();
    });
    // Nobody uses it: the session has forgotten it, and the other handle makes one of its own.
    const its = other[INNER].seat();
    expect(its).not.toBe(seats.one);
    expect(one[INNER].seat()).toBe(its);
    await other.with(() => 1);
    expect(one[INNER].seat()).toBe(seats.one);
    await one.with(() => 1);
    expect(other[INNER].seat()).toBe(its);
  });

  it('stays the one of all handles while a try waits for a release under way', async () => {
    const session = await bench.session();
    const name = bench.name();
    const [one, other] = [session.lock(name), session.lock(name)];
    for (const lock of [one, other]) await lock.with(() => 1); // Each has made a seat.
    const released = (await one.acquire()).release();
    const lease = await one.acquire({ timeout: 0 });
    await released;
    expect(lease?.valid).toBe(true);
    await other.release();
    expect(lease?.valid).toBe(false);
  });

  it('asks Redis twice at most for any number of tries at once', async () => {
    const name = bench.name();
    const held = await (await bench.session()).lock(name).acquire();
    const lock = (await bench.session()).lock(name);
    expect(await lock.acquire({ timeout: 0 })).toBeNull();
    const commands = await bench.commandsDuring(async () => {
      const tries = await Promise.all(Array.from({ length: 100 }, () => lock.acquire({ timeout: 0 })));
      expect(tries.filter((one) => one !== null)).toEqual([]);
    });
    expect(commands.filter((line) => line.includes(`:${name}:`)).length).toBeLessThanOrEqual(2);
    await held.release();
  });
});

describe('Lock, distributed: many', () => {
  it('serves 10,000 waiters of 20 sessions, each once, in order within its session', {
    timeout: 60_000,
  }, async () => {
    const name = bench.name();
    const sessions = await Promise.all(Array.from({ length: 20 }, () => bench.session()));
    const served: number[][] = sessions.map(() => []);
    const all = Array.from({ length: 10_000 }, (_, n) =>
      sessions[n % 20]?.lock(name).with(() => served[n % 20]?.push(n)),
    );
    await Promise.all(all);
    for (const own of served) {
      expect(own).toHaveLength(500);
      expect(own).toEqual([...own].sort((a, b) => a - b));
    }
    await Promise.all(sessions.map((session) => session.close()));
  });
});

describe('Lock, distributed: time-outs', () => {
  it('gives a free lock to a first acquire, however short its time-out', async () => {
    for (const timeout of [0.001, 1, 5]) {
      const session = await bench.session();
      const lease = await session.lock(bench.name()).acquire({ timeout });
      expect(lease?.valid).toBe(true);
      await lease?.release();
    }
  });
});

describe('Lock, distributed: between sessions', () => {
  it('lets another session have its turn while one has many waiters', async () => {
    const name = bench.name();
    const busy = (await bench.session()).lock(name);
    const other = (await bench.session()).lock(name);
    const first = await busy.acquire();
    let done = 0;
    const all = Array.from({ length: 200 }, () =>
      busy.with(() => {
        done += 1;
      }),
    );
    const waiting = other.acquire();
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === 1,
      'it stands in line',
    );
    await first.release();
    const lease = await waiting;
    expect(done).toBeLessThan(100);
    await lease.release();
    await Promise.all(all);
  });

  it('leaves no key but the last token, which has a minute', async () => {
    const name = bench.name();
    const a = await bench.session();
    const b = await bench.session();
    const lease = await a.lock(name).acquire();
    expect(await b.lock(name).acquire({ timeout: 20 })).toBeNull();
    const controller = new AbortController();
    const aborted = b.lock(name).acquire({ signal: controller.signal });
    expect(await stillPending(aborted)).toBe(true);
    controller.abort();
    await expect(aborted).rejects.toThrow();
    await lease.release();
    const keys = await bench.keysOf(name);
    expect(keys).toEqual([`{heddle:0}:lock:${name}:state`]);
    expect(await bench.admin.pttl(keys[0] as string)).toBeLessThanOrEqual(60_000);
    expect(await bench.admin.hkeys(keys[0] as string)).toEqual(['end']);
  });

  it('cannot release what another session holds', async () => {
    const name = bench.name();
    const lease = await (await bench.session()).lock(name).acquire();
    await expect((await bench.session()).lock(name).release()).rejects.toThrow(NotHeldError);
    expect(lease.valid).toBe(true);
    await lease.release();
  });

  it('ends a hold that outlasts maxHold: void first, then handed on', async () => {
    const name = bench.name();
    const lease = await (await bench.session()).lock(name, { maxHold: 50 }).acquire();
    const lost = new Promise<unknown>((resolve) => {
      lease.signal.addEventListener('abort', () => resolve(lease.signal.reason));
      if (lease.signal.aborted) resolve(lease.signal.reason); // This process stood still for so long.
    });
    const next = await (await bench.session()).lock(name).acquire();
    expect(lease.valid).toBe(false);
    expect(next.token).toBeGreaterThan(lease.token);
    expect(await lost).toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    await next.release();
  });

  it('takes any maxHold, Infinity being none', async () => {
    const session = await bench.session();
    for (const maxHold of [2 ** 31 + 500, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
      const lease = await session.lock(bench.name(), { maxHold }).acquire();
      await later(120, undefined);
      expect(lease.valid).toBe(true);
      await lease.release();
    }
  });

  it('ends no hold but that whose maxHold is over, also where its session was lost before', async () => {
    const session = await bench.session({ ttl: 60_000, logger: {} });
    const lock = session.lock(bench.name());
    const lost = await session.lock(lock.name, { maxHold: 500 }).acquire();
    const over = performance.now() + 500;
    const next = lock.acquire();
    await bench.admin.zrem('{heddle:0}:sessions', `${session.id}-1`);
    await session.event(lock.name).isSet(); // Redis says so.
    expect(lost.signal.reason).toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    const lease = await next;
    await until(() => performance.now() > over + 20, 'the time of the one that was lost is up');
    expect(await lock.acquire({ timeout: 0 })).toBeNull();
    await lease.release();
  });

  it.each([60_000, 300])(
    'is not held on where its session is lost as it begins (maxHold %i)',
    async (maxHold) => {
      const session = await bench.session();
      const lock = session.lock(bench.name(), { maxHold });
      await (await lock.acquire()).release();
      const partition = coreOf(session).partitionOf(lock.name);
      // As if its time had been up just then: whoever looks at the life next tells.
      vi.spyOn(partition, 'runAt').mockImplementationOnce(() => {
        const life = partition.current;
        life?.words.end(1);
        expect(life?.lives).toBe(false);
        return () => true;
      });
      const [first, second] = [lock.acquire(), session.lock(lock.name).acquire()];
      expect((await first).valid).toBe(false);
      const next = await second;
      const start = performance.now();
      await until(() => performance.now() > start + 400, 'the shorter maxHold is past');
      expect(await lock.locked()).toBe(true);
      await next.release();
      expect(await lock.locked()).toBe(false);
    },
  );

  it('tells of the end of maxHold before it grants the lock to another, and before anybody looks', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session(), await bench.session()];
    for (let round = 0; round < 25; round += 1) {
      const lease = await session.lock(name, { maxHold: 15 }).acquire();
      const next = await other.lock(name).acquire();
      expect(lease.signal.aborted).toBe(true);
      await next.release();
    }
    const names = [bench.name(), bench.name()];
    const all = await session.acquireAll(names.map((each) => session.lock(each, { maxHold: 15 })));
    expect(all.signal.aborted).toBe(false);
    for (const end = performance.now() + 30; performance.now() < end; ); // the loop stands still
    expect([all.valid, all.signal.aborted]).toEqual([false, true]);
    await expect(all.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
  });

  it('passes nothing on in its session once the keeper has ended the hold', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session(), await bench.session()];
    const lock = session.lock(name, { maxHold: 1_000 });
    await (await lock.acquire()).release(); // The keeper is there from here on.
    const lease = await lock.acquire();
    const here = lock.acquire();
    const there = other.lock(name).acquire();
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === 1,
      'it stands in line',
    );
    for (const end = performance.now() + 1_300; performance.now() < end; ); // Nor has this loop heard of the end.
    await lease
      .release()
      .catch((error: unknown) => expect(error).toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' }));
    let before: Lease | undefined;
    const visits = [here, there].map(async (granted) => {
      const own = await granted;
      expect(before?.valid ?? false).toBe(false);
      before = own;
      await later(20, undefined);
      await own.release().catch(() => {}); // Its own maxHold may be over, on a busy machine.
    });
    await Promise.all(visits);
  });

  it('releases everything and settles every waiter when its session closes', async () => {
    const name = bench.name();
    const closing = await bench.session();
    const staying = await bench.session();
    const held = await closing.lock(name).acquire();
    const waiting = closing.lock(name).acquire();
    waiting.catch(() => {});
    const next = staying.lock(name).acquire();
    expect(await stillPending(next)).toBe(true);
    await closing.close();
    expect(held.valid).toBe(false);
    await held.release();
    await expect(waiting).rejects.toThrow(SessionClosedError);
    await expect(closing.lock(name).acquire()).rejects.toThrow(SessionClosedError);
    await (await next).release();
    await closing.close();
  });

  it.each(['', 'a{b', 'a}b', 'line\nbreak', 'nul\0', 'x'.repeat(513), '\ud800', 'é'.repeat(257)])(
    'refuses the name %j',
    async (name) => {
      const session = await bench.turn();
      expect(() => session.lock(name)).toThrow(TypeError);
    },
  );

  it('refuses options that it does not know', async () => {
    const session = await bench.turn();
    const unknown = { fair: true } as object;
    expect(() => session.lock('x', unknown)).toThrow(/unknown option "fair".*maxHold/);
    expect(() => session.lock('x', { maxHold: 0 })).toThrow(RangeError);
    expect(() => session.lock('x', null as never)).toThrow(TypeError);
  });

  it.each(['x', 'a:b', ':queue', 'état ☃', 'x'.repeat(512)])('takes the name %j', async (name) => {
    const lock = (await bench.turn()).lock(name);
    await (await lock.acquire()).release();
  });

  it('keeps its place, and is granted, where the message was lost', async () => {
    const name = bench.name();
    const a = await bench.session();
    const b = await bench.session({ ttl: 60_000 });
    const lease = await a.lock(name).acquire();
    const waiting = b.lock(name).acquire();
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === 1,
      'it stands in line',
    );
    // Cut its subscriber: the next hand-over reaches nobody, the lock stays free, and it asks again as it is connected.
    const clients = ((await bench.admin.client('LIST', 'TYPE', 'PUBSUB')) as string).split('\n');
    for (const line of clients) {
      const id = /\bid=(\d+)/.exec(line)?.[1];
      if (id) await bench.admin.client('KILL', 'ID', id);
    }
    await lease.release();
    await (await waiting).release();
  });

  it.each(['while it stands in line', 'before it hears that it does'])(
    'takes no message about a grant of before for its turn, %s',
    async (when) => {
      const name = bench.name();
      const [a, b] = [await bench.session({ ttl: 60_000 }), await bench.session()];
      const token = await a.lock(name).with((lease) => lease.token);
      const theirs = await b.lock(name).acquire();
      const hear = holdReplies(a, 'lock.acquire');
      if (when.startsWith('while')) hear();
      const waiting = a.lock(name).acquire();
      await until(
        async () => (await bench.admin.zcard(`{heddle:0}:lock:${name}:queue`)) === 1,
        'it stands in line',
      );
      if (when.startsWith('while')) await a.counter(name).value(); // Calls are answered in order.
      const channel = `{heddle:0}:inbox:${a.id}`;
      await bench.admin.publish(channel, ['lock', `${a.id}-1`, name, token, token + 63].join('\n'));
      await bench.admin.publish(channel, 'of no kind');
      await until(() => coreOf(a).inbox.dropped === 1, 'both have come');
      hear();
      expect(await stillPending(waiting)).toBe(true);
      await theirs.release();
      const lease = await waiting;
      expect(await b.lock(name).acquire({ timeout: 0 })).toBeNull();
      await lease.release();
    },
  );

  it('keeps no place in line that was given up while it was asked for', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session()];
    const theirs = await other.lock(name).acquire();
    const inLine = () => bench.admin.zcard(`{heddle:0}:lock:${name}:queue`);
    const hear = holdReplies(session, 'lock.acquire');
    const controller = new AbortController();
    const aborted = session.lock(name).acquire({ signal: controller.signal });
    aborted.catch(() => {});
    await until(async () => (await inLine()) === 1, 'it stands in line');
    controller.abort('enough');
    hear();
    await expect(aborted).rejects.toBe('enough');
    await until(async () => (await inLine()) === 0, 'its place is gone');
    await theirs.release();
  });

  it('counts nothing twice when its connection breaks at any moment', async () => {
    const name = bench.name();
    const sessions = [await bench.session(), await bench.session(), await bench.session()];
    const losses: string[] = [];
    for (const session of sessions) session.on('lost', (reason) => losses.push(reason));
    let inside = 0;
    let most = 0;
    let stop = false;
    const tokens: number[] = [];
    const work = sessions.map(async (session) => {
      while (!stop) {
        await session.lock(name).with(async (lease) => {
          inside += 1;
          most = Math.max(most, inside);
          tokens.push(lease.token);
          await null;
          inside -= 1;
        });
      }
    });
    for (let n = 0; n < 12; n += 1) {
      const before = tokens.length;
      await until(() => tokens.length > before + 5, 'the lock goes round');
      await bench.admin.call('CLIENT', 'KILL', 'TYPE', n % 2 ? 'NORMAL' : 'PUBSUB', 'SKIPME', 'YES');
    }
    stop = true;
    await Promise.all(work);
    expect(losses).toEqual([]);
    expect(most).toBe(1);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
  });
});
