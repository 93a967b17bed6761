import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Connection, Line } from './line.ts';

/** Ms without an answer until a connection is suspected, and from there to the verdict. */
const SILENCE = 100;
const SECOND_LOOK = 20;

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] }));
afterEach(() => void vi.useRealTimers());

/** A line whose calls are answered when a test says so. */
function scene() {
  const owed: PromiseWithResolvers<unknown>[] = [];
  const cuts: (boolean | undefined)[] = [];
  const answer = () => {
    const one = Promise.withResolvers<unknown>();
    owed.push(one);
    return one.promise;
  };
  const asked: unknown[][] = [];
  const connection: Connection = {
    status: 'ready',
    evalsha(...args) {
      asked.push(['evalsha', ...args]);
      return answer();
    },
    eval(...args) {
      asked.push(['eval', ...args]);
      return answer();
    },
    disconnect: (reconnect) => void cuts.push(reconnect),
  };
  const line = new Line(connection, SILENCE);
  return { line, owed, cuts, asked, ask: () => line.evalsha('sha', 1, 'key').catch(() => {}) };
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a line', () => {
  it('passes calls and answers on', async () => {
    const { line, owed, asked } = scene();
    expect(line.status).toBe('ready');
    const [done, failed] = [line.evalsha('sha', 1, 'key', 2), line.eval('source', 1, 'key', 3)];
    owed[0]?.resolve('yes');
    owed[1]?.reject(new Error('no'));
    expect(await done).toBe('yes');
    await expect(failed).rejects.toThrow('no');
    expect(asked).toEqual([
      ['evalsha', 'sha', 1, 'key', 2],
      ['eval', 'source', 1, 'key', 3],
    ]);
  });

  it.each(['resolve', 'reject'] as const)('that owes nothing may be silent for ever (%s)', async (how) => {
    const { owed, cuts, ask } = scene();
    void ask();
    owed[0]?.[how](new Error('an answer'));
    await pass(10 * SILENCE);
    expect(cuts).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    void ask();
    await pass(SILENCE + SECOND_LOOK);
    expect(cuts).toEqual([true]);
  });

  it('is cut, to be made anew, where it owes an answer and was silent for so long, and looked at a second time', async () => {
    const { cuts, ask } = scene();
    void ask();
    await pass(SILENCE);
    expect(cuts).toEqual([]);
    await pass(SECOND_LOOK - 1);
    expect(cuts).toEqual([]);
    await pass(1);
    expect(cuts).toEqual([true]);
  });

  it('is cut again where it stays silent, as long after', async () => {
    const { cuts, ask } = scene();
    void ask();
    await pass(SILENCE + SECOND_LOOK);
    await pass(SILENCE + SECOND_LOOK - 1);
    expect(cuts).toHaveLength(1);
    await pass(1);
    expect(cuts).toHaveLength(2);
  });

  it('is not cut where something is heard at the last moment, of whatever was asked', async () => {
    const { owed, cuts, ask } = scene();
    void ask();
    void ask();
    await pass(SILENCE + SECOND_LOOK - 1);
    owed[1]?.resolve('late');
    await pass(SILENCE);
    expect(cuts).toEqual([]);
    await pass(2 * SECOND_LOOK);
    expect(cuts).toEqual([true]);
  });

  it('counts from when it was first asked again after a rest, not from what it said before', async () => {
    const { owed, cuts, ask } = scene();
    void ask();
    await pass(SILENCE - 10);
    owed[0]?.resolve('yes');
    await pass(5);
    void ask(); // The timer of the first comes round in 5 ms.
    expect(vi.getTimerCount()).toBe(1);
    await pass(SILENCE + SECOND_LOOK - 1);
    expect(cuts).toEqual([]);
    await pass(1);
    expect(cuts).toEqual([true]);
  });

  it('counts from the first that it owes, however many are asked after it', async () => {
    const { cuts, ask } = scene();
    for (let n = 0; n < 5; n += 1) {
      void ask();
      await pass(SILENCE / 4);
    }
    expect(vi.getTimerCount()).toBe(1);
    expect(cuts).toEqual([true]);
  });
});
