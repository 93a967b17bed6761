import { describe, expect, it, onTestFinished } from 'vitest';
import { NotHeldError, SessionClosedError } from '../errors.ts';
import { runAs } from '../identity.ts';
import { nameOn } from '../session/keys.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { connect, coreOf, type Session } from '../session.distributed.ts';
import { pause } from '../shared-memory/word.ts';
import { holdReplies } from '../testing/held-replies.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import { conditionConformance } from './condition.conformance.ts';
import type { DistributedCondition } from './condition.distributed.ts';

const bench = redisBench();

conditionConformance('distributed', {
  make: async () => (await bench.turn()).condition(bench.name()),
  another: async (condition) => (await bench.turn()).condition((condition as DistributedCondition).name),
});

const waitersOf = (name: string) =>
  `{heddle:0}:condition:condition-lock:${Buffer.byteLength(name)}:${name}:${name}:waiters`;

/** Waits; registered when this resolves. */
async function waiterIn(session: Session, name: string, options = {}) {
  const condition = session.condition(name);
  const before = await bench.admin.zcard(waitersOf(name));
  const woken = condition.with(() => condition.wait(options));
  woken.catch(() => {});
  await until(async () => (await bench.admin.zcard(waitersOf(name))) > before, 'it waits');
  return { woken };
}

describe('Condition, distributed', () => {
  it('waits and notifies under a lock that others use as well', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const on = (session: Session) => session.condition('full', { lock: session.lock(name) });
    const lease = await a.lock(name).acquire();
    const before = lease.token;
    const waiting = on(a).wait();
    const theirs = await b.lock(name).acquire();
    await on(b).notify();
    expect(await stillPending(waiting)).toBe(true);
    expect(lease.valid).toBe(false);
    await theirs.release();
    expect(await waiting).toBe(true);
    expect(lease.valid).toBe(true);
    expect(lease.token).toBeGreaterThan(before);
    await lease.release();
    expect(await a.lock(name).locked()).toBe(false);
    await Promise.all([a.close(), b.close()]);
  });

  it('takes one command to wait, one to notify, and none to wake', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const [mine, other] = [a.condition(name), b.condition(name)];
    await mine.with(() => {});
    await other.with(() => {});
    const ops = (commands: string[]) => commands.filter((line) => /"(lock|condition)\./.test(line)).length;
    const taken = await mine.acquire();
    let waiting: Promise<boolean> | undefined;
    const key = waitersOf(name);
    expect(
      ops(
        await bench.commandsDuring(async () => {
          waiting = mine.wait();
          await until(async () => (await bench.admin.zcard(key)) === 1, 'it waits');
        }),
      ),
    ).toBe(1);
    const held = await other.acquire();
    const notifying = await bench.commandsDuring(async () => {
      await other.notify();
      await held.release();
      await waiting;
    });
    expect(ops(notifying)).toBe(2);
    await taken.release();
    await until(async () => (await bench.keysOf(name)).length === 1, 'its last token alone is left');
    await Promise.all([a.close(), b.close()]);
  });

  it('wakes in the order of their coming, over sessions', async () => {
    const name = bench.name();
    const sessions = await Promise.all([1, 2, 3].map(() => bench.session()));
    const order: number[] = [];
    const all: Promise<unknown>[] = [];
    for (const [n, session] of [...sessions, ...sessions].entries()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      all.push(promise);
      const condition = session.condition(name);
      const before = await bench.admin.zcard(waitersOf(name));
      void condition.with(async () => {
        await condition.wait();
        order.push(n);
        resolve();
      });
      await until(async () => (await bench.admin.zcard(waitersOf(name))) > before, 'it waits');
    }
    const notifier = (await bench.turn()).condition(name);
    await notifier.with(() => notifier.notifyAll());
    await Promise.all(all);
    // One place a session in the lock's line: each session's own go together.
    expect(order).toEqual([0, 3, 1, 4, 2, 5]);
    await Promise.all(sessions.map((session) => session.close()));
  });

  it('notifies 300 sessions, more than a script may wake, and all hold the lock in turn', {
    timeout: 60_000,
  }, async () => {
    const name = bench.name();
    const sessions = await Promise.all(Array.from({ length: 300 }, () => bench.session({ ttl: 60_000 })));
    let inside = 0;
    const waits = sessions.map((session) => {
      const condition = session.condition(name);
      return condition.with(async () => {
        const woken = await condition.wait();
        inside += 1;
        expect(inside).toBe(1);
        inside -= 1;
        return woken;
      });
    });
    await until(async () => (await bench.admin.zcard(waitersOf(name))) === 300, 'all wait');
    const notifier = (await bench.turn()).condition(name);
    await notifier.with(() => notifier.notifyAll());
    expect(new Set(await Promise.all(waits))).toEqual(new Set([true]));
    await Promise.all(sessions.map((session) => session.close()));
  });

  it('gives the notification of one that died before it woke to another', async () => {
    const name = bench.name();
    const [doomed, other] = [await bench.session({ ttl: 300 }), await bench.session({ ttl: 300 })];
    await waiterIn(doomed, name);
    const waiting = await waiterIn(other, name);
    const condition = (await bench.turn()).condition(name);
    await condition.with(async () => {
      await condition.notify();
      // As if it had been killed: nothing renews it, and what it was put in line for goes to nobody.
      await bench.admin.zadd('{heddle:0}:sessions', 'XX', '0', `${doomed.id}-1`);
    });
    expect(await waiting.woken).toBe(true);
    await Promise.all([doomed.close(), other.close()]);
  });

  it('finds out by itself that it was notified, where the message was lost', async () => {
    const name = bench.name();
    const session = await bench.session({ ttl: 400 });
    const waiting = await waiterIn(session, name);
    const condition = (await bench.turn()).condition(name);
    await condition.with(async () => {
      // What a lost message leaves behind: not registered any more, and a place in line.
      const [member = ''] = await bench.admin.zrange(waitersOf(name), '0', '-1');
      await bench.admin.zrem(waitersOf(name), member);
    });
    expect(await waiting.woken).toBe(true);
    await session.close();
  });

  it.each(['condition.join', 'condition.look'])(
    'asks once more where a message may have been lost while the answer to %s was on its way',
    async (operation) => {
      const name = bench.name();
      const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session()];
      const { seats } = coreOf(session);
      const condition = other.condition(name);
      const held = operation === 'condition.join' ? holdReplies(session, operation) : undefined;
      const waiting = await waiterIn(session, name);
      const hear = held ?? holdReplies(session, operation);
      if (held === undefined) {
        // It is passed over; who looks puts it back in its place.
        const [member = ''] = await bench.admin.zrange(waitersOf(name), '0', '-1');
        await bench.admin.zadd(waitersOf(name), '-5', member);
        seats.askAgain();
        await until(async () => (await bench.admin.zscore(waitersOf(name), member)) === '4', 'it looks');
      }
      await condition.with(async () => {
        const [member = ''] = await bench.admin.zrange(waitersOf(name), '0', '-1');
        await bench.admin.zrem(waitersOf(name), member);
      });
      seats.askAgain(); // As where the subscriber is back.
      hear();
      expect(await waiting.woken).toBe(true);
      await Promise.all([session.close(), other.close()]);
    },
  );

  /** Messages to the condition's waits in `session` come so late from here on. */
  const delayMessages = (session: Session, name: string, ms: number) => {
    const seat = coreOf(session).seats.take(
      seatKey('condition', nameOn('condition-lock', name, name)),
      (): Seat => {
        throw new Error('nobody waits');
      },
    );
    const told = seat.told.bind(seat);
    seat.told = (...message) => void later(ms, undefined).then(() => told(...message));
  };

  it('wakes where the message comes when its own session has given the lock back', async () => {
    const name = bench.name();
    const session = await bench.session({ ttl: 60_000 });
    const waiting = await waiterIn(session, name);
    delayMessages(session, name, 50);
    const condition = session.condition(name);
    await condition.with(() => condition.notify());
    expect(await waiting.woken).toBe(true);
    await session.close();
  });

  it('wakes where its session has left the line before the message comes', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session()];
    const waiting = await waiterIn(session, name);
    delayMessages(session, name, 100);
    const condition = other.condition(name);
    await condition.with(async () => {
      await condition.notify();
      expect(await session.condition(name).acquire({ timeout: 10 })).toBeNull();
    });
    expect(await waiting.woken).toBe(true);
    await Promise.all([session.close(), other.close()]);
  });

  it('holds the lock alone where it hears last that its session had given that back before', async () => {
    const name = bench.name();
    const [session, other] = [await bench.session({ ttl: 60_000 }), await bench.session()];
    const condition = session.condition(name);
    const held = await condition.acquire();
    const waiting = condition.wait();
    await until(async () => (await bench.admin.zcard(waitersOf(name))) === 1, 'it waits');
    const before = await runAs('another', () => condition.acquire());
    const hear = holdReplies(session, 'lock.release');
    const released = before.release();
    await other.condition(name).with(() => other.condition(name).notify());
    const state = `{heddle:0}:condition-lock:${name}:state`;
    await until(
      async () => (await bench.admin.hget(state, 'holder')) === `${session.id}-1`,
      'the lock is its again',
    );
    expect(await stillPending(waiting)).toBe(true);
    hear();
    await released;
    expect(await waiting).toBe(true);
    expect(held.valid).toBe(true);
    expect(await runAs('another', () => condition.acquire({ timeout: 0 }))).toBeNull();
    await held.release();
  });

  it('wakes by itself, holding the lock again, where its session was lost', async () => {
    const session = await bench.session({ namespace: 'woken' });
    const condition = session.condition('x');
    const tokens: number[] = [];
    const waiting = condition.with(async (lease) => {
      tokens.push(lease.token);
      const woken = await condition.wait();
      tokens.push(lease.token);
      expect(lease.valid).toBe(true);
      return woken;
    });
    await until(
      async () => (await bench.admin.keys('{woken:0}:condition:*waiters')).length === 1,
      'it waits',
    );
    await bench.admin.del('{woken:0}:sessions');
    expect(await waiting).toBe(true);
    expect(tokens[1]).toBeGreaterThan(tokens[0] as number);
    await session.close();
  });

  it('gives the lock back after a wait that began when Redis no longer knew its session', async () => {
    const session = await bench.session({ namespace: 'unknown' });
    const condition = session.condition('x');
    const lease = await condition.acquire();
    await bench.admin.del('{unknown:0}:sessions');
    expect(await condition.wait()).toBe(true);
    expect(lease.valid).toBe(true);
    await lease.release();
    const other = await bench.session({ namespace: 'unknown' });
    await (await other.condition('x').acquire({ timeout: 0 }))?.release();
    expect(await bench.admin.hget('{unknown:0}:condition-lock:x:state', 'holder')).toBeNull();
    await Promise.all([session.close(), other.close()]);
  });

  it('passes on what was spent on one that aborted just then', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const controller = new AbortController();
    const aborted = await waiterIn(a, name, { signal: controller.signal });
    const patient = await waiterIn(b, name);
    const condition = (await bench.turn()).condition(name);
    const held = await condition.acquire();
    const notified = condition.notify();
    controller.abort('enough');
    await notified;
    await held.release();
    // Whichever came first, the one notification woke exactly one of them.
    const first = await aborted.woken.catch((reason: unknown) => reason);
    if (first === 'enough') expect(await patient.woken).toBe(true);
    else expect(await stillPending(patient.woken)).toBe(true);
    await Promise.all([a.close(), b.close()]);
  });

  it('passes on what was spent on one that had its lock again before it heard of that', async () => {
    const name = bench.name();
    const proxy = await startProxy(bench.url);
    const [a, b] = [await connect(proxy.url, { logger: {} }), await bench.session()];
    onTestFinished(() => a.close());
    const controller = new AbortController();
    const aborted = await waiterIn(a, name, { signal: controller.signal });
    const patient = await waiterIn(b, name);
    const condition = (await bench.turn()).condition(name);
    const held = await condition.acquire();
    const here = runAs('here', () => a.condition(name).acquire());
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:condition-lock:${name}:queue`)) === 1,
      'it stands in line',
    );
    delayMessages(a, name, 5_000);
    await condition.notify();
    proxy.delayReplies(700, (at) => at === 0); // Of commands; messages come by the connection made next.
    controller.abort('enough');
    await held.release();
    const lease = await here;
    await later(400, undefined); // By now it waits for no answer any more, but for the lock.
    await lease.release();
    expect(await aborted.woken.catch((reason: unknown) => reason)).toBe('enough');
    proxy.delayReplies(0);
    expect(await patient.woken).toBe(true);
    await b.close();
  });

  it('is told of a closing session, and leaves nothing', async () => {
    const name = bench.name();
    const session = await bench.session();
    const waiting = await waiterIn(session, name);
    await session.close();
    await expect(waiting.woken).rejects.toThrow(SessionClosedError);
    expect(await bench.admin.exists(waitersOf(name))).toBe(0);
    await expect(session.condition(name).notify()).rejects.toThrow(SessionClosedError);
  });

  it('is told so too where it begins to wait in the turn that closes', async () => {
    const session = await bench.session();
    const condition = session.condition(bench.name());
    const lease = await condition.acquire();
    const woken = condition.wait().catch((error: unknown) => error);
    const closed = session.close();
    expect(await woken).toBeInstanceOf(SessionClosedError);
    expect(lease.valid).toBe(false);
    await lease.release();
    await closed;
  });

  it('refuses a lock that is none of its session', async () => {
    const [a, b] = [await bench.turn(), await bench.turn()];
    for (const lock of [null, 5, {}, 'x', b.lock('x'), a.condition('y'), a.readWriteLock('z').write]) {
      expect(() => a.condition('c', { lock: lock as never })).toThrow(TypeError);
    }
    expect(() => a.condition('c', { look: 1 } as never)).toThrow(TypeError);
    const [one, two] = [a.lock('one'), a.lock('two')];
    await using _ = await one.acquire();
    await a.condition('c', { lock: one }).notify();
    await expect(a.condition('c', { lock: two }).notify()).rejects.toThrow(NotHeldError);
  });

  it('gives one hold up once, however many would wait under it', async () => {
    const name = bench.name();
    const session = await bench.session();
    const lock = session.lock(name);
    const condition = session.condition('c', { lock });
    const lease = await lock.acquire();
    const [first, second] = await Promise.allSettled([condition.wait({ timeout: 30 }), condition.wait()]);
    expect(first).toEqual({ status: 'fulfilled', value: false });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'ERR_HEDDLE_NOT_HELD' } });
    expect(lease.valid).toBe(true);
    await lease.release();
    expect(await lock.locked()).toBe(false);
    await session.close();
  });

  it('does not wait under a hold that was lost while the event loop stood still, and holds nothing', async () => {
    const session = await bench.session({ namespace: 'stood', ttl: 300, logger: {} });
    const condition = session.condition('x', { lock: session.lock('x') });
    await condition.acquire();
    await bench.admin.del('{stood:0}:sessions');
    pause(500);
    // On a busy machine the keeper may have told of it before the loop stood still: then there is no hold any more.
    await expect(condition.wait()).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_HEDDLE_(LEASE_LOST|NOT_HELD)$/),
    });
    expect(await condition.locked()).toBe(false);
    await (await condition.acquire()).release();
    await session.close();
  });

  it('keeps nothing of a call that it refuses', async () => {
    const session = await bench.session();
    const name = bench.name();
    const condition = session.condition(name);
    await expect(condition.wait()).rejects.toThrow(NotHeldError);
    await expect(condition.notify()).rejects.toThrow(NotHeldError);
    await expect(condition.notifyAll()).rejects.toThrow(NotHeldError);
    let made = 0;
    const seat: Seat = { told() {}, askAgain() {}, waited: false, closed() {} };
    coreOf(session).seats.take(seatKey('condition', nameOn('condition-lock', name, name)), () => {
      made += 1;
      return seat;
    });
    expect(made).toBe(1);
    await session.close();
  });
});
