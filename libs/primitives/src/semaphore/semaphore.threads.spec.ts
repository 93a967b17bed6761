import { describe, expect, it } from 'vitest';
import { share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later, until } from '../testing/waiting.ts';
import { Semaphore } from './semaphore.local.ts';

type Tasks = typeof import('../testing/thread-tasks.ts');

const STRESS = Number(process.env.HEDDLE_STRESS_MS ?? 1_000);

describe('Semaphore between threads', () => {
  it.each([1, 3])(
    'never lets more than its permits in, and loses none, with wishes of up to %i',
    async (limit) => {
      await using crew = new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));
      const semaphore = new Semaphore(3);
      const cells = new Int32Array(new SharedArrayBuffer(16));
      const threads = [true, true, false, false].map((blocking) =>
        crew.run('permits', share(semaphore), cells, blocking, limit),
      );
      await later(STRESS, undefined);
      Atomics.store(cells, 1, 1);
      const most = await Promise.all(threads.map((thread) => thread.result));
      expect(Math.max(...most)).toBeLessThanOrEqual(3);
      expect([semaphore.value(), cells[0]]).toEqual([3, 0]);
    },
  );

  it('wakes a sleeping thread for each permit, however quickly they come', async () => {
    await using crew = new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));
    const semaphore = new Semaphore(0);
    const cells = new Int32Array(new SharedArrayBuffer(16));
    const rounds = 25; // A sleep that nothing ends but its slice takes a second: too long for so many.
    const threads = [1, 2].map(() => crew.run('blockEachRound', share(semaphore), cells, rounds));
    for (let round = 1; round <= rounds; round += 1) {
      cells[1] = round;
      await until(() => cells[0] === 2 * round, 'both are about to sleep');
      await later(5, undefined);
      semaphore.release();
      semaphore.release();
      await until(() => cells[2] === 2 * round, 'both have had theirs');
    }
    await Promise.all(threads.map((thread) => thread.result));
  }, 15_000);
});
