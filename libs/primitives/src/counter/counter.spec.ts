import { describe, expect, it } from 'vitest';
import { attach, share } from '../sharing/share.ts';
import { Thread } from '../thread/thread.local.ts';
import { counterConformance } from './counter.conformance.ts';
import { Counter } from './counter.local.ts';

counterConformance('local', {
  make: async () => new Counter(),
  another: async (counter) => attach(structuredClone(share(counter as Counter))),
});

describe('Counter, local', () => {
  it('loses no addition of several threads', async () => {
    const counter = new Counter(-5);
    const target = (theirs: Counter) => {
      for (let n = 0; n < 50_000; n += 1) theirs.add();
    };
    const threads = [1, 2, 3].map(() => new Thread({ target, args: [counter] }));
    for (const thread of threads) thread.start();
    for (const thread of threads) await thread.join();
    expect(counter.value()).toBe(149_995);
  });

  it.each([1.5, Number.NaN, 2 ** 53])('does not begin at %s', (initial) => {
    expect(() => new Counter(initial)).toThrow(RangeError);
  });

  it.each(['1', null, 1n])('does not begin at %o', (initial) => {
    expect(() => new Counter(initial as never)).toThrow(TypeError);
  });
});
