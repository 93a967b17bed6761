import { describe, expect, it } from 'vitest';
import { share } from '../sharing/share.ts';
import { Crew } from '../testing/threads.ts';
import { later, until } from '../testing/waiting.ts';
import { Barrier } from './barrier.local.ts';

type Tasks = typeof import('../testing/thread-tasks.ts');
const newCrew = () => new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));
const cells = (length: number) => new Int32Array(new SharedArrayBuffer(4 * length));

describe('Barrier between threads', () => {
  it('keeps blocking and waiting parties in step', async () => {
    await using crew = newCrew();
    const rounds = 300;
    const barrier = new Barrier(4);
    const arrived = cells(rounds + 1);
    const threads = [true, true, false, false].map((blocking) =>
      crew.run('goRounds', share(barrier), arrived, rounds, blocking),
    );
    const gone = await Promise.all(threads.map((thread) => thread.result));
    expect(gone.every(({ together }) => together)).toBe(true);
    for (let round = 0; round < rounds; round += 1) {
      expect(gone.map(({ indices }) => indices[round]).sort()).toEqual([0, 1, 2, 3]);
    }
  });

  it('is whole again for whoever a reset has thrown out, at once', async () => {
    await using crew = newCrew();
    const barrier = new Barrier(2);
    const rounds = 1000;
    const thread = crew.run('comeAgain', share(barrier), rounds);
    for (let round = 0; round < rounds; round += 1) {
      await until(() => barrier.waiting() === 1, 'it waits');
      barrier.reset();
      await barrier.wait();
    }
    expect(await thread.result).toBe(0);
  });

  it.each(['reset', 'abort', 'time-out'])('throws in blocked threads at a %s', async (how) => {
    await using crew = newCrew();
    const barrier = new Barrier(4);
    const said = cells(1);
    const threads = [1, 2].map(() => crew.run('arrive', share(barrier), said));
    await until(() => barrier.waiting() === 2, 'both wait');
    await later(5, undefined);
    if (how === 'reset') barrier.reset();
    else if (how === 'abort') barrier.abort();
    else await barrier.wait({ timeout: 1 }).catch(() => {});
    expect(await Promise.all(threads.map((thread) => thread.result))).toEqual([
      'BrokenBarrierError',
      'BrokenBarrierError',
    ]);
    expect(barrier.broken()).toBe(how !== 'reset');
  });
});
