import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Backoff, PooledTask } from './pooled-task.ts';

class Task extends PooledTask {
  settled(): void {}
  failed(): void {}
  progressed(): void {}
  retried(): void {}
  logged(): undefined {}
}

const task = (options: { retries: number; backoff?: Backoff }) => new Task('t', 1, [], options);

/** The waits before so many further attempts. */
function waits(backoff: Backoff | undefined, retries = 4): number[] {
  const tried = task({ retries, ...(backoff === undefined ? {} : { backoff }) });
  return Array.from({ length: retries }, () => tried.prepareRetry());
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the wait before a task is run again', () => {
  it.each<[Backoff | undefined, number[]]>([
    [undefined, [0, 0, 0, 0]],
    [30, [30, 30, 30, 30]],
    [{ type: 'fixed', delay: 30 }, [30, 30, 30, 30]],
    [{ type: 'exponential', delay: 30 }, [30, 60, 120, 240]],
  ])('is by the back-off %j', (backoff, expected) => {
    expect(waits(backoff)).toEqual(expected);
  });

  it('is shorter by chance, by the part that is random', () => {
    const chance = vi.spyOn(Math, 'random');
    const backoff = { type: 'exponential', delay: 100, jitter: 0.25 } as const;
    chance.mockReturnValue(0);
    expect(waits(backoff, 2)).toEqual([100, 200]);
    chance.mockReturnValue(0.5);
    expect(waits(backoff, 2)).toEqual([87.5, 175]);
    expect(waits({ ...backoff, type: 'fixed', jitter: 1 }, 2)).toEqual([50, 50]);
  });
});

it('a task is told which attempt it is, and whether another may follow', () => {
  const extra = { attempt: 1, context: undefined, chunk: true, again: true, timed: false };
  const tried = new Task('t', 1, [], { retries: 2, extra });
  tried.prepareRetry();
  expect([tried.extra?.attempt, tried.extra?.again, tried.retriesLeft]).toEqual([2, true, 1]);
  tried.prepareRetry();
  expect([tried.extra?.attempt, tried.extra?.again, tried.retriesLeft]).toEqual([3, false, 0]);
});
