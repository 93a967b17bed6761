import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

/** A row of the table in `docs/architecture.md`: what is done, and how many commands clients send for it. */
function tableRows(): Map<string, number> {
  const text = readFileSync(new URL('../../../../docs/architecture.md', import.meta.url), 'utf8');
  const [, section = ''] = text.split('### Commands');
  const rows = section.split('\n### ')[0]?.matchAll(/^\| (.+?) +\| (\d+) +\|$/gm) ?? [];
  return new Map([...rows].map(([, what = '', count]) => [what, Number(count)]));
}

let a: Session;
let b: Session;

/** Does something first, and gives what is to be counted. */
type Case = (name: string) => Promise<() => Promise<unknown>>;

const inLine = (kind: string, name: string, part = 'queue') =>
  until(
    async () => (await bench.admin.zcard(`{heddle:0}:${kind}:${name}:${part}`)) > 0,
    `somebody waits for ${kind} ${name}`,
  );

/** One session holds; the other waits, gets it and gives it back: all of that but the first acquisition. */
const handOver =
  (
    kind: string,
    of: (session: Session, name: string) => Pick<ReturnType<Session['lock']>, 'acquire'>,
  ): Case =>
  async (name) => {
    const first = await of(a, name).acquire();
    return async () => {
      const next = of(b, name).acquire();
      await inLine(kind, name);
      await first.release();
      await (await next).release();
    };
  };

const cases: Readonly<Record<string, Case>> = {
  'a lock that is free: `acquire`': async (name) => () => a.lock(name).acquire(),
  'a lock: `release`': async (name) => {
    const lease = await a.lock(name).acquire();
    return () => lease.release();
  },
  'a lock that is held: `acquire({ timeout: 0 })`': async (name) => {
    await b.lock(name).acquire();
    return () => a.lock(name).acquire({ timeout: 0 });
  },
  'a lock that is held: a wait that times out': async (name) => {
    await b.lock(name).acquire();
    return () => a.lock(name).acquire({ timeout: 20 });
  },
  'a lock: one waits, the holder releases, it has it and releases': handOver('lock', (session, name) =>
    session.lock(name),
  ),
  'a lock: 30 tasks of one session, one after the other': async (name) => () =>
    Promise.all(Array.from({ length: 30 }, () => a.lock(name).with(() => 1))),
  'a lock: `locked`': async (name) => () => a.lock(name).locked(),
  'an rlock: `acquire`, again, `release`, `release`': async (name) => () =>
    a.rlock(name).with(() => a.rlock(name).with(() => 1)),
  '`acquireAll` of three that are free': async (name) => () =>
    a.acquireAll([a.lock(name), a.lock(`${name} too`), a.rlock(name)]),
  'a semaphore: `acquire`, of any number': async (name) => () => a.semaphore(name, 9).acquire({ permits: 5 }),
  'a semaphore: `release`': async (name) => {
    const lease = await a.semaphore(name, 1).acquire();
    return () => lease.release();
  },
  'a semaphore: one waits, the holder releases, it has it and releases': handOver(
    'semaphore',
    (session, name) => session.semaphore(name, 1),
  ),
  'a semaphore: `value`': async (name) => () => a.semaphore(name, 1).value(),
  'a read-write lock: a side, `acquire` and `release`': async (name) => () =>
    a.readWriteLock(name).read.with(() => 1),
  'a read-write lock: 30 writers of one session, one after the other': async (name) => () =>
    Promise.all(Array.from({ length: 30 }, () => a.readWriteLock(name).write.with(() => 1))),
  'a condition: `wait`, until it stands in line': async (name) => {
    const condition = a.condition(name);
    await condition.acquire();
    return async () => {
      condition.wait().catch(() => {});
      await inLine('condition', `condition-lock:${Buffer.byteLength(name)}:${name}:${name}`, 'waiters');
    };
  },
  'a condition: `notify`, and the release after it that wakes': async (name) => {
    await a.condition(name).acquire();
    const woken = a.condition(name).wait();
    await inLine('condition', `condition-lock:${Buffer.byteLength(name)}:${name}:${name}`, 'waiters');
    const lease = await b.condition(name).acquire();
    return async () => {
      await b.condition(name).notify();
      await lease.release();
      await woken;
    };
  },
  'an event: `wait`, `set` by another': async (name) => () => {
    const told = a.event(name).wait();
    return inLine('event', name, 'waiters')
      .then(() => b.event(name).set())
      .then(() => told);
  },
  'an event: `isSet`, `clear`': async (name) => async () => {
    await a.event(name).isSet();
    await a.event(name).clear();
  },
  'a barrier of two: a round': async (name) => () =>
    Promise.all([a.barrier(name, 2).wait(), b.barrier(name, 2).wait()]),
  'a latch: `wait`, `countDown` by another': async (name) => async () => {
    const open = a.countDownLatch(name, 1).wait();
    await inLine('latch', name, 'waiters');
    await b.countDownLatch(name, 1).countDown();
    await open;
  },
  'a counter: `add`, `compareAndSet`, `value`': async (name) => async () => {
    await a.counter(name).add(1);
    await a.counter(name).compareAndSet(1, 2);
    await a.counter(name).value();
  },
  'a queue: `put`': async (name) => () => a.queue(name).put('x'),
  'a queue: `put` to one who waits': async (name) => {
    const got = b.queue(name).get();
    await inLine('queue', name, 'takers');
    return async () => {
      await a.queue(name).put('x');
      await got;
    };
  },
  'a queue: `get`': async (name) => {
    await a.queue(name).put('x');
    return () => b.queue(name).get();
  },
  'a queue: `get` of an item of 10,000 characters that it waited for': async (name) => {
    return async () => {
      const got = b.queue(name).get();
      await inLine('queue', name, 'takers');
      await a.queue(name).put('x'.repeat(10_000));
      await got;
    };
  },
  'a queue: `taskDone`, `join`': async (name) => {
    await a.queue(name).put('x');
    await a.queue(name).get();
    return async () => {
      await a.queue(name).taskDone();
      await a.queue(name).join();
    };
  },
  'a queue: `size`': async (name) => () => a.queue(name).size(),
  '64 different locks at once': async (name) => () =>
    Promise.all(Array.from({ length: 64 }, (_, n) => a.lock(`${name} ${n}`).acquire())),
  '`members`': async () => () => a.members(),
};

describe('what clients send', () => {
  beforeAll(async () => {
    // No sign of life, and nobody asks again, while something is counted; that an item was read is told within a second.
    [a, b] = [await bench.session({ ttl: 600_000 }), await bench.session({ ttl: 600_000 })];
    for (const session of [a, b]) await session.lock('first').with(() => 1);
  });

  const rows = tableRows();

  it('is in the table of the documentation, each row of it', () => {
    expect([...rows.keys()]).toEqual(Object.keys(cases));
  });

  it.each([...rows])('%s: %i', async (what, count) => {
    const work = await cases[what]?.(bench.name());
    if (work === undefined) throw new Error('no such case');
    const sent = await bench.commandsDuring(work);
    // Polls of this test itself, and word of items that were read before.
    const ours = sent.filter(
      (line) => /\] eval/.test(line) && !/queue\.forget(?!.*queue\.(put|get))/.test(line),
    );
    const asked = ours.map((line) =>
      [...line.matchAll(/\\"([a-z]+\.[a-z-]+)/g)].map(([, operation]) => operation).join(' + '),
    );
    expect(asked, asked.join('\n')).toHaveLength(count);
  });
});
