import { afterEach, describe, expect, it, vi } from 'vitest';
import { setExceptHook, tellUncaught } from './except-hook.ts';
import { mainThread } from './threads.ts';

afterEach(() => {
  setExceptHook(null);
  vi.restoreAllMocks();
});

/** What is written to stderr from now on. */
function written(): () => string {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  return () => write.mock.calls.map(([text]) => text).join('');
}

describe('what nobody catches', () => {
  it.each([
    ['an error, by its stack', new RangeError('mine'), /^RangeError: mine\n +at /],
    [
      'one without a stack',
      Object.assign(new RangeError('mine'), { stack: undefined }),
      /^RangeError: mine$/,
    ],
    ['what is no error', 'mine', /^"mine"$/],
  ])('is printed: %s', (_, error, expected) => {
    const text = written();
    tellUncaught({ error, thread: null });
    const [first, ...rest] = text().trimEnd().split('\n');
    expect(first).toBe('Exception in a callback:');
    expect(rest.join('\n')).toMatch(expected);
  });

  it('is printed by the name of its thread', () => {
    const text = written();
    tellUncaught({ error: 1, thread: mainThread() });
    expect(text()).toBe('Exception in thread MainThread:\n1\n');
  });

  it('goes to the hook alone, and is printed with what the hook throws', () => {
    const text = written();
    const hook = vi.fn();
    expect(setExceptHook(hook)).toBeNull();
    tellUncaught({ error: 1, thread: null });
    expect([hook.mock.calls, text()]).toEqual([[[{ error: 1, thread: null }]], '']);
    const throwing = () => {
      throw 'of the hook';
    };
    expect(setExceptHook(throwing)).toBe(hook);
    tellUncaught({ error: 1, thread: null });
    expect(text()).toBe('Exception in a callback:\n1\nException in a callback:\n"of the hook"\n');
  });
});
