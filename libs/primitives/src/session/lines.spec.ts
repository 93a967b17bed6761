import { describe, expect, it } from 'vitest';
import { coreOf, type Session } from '../session.distributed.ts';
import { bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { runAsNobody } from './run-operations.ts';

const bench = redisBench();

/** A kind of line: where it stands in Redis, what makes one wait there, how to stand in it, and what lets one go. */
interface Line {
  readonly at: string;
  /** Keys of the operation by which one stands in it, and its arguments, of a wait with the number 1. */
  readonly operation: readonly [name: string, parts: string, args: (name: string) => (string | number)[]];
  fill(session: Session, name: string): Promise<unknown>;
  stand(session: Session, name: string, signal?: AbortSignal): Promise<unknown>;
  letOneGo(session: Session, name: string): Promise<unknown>;
}

const lines: Record<string, Line> = {
  lock: {
    at: 'lock:NAME:queue',
    operation: ['lock.acquire', 'state queue', (name) => [name, 'lock', 1, 64]],
    fill: (session, name) => session.lock(name).acquire(),
    stand: (session, name, signal) => session.lock(name).acquire({ signal }),
    letOneGo: (session, name) => session.lock(name).release(),
  },
  semaphore: {
    at: 'semaphore:NAME:queue',
    operation: [
      'semaphore.acquire',
      'state queue wants holders',
      (name) => [name, 'semaphore', 1, 1, 1, '1', 1],
    ],
    fill: (session, name) => session.semaphore(name, 1).acquire(),
    stand: (session, name, signal) => session.semaphore(name, 1).acquire({ signal }),
    letOneGo: (session, name) => session.semaphore(name, 1).release(),
  },
  'queue, for an item': {
    at: 'queue:NAME:takers',
    operation: [
      'queue.get',
      'state items takers putters parcels joiners outcomes',
      (name) => [name, 1, 1, 'Queue 0'],
    ],
    fill: (session, name) => session.queue(name).size(),
    stand: (session, name, signal) => session.queue(name).get({ signal }),
    letOneGo: (session, name) => session.queue(name).put('item'),
  },
  'queue, for room': {
    at: 'queue:NAME:putters',
    operation: [
      'queue.put',
      'state items takers putters parcels joiners outcomes',
      (name) => [name, 1, 1, 'Queue 1', '8', '1'],
    ],
    fill: (session, name) => session.queue(name, { maxsize: 1 }).put('first'),
    stand: (session, name, signal) => session.queue(name, { maxsize: 1 }).put('item', { signal }),
    letOneGo: (session, name) => session.queue(name, { maxsize: 1 }).get(),
  },
};

const keyOf = (line: Line, name: string) => `{heddle:0}:${line.at.replace('NAME', name)}`;
const standing = (line: Line, name: string) => bench.admin.zrange(keyOf(line, name), '0', '-1');

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error('no more')) };
}

/** Has a session stand in line behind those who do; gives its place. */
async function stands(line: Line, name: string, session: Session, signal?: AbortSignal) {
  const before = await standing(line, name);
  const served = line.stand(session, name, signal);
  served.catch(() => {}); // Whoever waits for it hears of it.
  await until(async () => (await standing(line, name)).length > before.length, 'one more stands in line');
  const [place = ''] = (await standing(line, name)).filter((member) => !before.includes(member));
  return { place, served };
}

describe.each(Object.entries(lines))('a place in the line of a %s', (_, line) => {
  const kind = line.at.slice(0, line.at.indexOf(':'));

  it('is behind all others, also where the clock was set back, and is kept when it is asked for again', async () => {
    const name = bench.name();
    const [holder, ...others] = [await bench.session(), await bench.session(), await bench.session()];
    await line.fill(holder, name);
    const all: Awaited<ReturnType<typeof stands>>[] = [];
    for (const session of others) {
      all.push(await stands(line, name, session));
      // As if it had come before the clock was set back, by five minutes.
      if (all.length === 1) await bench.admin.zincrby(keyOf(line, name), 300e6, all[0]?.place ?? '');
    }
    const places = all.map(({ place }) => place);
    expect(await standing(line, name)).toEqual(places);
    for (const session of others) {
      const core = coreOf(session);
      core.opened(); // As after a connection was made anew: all that is waited for is asked for again.
      await session.counter(name).value(); // Calls go in order: it was.
      expect(await standing(line, name)).toEqual(places);
    }
    for (const [at, { served }] of all.entries()) {
      await line.letOneGo(at === 0 ? holder : (others[at - 1] as Session), name);
      await served;
      expect(await standing(line, name)).toEqual(places.slice(at + 1));
    }
  });

  it('is kept by one whom no message reaches, and the next is served', async () => {
    const name = bench.name();
    const [holder, other, late] = [await bench.session(), await bench.session(), await bench.session()];
    await line.fill(holder, name);
    const [operation, parts, args] = line.operation;
    const keys = coreOf(holder).keyspace.of(kind, name, parts.split(' '));
    const deaf = await bareSession(holder, bench.admin);
    expect((await deaf.ask(operation, keys, args(name)))[0]).toMatch(/queued|waiting/);
    const places = await standing(line, name);
    const { served } = await stands(line, name, other);
    await line.letOneGo(holder, name);
    await served;
    const { place, served: lateServed } = await stands(line, name, late);
    expect((await deaf.ask(operation, keys, args(name)))[0]).toMatch(/queued|waiting/);
    expect(await standing(line, name)).toEqual([...places, place]);
    await line.letOneGo(other, name);
    await lateServed;
    await line.letOneGo(late, name);
    // It comes to ask again, as one does who is connected again: and is served.
    expect((await deaf.ask(operation, keys, args(name)))[0]).toMatch(/granted|item|put/);
    expect(await standing(line, name)).toEqual([]);
  });
});

describe.each(['lock', 'semaphore'])('a place in the line of a %s', (which) => {
  it('is asked for once more where messages may have been lost while it was asked for', async () => {
    const line = lines[which] as Line;
    const name = bench.name();
    const [holder, other] = [await bench.session(), await bench.session()];
    await line.fill(holder, name);
    await other.lock(`${name}, to have a keeper`).acquire();
    const core = coreOf(other);
    let served: Promise<unknown> | undefined;
    const commands = await bench.commandsDuring(async () => {
      served = line.stand(other, name);
      core.opened(); // Its question is on its way.
      await until(async () => (await standing(line, name)).length === 1, 'it stands in line');
      await other.counter(name).value();
      await other.counter(name).value();
    });
    expect(commands.join().split(line.operation[0]).length - 1).toBe(2);
    await line.letOneGo(holder, name);
    await served;
  });
});

describe.each(['lock', 'semaphore', 'queue, for an item'])('a grant at a %s', (which) => {
  it('that crosses an abort is given back at once: the next has it', async () => {
    const line = lines[which] as Line;
    const name = bench.name();
    const [holder, leaving, next] = [await bench.session(), await bench.session(), await bench.session()];
    await line.fill(holder, name);
    const { signal, abort } = abortable();
    const { served } = await stands(line, name, leaving, signal);
    // It hears nothing of what it is granted.
    coreOf(leaving).inbox.on(line.at.slice(0, line.at.indexOf(':')), () => {});
    await line.letOneGo(holder, name);
    expect(await standing(line, name)).toEqual([]);
    abort();
    await expect(served).rejects.toThrow('no more');
    await line.stand(next, name);
    if (which !== 'queue, for an item') await line.letOneGo(next, name);
  });
});

describe('a free lock', () => {
  it('goes to who waits for it, not to one who comes', async () => {
    const name = bench.name();
    const [holder, other, late] = [await bench.session(), await bench.session(), await bench.session()];
    const lease = await holder.lock(name).acquire();
    const { served } = await stands(lines.lock as Line, name, other);
    // As where it was released while nobody could be told.
    await bench.admin.hdel(`{heddle:0}:lock:${name}:state`, 'holder', 'first');
    expect(await late.lock(name).acquire({ timeout: 0 })).toBeNull();
    expect((await served) as object).toMatchObject({ valid: true });
    expect(await standing(lines.lock as Line, name)).toEqual([]); // Nor has that one a place now.
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    await other.lock(name).release();
  });

  it('is one whose maxHold is over, and none that was taken since', async () => {
    const name = bench.name();
    const session = await bench.session();
    const core = coreOf(session);
    const state = `{heddle:0}:lock:${name}:state`;
    const lease = await session.lock(name).acquire();
    const expire = (first: number) =>
      runAsNobody(core.line, core.operations, core.partition(0).site, [
        {
          operation: 'lock.expire',
          keys: [state, `{heddle:0}:lock:${name}:queue`],
          args: [name, 'lock', `${session.id}-1`, first, 64],
        },
      ]);
    await expire(lease.token - 1);
    expect(await session.lock(name).locked()).toBe(true);
    await expire(lease.token);
    expect(await session.lock(name).locked()).toBe(false);
    expect(await bench.admin.pttl(state)).toBeLessThan(61_000); // A minute, and what the block is ahead.
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    const listed = await bench.admin.zrangebyscore(
      `{heddle:0}:session:${session.id}-1:holds`,
      '-inf',
      '(inf',
    );
    expect(listed).toEqual([]);
  });
});
