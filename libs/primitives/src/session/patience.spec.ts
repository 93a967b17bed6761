import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadline } from '../deadline.ts';
import { Patience, type Terms } from './patience.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] }));
afterEach(() => void vi.useRealTimers());

const late = () => new Error('too late');

/** Work that a test ends, and what has become of the wait for it. */
function scene(patience: Patience, terms: Partial<Terms> = {}) {
  const work = Promise.withResolvers<string>();
  const seen: unknown[] = [];
  patience.wait(work.promise, { late, ...terms }).then(
    (value) => seen.push(value),
    (error: Error) => seen.push(error.message),
  );
  return { ...work, seen };
}
const turn = () => new Promise(setImmediate);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('who waits with patience', () => {
  it('has what the work comes to', async () => {
    const patience = new Patience(100);
    const [done, failed] = [scene(patience), scene(patience)];
    done.resolve('done');
    failed.reject(new Error('no'));
    await turn();
    expect([done.seen, failed.seen]).toEqual([['done'], ['no']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is sent away when the time is up, its own where it has one', async () => {
    const patience = new Patience(100);
    const [usual, sooner, longer] = [
      scene(patience),
      scene(patience, { deadline: Deadline.after(50) }),
      scene(patience, { deadline: Deadline.after(150) }),
    ];
    await pass(49);
    expect([sooner.seen, usual.seen, longer.seen]).toEqual([[], [], []]);
    await pass(1);
    expect([sooner.seen, usual.seen, longer.seen]).toEqual([['too late'], [], []]);
    await pass(50);
    expect([usual.seen, longer.seen]).toEqual([['too late'], []]);
    await pass(50);
    expect(longer.seen).toEqual(['too late']);
  });

  it('is sent away by an abort, with its reason', async () => {
    const controller = new AbortController();
    const { seen } = scene(new Patience(100), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await turn();
    expect(seen).toEqual(['enough']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is sent away by an abort that has come, whatever the work comes to', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    const { seen, resolve } = scene(new Patience(100), { signal });
    resolve('done');
    await turn();
    expect(seen).toEqual(['enough']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is sent away as the session closes, where it said what to be told then', async () => {
    const patience = new Patience(100);
    const [told, stays] = [scene(patience, { closed: () => new Error('closed') }), scene(patience)];
    patience.close();
    await turn();
    expect([told.seen, stays.seen]).toEqual([['closed'], []]);
    expect(vi.getTimerCount()).toBe(1);
    stays.resolve('done');
    await turn();
    expect(stays.seen).toEqual(['done']);
  });

  it('hears nothing of what comes after it was sent away', async () => {
    const patience = new Patience(100);
    const [late, failed] = [scene(patience), scene(patience)];
    await pass(100);
    late.resolve('late');
    failed.reject(new Error('no'));
    await turn();
    expect([late.seen, failed.seen]).toEqual([['too late'], ['too late']]);
  });

  it('leaves nothing behind, however it ended', async () => {
    const patience = new Patience(100);
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, 'abort').length;
    let told = 0;
    const closed = () => {
      told += 1;
      return new Error('closed');
    };
    const [done, gone] = [scene(patience, { signal, closed }), scene(patience, { signal, closed })];
    expect(listeners()).toBe(1); // For all of them: there may be thousands.
    done.resolve('done');
    await pass(100);
    patience.close();
    expect([done.seen, gone.seen, told]).toEqual([['done'], ['too late'], 0]);
    expect(listeners()).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
