/**
 * What may travel, said once for every way of travelling: by structured clone between threads, as text through
 * Redis. Whatever has no kind here is refused by name; nothing is flattened into a plain object on the way.
 */
import { inspect, types } from 'node:util';
import { MEMORY, Memory, WHOLE } from '../shared-memory/memory.ts';

export type Kind =
  | 'array'
  | 'object'
  | 'map'
  | 'set'
  | 'date'
  | 'regexp'
  | 'error'
  | 'buffer' // Node's own Buffer, which arrives as one
  | 'view'
  | 'bytes' // ArrayBuffer
  | 'shared' // SharedArrayBuffer, or a view of one
  | 'other';

/** The views of an ArrayBuffer, by name; those this Node does not have are left out. */
export const VIEWS: ReadonlyMap<string, new (buffer: ArrayBufferLike) => ArrayBufferView> = new Map(
  [
    'Int8Array',
    'Uint8Array',
    'Uint8ClampedArray',
    'Int16Array',
    'Uint16Array',
    'Int32Array',
    'Uint32Array',
    'Float16Array',
    'Float32Array',
    'Float64Array',
    'BigInt64Array',
    'BigUint64Array',
    'DataView',
  ].flatMap((name) => {
    const view: unknown = Reflect.get(globalThis, name);
    return typeof view === 'function'
      ? [[name, view as new (buffer: ArrayBufferLike) => ArrayBufferView]]
      : [];
  }),
);

/** What kind of traveller an object is. Instances of classes, also of those derived from built-in ones, are `other`. */
export function kindOf(value: object): Kind {
  const prototype: object | null = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return isOfTheLanguage(value) ? 'other' : 'object';
  if (prototype === null) return 'object';
  if (Array.isArray(value))
    return isOf(prototype, Array) && symbolKey(value) === undefined ? 'array' : 'other';
  if (value instanceof Error || types.isNativeError(value)) return 'error';
  return builtInKind(value, prototype);
}

function builtInKind(value: object, prototype: object): Kind {
  if (types.isMap(value)) return isOf(prototype, Map) ? bare(value, 'map') : 'other';
  if (types.isSet(value)) return isOf(prototype, Set) ? bare(value, 'set') : 'other';
  if (types.isDate(value)) return isOf(prototype, Date) ? bare(value, 'date') : 'other';
  if (types.isRegExp(value)) return isOf(prototype, RegExp) ? bare(value, 'regexp') : 'other';
  if (ArrayBuffer.isView(value)) return viewKind(value, prototype);
  if (types.isArrayBuffer(value))
    return isOf(prototype, ArrayBuffer) && !isDetached(value) ? bare(value, 'bytes') : 'other';
  if (types.isSharedArrayBuffer(value))
    return isOf(prototype, SharedArrayBuffer) ? bare(value, 'shared') : 'other';
  return isOf(prototype, Object) && Object.getPrototypeOf(prototype) === null ? 'object' : 'other';
}

function viewKind(value: ArrayBufferView, prototype: object): Kind {
  if (isDetached(value) || hasFields(value)) return 'other';
  const shared = types.isSharedArrayBuffer(value.buffer);
  if (Buffer.isBuffer(value) && prototype === Buffer.prototype) return shared ? 'shared' : 'buffer';
  const view = VIEWS.get(viewName(value));
  return view !== undefined && isOf(prototype, view) ? (shared ? 'shared' : 'view') : 'other';
}

/** How Node shows a view: its items counted, its fields by name. */
const FIELDS_ONLY = {
  maxArrayLength: 0,
  depth: 0,
  customInspect: false,
  compact: true,
  breakLength: Infinity,
};
const NO_FIELDS = /^[^[]*(\[Uint8Array\] )?\[( \.\.\. \d+ more items? )?\]$/;

/**
 * Whether fields were hung on a view. Its keys would tell, but are all its indices too, 60 ms for a million; `inspect`
 * goes past them.
 */
function hasFields(view: ArrayBufferView): boolean {
  if (types.isDataView(view)) return Object.keys(view).length > 0;
  return !NO_FIELDS.test(inspect(view, FIELDS_ONLY));
}

/** The class of a view, whatever its prototype has been made to say. */
export function viewName(value: ArrayBufferView): string {
  return types.isDataView(value) ? 'DataView' : String(Reflect.get(value, Symbol.toStringTag));
}

/** A prototype of that very class, of this realm or of another (`node:vm`); not one derived from it. */
function isOf(prototype: object, built: abstract new (...args: never) => unknown): boolean {
  if (prototype === built.prototype) return true;
  const maker: unknown = Object.hasOwn(prototype, 'constructor')
    ? Reflect.get(prototype, 'constructor')
    : undefined;
  return typeof maker === 'function' && maker !== built && maker.name === built.name && isNative(maker);
}

function isNative(maker: object): boolean {
  return Function.prototype.toString.call(maker).includes('[native code]');
}

/** Bytes that were transferred to another thread, or a view of them. */
function isDetached(value: object): boolean {
  const buffer = ArrayBuffer.isView(value) ? value.buffer : value;
  return types.isArrayBuffer(buffer) && buffer.detached;
}

/** What would travel, were it not for its own fields. */
function losesFields(value: object): boolean {
  return ArrayBuffer.isView(value) && hasFields(value);
}

/** Fields hung on a Map, a Date … would be lost on the way: such a one does not travel. */
function bare(value: object, kind: Kind): Kind {
  return Object.keys(value).length === 0 && symbolKey(value) === undefined ? kind : 'other';
}

/** Whether these are the keys of an array that has no holes, and no fields besides its items: indices come first, in order. */
export function isDense(array: readonly unknown[], keys: readonly string[]): boolean {
  const { length } = array;
  return keys.length === length && (length === 0 || keys[length - 1] === String(length - 1));
}

/** An enumerable symbol key would be lost silently. */
export function symbolKey(value: object): symbol | undefined {
  const symbols = Object.getOwnPropertySymbols(value);
  return symbols.length === 0
    ? undefined
    : symbols.find((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol));
}

/** The kind of the primitive that this is a part of. */
function sideOf(value: object): string | undefined {
  const whole: unknown = Reflect.get(value, WHOLE);
  return whole instanceof Memory ? whole.kind : undefined;
}

/** Why a local primitive may not travel: out of its process, or as one of a subclass. */
function primitiveRefusal(value: object): string | undefined {
  const memory: unknown = Reflect.get(value, MEMORY);
  if (!(memory instanceof Memory)) return undefined;
  const { kind } = memory;
  return className(value) === kind
    ? `is a local ${kind}, which never leaves its process; use one of the session`
    : `is of a subclass of ${kind}, and would arrive without what that adds; pass a ${kind}`;
}

/** `Math`, `JSON`, `Atomics` and their like: plain objects by their prototype, of which nothing would arrive. */
function isOfTheLanguage(value: object): boolean {
  return Object.hasOwn(value, Symbol.toStringTag) && !Object.keys(value).length;
}

/** What to tell about one that may not travel, and what to do instead. */
export function refusal(value: unknown): string {
  if (typeof value === 'function')
    return `is a function${value.name ? ` (${value.name})` : ''}; code does not travel, pass data`;
  if (typeof value === 'symbol') return `is a symbol (${String(value)}); pass a string`;
  if (value === null || typeof value !== 'object') return `is a ${typeof value}`;
  if (types.isPromise(value)) return 'is a Promise; await it first';
  if (types.isProxy(value)) return 'is a Proxy of something that cannot travel; pass plain data';
  if (isOfTheLanguage(value)) return `is ${Reflect.get(value, Symbol.toStringTag)}; each side has its own`;
  const whole = sideOf(value);
  if (whole !== undefined) return `is a side of a ${whole}; pass the ${whole}, and take the side over there`;
  const primitive = primitiveRefusal(value);
  if (primitive !== undefined) return primitive;
  if (kindOf(value) === 'shared')
    return 'is shared memory, which never leaves its process; pass a copy of what is in it';
  if (symbolKey(value) !== undefined) return `has a symbol key (${String(symbolKey(value))}); use a string`;
  const made = className(value);
  if (isDetached(value))
    return `is a detached ${made}: its bytes were transferred before, and nothing is left of them`;
  if (losesFields(value))
    return `is a ${made} with fields of its own, which would be lost; pass them beside it`;
  return `is an instance of ${made}; pass its data as a plain object, and make one of it on the other side`;
}

function className(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  const maker: unknown = prototype === null ? undefined : Reflect.get(value, 'constructor');
  return typeof maker === 'function' && maker.name !== '' ? maker.name : 'an unnamed class';
}
