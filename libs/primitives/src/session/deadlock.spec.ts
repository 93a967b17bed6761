import { describe, expect, it } from 'vitest';
import { DeadlockError } from '../errors.ts';
import { runAs } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import type { Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';

const bench = redisBench();
const AFTER = 200;

const open = (count: number) =>
  Promise.all(Array.from({ length: count }, () => bench.session({ deadlockAfter: AFTER })));
const closeAll = (sessions: readonly Session[]) => Promise.all(sessions.map((session) => session.close()));

/** Something with `with`, or its like. */
interface Holdable {
  with<T>(fn: (lease: Lease) => Promise<T>, options?: { timeout?: number }): Promise<T>;
}

/** Each holds its own and, once all do, waits for the other's. */
async function cross(pairs: readonly (readonly [Holdable, Holdable, { timeout?: number }?])[]) {
  let holding = 0;
  const { promise: all, resolve } = Promise.withResolvers<void>();
  const attempts = pairs.map(([mine, theirs, options]) =>
    mine.with(async () => {
      holding += 1;
      if (holding === pairs.length) resolve();
      await all;
      return theirs.with(async () => 'went on', options);
    }),
  );
  return Promise.allSettled(attempts);
}

const errorsOf = (ends: readonly PromiseSettledResult<unknown>[]) =>
  ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));

describe('a circle of waits between sessions', () => {
  it.each([2, 3, 5])('of %i is told to one of them, and the others go on', async (count) => {
    const sessions = await open(count);
    const names = sessions.map(() => bench.name());
    const pairs = sessions.map(
      (session, n) =>
        [session.lock(names[n] as string), session.lock(names[(n + 1) % count] as string)] as const,
    );
    const ends = await cross(pairs);
    const errors = errorsOf(ends);
    expect(errors).toHaveLength(1);
    const [error] = errors as [DeadlockError];
    expect(error).toBeInstanceOf(DeadlockError);
    expect(error.cycle).toHaveLength(count);
    expect(new Set(error.cycle.map(({ waitsFor }) => waitsFor))).toEqual(
      new Set(names.map((name) => `lock ${name}`)),
    );
    for (const { id } of sessions) expect(error.message).toContain(id);
    for (const [at, { heldBy }] of error.cycle.entries())
      expect(heldBy).toBe(error.cycle[(at + 1) % count]?.waiter);
    expect(ends.filter((end) => end.status === 'fulfilled' && end.value === 'went on')).toHaveLength(
      count - 1,
    );
    for (const name of names) expect(await sessions[0]?.lock(name).locked()).toBe(false);
    await closeAll(sessions);
  });

  it.each([0, 1])('is told to the youngest wait (%i)', async (elder) => {
    const [a, b] = (await open(2)) as [Session, Session];
    const names = [bench.name(), bench.name()];
    const [x, y] = names as [string, string];
    const circle = [
      [a, x, y],
      [b, y, x],
    ] as const;
    const [first, second] = [circle[elder], circle[1 - elder]] as [(typeof circle)[0], (typeof circle)[0]];
    const held = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const younger = second[0].lock(second[1]).with(async () => {
      held.resolve();
      await goOn.promise;
      return second[0].lock(second[2]).with(() => 'went on');
    });
    await held.promise;
    const older = first[0].lock(first[1]).with(() => first[0].lock(first[2]).with(() => 'went on'));
    const queue = `{heddle:0}:lock:${first[2]}:queue`;
    await until(async () => (await bench.admin.exists(queue)) === 1, 'the older one waits');
    // By far more than Redis's time is known to.
    const waited = performance.now();
    await until(() => performance.now() - waited > AFTER / 2, 'it has waited for a while');
    goOn.resolve();
    await expect(younger).rejects.toThrow(DeadlockError);
    expect(await older).toBe('went on');
    await closeAll([a, b]);
  });

  it('that two threads of one session could end for each other is none', async () => {
    const [a, b] = (await open(2)) as [Session, Session];
    const [x, y] = [bench.name(), bench.name()];
    const held = await runAs('b holds', () => b.lock(y).acquire());
    const one = a.lock(x).with(() => a.lock(y).with(() => 'went on'));
    await until(async () => (await bench.admin.exists(`{heddle:0}:lock:${y}:queue`)) === 1, 'it waits');
    const other = runAs('b waits', () => b.lock(x).with(() => 'went on'));
    expect(await stillPending(Promise.race([one, other]), 4 * AFTER)).toBe(true);
    await held.release();
    expect(await Promise.all([one, other])).toEqual(['went on', 'went on']);
    await closeAll([a, b]);
  });

  it('of one that waits for what it holds says that, and what to do', async () => {
    const [session] = (await open(1)) as [Session];
    const gate = session.semaphore(bench.name());
    const circle = gate.with(() => gate.with(async () => 1));
    await expect(circle).rejects.toMatchObject({
      cycle: { length: 1 },
      message: expect.stringMatching(/; it holds what it waits for itself: release that first/),
    });
    await closeAll([session]);
  });

  it('inside one session, between its logical threads, is told too', async () => {
    const [session] = (await open(1)) as [Session];
    const [x, y] = [session.lock(bench.name()), session.rlock(bench.name())];
    const errors = errorsOf(
      await cross([
        [x, y],
        [y, x],
      ]),
    );
    expect(errors.map((error) => error instanceof DeadlockError)).toEqual([true]);
    await session.close();
  });

  it.each(['lock', 'rlock'] as const)(
    'through a condition that takes its %s back inside the body of another with is told',
    async (kind) => {
      const [a, b] = (await open(2)) as [Session, Session];
      const [x, y, name] = [bench.name(), bench.name(), bench.name()];
      const on = (session: Session) => session.condition(name, { lock: session[kind](x) });
      const { promise: inside, resolve } = Promise.withResolvers<void>();
      const waiting = on(a).with(() =>
        a.lock(y).with(() => {
          resolve();
          return on(a).wait();
        }),
      );
      await inside;
      const notifying = on(b).with(async () => {
        await on(b).notify();
        return b.lock(y).with(() => 'never');
      });
      await expect(notifying).rejects.toMatchObject({ code: 'ERR_HEDDLE_DEADLOCK', cycle: { length: 2 } });
      expect(await waiting).toBe(true);
      await closeAll([a, b]);
    },
  );

  it('is told at once where it is of one', async () => {
    const session = await bench.session({ deadlockAfter: Number.POSITIVE_INFINITY });
    const lock = session.lock(bench.name());
    const error = await lock.with(() => lock.with(() => 'never')).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DeadlockError);
    expect((error as DeadlockError).cycle).toHaveLength(1);
    expect(await lock.with(() => lock.acquire({ timeout: 5 }))).toBeNull();
    await session.close();
  });

  it.each([
    ['write', 'write'],
    ['write', 'read'],
    ['read', 'write'],
  ] as const)('is told at once where it is of one: holding to %s, to %s', async (outer, inner) => {
    const session = await bench.session({ deadlockAfter: Number.POSITIVE_INFINITY });
    const lock = session.readWriteLock(bench.name());
    const again = lock[outer].with(() => session.readWriteLock(lock.name)[inner].acquire());
    await expect(again).rejects.toMatchObject({ cycle: { length: 1 }, primitive: lock.name });
    expect(await lock[outer].with(() => lock[inner].acquire({ timeout: 5 }))).toBeNull();
    expect(await lock.read.with(() => lock.read.with(() => 'both'))).toBe('both');
    await session.close();
  });

  it('through a semaphore is one only where those outside could not give enough', async () => {
    const [a, b, c] = (await open(3)) as [Session, Session, Session];
    const [permits, x] = [bench.name(), bench.name()];
    const other = await runAs('outside', () => c.semaphore(permits, 2).acquire());
    const waiting = cross([
      [a.semaphore(permits, 2), a.lock(x)],
      [b.lock(x), b.semaphore(permits, 2)],
    ]);
    expect(await stillPending(waiting, 5 * AFTER)).toBe(true);
    await other.release();
    expect(errorsOf(await waiting)).toEqual([]);
    const errors = errorsOf(
      await cross([
        [a.semaphore(permits, 2), a.lock(x)],
        [c.semaphore(permits, 2), c.lock(x)],
        [b.lock(x), b.semaphore(permits, 2)],
      ]),
    );
    expect(errors.map((error) => error instanceof DeadlockError)).toEqual([true]);
    await closeAll([a, b, c]);
  });

  it('of two who hold permits and want more is told to one, and the other goes on', async () => {
    const [a, b] = (await open(2)) as [Session, Session];
    const name = bench.name();
    const [one, two] = [a.semaphore(name, 2), b.semaphore(name, 2)];
    const ends = await cross([
      [one, one],
      [two, two],
    ]);
    const errors = errorsOf(ends) as [DeadlockError];
    expect(errors.map((error) => error instanceof DeadlockError)).toEqual([true]);
    expect(errors[0].cycle).toHaveLength(2);
    expect(ends).toContainEqual({ status: 'fulfilled', value: 'went on' });
    await closeAll([a, b]);
  });

  it('of a reader who wants to write, which waits for itself, is told to each', async () => {
    const [a, b] = (await open(2)) as [Session, Session];
    const name = bench.name();
    const [one, two] = [a.readWriteLock(name), b.readWriteLock(name)];
    const errors = errorsOf(
      await cross([
        [one.read, one.write],
        [two.read, two.write],
      ]),
    );
    expect(errors.map((error) => error instanceof DeadlockError)).toEqual([true, true]);
    await closeAll([a, b]);
  });
});

it('a circle through a level of an rlock that outlives the body it was entered in is told', async () => {
  const [a, b] = (await open(2)) as [Session, Session];
  const [x, y] = [bench.name(), bench.name()];
  const holding = Promise.withResolvers<void>();
  const other = b.lock(y).with(async () => {
    await holding.promise;
    return b.rlock(x).with(() => 'had both');
  });
  await until(() => b.lock(y).locked(), 'it is held');
  const one = runAs('worker', async () => {
    const level = await a.rlock(x).with(() => a.rlock(x).acquire());
    holding.resolve();
    return a
      .lock(y)
      .with(() => 'had both')
      .finally(() => level.release());
  });
  const [first] = errorsOf(await Promise.allSettled([one, other]));
  expect(first).toBeInstanceOf(DeadlockError);
  await closeAll([a, b]);
});

describe('no circle of waits', () => {
  it.each([
    ['lock', (session: Session, name: string) => session.lock(name)],
    ['write side', (session: Session, name: string) => session.readWriteLock(name).write],
  ])('is where bodies of one logical thread want the same side by side: %s', async (_, make) => {
    const [session] = (await open(1)) as [Session];
    const lock = make(session, bench.name());
    const { promise: end, resolve } = Promise.withResolvers<void>();
    const both = runAs('worker', () => Promise.all([lock.with(() => end.then(() => 1)), lock.with(() => 2)]));
    expect(await stillPending(both, 5 * AFTER)).toBe(true);
    const third = runAs('another', () =>
      lock.with(() => Promise.resolve(3), { timeout: AFTER }).catch((error: Error) => error.name),
    );
    expect(await third).toBe('TimeoutError');
    resolve();
    expect(await both).toEqual([1, 2]);
    // Where the first holds already when the second asks.
    const late = runAs('worker', async () => {
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
      const { promise: over, resolve: finish } = Promise.withResolvers<void>();
      const first = lock.with(() => {
        begin();
        return over;
      });
      await begun;
      const second = lock.with(() => 'went on');
      finish();
      await first;
      return second;
    });
    expect(await late).toBe('went on');
    await session.close();
  });

  it.each([
    ['lock', (session: Session, name: string) => session.lock(name)],
    ['rlock', (session: Session, name: string) => session.rlock(name)],
    ["condition's lock", (session: Session, name: string) => session.condition(name)],
  ])('is where a body goes on beside a wait of its logical thread: %s', async (_, make) => {
    const [a, b] = (await open(2)) as [Session, Session];
    const [x, y] = [bench.name(), bench.name()];
    const { promise: end, resolve } = Promise.withResolvers<void>();
    const holding = Promise.withResolvers<void>();
    const other = b.lock(y).with(async () => {
      await holding.promise;
      return make(b, x).with(() => 'had both');
    });
    await until(async () => (await b.lock(y).locked()) === true, 'it is held');
    const both = runAs('worker', () =>
      Promise.all([
        make(a, x).with(() => {
          holding.resolve();
          return end;
        }),
        a.lock(y).with(() => 'went on'),
      ]),
    );
    expect(await stillPending(Promise.race([both, other]), 5 * AFTER)).toBe(true);
    resolve();
    expect(await Promise.all([both, other])).toEqual([[undefined, 'went on'], 'had both']);
    await closeAll([a, b]);
  });

  it('is a long chain', async () => {
    const sessions = await open(12);
    const names = sessions.map(() => bench.name());
    const ends: Promise<unknown>[] = [];
    const { promise: end, resolve } = Promise.withResolvers<void>();
    for (const [n, session] of sessions.entries()) {
      const next = names[n + 1];
      const mine = session.lock(names[n] as string);
      ends.push(mine.with(() => (next === undefined ? end : session.lock(next).with(() => {}))));
    }
    const all = Promise.all(ends);
    expect(await stillPending(all, 8 * AFTER)).toBe(true);
    resolve();
    await all;
    await closeAll(sessions);
  });

  it('is one that a time-out dissolves before anybody looks', async () => {
    const [a, b] = (await open(2)) as [Session, Session];
    const [x, y] = [bench.name(), bench.name()];
    for (let turn = 0; turn < 3; turn += 1) {
      const ends = await cross([
        [a.lock(x), a.lock(y)],
        [b.lock(y), b.lock(x), { timeout: AFTER / 2 }],
      ]);
      const [error, ...more] = errorsOf(ends);
      expect(more).toEqual([]);
      expect(error).toMatchObject({ code: 'ERR_HEDDLE_TIMEOUT' });
    }
    await closeAll([a, b]);
  });

  it('is where one of those in it waits for something else as well', async () => {
    const [a, b, c] = (await open(3)) as [Session, Session, Session];
    const [x, y, z] = [bench.name(), bench.name(), bench.name()];
    const outside = await c.lock(z).acquire();
    const [held, waits] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const one = a.lock(x).with(async () => {
      held.resolve();
      await waits.promise;
      const controller = new AbortController();
      const other = a.lock(y).acquire({ signal: controller.signal });
      other.catch(() => {});
      await (await a.lock(z).acquire()).release();
      controller.abort('enough');
      await expect(other).rejects.toBe('enough');
      return 'went on';
    });
    await held.promise;
    const two = b.lock(y).with(() => b.lock(x).with(() => 'went on'));
    await until(async () => (await bench.admin.exists(`{heddle:0}:lock:${x}:queue`)) === 1, 'it waits');
    waits.resolve();
    expect(await stillPending(Promise.race([one, two]), 6 * AFTER)).toBe(true);
    await outside.release();
    expect(await Promise.all([one, two])).toEqual(['went on', 'went on']);
    await closeAll([a, b, c]);
  });

  it('is what plain code of one thread holds and waits for', async () => {
    const [a, b] = (await open(2)) as [Session, Session];
    const [x, y] = [bench.name(), bench.name()];
    const mine = await a.lock(x).acquire();
    const theirs = await b.lock(y).acquire();
    const waits = [a.lock(y).acquire(), b.lock(x).acquire()];
    expect(await stillPending(Promise.race(waits), 5 * AFTER)).toBe(true);
    await Promise.all([mine.release(), theirs.release()]);
    for (const lease of await Promise.all(waits)) await lease.release();
    await closeAll([a, b]);
  });

  it('costs nothing where whoever waits holds nothing', async () => {
    const [a, b] = (await open(2)) as [Session, Session];
    const name = bench.name();
    const held = await a.lock(name).acquire();
    const waiting = b.lock(name).with(() => {});
    const sent = await bench.commandsDuring(async () => {
      expect(await stillPending(waiting, 5 * AFTER)).toBe(true);
    });
    expect(sent.filter((line) => line.includes('"deadlock.'))).toEqual([]);
    await held.release();
    await waiting;
    await closeAll([a, b]);
  });
});
