/** Jobs that are to hold something, where Redis does not answer who asks for it. */
import { OutcomeUnknownError, RedisUnreachableError } from '@heddle/primitives';
import { expect, it, vi } from 'vitest';
import { partsOf } from '../src/jobs/session-parts.ts';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

it.each([
  new RedisUnreachableError('Redis has not answered for 5000 ms'),
  new OutcomeUnknownError('the session ended before Redis had answered'),
])('are not failed by a $name: they have not begun, and go back to the queue', async (error) => {
  const session = await bench.anotherSession();
  const asked = vi.spyOn(session, 'lock');
  const away = { ...session.lock('x'), acquire: () => Promise.reject(error) };
  asked.mockReturnValueOnce(away as unknown as ReturnType<typeof session.lock>);
  await bench.host({ session, stallTimeout: 60_000 });
  const future = bench.executor({ retries: 0 }).with({ holding: 'loom' }).submit('add', 1, 2);
  expect(await future).toBe(3);
  expect(asked.mock.calls.filter(([name]) => name === 'loom').length).toBeGreaterThan(1);
});

it('have had no attempt where their host is closed before they begin', async () => {
  const held = await bench.session.lock('loom').acquire();
  const [parked, cancelled] = [0, 1].map(() => bench.executor().with({ holding: 'loom' }).submit('job'));
  const first = await bench.host();
  const parkedAt = (id = '') => bench.plain.hget(bench.key(id), 'parked');
  await until(async () =>
    expect(await Promise.all([parked, cancelled].map((future) => parkedAt(future?.id)))).toEqual(['1', '1']),
  );
  await first.close({ gracePeriod: 0 });
  expect(await cancelled?.cancel()).toBe(true);
  await bench.host();
  await until(async () => expect(await parkedAt(parked?.id)).toBe('1'));
  await held.release();
  expect(await parked).toMatchObject({ attempt: 1 });
});

it('leave nothing held where Redis refuses to note that they go on', async () => {
  const session = await bench.anotherSession();
  const { redis } = partsOf(session, 'test');
  const real = redis.eval.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  const noted: unknown[] = [];
  vi.spyOn(redis, 'eval').mockImplementation((...args: unknown[]) => {
    if (args[1] !== 2 || !String(args[3]).endsWith(':meta')) return real(...args);
    noted.push(args.at(-1));
    return noted.at(-1) === '1' ? real(...args) : Promise.reject(new Error('OOM command not allowed'));
  });
  await bench.host({ session, stallTimeout: 60_000 });
  const other = await bench.anotherSession();
  const held = await other.lock('given back').acquire();
  const future = bench.executor({ retries: 0 }).with({ holding: 'given back' }).submit('add', 1, 2);
  await until(() => expect(noted).toEqual(['1']));
  await held.release();
  expect((await future.exception())?.message).toContain('OOM');
  expect(noted).toEqual(['1', '0']);
  await (await other.lock('given back').acquire()).release();
});
