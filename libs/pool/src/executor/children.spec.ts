import { CancelledError } from '@heddle/primitives';
import { encodeText } from '@heddle/primitives/internal';
import { describe, expect, it } from 'vitest';
import type { Future } from '../future/future.ts';
import type { ChildCall } from '../threads/session-protocol.ts';
import { Children } from './children.ts';

/** A child, what its host was asked, and the job's end of the line to that. */
function bear(): { family: Children; future: Future<unknown>; asked: ChildCall[] } {
  const asked: ChildCall[] = [];
  const family = new Children('parent', 'session', {
    number: () => 1,
    forget: () => {},
    tell: (calls) => void asked.push(...calls),
    lend: () => {},
    withinJob: (ttl) => ttl,
  });
  return { family, future: family.executor<Record<string, () => number>>(undefined).submit('task'), asked };
}

const ok = { child: 1, what: 'ok', text: encodeText(7, 'result') } as const;
const threw = { child: 1, what: 'error', text: encodeText(new RangeError('no'), 'error') } as const;

describe('a child that ends before its host has answered', () => {
  it.each([
    ['it gives a result', (family: Children) => family.hear(ok), false],
    ['it throws', (family: Children) => family.hear(threw), false],
    ['its job is over', (family: Children) => family.end(), false],
    ['it is aborted', (_: Children, future: Future<unknown>) => void future.abort('enough'), true],
  ] as const)('tells who cancels it what has become of it: %s', async (_, end, cancelled) => {
    const { family, future, asked } = bear();
    const answer = future.cancel();
    await Promise.resolve();
    expect(asked.at(-1)).toEqual({ child: 1, cancel: true });
    end(family, future);
    family.hear({ child: 1, cancelled: false });
    expect(await answer).toBe(cancelled);
    expect(future.cancelled()).toBe(cancelled);
  });

  it('has been accepted where it has an outcome, and has not where it was aborted', async () => {
    const done = bear();
    done.family.hear(ok);
    await done.future.accepted;
    expect(await done.future).toBe(7);
    const given = bear();
    await given.future.abort('enough');
    await expect(given.future.accepted).rejects.toThrow(CancelledError);
  });
});
