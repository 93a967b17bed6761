import { describe, expect, it } from 'vitest';
import { stillPending } from '../testing/waiting.ts';
import { ItemsUntilShutdown } from './items-until-shutdown.ts';

type Taking = PromiseWithResolvers<number> & { readonly signal: AbortSignal };

/** An iteration, and what it takes its items by. */
function iteration(): { items: ItemsUntilShutdown<number>; taking: Taking[] } {
  const taking: Taking[] = [];
  const items = new ItemsUntilShutdown<number>(({ signal }) => {
    const take = { ...Promise.withResolvers<number>(), signal };
    taking.push(take);
    return take.promise;
  });
  return { items, taking };
}

const DONE = { done: true, value: undefined };

describe('an iteration over a queue that is left', () => {
  it.each<[string, (items: ItemsUntilShutdown<number>) => Promise<unknown>]>([
    ['return', (items) => items.return()],
    ['throw', (items) => items.throw('why').catch((reason) => reason)],
    ['await using', (items) => items[Symbol.asyncDispose]()],
  ])('by %s is so once nothing waits for it, and takes no more', async (_, leave) => {
    const { items, taking } = iteration();
    const [first, second] = [items.next(), items.next()];
    const left = leave(items);
    expect(taking.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    taking[1]?.resolve(7);
    expect(await stillPending(left)).toBe(true);
    taking[0]?.reject(taking[0].signal.reason);
    await left;
    expect(await Promise.all([first, second, items.next()])).toEqual([DONE, { done: false, value: 7 }, DONE]);
    expect(taking).toHaveLength(2);
  });

  it('by throw rejects with what it was given', async () => {
    const { items } = iteration();
    await expect(items.throw('why')).rejects.toBe('why');
  });

  it('tells what else went wrong meanwhile', async () => {
    const { items, taking } = iteration();
    const next = items.next();
    const left = items.return();
    taking[0]?.reject(new Error('broken'));
    await expect(next).rejects.toThrow('broken');
    expect(await left).toEqual(DONE);
  });
});

it('an iteration whose queue is broken tells so, and has ended', async () => {
  const { items, taking } = iteration();
  const next = items.next();
  taking[0]?.reject(new Error('broken'));
  await expect(next).rejects.toThrow('broken');
  expect(await items.next()).toEqual(DONE);
  expect(taking).toHaveLength(1);
});
