/** The lock goes from one to the next inside a session, without Redis, and other sessions have their turn. */
import { describe, expect, it } from 'vitest';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

const inLine = (name: string) => bench.admin.zcard(`{heddle:0}:lock:${name}:queue`);

describe('a lock inside a session', () => {
  it('is handed on without a command, but for its turns, a token each', async () => {
    const lock = (await bench.session()).lock(bench.name());
    const first = await lock.acquire();
    const tokens: number[] = [first.token];
    const commands = await bench.commandsDuring(async () => {
      const all = Array.from({ length: 500 }, () => lock.with((lease) => tokens.push(lease.token)));
      await first.release();
      await Promise.all(all);
    });
    expect(tokens).toHaveLength(501);
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    expect(commands.filter((line) => line.includes('"lock.')).length).toBeLessThan(501 / 32);
  });

  // A grant has 64 tokens, the first hold's among them.
  it.each([
    [undefined, 63],
    [64, 63],
    [63, 63],
    [4, 4],
    [0, 0],
  ])('is handed on as often as maxLocalHandovers lets: %s', async (maxLocalHandovers, handovers) => {
    const name = bench.name();
    const [busy, other] = [await bench.session({ maxLocalHandovers }), await bench.session()];
    const first = await busy.lock(name).acquire();
    const served: string[] = [];
    const all = Array.from({ length: 70 }, () => busy.lock(name).with(() => void served.push('busy')));
    all.push(other.lock(name).with(() => void served.push('other')));
    await until(async () => (await inLine(name)) === 1, 'the other stands in line');
    await first.release();
    await Promise.all(all);
    expect(served.indexOf('other')).toBe(handovers);
    await Promise.all([busy, other].map((session) => session.close()));
  });
});
