import { OutcomeUnknownError } from '@heddle/primitives';
import { describe, expect, it } from 'vitest';
import { getText, isMark, keptFor, LARGEST_IN_JOB, LAST_RESORT, putText } from './large-texts.ts';
import type { SessionParts } from './session-parts.ts';

/** Hashes, as a Redis has them: text that is no whole characters does not survive the way there. */
function shelf() {
  const fields = new Map<string, string>();
  const lives: [key: string, ttl: number, fields: number][] = [];
  const redis = {
    hset: async (_: string, field: string, text: string) => {
      fields.set(field, Buffer.from(text).toString());
    },
    hget: async (_: string, field: string) => fields.get(field) ?? null,
    pexpire: async (key: string, ttl: number) => void lives.push([key, ttl, fields.size]),
  };
  return { fields, lives, parts: { redis } as unknown as SessionParts };
}

const PIECE = LARGEST_IN_JOB;

describe('a text too large to lie in a job', () => {
  it.each([
    ['less than a piece', 10, [10]],
    ['a piece', PIECE, [PIECE]],
    ['a piece and a character', PIECE + 1, [PIECE, 1]],
    ['two pieces and some', 2 * PIECE + 5, [PIECE, PIECE, 5]],
  ])('lies there in pieces, and comes back whole: %s', async (_, length, lengths) => {
    const { fields, lives, parts } = shelf();
    const text = Array.from({ length }, (_, n) => String.fromCharCode(97 + (n % 26))).join('');
    const mark = await putText(parts, 'key', text, 500);
    expect(isMark(mark)).toBe(true);
    expect([...fields.values()].map((piece) => piece.length)).toEqual(lengths);
    expect(lives).toEqual([['key', 500, 1]]); // with the first: whoever dies in between leaves nothing for good
    expect((await getText(parts, 'key', mark)) === text).toBe(true);
  });

  it.each([0, 1])('is parted between characters: %i before them', async (before) => {
    const { fields, parts } = shelf();
    const text = 'x'.repeat(before) + '🦆'.repeat(PIECE / 2 + 1);
    const mark = await putText(parts, 'key', text, 500);
    expect(fields.size).toBe(2);
    expect((await getText(parts, 'key', mark)) === text).toBe(true);
  });

  it('of one writer is not that of another, and is gone where a piece of it is', async () => {
    const { fields, parts } = shelf();
    const [first, second] = [
      await putText(parts, 'key', 'one', 500),
      await putText(parts, 'key', 'two', 500),
    ];
    expect([await getText(parts, 'key', first), await getText(parts, 'key', second)]).toEqual(['one', 'two']);
    fields.clear();
    await expect(getText(parts, 'key', first)).rejects.toThrow(OutcomeUnknownError);
  });
});

it('what is kept for so many seconds lives for as many, and else for a day', () => {
  expect([{ age: 5 }, { age: 5, count: 1 }].map(keptFor)).toEqual([5000, 5000]);
  expect([undefined, true, 7, { count: 7 }].map(keptFor)).toEqual(Array(4).fill(LAST_RESORT));
  expect(LAST_RESORT).toBe(24 * 3_600_000);
});
