import { expect, it } from 'vitest';
import { now } from '../deadline.ts';
import { connect, coreOf } from '../session.distributed.ts';
import { startProxy } from '../testing/proxy.ts';
import { redisBench } from '../testing/redis.ts';
import { until } from '../testing/waiting.ts';

const bench = redisBench();

/** What Redis says of its time in the answer to a sign of life, so many ms off. */
const shifted = (ms: number) => (piece: Buffer) =>
  Buffer.from(
    piece
      .toString('latin1')
      .replace(
        /(\$5\r\nalive\r\n\$16\r\n)(\d{16})/g,
        (_, head, time) => `${head}${Number(time) + ms * 1000}`,
      ),
    'latin1',
  );

it.each([60_000, -60_000, 1_000])(
  "a session is lost where Redis's clock steps by %i ms, and its holders know",
  async (step) => {
    const proxy = await startProxy(bench.url);
    const session = await connect(proxy.url, { ttl: 2_000, logger: {} });
    const losses: string[] = [];
    session.on('lost', (reason) => losses.push(reason));
    const name = bench.name();
    const lease = await session.lock(name).acquire();
    const other = (await bench.session()).lock(name).acquire();
    proxy.alterReplies(shifted(step));
    await until(() => lease.signal.aborted, 'the lease is lost');
    expect(lease.valid).toBe(false);
    expect(losses).toEqual(['the clock of Redis was set']);
    // Nobody waits for its ttl: Redis is told.
    await (await other).release();
    await session.lock(name).with((held) => expect(held.token).toBeGreaterThan(lease.token));
    await session.close();
  },
);

it.each([10_000, 200])(
  "a session's deadline is its ttl of %i ms after it was opened, less the margin",
  async (ttl) => {
    const session = await connect(bench.url, { ttl, logger: {} });
    const deadline = coreOf(session).partition(0).current?.words.deadline ?? Number.POSITIVE_INFINITY;
    expect(deadline).toBeLessThanOrEqual(now() + ttl - Math.min(ttl / 4, 5 + ttl / 100));
    await session.close();
  },
);
