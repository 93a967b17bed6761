import { describe, expect, it } from 'vitest';
import { attach, share } from '../sharing/share.ts';
import { boundedSemaphoreConformance, semaphoreConformance } from './semaphore.conformance.ts';
import { BoundedSemaphore, Semaphore } from './semaphore.local.ts';
import type { AnySemaphore } from './semaphore.ts';

const another = async (semaphore: AnySemaphore) => attach(structuredClone(share(semaphore as Semaphore)));

semaphoreConformance('local', { make: async (n) => new Semaphore(n), another, fifo: false });
boundedSemaphoreConformance('local', { make: async (n) => new BoundedSemaphore(n), another, fifo: false });

describe('Semaphore, local', () => {
  it('blocks for permits, or gives up when the time is up', () => {
    const semaphore = new Semaphore(2);
    expect(semaphore.acquireSync({ permits: 2 })).toBe(true);
    expect(semaphore.acquireSync({ timeout: 0 })).toBe(false);
    expect(semaphore.acquireSync({ timeout: 10 })).toBe(false);
    expect(semaphore.withSync.bind(semaphore, () => 1, { timeout: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_HEDDLE_TIMEOUT' }),
    );
    semaphore.release(2);
    expect(semaphore.withSync(() => semaphore.value(), { permits: 2 })).toBe(0);
    expect(semaphore.value()).toBe(2);
  });

  it('may start without permits, for signalling', async () => {
    const semaphore = new Semaphore(0);
    const waiter = semaphore.acquire();
    semaphore.release();
    await waiter;
    expect(semaphore.value()).toBe(0);
  });

  it.each([
    [-1, RangeError],
    [1.5, RangeError],
    [2 ** 29, RangeError],
    [Number.NaN, RangeError],
    ['3', TypeError],
    [null, TypeError],
  ])('refuses %s permits', (permits, kind) => {
    expect(() => new Semaphore(permits as number)).toThrow(kind);
    expect(() => new BoundedSemaphore(permits as number)).toThrow(kind);
  });

  it('refuses to count beyond what its word holds, and is unchanged', () => {
    const semaphore = new Semaphore(2 ** 29 - 1);
    expect(() => semaphore.release()).toThrow(RangeError);
    expect(semaphore.value()).toBe(2 ** 29 - 1);
    expect(semaphore.acquireSync({ permits: 2 ** 29 - 1 })).toBe(true);
  });

  it('tells by an exception where a lease gives back what others have given back already', async () => {
    const semaphore = new BoundedSemaphore(1);
    const lease = await semaphore.acquire();
    semaphore.release();
    await expect(lease.release()).rejects.toMatchObject({ code: 'ERR_HEDDLE_OVER_RELEASE' });
    expect(semaphore.value()).toBe(1);
  });

  it('is a Semaphore, bounded or not, also once attached', async () => {
    const attached = await another(new BoundedSemaphore(1));
    expect(attached).toBeInstanceOf(BoundedSemaphore);
    expect(attached).toBeInstanceOf(Semaphore);
  });
});
