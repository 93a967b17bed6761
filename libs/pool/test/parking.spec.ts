/** Jobs that are to hold something, where Redis does not answer who asks for it. */
import { OutcomeUnknownError, RedisUnreachableError } from '@heddle/primitives';
import { expect, it, vi } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';

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
