/** Who of a session, and of several, is served first, whatever becomes of the places between them. */
import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { stillPending, until } from '../testing/waiting.ts';
import type { DistributedSemaphore } from './semaphore.distributed.ts';

const bench = redisBench();

const inLine = (name: string, kind = 'semaphore') => bench.admin.zcard(`{heddle:0}:${kind}:${name}:queue`);

/** Two permits, both held here; then waiters by name, who keep what they get until they are told. */
async function bothHeld(name: string) {
  const session = await bench.session();
  const gate = session.semaphore(name, 2);
  const held = [await gate.acquire(), await gate.acquire()];
  const served: string[] = [];
  const enter = async (who: string, permits: number) => {
    const lease = await gate.acquire({ permits });
    served.push(who);
    return lease;
  };
  return { session, gate, held, served, enter };
}

describe('those of a session who want different numbers', () => {
  it('are served as they came, where a hand-over leaves a place that stands before the larger', async () => {
    const name = bench.name();
    const { held, served, enter } = await bothHeld(name);
    const one = enter('one', 1);
    await until(async () => (await inLine(name)) === 1, 'the first waits');
    const both = enter('both', 2);
    await until(async () => (await inLine(name)) === 2, 'and the larger');
    const late = enter('late', 1);
    await until(async () => (await inLine(name)) === 3, 'and the last');
    await held[0]?.release();
    const first = await one;
    await held[1]?.release();
    await first.release();
    await (await both).release();
    await (await late).release();
    expect(served).toEqual(['one', 'both', 'late']);
  });

  it.each([
    [2, 1],
    [1, 2],
  ])('are served as they came, hundreds for %i and then one for %i', async (many, other) => {
    const name = bench.name();
    const { gate, held, served, enter } = await bothHeld(name);
    const all = Array.from({ length: 300 }, (_, n) =>
      enter(String(n), many).then((lease) => lease.release()),
    );
    all.push(enter('last', other).then((lease) => lease.release()));
    for (const lease of held) await lease.release();
    await Promise.all(all);
    expect(served.indexOf('last')).toBe(300);
    expect(await gate.value()).toBe(2);
    expect(await inLine(name)).toBe(0);
  });

  it('hand on again once those who want another number are gone', async () => {
    const name = bench.name();
    const { gate, held, served, enter } = await bothHeld(name);
    const impatience = new AbortController();
    const all = Array.from({ length: 40 }, (_, n) => enter(String(n), 1).then((lease) => lease.release()));
    const both = gate.acquire({ permits: 2, signal: impatience.signal });
    both.catch(() => {});
    await until(async () => (await inLine(name)) === 41, 'each has a place of its own');
    impatience.abort(new Error('enough'));
    await expect(both).rejects.toThrow('enough');
    const commands = await bench.commandsDuring(async () => {
      for (const lease of held) await lease.release();
      await Promise.all(all);
    });
    expect(served).toEqual(Array.from({ length: 40 }, (_, n) => String(n)));
    // Their places are given up with what they wait for; nothing is asked for.
    expect(commands.filter((line) => line.includes('"semaphore.acquire"'))).toEqual([]);
    expect(await gate.value()).toBe(2);
  });

  it('are asked for anew as they came, where the session was lost', async () => {
    const name = bench.name();
    const session = await bench.session();
    const lock = session.readWriteLock(name);
    await lock.write.acquire();
    const order: string[] = [];
    const writer = lock.write.with(() => void order.push('writer'));
    const reader = lock.read.with(() => void order.push('reader'));
    await until(async () => (await inLine(name, 'rwlock')) === 2, 'both stand in line');
    await bench.admin.del('{heddle:0}:sessions');
    await session
      .counter(name)
      .value()
      .catch(() => {}); // Whatever is asked finds out.
    await Promise.all([writer, reader]);
    expect(order).toEqual(['writer', 'reader']);
  });
});

describe('readers who give up', () => {
  it('leave their own places: those who came later do not pass a writer in between', async () => {
    const name = bench.name();
    const [reading, writing, holding] = [await bench.session(), await bench.session(), await bench.session()];
    const held = await holding.readWriteLock(name).write.acquire();
    const line = (count: number) =>
      until(async () => (await inLine(name, 'rwlock')) === count, `${count} in line`);
    const impatience = new AbortController();
    const gone = Array.from({ length: 5 }, () =>
      reading
        .readWriteLock(name)
        .read.acquire({ signal: impatience.signal })
        .catch(() => 'gone'),
    );
    await line(5);
    const order: string[] = [];
    const writer = writing.readWriteLock(name).write.with(() => void order.push('writer'));
    await line(6);
    const late = Array.from({ length: 5 }, () =>
      reading.readWriteLock(name).read.with(() => void order.push('reader')),
    );
    await line(11);
    impatience.abort(new Error('enough'));
    expect(new Set(await Promise.all(gone))).toEqual(new Set(['gone']));
    await held.release();
    await Promise.all([writer, ...late]);
    expect(order[0]).toBe('writer');
  });
});

describe('those who come in the moment in which the last one leaves', () => {
  it.each(['semaphore', 'rwlock'] as const)('are served after a loss too (%s)', async (kind) => {
    const name = bench.name();
    const [mine, other] = [await bench.session(), await bench.session()];
    const gate = (session: typeof mine) =>
      kind === 'semaphore' ? session.boundedSemaphore(name, 1) : session.readWriteLock(name).write;
    const held = await gate(other).acquire();
    const impatience = new AbortController();
    const gone = gate(mine).acquire({ signal: impatience.signal });
    gone.catch(() => {});
    await until(async () => (await inLine(name, kind)) === 1, 'it waits');
    impatience.abort(new Error('enough'));
    const [second, third] = [gate(mine).acquire(), gate(mine).acquire()];
    await expect(gone).rejects.toThrow('enough');
    await held.release();
    const lost = await second;
    await bench.admin.del('{heddle:0}:sessions');
    await mine
      .counter(name)
      .value()
      .catch(() => {}); // Whatever is asked finds out.
    await until(() => lost.signal.aborted, 'the session is lost');
    await (await third).release();
  });
});

describe('where Redis refuses', () => {
  it('all hear of it who have no place in line, though one of the session holds a permit', async () => {
    const name = bench.name();
    const [mine, other] = [await bench.session(), await bench.session()];
    const held = [await mine.semaphore(name, 2).acquire(), await other.semaphore(name, 2).acquire()];
    await bench.admin.config('SET', 'min-replicas-to-write', '1');
    const waiting = [1, 2, 3].map(() => mine.semaphore(name, 2).acquire());
    for (const each of waiting) await expect(each).rejects.toThrow('NOREPLICAS');
    await bench.admin.config('SET', 'min-replicas-to-write', '0');
    for (const lease of held) await lease.release();
    await until(async () => (await other.semaphore(name, 2).value()) === 2, 'all permits are back');
  });

  it('those with a place in line keep it', async () => {
    const name = bench.name();
    const [mine, other] = [await bench.session(), await bench.session()];
    const held = [await other.semaphore(name, 2).acquire(), await other.semaphore(name, 2).acquire()];
    const first = mine.semaphore(name, 2).acquire();
    await until(async () => (await inLine(name)) === 1, 'it stands in line');
    await bench.admin.config('SET', 'min-replicas-to-write', '1');
    await expect(mine.semaphore(name, 2).acquire()).rejects.toThrow('NOREPLICAS');
    expect(await stillPending(first)).toBe(true);
    await bench.admin.config('SET', 'min-replicas-to-write', '0');
    for (const lease of held) await lease.release();
    await (await first).release();
    await until(async () => (await other.semaphore(name, 2).value()) === 2, 'all permits are back');
  });
});

describe('tokens', () => {
  it('are none of a life that was lost, whose blocks others may be granted again', async () => {
    const name = bench.name();
    const [mine, other] = [await bench.session(), await bench.session()];
    const gate = (session: typeof mine): DistributedSemaphore => session.semaphore(name, 1);
    await gate(mine).value();
    const ahead = Date.now() * 1000 + 900_000; // As after a burst, or on a replica whose clock is behind.
    await bench.admin.hset(`{heddle:0}:semaphore:${name}:state`, 'end', String(ahead));
    const lost = await gate(mine).acquire();
    await bench.admin.flushall();
    for (const session of [mine, other])
      await session
        .counter(name)
        .value()
        .catch(() => {}); // Whatever is asked finds out.
    await until(() => lost.signal.aborted, 'the session is lost');
    const first = await gate(mine).acquire();
    const second = gate(mine).acquire();
    await until(async () => (await inLine(name)) === 1, 'one waits');
    const third = gate(other).acquire();
    await until(async () => (await inLine(name)) === 2, 'and the other');
    await first.release();
    const handed = await second;
    await handed.release();
    const last = await third;
    expect([handed.token - first.token, last.token > handed.token]).toEqual([1, true]);
    await last.release();
  });
});
