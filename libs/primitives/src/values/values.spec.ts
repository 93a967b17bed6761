import { deserialize, serialize } from 'node:v8';
import { runInNewContext, runInThisContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { CancelledError, DeadlockError, HeddleError, NotCloneableError, TimeoutError } from '../errors.ts';
import { Lock } from '../lock/lock.local.ts';
import { ReadWriteLock } from '../read-write-lock/read-write-lock.local.ts';
import { shareTravelling } from '../sharing/share.ts';
import { fromPortable, toPortable } from './portable.ts';
import { decodeText, encodeText } from './text.ts';
import { DEEPEST } from './walk.ts';

const cloned = (value: unknown) => fromPortable(structuredClone(toPortable(value, 'value')));
const serialised = (value: unknown) => fromPortable(deserialize(serialize(toPortable(value, 'value'))));
const written = (value: unknown) => decodeText(encodeText(value, 'value'));
const ways = { 'structured clone': cloned, 'v8.serialize': serialised, text: written };

class Odd {
  readonly x = 1;
}

/** A small seeded generator, so that a failure can be run again. */
function randomiser(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomValue(random: () => number, depth: number, made: unknown[]): unknown {
  const leaves: (() => unknown)[] = [
    () => null,
    () => undefined,
    () => random() < 0.5,
    () =>
      [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53, 5e-324][
        Math.floor(random() * 8)
      ],
    () => ['', 'a', '$ref', '\ud800 lone', 'ü€𝄞', '\0', '__proto__'][Math.floor(random() * 7)],
    () => BigInt(Math.floor(random() * 1e9)) ** 3n * (random() < 0.5 ? -1n : 1n),
    () => new Date(Math.floor((random() - 0.5) * 8e15)),
    () => new Date(Number.NaN),
    () => /a\/b\n[\]/]/giu,
    () => new Uint8Array([1, 2, 255]),
    () => new Float64Array([Number.NaN, -0, 1e300]).subarray(1),
    () => new BigInt64Array([-1n]),
    () => new DataView(new ArrayBuffer(5), 1, 3),
    () => new ArrayBuffer(Math.floor(random() * 20)),
    () => Buffer.from('some bytes'),
  ];
  const inner = () => randomValue(random, depth - 1, made);
  const some = <T>(make: () => T) => Array.from({ length: Math.floor(random() * 4) }, make);
  const key = () =>
    ['a', 'b', '1', '0', '$map', '$object', '__proto__', 'constructor', 'x y'][
      Math.floor(random() * 9)
    ] as string;
  const branches: (() => unknown)[] = [
    () => some(inner),
    () => Object.fromEntries(some(() => [key(), inner()])),
    () => new Map(some(() => [inner(), inner()])),
    () => new Set(some(inner)),
    () => Object.assign(new RangeError('far', { cause: inner() }), Object.fromEntries([['field', inner()]])),
    () => new TimeoutError('late', { cause: inner(), primitive: 'p' }),
    () => new AggregateError(some(inner), 'many'),
    () => Object.assign(new Array(3), { 1: 'x', extra: inner() }),
    () => made[Math.floor(random() * made.length)],
  ];
  const choices = depth > 0 && random() < 0.7 ? branches : leaves;
  const value = (choices[Math.floor(random() * choices.length)] as () => unknown)();
  if (value !== null && typeof value === 'object') made.push(value);
  return value;
}

/** Equal in every respect that we promise: kinds, prototypes, fields, and which parts are one and the same. */
function same(a: unknown, b: unknown, met = new Map<unknown, unknown>(), path = 'value'): unknown {
  if (a === null || typeof a !== 'object' || b === null || typeof b !== 'object') {
    if (!Object.is(a, b)) throw new Error(`${path}: ${String(a)} is not ${String(b)}`);
    return undefined;
  }
  if (met.has(a)) {
    if (met.get(a) !== b) throw new Error(`${path}: shared parts came apart`);
    return undefined;
  }
  met.set(a, b);
  expect(Object.getPrototypeOf(b), path).toBe(Object.getPrototypeOf(a));
  if (ArrayBuffer.isView(a) || a instanceof ArrayBuffer) return expect(b, path).toEqual(a);
  if (a instanceof Date) return expect((b as Date).getTime(), path).toBe(a.getTime());
  if (a instanceof RegExp) return expect(String(b), path).toBe(String(a));
  if (a instanceof Map) same([...a], [...(b as Map<unknown, unknown>)], met, `${path}<map>`);
  if (a instanceof Set) same([...a], [...(b as Set<unknown>)], met, `${path}<set>`);
  if (Array.isArray(a)) expect((b as unknown[]).length, path).toBe(a.length);
  expect(Object.getOwnPropertyNames(b).sort(), path).toEqual(Object.getOwnPropertyNames(a).sort());
  for (const key of Object.getOwnPropertyNames(a)) {
    same(Reflect.get(a, key), Reflect.get(b, key), met, `${path}.${key}`);
  }
}

describe.each(Object.entries(ways))('a value that goes by %s', (_, travel) => {
  it.each([1, 2, 3, 4, 5])('comes back as it was, whatever it is made of (seed %i)', (seed) => {
    const random = randomiser(seed);
    for (let round = 0; round < 300; round += 1) {
      const made: unknown[] = [];
      const value = randomValue(random, 4, made);
      same(value, travel(value));
    }
  });

  it('keeps cycles, through every kind of container', () => {
    const error = new Error('round', { cause: null });
    const value = { list: [] as unknown[], map: new Map<unknown, unknown>(), set: new Set<unknown>(), error };
    value.list.push(value);
    value.map.set(value, value.map);
    value.set.add(value.set);
    error.cause = value;
    same(value, travel(value));
  });

  it('keeps an error: class, name, message, stack, cause, errors and own fields, at any depth', () => {
    class Custom extends TypeError {
      readonly details = { deep: [new CancelledError('inner', { cause: new Error('root') })] };
    }
    const custom = new Custom('mine');
    const back = travel({ list: [new AggregateError([custom], 'all')] }) as { list: [AggregateError] };
    expect(back.list[0]).toBeInstanceOf(AggregateError);
    const got = back.list[0].errors[0] as Custom;
    expect(got).toBeInstanceOf(TypeError);
    expect([got.name, got.message, got.stack]).toEqual(['Custom', 'mine', custom.stack]);
    expect(got.details.deep[0]).toBeInstanceOf(CancelledError);
    expect(got.details.deep[0]).toBeInstanceOf(HeddleError);
    expect(got.details.deep[0]?.code).toBe('ERR_HEDDLE_CANCELLED');
    expect(got.details.deep[0]).toMatchObject({ cause: { message: 'root' } });
    expect(travel(new HeddleError('plain'))).toBeInstanceOf(HeddleError);
    const deadlock = travel(new DeadlockError('stuck', [{ waiter: 'a', waitsFor: 'b', heldBy: 'c' }]));
    expect(deadlock).toMatchObject({ cycle: [{ waiter: 'a', waitsFor: 'b', heldBy: 'c' }] });
  });

  it('keeps which fields of an error show, and makes nothing of a stack that is no string', () => {
    const error = Object.assign(new Error('mine', { cause: 1 }), { code: 7 });
    expect(Object.keys(travel(error) as Error)).toEqual(['code']);
    expect((travel(Object.assign(error, { stack: () => 1 })) as Error).stack).toBeUndefined();
  });

  it('leaves errors that are made later their stacks', () => {
    const before = Error.stackTraceLimit;
    travel(new Error('mine'));
    expect([before > 0, Error.stackTraceLimit]).toEqual([true, before]);
  });

  it('takes what was made in another realm for what it is there', () => {
    const made = `({ list: [1, { n: 1 }], map: new Map([[1, 2]]), set: new Set([1]), when: new Date(5), pattern: /a/g,
      bytes: new Uint8Array([1, 2]), view: new DataView(new ArrayBuffer(1)), buffer: new ArrayBuffer(2) })`;
    same(runInThisContext(made), travel(runInNewContext(made)));
    const error = travel(runInNewContext("new RangeError('there', { cause: [1] })")) as Error;
    expect([error instanceof RangeError, error.name, error.message]).toEqual([true, 'RangeError', 'there']);
    expect(error.cause).toEqual([1]);
  });

  it('takes an object without a prototype for a plain one, and an old-fashioned error for one', () => {
    same({ a: 1 }, travel(Object.assign(Object.create(null), { a: 1 })));
    function Old(this: Error) {
      this.message = 'old';
    }
    Old.prototype = Object.create(TypeError.prototype, { name: { value: 'Old' } });
    const error = travel(new (Old as unknown as new () => Error)()) as Error;
    expect([error instanceof TypeError, error.name, error.message]).toEqual([true, 'Old', 'old']);
  });

  it("keeps an abort's DOMException, and a class that takes a name of ours keeps to its own", () => {
    const abort = travel(AbortSignal.abort().reason) as DOMException;
    expect([abort instanceof DOMException, abort.name, abort.code]).toEqual([true, 'AbortError', 20]);
    const foreign = travel(new (class TimeoutError extends Error {})('not ours')) as Error;
    expect([foreign instanceof TimeoutError, foreign.name]).toEqual([false, 'TimeoutError']);
  });

  it('takes nothing of a user for a mark of its own', () => {
    const values = [
      { $ref: 0 },
      { $object: { $map: [] } },
      { '@heddle/portable': { root: 1 } },
      { $x: { $y: 1 } },
    ];
    for (const value of values) expect(travel(value)).toEqual(value);
  });

  it.each([
    ['a flat array', Object.assign(new Array(2), { 0: 1, extra: 2 })],
    ['an array that is a part', { list: Object.assign(new Array(3), { 1: {}, extra: 2, more: 3 }) }],
  ])('keeps holes apart from fields where %s has as many of both', (_, value) => {
    same(value, travel(value));
  });

  it('keeps a key __proto__ a key', () => {
    const back = travel(JSON.parse('{"a":{"__proto__":{"polluted":true}}}')) as { a: { polluted?: true } };
    expect(back.a.polluted).toBeUndefined();
    expect(Object.keys(back.a)).toEqual(['__proto__']);
  });
});

function transferred(): Record<string, unknown> {
  const buffer = new ArrayBuffer(8);
  const made = { buffer, view: new Uint8Array(buffer), node: Buffer.from(buffer) };
  structuredClone(buffer, { transfer: [buffer] });
  return made;
}
const gone = transferred();

describe.each([
  ['toPortable', (value: unknown) => toPortable(value, 'args')],
  ['encodeText', (value: unknown) => encodeText(value, 'args')],
])('%s', (_, send) => {
  it.each<[string, unknown, string]>([
    ['a function', [{ items: [1, 2, 3, { fn: () => 1 }] }], 'args[0].items[3].fn'],
    ['a function in a map', [new Map([['k', () => 1]])], 'args[0].get("k")'],
    ['a map key', [new Map([[Symbol('s'), 1]])], 'args[0].keys()[0]'],
    ['an item of a set', [new Set([new Odd()])], 'args[0].values()[0]'],
    ['a field of an error', [Object.assign(new Error('e'), { socket: new Odd() })], 'args[0].socket'],
    ['a cause', [new Error('e', { cause: () => 1 })], 'args[0].cause'],
    ['a key that is no name', { 'a b': new WeakMap() }, 'args["a b"]'],
    ['a promise', [Promise.resolve()], 'args[0]'],
    ['a class derived from Map', [new (class Ours extends Map {})()], 'args[0]'],
    ['a class derived from Array', [new (class Ours extends Array {})()], 'args[0]'],
    ['a symbol key', [{ [Symbol('s')]: 1 }], 'args[0]'],
    ['a field on a Date', [Object.assign(new Date(), { extra: 1 })], 'args[0]'],
    ['an object of the language', [Math], 'args[0]'],
    ['another', [{ json: JSON }], 'args[0].json'],
    ['a side of a lock', [new ReadWriteLock().read], 'args[0]'],
    ['a field on a view', [Object.assign(new Uint8Array(3), { extra: 1 })], 'args[0]'],
    ['a field on a Buffer', [Object.assign(Buffer.from('abc'), { extra: new Uint8Array(3) })], 'args[0]'],
    ['a field on an empty view', [Object.assign(new Float64Array(), { extra: [] })], 'args[0]'],
    ['a field on a DataView', [Object.assign(new DataView(new ArrayBuffer(1)), { extra: 1 })], 'args[0]'],
    ['a boxed primitive', [Object(1)], 'args[0]'],
    ['a message port', [new MessageChannel().port1], 'args[0]'],
    ['a symbol key of an array', [Object.assign([1], { [Symbol('s')]: 1 })], 'args[0]'],
    ['a symbol key of a short array that is all there is', Object.assign([1], { [Symbol('s')]: 1 }), 'args'],
    ['a symbol key of a Map', [Object.assign(new Map(), { [Symbol('s')]: 1 })], 'args[0]'],
    ['a symbol key of a view', [Object.assign(new Uint8Array(1), { [Symbol('s')]: 1 })], 'args[0]'],
    ['a function beside a hole', [Object.assign(new Array(2), { 1: { fn: () => 1 } })], 'args[0]["1"].fn'],
    ['a function beside items', [Object.assign([1], { extra: () => 1 })], 'args[0].extra'],
    ['an object made from another', [Object.create({ inherited: 1 })], 'args[0]'],
    ['a bare function', () => 1, 'args'],
    ['a bare symbol', Symbol('s'), 'args'],
    ['the value of a null key', [new Map([[null, () => 1]])], 'args[0].get(null)'],
    ['the value of a key that can not be shown', [new Map([[{}, () => 1]])], 'args[0].values()[0]'],
    ['a class derived from Set', [new (class Ours extends Set {})()], 'args[0]'],
    ['a class derived from Date', [new (class Ours extends Date {})()], 'args[0]'],
    ['a class derived from RegExp', [new (class Ours extends RegExp {})('a')], 'args[0]'],
    ['a class derived from ArrayBuffer', [new (class Ours extends ArrayBuffer {})(1)], 'args[0]'],
    ['a class derived from a view', [new (class Ours extends Uint8Array {})(1)], 'args[0]'],
    [
      'a class of the same name',
      [runInThisContext('new (class Map extends globalThis.Map {})()')],
      'args[0]',
    ],
    [
      'such a one of another realm',
      [runInNewContext('new (class Map extends globalThis.Map {})()')],
      'args[0]',
    ],
    ['a class of another realm', [runInNewContext('new (class Ours {})()')], 'args[0]'],
    ['an array of a derived class that is all there is', new (class Ours extends Array {})(), 'args'],
    ['bytes that were transferred', { bytes: gone.buffer }, 'args.bytes'],
    ['a view of such', { bytes: gone.view }, 'args.bytes'],
    ['a Buffer of such', { bytes: gone.node }, 'args.bytes'],
  ])('refuses %s and gives the path to it', (_, value, path) => {
    const refusal = (() => {
      try {
        send(value);
      } catch (error) {
        return error;
      }
      return undefined;
    })() as NotCloneableError;
    expect(refusal).toBeInstanceOf(NotCloneableError);
    expect(refusal.path).toBe(path);
    expect(refusal.message.startsWith(`${path} `)).toBe(true);
  });

  it('refuses what overflows the stack by name, and passes on what else reading it throws', () => {
    const overflow = (): unknown => [overflow()];
    const reading = (get: () => unknown) => () =>
      send({ at: Object.defineProperty({}, 'x', { get, enumerable: true }) });
    expect(reading(overflow)).toThrow(NotCloneableError);
    const [mine, other] = [new RangeError('mine'), new TypeError('call stack')];
    for (const error of [mine, other]) {
      expect(
        reading(() => {
          throw error;
        }),
      ).toThrow(error);
    }
  });

  it('refuses what is nested too deeply by name, instead of overflowing', () => {
    let chain: unknown = null;
    for (let n = 0; n < 200_000; n += 1) chain = { chain };
    expect(() => send(chain)).toThrow(NotCloneableError);
  });
});

/** A value within values, `depth` of them. */
const chainOf = (depth: number) => {
  let chain: object = { at: 0 };
  for (let at = 1; at <= depth; at += 1) chain = { at, chain };
  return chain;
};
const errorsOf = (depth: number) => {
  let error = new Error('0');
  for (let at = 1; at <= depth; at += 1) error = new Error(String(at), { cause: error });
  return error;
};

describe.each([
  [
    'portable',
    (value: unknown, lenient: boolean) =>
      fromPortable(structuredClone(toPortable(value, 'value', { lenient }))),
  ],
  ['text', (value: unknown, lenient: boolean) => decodeText(encodeText(value, 'value', { lenient }))],
])('what is nested deeply (%s)', (_, travel) => {
  it('travels up to a depth that whoever reads it can stand, whatever the stack of who writes it', () => {
    expect(travel(chainOf(DEEPEST), false)).toMatchObject({ at: DEEPEST });
    expect(() => travel(chainOf(DEEPEST + 1), false)).toThrow(NotCloneableError);
    expect(travel(errorsOf(DEEPEST / 2), false)).toMatchObject({ message: String(DEEPEST / 2) });
    expect(() => travel(errorsOf(DEEPEST / 2 + 1), false)).toThrow(/nested too deeply.*500/);
  });

  it('ends in a NotCloneableError where it is told leniently', () => {
    let last = travel(errorsOf(DEEPEST), true) as Error;
    for (let at = 0; at <= DEEPEST / 2; at += 1) last = last.cause as Error;
    expect(last).toBeInstanceOf(NotCloneableError);
    const shared = { n: 1 };
    const back = travel([{ [Symbol('key')]: 1 }, shared, shared], true) as unknown[];
    expect(back).toEqual([expect.any(NotCloneableError), shared, shared]);
    expect(back[2]).toBe(back[1]);
  });
});

describe('a lenient walk', () => {
  it.each<[string, (error: Error) => unknown]>([
    ['portable', (error) => fromPortable(structuredClone(toPortable(error, 'error', { lenient: true })))],
    ['text', (error) => decodeText(encodeText(error, 'error', { lenient: true }))],
  ])('puts a NotCloneableError where something cannot travel (%s)', (_, travel) => {
    const back = travel(Object.assign(new Error('kept'), { handler: () => 1, list: [new Odd()], n: 1 }));
    expect(back).toMatchObject({ message: 'kept', n: 1 });
    const { handler, list } = back as unknown as { handler: NotCloneableError; list: NotCloneableError[] };
    expect([handler.path, list[0]?.path]).toEqual(['error.handler', 'error.list[0]']);
    expect(list[0]).toBeInstanceOf(NotCloneableError);
  });
});

describe('bytes', () => {
  it.each([cloned, written])(
    'keeps views of one buffer together, and brings no more of a buffer than is shown',
    (travel) => {
      const buffer = new ArrayBuffer(8);
      const value = travel({ buffer, bytes: new Uint8Array(buffer), words: new Uint32Array(buffer) }) as {
        buffer: ArrayBuffer;
        bytes: Uint8Array;
        words: Uint32Array;
      };
      value.bytes[0] = 7;
      expect(value.words[0]).toBe(7);
      expect(value.words.buffer).toBe(value.buffer);
      const part = travel(new Uint8Array(1000).subarray(10, 12)) as Uint8Array;
      expect(part.buffer.byteLength).toBe(2);
    },
  );
});

describe('between threads', () => {
  it('sends a handle in the place of what can be shared, and attaches it on the other side', () => {
    const shared = new Odd();
    const sent = toPortable([{ lock: shared }, shared], 'args', {
      share: (x) => (x === shared ? { id: 7 } : undefined),
    });
    const back = fromPortable(structuredClone(sent), { attach: (handle) => ({ attached: handle }) });
    expect(back).toEqual([{ lock: { attached: { id: 7 } } }, { attached: { id: 7 } }]);
  });

  it('lets shared memory through, which stays shared, and refuses it as text', () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const back = cloned({ words }) as { words: Int32Array };
    words[0] = 5;
    expect(back.words[0]).toBe(5);
    expect(() => encodeText({ words }, 'args')).toThrow(NotCloneableError);
  });

  it('puts numbers in the place of shared memory where bytes alone go, also in handles', () => {
    const [first, second] = [new SharedArrayBuffer(16), new SharedArrayBuffer(8)];
    const memories: SharedArrayBuffer[] = [];
    const numberOf = (memory: SharedArrayBuffer) => memories.push(memory) - 1;
    const odd = new Odd();
    const value = {
      whole: first,
      again: first,
      part: new Int16Array(first, 4, 3),
      bytes: Buffer.from(first, 2, 5),
      view: new DataView(second, 1, 6),
    };
    const share = (x: object) => (x === odd ? { memory: second } : undefined);
    const sent = toPortable({ ...value, odd }, 'item', { numberOf, share });
    const back = fromPortable(deserialize(serialize(sent)), {
      attach: (handle) => ({ attached: handle }),
      memoryOf: (number) => memories[number] as SharedArrayBuffer,
    }) as typeof value & { odd: unknown };
    expect(back.whole).toBe(first);
    expect(back.again).toBe(first);
    for (const key of ['part', 'bytes', 'view'] as const) {
      const [was, is] = [value[key], back[key]];
      expect(Object.getPrototypeOf(is)).toBe(Object.getPrototypeOf(was));
      expect([is.byteOffset, is.byteLength]).toEqual([was.byteOffset, was.byteLength]);
      expect(is.buffer).toBe(was.buffer);
    }
    expect(back.odd).toEqual({ attached: { memory: second } });
    expect((back.odd as { attached: { memory: unknown } }).attached.memory).toBe(second);
  });

  it('leaves alone what is to be transferred', () => {
    const { port1 } = new MessageChannel();
    const buffer = new ArrayBuffer(4);
    const view = new Uint8Array(buffer);
    const sent = toPortable({ port1, view }, 'args', {
      transfer: new Set<object>([port1, buffer]),
    }) as object;
    expect(sent).toEqual({ port1, view });
    expect(Reflect.get(sent, 'view')).toBe(view);
    port1.close();
  });

  it('takes a snapshot', () => {
    const value = { list: [1], bytes: new Uint8Array([1]) };
    const sent = toPortable(value, 'value');
    value.list.push(2);
    value.bytes[0] = 9;
    expect(fromPortable(structuredClone(sent))).toEqual({ list: [1], bytes: new Uint8Array([1]) });
  });
});

describe('decodeText', () => {
  it.each([
    '',
    'nonsense',
    '{"$ref":0}',
    '{"$ref":"x"}',
    '[{"$ref":9}]',
    '{"$unknown":1}',
    '{"$number":"0x10"}',
    '{"$bigint":"1.5"}',
    '{"$date":5}',
    '{"$regexp":["(((","g"]}',
    '{"$map":[1]}',
    '{"$set":{}}',
    '{"$view":["Uint8Array",{"$date":null}]}',
    '{"$view":["Process",{"$bytes":""}]}',
    '{"$view":["Float64Array",{"$bytes":"AAA="}]}',
    '{"$array":[-1,{}]}',
    '{"$array":["2",{}]}',
    '{"$array":[2,[1]]}',
    '{"$object":[1]}',
    '{"$object":null}',
    '{"$map":["ab"]}',
    '{"$error":"x"}',
    '{"$error":{"name":"x"}}',
    '['.repeat(100_000) + ']'.repeat(100_000),
  ])('refuses malformed text: %.40s', (text) => {
    const refusal = (() => {
      try {
        return decodeText(text);
      } catch (error) {
        return error;
      }
    })() as HeddleError;
    expect(refusal).toBeInstanceOf(HeddleError);
    expect(refusal.code).toBe('ERR_HEDDLE_MALFORMED_VALUE');
  });

  it('refuses what is no text', () => {
    expect(() => decodeText(5 as never)).toThrow(TypeError);
  });

  it('reads data only: an error of a class it does not know is an Error of that name', () => {
    const text =
      '{"$error":{"class":"Function","name":"Function","message":"m","stack":null,"fields":[["__proto__",true,{"x":1}]]}}';
    const error = decodeText(text) as Error;
    expect(Object.getPrototypeOf(error)).toBe(Error.prototype);
    expect([error.name, Object.keys(error)]).toEqual(['Function', ['__proto__']]);
  });

  it('is JSON for people to read', () => {
    expect(encodeText([{ a: 1, when: new Date(0) }, undefined], 'args')).toBe(
      '[{"a":1,"when":{"$date":"1970-01-01T00:00:00.000Z"}},{"$undefined":true}]',
    );
  });
});

it('tells what to pass in place of a side of a lock', () => {
  expect(() => toPortable([new ReadWriteLock().write], 'args')).toThrow(
    'args[0] is a side of a ReadWriteLock; pass the ReadWriteLock, and take the side over there',
  );
});

it.each<[string, () => unknown, string]>([
  [
    'a function',
    () => toPortable(function named() {}, 'a'),
    'a is a function (named); code does not travel, pass data',
  ],
  ['one without a name', () => toPortable(() => {}, 'a'), 'a is a function; code does not travel, pass data'],
  ['a symbol', () => toPortable(Symbol('s'), 'a'), 'a is a symbol (Symbol(s)); pass a string'],
  ['a promise', () => toPortable(Promise.resolve(), 'a'), 'a is a Promise; await it first'],
  [
    'a Proxy',
    () => toPortable(new Proxy(new Odd(), {}), 'a'),
    'a is a Proxy of something that cannot travel; pass plain data',
  ],
  ['an object of the language', () => toPortable(Math, 'a'), 'a is Math; each side has its own'],
  [
    'a symbol key',
    () => toPortable({ [Symbol('s')]: 1 }, 'a'),
    'a has a symbol key (Symbol(s)); use a string',
  ],
  [
    'bytes that were transferred',
    () => toPortable(gone.buffer, 'a'),
    'a is a detached ArrayBuffer: its bytes were transferred before, and nothing is left of them',
  ],
  [
    'a view with fields',
    () => toPortable(Object.assign(new Uint8Array(1), { n: 1 }), 'a'),
    'a is a Uint8Array with fields of its own, which would be lost; pass them beside it',
  ],
  [
    'an instance of a class',
    () => toPortable(new Odd(), 'a'),
    'a is an instance of Odd; pass its data as a plain object, and make one of it on the other side',
  ],
  [
    'one of a class without a name',
    () => toPortable(new (class {})(), 'a'),
    'a is an instance of an unnamed class; pass its data as a plain object, and make one of it on the other side',
  ],
  [
    'a local primitive that is to leave its process',
    () => encodeText({ lock: new Lock() }, 'item'),
    'item.lock is a local Lock, which never leaves its process; use one of the session',
  ],
  [
    'a local primitive of a subclass',
    () => toPortable([new (class Latched extends Lock {})()], 'args', { share: shareTravelling }),
    'args[0] is of a subclass of Lock, and would arrive without what that adds; pass a Lock',
  ],
  [
    'shared memory that is to leave its process',
    () => encodeText([new Uint8Array(new SharedArrayBuffer(1))], 'item'),
    'item[0] is shared memory, which never leaves its process; pass a copy of what is in it',
  ],
])('tells what to do instead of passing %s', (_, pass, message) => {
  expect(pass).toThrow(new NotCloneableError(message, message.split(' ')[0] ?? ''));
});
