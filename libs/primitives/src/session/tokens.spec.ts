import { describe, expect, it } from 'vitest';
import type { Lease } from '../lock/lock.ts';
import { coreOf } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

const key = (kind: string, name: string, part: string) => `{heddle:0}:${kind}:${name}:${part}`;
const field = async (kind: string, name: string, which: string) =>
  (await bench.admin.hget(key(kind, name, 'state'), which)) ?? '';

/** Has the last token be so many seconds ahead of the clock, as after the clock was set back; gives it. */
async function setAhead(kind: string, name: string, seconds: number): Promise<number> {
  const last = Date.now() * 1000 + seconds * 1_000_000 + 7;
  await bench.admin.hset(key(kind, name, 'state'), 'end', String(last));
  return last;
}

describe('tokens', () => {
  it('follow on the last one where the clock is behind it, one by one, digit by digit', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const last = await setAhead('lock', name, 300);
    const seen: number[] = [];
    const visit = async (lease: Lease) => {
      // Of a block that would run ahead of the clock nothing but its first is granted.
      expect(await field('lock', name, 'first')).toBe(String(lease.token));
      expect(await field('lock', name, 'end')).toBe(String(lease.token));
      seen.push(lease.token);
    };
    const first = await a.lock(name).acquire();
    const all = [a, b, a, a, b].map((session) => session.lock(name).with(visit));
    await until(async () => (await bench.admin.zcard(key('lock', name, 'queue'))) === 1, 'the other waits');
    await visit(first);
    await first.release();
    await Promise.all(all);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6].map((n) => last + n));
  });

  it('come in blocks of 64 otherwise, of which the last is noted', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const block = async () => [await field('lock', name, 'first'), await field('lock', name, 'end')];
    const free = await a.lock(name).acquire();
    expect(await block()).toEqual([String(free.token), String(free.token + 63)]);
    const waiting = b.lock(name).acquire();
    await until(async () => (await bench.admin.zcard(key('lock', name, 'queue'))) === 1, 'the other waits');
    await free.release();
    const handed = await waiting;
    expect(await block()).toEqual([String(handed.token), String(handed.token + 63)]);
    await handed.release();
  });

  it.each(['a grant of all', 'a grant of some'])('of permits, by %s, do the same', async (which) => {
    const name = bench.name();
    const permits = which === 'a grant of all' ? 3 : 2;
    const [a, b] = [await bench.session(), await bench.session()];
    await a.semaphore(name, 3).value();
    const noted = async (session: string, token: number) => {
      const holders = await bench.admin.hgetall(key('semaphore', name, 'holders'));
      return Object.entries(holders).map(([holder, hold]) => [holder.startsWith(session), hold, token]);
    };
    const now = await a.semaphore(name, 3).acquire({ permits });
    expect(await noted(a.id, now.token)).toEqual([
      [true, `${permits} ${now.token} ${now.token + 63}`, now.token],
    ]);
    expect(await field('semaphore', name, 'end')).toBe(String(now.token + 63));

    const last = await setAhead('semaphore', name, 300);
    const next = b.semaphore(name, 3).acquire({ permits });
    await until(async () => (await bench.admin.zcard(key('semaphore', name, 'queue'))) === 1, 'it waits');
    await now.release();
    const handed = await next;
    expect(handed.token).toBe(last + 1);
    expect(await noted(b.id, 0)).toEqual([[true, `${permits} ${last + 1} ${last + 1}`, 0]]);
    await handed.release();
    const free = await a.semaphore(name, 3).acquire({ permits });
    expect(free.token).toBe(last + 2);
    expect(await field('semaphore', name, 'end')).toBe(String(last + 2));
    await free.release();
  });

  it('of a grant that is asked for again, as where its message was lost, come after those it may have used', async () => {
    const name = bench.name();
    const session = await bench.session();
    const lease = await session.lock(name).acquire();
    const life = coreOf(session).partition(0).current;
    const keys = [key('lock', name, 'state'), key('lock', name, 'queue'), life?.holds ?? ''];
    const again = await life?.call('lock.acquire', keys, [name, 'lock', 1, 64]);
    expect(again?.[0]).toBe('granted');
    expect(Number(again?.[1])).toBeGreaterThan(lease.token + 63);
    // That hold was none of the lease's; it goes with the session.
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_LEASE_LOST' });
    await session.close();
  });

  it('of a hold that is entered again stay what they are', async () => {
    const lock = (await bench.session()).rlock(bench.name());
    const outer = await lock.acquire();
    const { token } = outer;
    const inner = await lock.acquire();
    expect([inner.token, outer.token]).toEqual([token, token]);
    await inner.release();
    expect([outer.token, outer.valid]).toEqual([token, true]);
    await outer.release();
  });
});
