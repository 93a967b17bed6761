import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { InvalidStateError } from '../errors.ts';
import { currentLogicalThread, type LogicalThread } from '../identity.ts';
import { later } from '../testing/waiting.ts';
import { setExceptHook, type UncaughtInThread } from '../thread/except-hook.ts';
import { Timer } from './timer.ts';

/** A timer, and what it was called with. */
function timerFor(ms: number): { timer: Timer; called: Promise<unknown[]>; calls: () => number } {
  let calls = 0;
  let called: (args: unknown[]) => void;
  const promise = new Promise<unknown[]>((resolve) => {
    called = resolve;
  });
  const fn = (...args: unknown[]) => {
    calls += 1;
    called(args);
  };
  return { timer: new Timer(ms, fn, 'a', 2), called: promise, calls: () => calls };
}

afterEach(() => void setExceptHook(null));

describe('Timer', () => {
  it('calls once with its arguments, when the time has come and not sooner', async () => {
    const { timer, called, calls } = timerFor(20);
    await later(25, undefined);
    expect(calls()).toBe(0);
    const start = performance.now();
    timer.start();
    expect(await called).toEqual(['a', 2]);
    expect(performance.now() - start).toBeGreaterThan(18);
    timer.cancel();
    await later(25, undefined);
    expect(calls()).toBe(1);
  });

  it('does not call once cancelled, before its start or after', async () => {
    const before = timerFor(0);
    before.timer.cancel();
    before.timer.start();
    const after = timerFor(10);
    after.timer.start();
    after.timer.cancel();
    after.timer.cancel();
    const disposed = timerFor(5);
    {
      using timer = disposed.timer;
      timer.start();
    }
    await later(20, undefined);
    expect([before.calls(), after.calls(), disposed.calls()]).toEqual([0, 0, 0]);
  });

  it('starts once', () => {
    const { timer } = timerFor(1000);
    timer.start();
    expect(() => timer.start()).toThrow(InvalidStateError);
    timer.cancel();
    expect(() => timer.start()).toThrow(InvalidStateError);
  });

  it('tells the hook what the function leaves uncaught, at once or later', async () => {
    const told: UncaughtInThread[] = [];
    const both = new Promise<void>((resolve) => {
      setExceptHook((uncaught) => {
        if (told.push(uncaught) === 2) resolve();
      });
    });
    const error = new Error('mine');
    new Timer(0, () => {
      throw error;
    }).start();
    new Timer(1, async () => Promise.reject('later')).start();
    await both;
    expect(told).toEqual([
      { error, thread: null },
      { error: 'later', thread: null },
    ]);
  });

  it('calls as a logical thread of its own', async () => {
    const mine = currentLogicalThread().ident;
    const run = () =>
      new Promise<LogicalThread>((resolve) => new Timer(0, () => resolve(currentLogicalThread())).start());
    const [seen, other] = [await run(), await run()];
    expect(seen.explicit).toBe(true);
    expect(seen.ident).not.toBe(mine);
    expect([seen.name, other.name]).toEqual([
      expect.stringMatching(/^Timer-\d+$/),
      `Timer-${Number(seen.name.slice(6)) + 1}`,
    ]);
  });

  it('keeps the process alive until it has called or was cancelled', async () => {
    const program = `
      const { Timer } = await import(${JSON.stringify(new URL('./timer.ts', import.meta.url).href)});
      const never = new Timer(Infinity, () => console.log('never'));
      const far = new Timer(2 ** 33, () => console.log('not yet'));
      never.start();
      far.start();
      new Timer(30, (word) => { console.log(word); never.cancel(); far.cancel(); }, 'done').start();
    `;
    const args = [...process.execArgv, '--input-type=module', '-e', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 10_000 });
    expect(stdout).toBe('done\n');
  });

  it.each([
    [-1, RangeError],
    [Number.NaN, RangeError],
    ['1', TypeError],
    [undefined, TypeError],
    [null, TypeError],
  ])('refuses %s as its time', (ms, kind) => {
    expect(() => new Timer(ms as number, () => {})).toThrow(kind);
    expect(() => new Timer(ms as number, () => {})).toThrow(/: ms must be .* milliseconds, not [^;]*$/);
    expect(() => new Timer(1, ms as never)).toThrow(TypeError);
  });
});
