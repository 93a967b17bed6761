import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Barrier } from '../barrier/barrier.local.ts';
import { InvalidStateError, NotCloneableError } from '../errors.ts';
import { Lock } from '../lock/lock.local.ts';
import { share } from '../sharing/share.ts';
import { Lost } from '../testing/thread-fixture.ts';
import { until } from '../testing/waiting.ts';
import { type ExceptHook, setExceptHook, type UncaughtInThread } from './except-hook.ts';
import { Thread } from './thread.local.ts';
import { activeCount } from './threads.ts';

const fixture = new URL('../testing/thread-fixture.ts', import.meta.url);

function started(name: string, ...args: unknown[]): Thread {
  const thread = new Thread({ target: fixture, export: name, args });
  thread.start();
  return thread;
}

let uncaught: UncaughtInThread[] = [];
let before: ExceptHook | null;
beforeEach(() => {
  uncaught = [];
  before = setExceptHook((event) => uncaught.push(event));
});
afterEach(async () => {
  setExceptHook(before);
  await until(() => activeCount() === 1, 'no thread is left over');
});

describe('Thread: errors', () => {
  it('rejects its result with the error as it was, and tells the hook', async () => {
    const thread = started('fail');
    await expect(thread.result).rejects.toThrow(RangeError);
    expect(thread.error).toMatchObject({ message: 'out of thread', extra: 7, cause: expect.any(TypeError) });
    expect((thread.error as Error).stack).toContain('thread-fixture');
    expect(uncaught).toEqual([{ error: thread.error, thread }]);
    expect(await thread.join()).toBe(true);
  });

  it('tells stderr where no hook is set, and hurts nobody', async () => {
    const hook = setExceptHook(null);
    const printed = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      await started('fail').join();
      expect(printed.mock.calls.join('')).toMatch(
        /Exception in thread Thread-\d+:\nRangeError: out of thread/,
      );
    } finally {
      printed.mockRestore();
      expect(setExceptHook(hook)).toBeNull();
    }
  });

  it.each([
    ['neverSettles', 'nothing is left to settle'],
    ['giveFunction', 'result.inner[0]'],
    ['notThere', 'exports no function'],
  ])('ends %s with an error that says so', async (name, message) => {
    const thread = started(name);
    await expect(thread.result).rejects.toThrow(message);
    expect(uncaught).toHaveLength(1);
  });

  it('tells of a module that is not there, or throws', async () => {
    const threads = ['file:///not/there.ts', 'data:text/javascript,throw new Error("at import")'].map(
      (target) => new Thread({ target }),
    );
    for (const thread of threads) thread.start();
    await expect(threads[0]?.result).rejects.toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' });
    await expect(threads[1]?.result).rejects.toThrow('at import');
  });

  it('tells of an exception that its function did not see', async () => {
    const target = () => {
      setTimeout(() => {
        throw new RangeError('too late');
      });
      return new Promise(() => {});
    };
    const thread = new Thread({ target });
    thread.start();
    expect(await thread.join()).toBe(true);
    await expect(thread.result).rejects.toThrow('too late');
  });

  it('tells of a rejection that nobody handles, also where its function is over at once', async () => {
    const target = () => {
      void Promise.reject(new RangeError('stray'));
      return 'done';
    };
    const thread = new Thread({ target });
    thread.start();
    expect(await thread.join()).toBe(true);
    await expect(thread.result).rejects.toThrow('stray');
    expect(uncaught).toEqual([{ error: expect.objectContaining({ message: 'stray' }), thread }]);
  });

  it('takes process.exit for the end of the thread', async () => {
    const target = (code: number) => process.exit(code);
    const threads = [0, 3].map((code) => new Thread({ target, args: [code] }));
    for (const thread of threads) thread.start();
    expect(await threads[0]?.result).toBeUndefined();
    expect(threads[1]?.joinSync()).toBe(true);
    await expect(threads[1]?.result).rejects.toMatchObject({
      name: 'ThreadCrashedError',
      message: expect.stringMatching(/^Thread-\d+ ended before its function had: exit code 3$/),
    });
  });

  it('tells that it ran out of memory as the end of the thread', async () => {
    const index = new URL('../index.ts', import.meta.url).href;
    const program = `import { setExceptHook, Thread } from ${JSON.stringify(index)};
      setExceptHook(({ error }) => console.log(error.name, error.code, error.cause.code));
      new Thread({ target: () => { for (const all = []; ; ) all.push(new Array(1e5).fill(0.5)); } }).start();`;
    const options = [...process.execArgv, '--input-type=module', '--max-old-space-size=40'];
    const { stdout } = await promisify(execFile)(process.execPath, [...options, '-e', program]);
    expect(stdout.trim()).toBe('ThreadCrashedError ERR_HEDDLE_THREAD_CRASHED ERR_WORKER_OUT_OF_MEMORY');
  });
});

describe('Thread: bad input', () => {
  class OwnLock extends Lock {}

  class Inner {}
  const bound = (() => 1).bind(null);
  it.each([
    ['nothing to run', {}],
    ['null', null],
    ['a path', { target: '/some/path.ts' }],
    ['a number', { target: 5 }],
    ['a bound function', { target: bound }],
    ['a native function', { target: Math.max }],
    ['a class', { target: Inner }],
    ['an export of a function', { target: () => 1, export: 'x' }],
    ['args that are no array', { target: fixture, args: 5 }],
    ['a name that is no string', { target: fixture, name: 5 }],
    ['a daemon that is no boolean', { target: fixture, daemon: 'yes' }],
    ['a function with an import of its module', { target: () => until }],
  ])('refuses %s', (_, options) => {
    expect(() => new Thread(options as never)).toThrow(TypeError);
    expect(() => new Thread(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_HEDDLE_INVALID_ARG_TYPE' }),
    );
  });

  it('refuses arguments that can not travel, with the path to them', () => {
    const make = (arg: unknown) => () => new Thread({ target: fixture, args: [1, { deep: arg }] });
    expect(make(() => 1)).toThrow(NotCloneableError);
    expect(make(new Inner())).toThrow(expect.objectContaining({ path: 'args[1].deep' }));
    expect(make(new Barrier(2, { action: () => {} }))).toThrow(TypeError);
  });

  it('refuses a primitive of a class of the caller\u2019s own, which would arrive without what that adds', () => {
    const make = () => new Thread({ target: fixture, args: [{ lock: new OwnLock() }] });
    expect(make).toThrow(NotCloneableError);
    expect(make).toThrow(expect.objectContaining({ path: 'args[0].lock' }));
    expect(() => share(new OwnLock())).toThrow(/OwnLock.*would arrive as a Lock/);
  });

  it('refuses a target beside a run(), and does not run a target here', () => {
    class Both extends Thread {
      override run() {}
    }
    expect(() => new Both({ target: fixture })).toThrow(/leave one out/);
    expect(() => new Thread({ target: fixture }).run()).toThrow(InvalidStateError);
  });

  it('refuses to start a subclass that does not say where it is from', () => {
    expect(() => new Lost().start()).toThrow(/static url/);
  });

  it.each([5, 'hook', {}, undefined])('refuses %s as a hook', (hook) => {
    expect(() => setExceptHook(hook as never)).toThrow(TypeError);
  });
});
