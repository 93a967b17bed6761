import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

describe('keys in use', () => {
  const HOUR = 3_600_000;
  const key = (kind: string, name: string, part: string) => `{heddle:0}:${kind}:${name}:${part}`;
  const inLine = (kind: string, name: string, count: number) =>
    until(
      async () => (await bench.admin.zcard(key(kind, name, 'queue'))) === count,
      `${count} stand in line`,
    );

  /** As if whoever came last had come two minutes ago, and nobody had put off the key's end for almost a day. */
  async function ageLine(kind: string, name: string): Promise<void> {
    const queue = key(kind, name, 'queue');
    const [last = ''] = await bench.admin.zrange(queue, '-1', '-1');
    await bench.admin.zincrby(queue, -120e6, last);
    await bench.admin.pexpire(queue, 20_000);
  }

  async function ageGrants(kind: string, name: string, parts: readonly string[]): Promise<void> {
    await bench.admin.hincrby(key(kind, name, 'state'), 'end', -120e6);
    for (const part of parts) await bench.admin.pexpire(key(kind, name, part), 20_000);
  }

  const ends = (kind: string, name: string, parts: readonly string[]) =>
    Promise.all(parts.map((part) => bench.admin.pttl(key(kind, name, part))));

  it('of a lock do not expire while it goes round, however long that is', async () => {
    const name = bench.name();
    const [a, b, c] = [await bench.session(), await bench.session(), await bench.session()];
    const held = await a.lock(name).acquire();
    const second = b.lock(name).acquire();
    await inLine('lock', name, 1);
    await ageLine('lock', name);
    const third = c.lock(name).acquire();
    await inLine('lock', name, 2);
    await ageGrants('lock', name, ['state']);
    await held.release();
    const next = await second;
    expect(Math.min(...(await ends('lock', name, ['state', 'queue'])))).toBeGreaterThan(HOUR);
    await next.release();
    await (await third).release();
  });

  it('of a semaphore do not expire while its permits go round', async () => {
    const name = bench.name();
    const [a, b] = [await bench.session(), await bench.session()];
    const held = [await a.semaphore(name, 2).acquire(), await a.semaphore(name, 2).acquire()];
    const second = b.semaphore(name, 2).acquire();
    await inLine('semaphore', name, 1);
    await ageLine('semaphore', name);
    await bench.admin.pexpire(key('semaphore', name, 'wants'), 20_000);
    const third = b.semaphore(name, 2).acquire();
    await inLine('semaphore', name, 2);
    expect(Math.min(...(await ends('semaphore', name, ['queue', 'wants'])))).toBeGreaterThan(HOUR);
    await ageGrants('semaphore', name, ['state', 'holders']);
    await held[0]?.release();
    const next = await second;
    expect(Math.min(...(await ends('semaphore', name, ['state', 'holders'])))).toBeGreaterThan(HOUR);
    await held[1]?.release();
    await next.release();
    await (await third).release();
    // Nobody holds any: the holders have a key of their own anew, and with it a new end.
    const again = await a.semaphore(name, 2).acquire();
    expect(Math.min(...(await ends('semaphore', name, ['state', 'holders'])))).toBeGreaterThan(HOUR);
    // Its shape lives for a day after its last use.
    await bench.admin.pexpire(key('semaphore', name, 'state'), 20_000);
    await again.release();
    expect(Math.min(...(await ends('semaphore', name, ['state'])))).toBeGreaterThan(HOUR);
  });
});
