import { describe, expect, it } from 'vitest';
import { attach, share } from '../sharing/share.ts';
import { Thread } from '../thread/thread.local.ts';
import { latchConformance } from './latch.conformance.ts';
import { CountDownLatch } from './latch.local.ts';

latchConformance('local', {
  make: async (count) => new CountDownLatch(count),
  another: async (latch) => attach(structuredClone(share(latch as CountDownLatch))),
});

describe('CountDownLatch, local', () => {
  it('blocks until the threads have counted it down', async () => {
    const latch = new CountDownLatch(3);
    expect(latch.waitSync({ timeout: 5 })).toBe(false);
    const target = (theirs: CountDownLatch) => theirs.countDown();
    const threads = [1, 2, 3].map(() => new Thread({ target, args: [latch] }));
    for (const thread of threads) thread.start();
    expect(latch.waitSync()).toBe(true);
    for (const thread of threads) await thread.join();
  });
});
