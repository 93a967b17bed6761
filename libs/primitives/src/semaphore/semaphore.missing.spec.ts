/** Records of permits that a foreign hand has removed: nothing is kept from the others for ever by it. */
import { describe, expect, it } from 'vitest';
import { LeaseLostError } from '../errors.ts';
import type { Lease } from '../lock/lock.ts';
import type { WaitOptions } from '../options.ts';
import type { Session } from '../session.distributed.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();
const TTL = 600;

type Acquire = (session: Session, name: string, options: WaitOptions) => Promise<Lease | null>;

const kinds: [string, Acquire][] = [
  ['semaphore', (session, name, options) => session.semaphore(name, 2).acquire({ permits: 2, ...options })],
  ['rwlock', (session, name, options) => session.readWriteLock(name).write.acquire(options)],
];

/** The key of one part of what `kind` keeps under a name. */
const keyOf = (kind: string, name: string, part: string) => `{heddle:0}:${kind}:${name}:${part}`;

/** As if it had died: nothing renews it, and its own end is not told. */
const die = ({ id }: Session) => bench.admin.zadd('{heddle:0}:sessions', 'XX', '0', `${id}-1`);

const lost = (released: Promise<void>) => expect(released).rejects.toThrow(LeaseLostError);

describe.each(kinds)('a hold of a %s that is missing', (kind, acquire) => {
  it('is over once its holder gives it back, and goes to the next', async () => {
    const [one, other, name] = [await bench.session(), await bench.session(), bench.name()];
    const lease = await acquire(one, name, {});
    const next = acquire(other, name, {});
    await until(() => bench.admin.exists(keyOf(kind, name, 'queue')), 'it stands in line');
    await bench.admin.del(keyOf(kind, name, 'holders'));
    await lost(lease?.release() ?? Promise.resolve());
    await (await next)?.release();
    const again = await acquire(one, name, { timeout: 0 });
    expect(again).not.toBeNull();
    await again?.release();
    await Promise.all([one.close(), other.close()]);
  });

  it('is over once its holder has died', async () => {
    const name = bench.name();
    const [dying, other] = [await bench.session({ ttl: TTL, logger: {} }), await bench.session({ ttl: TTL })];
    await acquire(dying, name, {});
    const next = acquire(other, name, {});
    await until(() => bench.admin.exists(keyOf(kind, name, 'queue')), 'it stands in line');
    await bench.admin.del(keyOf(kind, name, 'holders'));
    await die(dying);
    await (await next)?.release();
    await Promise.all([dying.close(), other.close()]);
  });
});

it.each(kinds)(
  'a wish of a %s that is missing keeps nobody from giving back, and is told again',
  async (kind, acquire) => {
    const [one, other, name] = [await bench.session(), await bench.session({ ttl: TTL }), bench.name()];
    const lease = await acquire(one, name, {});
    const next = acquire(other, name, {});
    await until(() => bench.admin.exists(keyOf(kind, name, 'queue')), 'it stands in line');
    await bench.admin.del(keyOf(kind, name, 'wants'));
    await lease?.release();
    await (await next)?.release();
    await Promise.all([one.close(), other.close()]);
  },
);

describe('holds of a semaphore that are missing', () => {
  it('count as long as their holders go on', async () => {
    const [one, other, name] = [await bench.session(), await bench.session(), bench.name()];
    const [here, there] = [one.semaphore(name, 2), other.semaphore(name, 2)];
    const [first, second] = [await here.acquire(), await there.acquire()];
    await bench.admin.del(keyOf('semaphore', name, 'holders'));
    await lost(first.release());
    const third = await here.acquire({ timeout: 0 });
    expect(await here.acquire({ timeout: 0 })).toBeNull();
    await lost(second.release());
    await third?.release();
    expect(await here.value()).toBe(2);
    await Promise.all([one.close(), other.close()]);
  });

  it('do not count where what they counted in is younger than they', async () => {
    const [one, other, name] = [await bench.session(), await bench.session(), bench.name()];
    const lease = await one.semaphore(name, 2).acquire({ permits: 2 });
    await bench.admin.del(keyOf('semaphore', name, 'holders'), keyOf('semaphore', name, 'state'));
    const next = await other.semaphore(name, 2).acquire({ permits: 2, timeout: 0 });
    expect(next).not.toBeNull();
    await lost(lease.release());
    expect(await one.semaphore(name, 2).value()).toBe(0);
    await next?.release();
    expect(await one.semaphore(name, 2).value()).toBe(2);
    await Promise.all([one.close(), other.close()]);
  });

  it('keep none of the others from going back by the same release', async () => {
    const [session, name] = [await bench.session(), bench.name()];
    const gate = session.semaphore(name, 3);
    for (let n = 0; n < 3; n += 1) await gate.acquire();
    const [some = ''] = await bench.admin.hkeys(keyOf('semaphore', name, 'holders'));
    await bench.admin.hdel(keyOf('semaphore', name, 'holders'), some);
    await gate.release(3);
    expect(await gate.value()).toBe(3);
    await session.close();
  });
});
