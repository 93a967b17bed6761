import { describe, expect, it } from 'vitest';
import { share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later } from '../testing/waiting.ts';
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
});
