/** Those who give up, by a clock that the tests move. */
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Waiters } from './waiters.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A line, and one in it whose time is up after 100 ms; `leave` is what it hears of its leave. */
function scene(decided: boolean) {
  const line = new Waiters<string, object>();
  const what = {};
  const leave = Promise.withResolvers<string | undefined>();
  let told: string | undefined;
  void line
    .add(what, {
      timeout: 100,
      signal: undefined,
      onTimeout: 'late',
      decided,
      gaveUp: () => leave.promise,
    })
    .then((value) => {
      told = value;
    });
  return { line, what, leave, told: () => told };
}

describe('one whose time is up', () => {
  it('hears in time where there is no answer', async () => {
    const { told } = scene(true);
    await vi.advanceTimersByTimeAsync(349);
    expect(told()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(50);
    expect(told()).toBe('late');
  });

  it('and was never answered hears no later', async () => {
    const { told } = scene(false);
    await vi.advanceTimersByTimeAsync(400);
    expect(told()).toBe('late');
  });

  it('waits behind others who are answered, for its first answer and for its leave', async () => {
    const { line, what, leave, told } = scene(false);
    const othersAreAnswered = async () => {
      for (let n = 0; n < 10; n += 1) {
        await vi.advanceTimersByTimeAsync(200);
        line.answered();
      }
    };
    await othersAreAnswered();
    expect(told()).toBeUndefined();
    line.decide(what);
    await othersAreAnswered();
    expect(told()).toBeUndefined();
    leave.resolve('served after all');
    await vi.advanceTimersByTimeAsync(0);
    expect(told()).toBe('served after all');
  });

  it('hears what has arrived while this loop stood still', async () => {
    const { line, told, leave } = scene(true);
    await vi.advanceTimersByTimeAsync(100);
    // The timer comes before what is to be read.
    await vi.advanceTimersByTimeAsync(250);
    line.answered();
    await vi.advanceTimersByTimeAsync(100);
    expect(told()).toBeUndefined();
    leave.resolve('served after all');
    await vi.advanceTimersByTimeAsync(0);
    expect(told()).toBe('served after all');
  });

  it('hears no later where others had been answered before', async () => {
    const { line, told } = scene(true);
    line.answered();
    await vi.advanceTimersByTimeAsync(400);
    expect(told()).toBe('late');
  });
});

describe('many with one signal', () => {
  const terms = { timeout: undefined, onTimeout: 'late', decided: true, gaveUp: () => undefined };
  const standing = (line: Waiters<string, object>, count: number, signal: AbortSignal) => {
    const told: unknown[] = [];
    for (let n = 0; n < count; n += 1)
      line.add({}, { ...terms, signal }).then(
        () => told.push(`served ${n}`),
        (error: unknown) => told.push(`${error} ${n}`),
      );
    return told;
  };

  it('have one listener on it, and none once they are served', async () => {
    const lines = [new Waiters<string, object>(), new Waiters<string, object>()];
    const { signal } = new AbortController();
    for (const line of lines) standing(line, 3, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const line of lines) line.resolveAll('served');
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    for (const line of lines) standing(line, 3, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  });

  it('hear of its abort in the order in which they came', async () => {
    const line = new Waiters<string, object>();
    const controller = new AbortController();
    const told = standing(line, 3, controller.signal);
    line.shift()?.resolve('served');
    controller.abort('over');
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(['served 0', 'over 1', 'over 2']);
    expect(line.size).toBe(0);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });
});
