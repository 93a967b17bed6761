import { describe, expect, it } from 'vitest';
import { BrokenBarrierError } from '../errors.ts';
import { attach, share } from '../sharing/share.ts';
import { later } from '../testing/waiting.ts';
import { barrierConformance } from './barrier.conformance.ts';
import { Barrier } from './barrier.local.ts';

const another = (barrier: Barrier, options?: { action?: (() => unknown) | null | undefined }) =>
  attach(structuredClone(share(barrier)), options);

barrierConformance('local', {
  make: async (parties, options) => new Barrier(parties, options),
  another: async (barrier, options) => another(barrier as Barrier, options),
});

describe('Barrier, local', () => {
  it('blocks, and runs its action in the thread of the last', () => {
    const calls: number[] = [];
    const barrier = new Barrier(1, { action: () => calls.push(calls.length) });
    expect([barrier.waitSync(), barrier.waitSync()]).toEqual([0, 0]);
    expect(calls).toEqual([0, 1]);
  });

  it('has its time-out on every side, but where one says its own', async () => {
    const barrier = new Barrier(2, { timeout: 10 });
    const attached = another(barrier);
    await expect(attached.wait()).rejects.toThrow(BrokenBarrierError);
    attached.reset();
    expect(() => attached.waitSync()).toThrow(BrokenBarrierError);
    attached.reset();
    const waiting = attached.wait({ timeout: Number.POSITIVE_INFINITY });
    expect(await Promise.race([waiting, later(40, 'waits')])).toBe('waits');
    expect(await Promise.all([barrier.wait(), waiting])).toEqual([1, 0]);
  });

  it('breaks when the time of a blocked party is up', () => {
    const barrier = new Barrier(2);
    expect(() => barrier.waitSync({ timeout: 10 })).toThrow(BrokenBarrierError);
    expect(barrier.broken()).toBe(true);
    barrier.reset();
    expect(barrier.broken()).toBe(false);
  });

  it('lets a thread block in the next round before its wait in the last has settled', async () => {
    const barrier = new Barrier(2);
    const first = barrier.wait();
    const second = barrier.wait();
    expect(() => barrier.waitSync({ timeout: 5 })).toThrow(BrokenBarrierError);
    expect(await Promise.all([first, second])).toEqual([0, 1]);
  });

  it('remembers for a late leaver that its round was broken', async () => {
    const barrier = new Barrier(2);
    const late = barrier.wait();
    barrier.reset();
    barrier.wait().catch(() => {});
    void barrier.wait();
    await expect(late).rejects.toThrow(BrokenBarrierError);
  });

  it('has its round over before wait returns where the last comes, and the action needs no time', async () => {
    const barrier = new Barrier(2, { action: () => 'done' });
    const round = [barrier.wait(), barrier.wait()];
    expect(barrier.waiting()).toBe(0);
    barrier.reset();
    expect(await Promise.all(round)).toEqual([0, 1]);
    expect(barrier.broken()).toBe(false);
  });

  it('makes one who comes during an action wait for the next round', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const barrier = new Barrier(2, { action: () => promise });
    const round = [barrier.wait(), barrier.wait()];
    const early = barrier.wait();
    resolve();
    expect(await Promise.all(round)).toEqual([0, 1]);
    expect(await Promise.all([early, barrier.wait()])).toEqual([0, 1]);
  });

  it('refuses an asynchronous action in waitSync, and breaks', () => {
    const barrier = new Barrier(1, { action: async () => {} });
    expect(() => barrier.waitSync()).toThrow(TypeError);
    expect(barrier.broken()).toBe(true);
  });

  it('wants each side of a barrier with an action to say its own', async () => {
    const barrier = new Barrier(1, { action: () => {} });
    expect(() => another(barrier)).toThrow(TypeError);
    expect(() => another(barrier, {})).toThrow(TypeError);
    const silent = another(barrier, { action: null });
    expect(await silent.wait()).toBe(0);
    expect(await another(new Barrier(1)).wait()).toBe(0);
  });
});
