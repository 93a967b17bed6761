import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { abortWith } from './abort-with.ts';
import { Event, Lock, ReadWriteLock, RLock, Semaphore } from './index.ts';
import { onAbort } from './on-abort.ts';
import { confirmed, type HeldLease } from './session/held-lease.ts';

afterEach(() => vi.restoreAllMocks());

describe('who waits with a signal', () => {
  it('has one listener on it together with all others, none once they are served', async () => {
    const { signal } = new AbortController();
    const [lock, rlock, watched] = [new Lock(), new RLock(), new Lock({ debug: true })];
    const [semaphore, event, gate] = [new Semaphore(0), new Event(), new ReadWriteLock()];
    const held = [await lock.acquire(), await rlock.acquire(), await watched.acquire()];
    const writing = await gate.write.acquire();
    const waits = [1, 2, 3].flatMap(() => [
      lock.with(() => {}, { signal }),
      rlock.with(() => {}, { signal }),
      watched.with(() => {}, { signal }),
      gate.read.with(() => {}, { signal }),
      semaphore.acquire({ signal }),
      event.wait({ signal }),
    ]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const lease of [...held, writing]) await lease.release();
    semaphore.release(3);
    event.set();
    await Promise.all(waits);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('does so while replicas are asked to confirm what it was granted', async () => {
    const { signal } = new AbortController();
    const answer = Promise.withResolvers<void>();
    const lease = { confirmed: answer.promise, over: false } as HeldLease;
    const waits = [confirmed(lease, signal), confirmed(lease, signal)];
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    answer.resolve();
    expect(await Promise.all(waits)).toEqual([lease, lease]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('hears of its abort in the order in which they came', async () => {
    const controller = new AbortController();
    const event = new Event();
    const told: number[] = [];
    const waits = [0, 1, 2].map((n) =>
      event.wait({ signal: controller.signal }).catch((reason) => told.push(n) && reason),
    );
    controller.abort('over');
    expect(await Promise.all(waits)).toEqual(['over', 'over', 'over']);
    expect(told).toEqual([0, 1, 2]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});

it('one that throws keeps no other from hearing, and what it throws comes to light', () => {
  const later = vi.spyOn(globalThis, 'queueMicrotask').mockReturnValue();
  const controller = new AbortController();
  const told: number[] = [];
  const hear = (n: number) => onAbort(controller.signal, () => void told.push(n));
  hear(1);
  onAbort(controller.signal, () => {
    throw new Error('mine');
  });
  hear(2);
  controller.abort();
  expect(told).toEqual([1, 2]);
  expect(later.mock.calls).toHaveLength(1);
  expect(later.mock.calls[0]?.[0]).toThrow('mine');
});

it('whoever ends its own hearing, also twice, ends that of no other, nor of one that comes when none is left', () => {
  const controller = new AbortController();
  const told: string[] = [];
  const hear = (who: string) => onAbort(controller.signal, () => void told.push(who));
  const endFirst = hear('first');
  endFirst();
  const endSecond = hear('second');
  hear('third');
  endFirst();
  endSecond();
  endSecond();
  controller.abort();
  expect(told).toEqual(['third']);
});

describe('a controller that aborts with a signal', () => {
  it('does so for its reason, at once where it has aborted already', () => {
    const [source, aborts, already] = [new AbortController(), new AbortController(), new AbortController()];
    abortWith(aborts, source.signal);
    expect(aborts.signal.aborted).toBe(false);
    source.abort('over');
    abortWith(already, source.signal);
    expect([aborts.signal.reason, already.signal.reason]).toEqual(['over', 'over']);
  });

  it('does so no more once that was ended, nor without a signal', () => {
    const [source, controller] = [new AbortController(), new AbortController()];
    abortWith(controller, undefined)();
    abortWith(controller, source.signal)();
    source.abort();
    expect(controller.signal.aborted).toBe(false);
  });
});
