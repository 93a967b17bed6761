import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadline, LONGEST_TIMER, now } from './deadline.ts';

describe('the clock', () => {
  it('counts milliseconds over whole seconds', () => {
    const clock = vi.spyOn(process, 'hrtime').mockReturnValue([7, 250_500_000]);
    expect(now()).toBe(7250.5);
    clock.mockRestore();
  });
});

describe('a deadline', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('is reached when its time has passed, and stays so', () => {
    const deadline = Deadline.after(1000);
    vi.advanceTimersByTime(999);
    expect([deadline.remaining(), deadline.expired]).toEqual([1, false]);
    vi.advanceTimersByTime(1);
    expect([deadline.remaining(), deadline.expired]).toEqual([0, true]);
    vi.advanceTimersByTime(1);
    expect([deadline.remaining(), deadline.expired]).toEqual([0, true]);
  });

  it.each([undefined, Number.POSITIVE_INFINITY])(
    'of %s ms is never reached, and needs no timer',
    (timeout) => {
      const deadline = Deadline.after(timeout);
      deadline.onExpiry(() => expect.unreachable())();
      expect([deadline.remaining(), deadline.expired]).toEqual([Number.POSITIVE_INFINITY, false]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it('calls once, never before it returns, at a moment further off than a timer of Node can be', () => {
    const told = vi.fn();
    const armed = vi.spyOn(globalThis, 'setTimeout');
    Deadline.after(0).onExpiry(told);
    expect(told).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(1);
    expect(told).toHaveBeenCalledTimes(1);
    Deadline.after(LONGEST_TIMER + 5000).onExpiry(told);
    vi.advanceTimersByTime(LONGEST_TIMER + 4999);
    expect(told).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1);
    expect(told).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
    expect(armed.mock.calls.map(([, ms]) => ms)).toEqual([0, 2 ** 31 - 1, 5000]);
  });

  it('calls no more once that is cancelled, however often its timer was set', () => {
    const cancel = Deadline.after(LONGEST_TIMER + 5000).onExpiry(() => expect.unreachable());
    vi.advanceTimersByTime(LONGEST_TIMER + 1);
    expect(vi.getTimerCount()).toBe(1);
    cancel();
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([true, false])('keeps the event loop alive unless unref: %s', (unref) => {
    const armed = vi.spyOn(globalThis, 'setTimeout');
    Deadline.after(LONGEST_TIMER + 5000).onExpiry(() => {}, { unref });
    vi.advanceTimersByTime(LONGEST_TIMER + 1);
    const timers = armed.mock.results.map(({ value }) => value as NodeJS.Timeout);
    expect(timers.map((timer) => timer.hasRef())).toEqual([!unref, !unref]);
  });
});
