import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Barrier } from '../barrier/barrier.local.ts';
import { Condition } from '../condition/condition.local.ts';
import { BrokenBarrierError } from '../errors.ts';
import { Event } from '../event/event.local.ts';
import { Lock } from '../lock/lock.local.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import { Thread } from './thread.local.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

let warnings: (Error & { code?: string })[] = [];
const onWarning = (warning: Error) => warnings.push(warning);
beforeEach(() => {
  warnings = [];
  process.on('warning', onWarning);
});
afterEach(() => {
  process.off('warning', onWarning);
});

/** Takes it and leaves it so. */
const keep = (lock: Lock): void => void lock.acquireSync();

async function endWith(lock: unknown, name: string, target = keep): Promise<void> {
  const thread = new Thread({ target, args: [lock], name });
  thread.start();
  await thread.result;
}

describe('a thread that ends while it holds', () => {
  it.each([
    ['an RLock', () => new RLock(), /^RLock#\d+ was still held when thread forgetful ended: nobody else/],
    ['a Condition', () => new Condition(), /^RLock#\d+ was still held when thread forgetful ended/],
    ['a robust Lock', () => new Lock({ robust: true }), /^Lock#\d+ was .* forgetful ended: whoever acquires/],
    [
      'a robust RLock',
      () => new RLock({ robust: true }),
      /^RLock#\d+ was .* forgetful ended: whoever acquires/,
    ],
  ])('%s is told of by name, once', async (_, make, message) => {
    const lock = make();
    const others = { same: lock };
    await endWith(lock, 'forgetful');
    await until(() => warnings.length > 0, 'it is told');
    await later(5, undefined);
    expect(warnings.map(({ code }) => code)).toEqual(['HEDDLE_LOCK_ABANDONED']);
    expect(warnings[0]?.message).toMatch(message);
    expect(others.same).toBe(lock);
  });

  it('nothing is told of where it held nothing, nor, unknown as it is, of a plain Lock', async () => {
    const free = new RLock();
    await endWith(free, 'tidy', (lock) => lock.withSync(() => {}));
    const plain = new Lock();
    await endWith(plain, 'forgetful');
    await later(20, undefined);
    expect(warnings).toEqual([]);
    expect([free.locked(), plain.locked()]).toEqual([false, true]);
  });

  it('an arrival at a Barrier breaks it for the rest', async () => {
    const barrier = new Barrier(3);
    const go = new Event();
    const target = async (theirs: Barrier, end: Event) => {
      await theirs.wait();
      void theirs.wait();
      await end.wait();
    };
    const waits = [0, 1].map(() => barrier.wait());
    const thread = new Thread({ target, args: [barrier, go] });
    thread.start();
    await Promise.all(waits);
    await until(() => barrier.waiting() === 1, 'the thread has come');
    const next = barrier.wait();
    expect(await stillPending(next)).toBe(true);
    go.set();
    await expect(next).rejects.toThrow(BrokenBarrierError);
    expect(barrier.broken()).toBe(true);
    barrier.reset();
    expect((await Promise.all([1, 2, 3].map(() => barrier.wait()))).sort()).toEqual([0, 1, 2]);
  });

  it('no Barrier is broken by the end of a thread that has left it', async () => {
    const barrier = new Barrier(2);
    const target = (theirs: Barrier) => theirs.waitSync();
    const thread = new Thread({ target, args: [barrier] });
    thread.start();
    await barrier.wait();
    const wait = barrier.wait();
    await thread.join();
    await later(20, undefined);
    await barrier.wait();
    await wait;
  });
});
