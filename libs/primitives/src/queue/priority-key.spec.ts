import { describe, expect, it } from 'vitest';
import { compareKeys, priorityKey } from './priority-key.ts';

type Ordered = number | string | readonly Ordered[];

const compared = (a: unknown, b: unknown) => Math.sign(compareKeys(priorityKey(a), priorityKey(b)));

/** What is promised, in its own words. */
function order(a: Ordered, b: Ordered): number {
  if (typeof a === 'object' && typeof b === 'object') {
    for (const [index, item] of a.entries()) {
      if (index === b.length) return 1;
      const first = order(item, b[index] as Ordered);
      if (first !== 0) return first;
    }
    return a.length === b.length ? 0 : -1;
  }
  const kinds = ['number', 'string', 'object'];
  if (typeof a !== typeof b) return Math.sign(kinds.indexOf(typeof a) - kinds.indexOf(typeof b));
  return a < b ? -1 : a > b ? 1 : 0;
}

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  127,
  128,
  255,
  256,
  -256,
  1e300,
  -1e300,
  5e-324,
  -5e-324,
  Infinity,
  -Infinity,
];
const STRINGS = [
  '',
  '\0',
  '\0\0',
  '\0\x01',
  '\x01',
  'a',
  'a\0',
  'a\0b',
  'ab',
  'b',
  'ÿ',
  'Ā',
  '\ud83d\ude00',
  '\uffff',
];

describe('the key of an item of a priority queue', () => {
  it('compares as the items do, each with each', () => {
    const flat: Ordered[] = [...NUMBERS, ...STRINGS];
    const arrays: Ordered[] = [
      ...flat.map((item) => [item]),
      ...STRINGS.flatMap((item) => [
        [item, 1],
        [item, 'a'],
        [[item], 0],
        [item, [0]],
      ]),
      [1, 2],
      [[1], 2],
      [[1, 2]],
      [[[1]]],
      [1, 1, 1],
    ];
    const items = [...flat, ...arrays];
    for (const a of items) {
      for (const b of items) expect([a, b, compared(a, b)]).toEqual([a, b, order(a, b)]);
    }
  });

  it('puts cargo behind all that has an order, and one as far as the other', () => {
    expect(compared([1, {}], [1, new Map()])).toBe(0);
    for (const before of [[1], [1, 2], [1, 'z'], [1, [9]]]) expect(compared(before, [1, {}])).toBe(-1);
    expect(compared([1, {}, 5], [1, {}, 6])).toBe(0);
    expect(compared([[1, {}], 5], [[1, {}], 6])).toBe(-1);
  });

  it('takes an array for cargo where it stands in itself, not where it stands twice', () => {
    const twice = [1];
    expect(compared([twice, twice], [twice, [2]])).toBe(-1);
    const inItself: unknown[] = [1];
    inItself.push(inItself);
    expect(compared(inItself, [1, {}])).toBe(0);
  });
});
