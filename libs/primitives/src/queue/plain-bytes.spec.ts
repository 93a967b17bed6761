import { expect, it } from 'vitest';
import { fromBytes, keep, toBytes } from './item-bytes.ts';
import { toRead, writePlain } from './plain-bytes.ts';

/** There and back, as a queue does it. */
function crossed(item: unknown): unknown {
  const { bytes, length } = toBytes(item);
  if (length > toRead.length) return fromBytes(bytes, length);
  toRead.set(bytes.subarray(0, length));
  return fromBytes(toRead, length);
}

const wide = 'né\u{1f600}\ud800';
const plain: unknown[] = [
  ...[undefined, null, true, false, '', 'x', wide, 'é'.repeat(1000)],
  ...[0, -0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 0.1, Number.NaN, -Infinity, Number.MAX_SAFE_INTEGER],
  ...[[], [1, 'two', null, [undefined]], {}, { a: 1 }, { a: { b: [{ c: wide }] } }],
  ...[{ '': 0, 'é k': 1, 2: 2, constructor: 3, toString: undefined }],
];

it.each(plain.map((item) => [item]))('writes %j itself, and reads it back', (item) => {
  expect(writePlain(item)).toBeGreaterThan(0);
  expect(crossed(item)).toStrictEqual(item);
});

const shared = { deep: [1] };
const cyclic: unknown[] = [];
cyclic.push(cyclic);
const left: unknown[] = [
  ...[1n, new Date(5), new Map([[1, { a: 1 }]]), new Uint8Array([1, 2]), new RangeError('no')],
  ...[[shared, shared], { a: shared, b: { c: shared } }, cyclic],
  ...[Object.assign([1, 2], { extra: 3 }), Array.from({ length: 33 }, (_, n) => n)],
  ...['x'.repeat(3000), { [wide]: 1 }, { ['k'.repeat(300)]: 1 }, JSON.parse('{"__proto__": {"a": 1}}')],
  Array.from({ length: 20 }, () => ({ text: 'y'.repeat(200) })),
];

it.each(left.map((item) => [item]))('leaves %o to structured clone, which carries it as well', (item) => {
  expect(writePlain(item)).toBe(0);
  expect(crossed(item)).toStrictEqual(item);
});

it('keeps one object in two places one object', () => {
  const [first, second] = crossed([shared, shared]) as unknown[];
  expect(first).toBe(second);
});

it('leaves the holes of an array holes', () => {
  // biome-ignore lint/suspicious/noSparseArray: that is what is tested
  expect(Object.keys(crossed([1, , 3]) as unknown[])).toEqual(['0', '2']);
});

it('tells shapes apart, however many there are', () => {
  for (let round = 0; round < 2; round += 1) {
    for (let n = 0; n < 50; n += 1) expect(crossed({ [`k${n}`]: n, n })).toEqual({ [`k${n}`]: n, n });
  }
});

it('takes a getter that puts another item meanwhile', () => {
  const inner = { inner: true };
  const outer = {
    before: 1,
    get during() {
      return crossed(inner);
    },
    after: 2,
  };
  expect(crossed(outer)).toEqual({ before: 1, during: inner, after: 2 });
});

it('is ready for the next item where a getter throws', () => {
  const throwing = {
    get now() {
      throw new Error('not now');
    },
  };
  expect(() => toBytes(throwing)).toThrow('not now');
  expect(writePlain('next')).toBeGreaterThan(0);
});

it('keeps bytes past the next item where told to', () => {
  const kept = keep(toBytes({ first: 1 }));
  toBytes({ second: 2 });
  toRead.set(kept.bytes);
  expect(fromBytes(toRead, kept.length)).toEqual({ first: 1 });
});
