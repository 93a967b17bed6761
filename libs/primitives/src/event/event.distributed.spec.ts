import { describe, expect, it } from 'vitest';
import { LeaseLostError } from '../errors.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';
import { eventConformance } from './event.conformance.ts';
import type { DistributedEvent } from './event.distributed.ts';

const bench = redisBench();

eventConformance('distributed', {
  make: async () => (await bench.turn()).event(bench.name()),
  another: async (event) => (await bench.turn()).event((event as DistributedEvent).name),
});

describe('Event, distributed', () => {
  it('misses no set of its own session, also where that has no keeper yet', async () => {
    for (let round = 0; round < 3; round += 1) {
      const event = (await bench.session()).event(bench.name());
      const waiting = event.wait();
      const changes = [event.set(), event.clear()];
      expect(await waiting).toBe(true);
      await Promise.all(changes);
      expect(await event.isSet()).toBe(false);
    }
  });

  it('wakes all whom a set before the close of its session concerns, of however many', async () => {
    const name = bench.name();
    const [waiter, setter] = [await bench.session({ ttl: 60_000 }), await bench.session()];
    const waiting = waiter.event(name).wait();
    const key = `{heddle:0}:event:${name}:waiters`;
    await until(async () => (await bench.admin.zcard(key)) === 1, 'it waits');
    // In front of it there are more than one script wakes.
    await bench.admin.zadd(key, ...Array.from({ length: 600 }, (_, n) => [n, `00-${n}`]).flat());
    const set = setter.event(name).set();
    await setter.close();
    await set;
    expect(await bench.admin.exists(key)).toBe(0);
    expect(await waiting).toBe(true);
  });

  it('misses none right after its session was lost', async () => {
    const session = await bench.session({ namespace: bench.name() });
    const event = session.event('told');
    const lost = new Promise((resolve) => session.once('lost', resolve));
    const lease = await session.lock('held').acquire();
    await bench.admin.del(`{${session.namespace}:0}:sessions`);
    await expect(lease.release()).rejects.toThrow(LeaseLostError);
    await lost;
    const waiting = event.wait();
    await event.set();
    await event.clear();
    expect(await waiting).toBe(true);
  });

  it('wakes 10,000 waiters of 300 sessions with a message a session', { timeout: 60_000 }, async () => {
    const name = bench.name();
    const sessions = await Promise.all(Array.from({ length: 300 }, () => bench.session({ ttl: 60_000 })));
    const waits = Array.from({ length: 10_000 }, (_, n) => sessions[n % 300]?.event(name).wait());
    await until(
      async () => (await bench.admin.zcard(`{heddle:0}:event:${name}:waiters`)) === 300,
      'all wait',
    );
    const commands = await bench.commandsDuring(async () => {
      await sessions[0]?.event(name).set();
      expect(new Set(await Promise.all(waits))).toEqual(new Set([true]));
    });
    // Two calls to set it: no script wakes more than 256.
    expect(commands.filter((line) => line.includes('"event.set'))).toHaveLength(2);
    expect(await bench.admin.exists(`{heddle:0}:event:${name}:waiters`)).toBe(0);
    await Promise.all(sessions.map((session) => session.close()));
  });
});
