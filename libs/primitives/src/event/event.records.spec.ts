/** What an event's operations leave in Redis, where one `set` wakes more than a script may, and where nobody waits any more. */
import { describe, expect, it } from 'vitest';
import { runAsNobody } from '../session/run-operations.ts';
import { coreOf } from '../session.distributed.ts';
import { bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';

const bench = redisBench();
const HOUR = 3_600_000;

async function scene() {
  const name = bench.name();
  const session = await bench.session();
  const core = coreOf(session);
  const { site } = core.partition(0);
  const keys = core.keyspace.of('event', name, ['state', 'waiters']);
  const [state = '', waiters = ''] = keys;
  const asNobody = async (operation: string, on: readonly string[], ...args: (string | number)[]) =>
    (await runAsNobody(core.line, core.operations, site, [{ operation, keys: on, args }]))[0];
  const one = await bareSession(session, bench.admin);
  return {
    name,
    one,
    state,
    waiters,
    set: (raise: 0 | 1) => asNobody('event.set', keys, name, raise),
    clear: () => asNobody('event.clear', [state]),
    isSet: () => asNobody('event.is-set', [state]),
    wait: (since = '') => one.ask('event.wait', keys, [name, since]),
    leave: () => one.ask('event.leave', [waiters], [name, 'event']),
    drop: async () => {
      const { holds } = core.keyspace.ofSession(0, one.id);
      return asNobody('event.drop', [...keys, holds], name, '', one.id, 64, 'event');
    },
  };
}

describe('a set that wakes more than a script may', () => {
  it('goes on without raising the flag again, which may be down by then', async () => {
    const { set, clear, isSet, waiters, state, wait } = await scene();
    const many = Array.from({ length: 300 }, (_, n) => `${n.toString(16).padStart(24, '0')}-1`);
    await bench.admin.zadd(waiters, ...many.flatMap((one, n) => [n, one]));
    const [, before = ''] = await wait();
    expect(await set(1)).toEqual(['more']);
    const version = await bench.admin.hget(state, 'version');
    await clear();
    expect(await set(0)).toEqual(['set']);
    expect(await isSet()).toEqual(['no']);
    expect(await bench.admin.hget(state, 'version')).toBe(version);
    // Who waited since before that has seen it.
    expect(await wait(before)).toEqual(['set', version]);
  });
});

describe('a wait for an event', () => {
  it('keeps what it looks at, and leaves nothing', async () => {
    const { name, one, set, clear, wait, leave, drop, state, waiters } = await scene();
    await set(1);
    await clear();
    await bench.admin.pexpire(state, 20_000);
    expect((await wait())[0]).toBe('waiting');
    expect(await bench.admin.pttl(state)).toBeGreaterThan(HOUR);
    expect(await one.listed()).toEqual([`event\n\n${name}`]);
    expect(await drop()).toEqual(['alive']);
    expect(await bench.admin.zrange(waiters, '0', '-1')).toEqual([one.id]);
    expect(await leave()).toEqual(['left']);
    expect(await bench.admin.exists(waiters)).toBe(0);
    expect(await one.listed()).toEqual([]);
  });
});
