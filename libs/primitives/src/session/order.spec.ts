import { describe, expect, it } from 'vitest';
import { coreOf, type Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

/** Asks for many things without waiting for any, and gives the operations in the order in which Redis saw them. */
async function askAtOnce(session: Session, first = async () => {}): Promise<string[]> {
  const [name, other] = [bench.name(), bench.name()];
  const event = session.event(name);
  const commands = await bench.commandsDuring(async () => {
    await first();
    const asked = [
      session.lock(name).acquire(),
      event.set(),
      session.semaphore(name, 1).acquire(),
      event.clear(),
      event.wait(),
      session.queue(name).put(1),
      session.counter(name).add(),
      session.queue(other).put(2),
      event.set(),
      session.barrier(name, 2).wait(),
      session.barrier(name, 2).reset(),
      session.semaphore(other, 1).acquire({ timeout: 0 }),
      session.counter(name).value(),
      session.semaphore(other, 1).release(2),
      session.semaphore(other, 1).value(),
    ];
    const ends = await Promise.allSettled(asked);
    expect(ends.map(({ status }) => status)).toEqual(
      asked.map((_, at) => (at === 9 ? 'rejected' : 'fulfilled')),
    );
  });
  return commands.flatMap((line) =>
    [...line.matchAll(/\[\\"((?:lock|event|semaphore|queue|counter|barrier)\.[a-z-]+)\\"/g)].map(
      ([, operation]) => operation as string,
    ),
  );
}

const ORDER = [
  'lock.acquire',
  'event.set',
  'semaphore.acquire',
  'event.clear',
  'event.wait',
  'queue.put',
  'counter.add',
  'queue.put',
  'event.set',
  'barrier.wait',
  'barrier.break',
  'semaphore.acquire',
  'counter.value',
  'semaphore.release',
  'semaphore.value',
];

const isAsked = (operation: string) => ORDER.includes(operation);

describe('what a session asks without waiting', () => {
  it('reaches Redis in that order, keeper or not', async () => {
    const session = await bench.session();
    expect(session.keeper).toBe('main loop');
    expect((await askAtOnce(session)).filter(isAsked)).toEqual(ORDER);
    expect(session.keeper).toBe('thread');
    expect((await askAtOnce(session)).filter(isAsked)).toEqual(ORDER);
  });

  it('reaches Redis in that order where the next life is still to be opened', async () => {
    const session = await bench.session({ namespace: bench.name() });
    const lease = await session.lock('held').acquire();
    const lose = async () => {
      const lost = new Promise((resolve) => session.once('lost', resolve));
      await bench.admin.del(`{${session.namespace}:0}:sessions`);
      lease.release().catch(() => {}); // It was lost.
      await lost; // The next one begins to be opened now.
    };
    // What waits may ask once more when the life is there.
    expect((await askAtOnce(session, lose)).filter(isAsked).slice(0, ORDER.length)).toEqual(ORDER);
  });
});

describe('a life that ends in the turn in which it was opened', () => {
  it.each(['a command', 'a place'])('is not asked for again and again by %s', async (which) => {
    const session = await bench.session({ namespace: bench.name(), ttl: 100 });
    const core = coreOf(session);
    const partition = core.partition(0);
    const [inTurn, opened] = [partition.inTurn.bind(partition), core.opened.bind(core)];
    let asked = 0;
    partition.inTurn = () => {
      asked += 1;
      if (asked > 1000) throw new Error('it is asked for without end');
      return inTurn();
    };
    let stalled = false;
    core.opened = () => {
      opened();
      if (stalled) return;
      stalled = true;
      let steps = 4; // as another callback of this turn would, before what waits for it goes on
      const stall = () => {
        steps -= 1;
        if (steps > 0) return queueMicrotask(stall);
        for (const end = performance.now() + 150; performance.now() < end; );
      };
      queueMicrotask(stall);
    };
    const lost = new Promise((resolve) => session.once('lost', resolve));
    await bench.admin.del(`{${session.namespace}:0}:sessions`);
    await lost;
    if (which === 'a command') expect(await session.counter('x').value()).toBe(0);
    else await (await session.lock('x').acquire()).release();
    expect(stalled).toBe(true);
    expect(asked).toBeLessThan(10);
  });
});

const kinds = [
  ['lock', (session: Session, name: string) => session.lock(name)],
  ['semaphore', (session: Session, name: string) => session.semaphore(name, 1)],
] as const;

describe('the first that a session asks for', () => {
  it('stands in line at once, before what another asks for later, though the other has its keeper', async () => {
    const [holder, old] = [await bench.session(), await bench.session()];
    await old.lock(bench.name()).with(() => expect(old.keeper).toBe('thread'));
    for (const [kind, make] of kinds) {
      const name = bench.name();
      const held = await make(holder, name).acquire();
      const fresh = await bench.session();
      const order: string[] = [];
      const asked = [fresh, old].map(async (session) => {
        const lease = await make(session, name).acquire();
        order.push(session === fresh ? 'fresh' : 'old');
        await lease.release();
      });
      const line = `{heddle:0}:${kind}:${name}:queue`;
      await until(async () => (await bench.admin.zcard(line)) === 2, 'both stand in line');
      await held.release();
      await Promise.all(asked);
      expect(order).toEqual(['fresh', 'old']);
    }
  });
});
