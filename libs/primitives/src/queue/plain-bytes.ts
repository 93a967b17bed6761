/**
 * Small plain items as bytes, and back: what most queues carry, in a tenth of the time that V8's serializer takes to be
 * set up. Strings, numbers, booleans, null, undefined, and plain objects and arrays of these; whatever else an item
 * holds, or more than `ROOM` bytes, or one object in two places, is left to V8.
 *
 * An item is `MARK`, which no item of V8's begins with, and a value: a tag and what belongs to it. All numbers are
 * little-endian. An object is `OBJECT`, its shape (how many bytes the shape has, how many keys; each key's length and
 * its Latin-1), and its values in the order of the keys; of an object that is the item they begin at a whole word. Both
 * sides remember the shapes they have met.
 */
const MARK = 1;
const ROOM = 2048;

const UNDEFINED = 0;
const NULL = 1;
const FALSE = 2;
const TRUE = 3;
const INTEGER = 4;
const DOUBLE = 5;
const LATIN = 6;
const WIDE = 7;
const ARRAY = 8;
const OBJECT = 9;

/** The most elements of an array, and objects within one item. */
const MANY = 32;
/** Up to so many characters of Latin-1 are sooner put together one by one than asked for. */
const SHORT = 12;
/** How many shapes each side remembers. */
const SHAPES = 16;

interface Shape {
  readonly keys: readonly string[];
  readonly bytes: Uint8Array;
  /** An item of that shape up to its values, in words. */
  readonly head: Int32Array;
}

/** What `writePlain` wrote. */
export const written: Uint8Array = new Uint8Array(ROOM);
export const writtenWords: Int32Array = new Int32Array(written.buffer);
const out = new DataView(written.buffer);

/** What `readPlain` reads. */
export const toRead: Buffer = Buffer.alloc(ROOM);
export const toReadWords: Int32Array = new Int32Array(toRead.buffer, toRead.byteOffset, ROOM / 4);
const source = new DataView(toRead.buffer, toRead.byteOffset, ROOM);

/** Where the writer and the reader are. */
let to = 0;
let from = 0;
/** A getter of an item may put another one meanwhile: that goes V8's way. */
let writing = false;
let root: object | undefined;
const within: object[] = [];

/** Writes an item to `written`: how many bytes; 0 for one that is left to V8. */
export function writePlain(item: unknown): number {
  if (writing) return 0;
  writing = true;
  written[0] = MARK;
  to = 1;
  try {
    return append(item) ? to : 0;
  } finally {
    writing = false;
    root = undefined;
    if (within.length > 0) within.length = 0;
  }
}

/** Whether an item that begins with this byte is `writePlain`'s. */
export function isPlain(first: number | undefined): boolean {
  return first === MARK;
}

/** The item at the start of `toRead`. */
export function readPlain(): unknown {
  from = 1;
  return read();
}

function append(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return appendString(value);
    case 'number':
      return appendNumber(value);
    case 'boolean':
      return appendTag(value ? TRUE : FALSE);
    case 'undefined':
      return appendTag(UNDEFINED);
    case 'object':
      return value === null ? appendTag(NULL) : appendObject(value);
    default:
      return false;
  }
}

function appendTag(tag: number): boolean {
  if (to >= ROOM) return false;
  written[to] = tag;
  to += 1;
  return true;
}

function appendNumber(value: number): boolean {
  if (to + 9 > ROOM) return false;
  if ((value | 0) === value && (value !== 0 || 1 / value > 0)) {
    written[to] = INTEGER;
    out.setInt32(to + 1, value, true);
    to += 5;
    return true;
  }
  written[to] = DOUBLE;
  out.setFloat64(to + 1, value, true);
  to += 9;
  return true;
}

function appendString(value: string): boolean {
  const { length } = value;
  if (to + 3 + length > ROOM) return false;
  const start = to + 3;
  for (let at = 0; at < length; at += 1) {
    const unit = value.charCodeAt(at);
    if (unit > 255) return appendWide(value);
    written[start + at] = unit;
  }
  written[to] = LATIN;
  out.setUint16(to + 1, length, true);
  to = start + length;
  return true;
}

function appendWide(value: string): boolean {
  const { length } = value;
  if (to + 3 + 2 * length > ROOM) return false;
  written[to] = WIDE;
  out.setUint16(to + 1, length, true);
  for (let at = 0; at < length; at += 1) out.setUint16(to + 3 + 2 * at, value.charCodeAt(at), true);
  to += 3 + 2 * length;
  return true;
}

function appendObject(value: object): boolean {
  if (root === undefined) root = value;
  else {
    if (value === root || within.length === MANY || within.includes(value)) return false;
    within.push(value);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return appendFields(value as Record<string, unknown>);
  return Array.isArray(value) && prototype === Array.prototype && appendElements(value);
}

function appendFields(value: Record<string, unknown>): boolean {
  if (Object.getOwnPropertySymbols(value).length > 0) return false;
  const shape = shapeOf(Object.keys(value));
  if (shape === undefined || to + 1 + shape.bytes.length > ROOM) return false;
  const { keys, bytes, head } = shape;
  if (to === 1) {
    for (let at = 0; at < head.length; at += 1) writtenWords[at] = head[at] as number;
    to = 4 * head.length;
  } else {
    written[to] = OBJECT;
    to += 1;
    for (let at = 0; at < bytes.length; at += 1) written[to + at] = bytes[at] as number;
    to += bytes.length;
  }
  for (let at = 0; at < keys.length; at += 1) if (!append(value[keys[at] as string])) return false;
  return true;
}

function appendElements(value: readonly unknown[]): boolean {
  const { length } = value;
  if (length > MANY || Object.keys(value).length !== length || to + 2 > ROOM) return false;
  written[to] = ARRAY;
  written[to + 1] = length;
  to += 2;
  for (let at = 0; at < length; at += 1) if (!append(value[at])) return false;
  return true;
}

const writers: Shape[] = [];
let oldestWriter = 0;

function shapeOf(keys: readonly string[]): Shape | undefined {
  for (let at = 0; at < writers.length; at += 1) {
    const shape = writers[at] as Shape;
    if (sameKeys(shape.keys, keys)) return shape;
  }
  const bytes = shapeBytes(keys);
  if (bytes === undefined) return undefined;
  const made = { keys, bytes, head: headOf(bytes) };
  writers[oldestWriter] = made;
  oldestWriter = (oldestWriter + 1) % SHAPES;
  return made;
}

function sameKeys(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}

/** `undefined` where it would be too long, or a key would not be an ordinary one on the other side. */
function shapeBytes(keys: readonly string[]): Uint8Array | undefined {
  const bytes = [0, keys.length];
  for (const key of keys) {
    const units = Array.from({ length: key.length }, (_, at) => key.charCodeAt(at));
    if (key === '__proto__' || units.some((unit) => unit > 255)) return undefined;
    bytes.push(key.length, ...units);
  }
  if (bytes.length > 255) return undefined;
  bytes[0] = bytes.length;
  return Uint8Array.from(bytes);
}

function headOf(shape: Uint8Array): Int32Array {
  const head = new Int32Array((2 + shape.length + 3) >>> 2);
  const bytes = new Uint8Array(head.buffer);
  bytes.set([MARK, OBJECT]);
  bytes.set(shape, 2);
  return head;
}

function read(): unknown {
  const tag = toRead[from];
  from += 1;
  switch (tag) {
    case NULL:
      return null;
    case FALSE:
      return false;
    case TRUE:
      return true;
    case INTEGER:
      from += 4;
      return source.getInt32(from - 4, true);
    case DOUBLE:
      from += 8;
      return source.getFloat64(from - 8, true);
    case LATIN:
    case WIDE:
      return readString(tag === WIDE);
    case ARRAY:
      return readElements();
    case OBJECT:
      return readFields();
    default:
      return undefined;
  }
}

function readString(wide: boolean): string {
  const length = source.getUint16(from, true);
  const start = from + 2;
  from = start + (wide ? 2 * length : length);
  if (wide) return toRead.toString('utf16le', start, from);
  return length > SHORT ? toRead.toString('latin1', start, from) : shortText(start, from);
}

function shortText(start: number, end: number): string {
  let text = '';
  let at = start;
  for (; at + 4 <= end; at += 4) {
    text += String.fromCharCode(
      toRead[at] as number,
      toRead[at + 1] as number,
      toRead[at + 2] as number,
      toRead[at + 3] as number,
    );
  }
  for (; at < end; at += 1) text += String.fromCharCode(toRead[at] as number);
  return text;
}

function readElements(): unknown[] {
  const length = toRead[from] as number;
  from += 1;
  const elements: unknown[] = [];
  for (let at = 0; at < length; at += 1) elements.push(read());
  return elements;
}

function readFields(): Record<string, unknown> {
  const { keys, bytes, head } = readShape();
  from = from === 2 ? 4 * head.length : from + bytes.length;
  const fields: Record<string, unknown> = {};
  for (let at = 0; at < keys.length; at += 1) fields[keys[at] as string] = read();
  return fields;
}

const readers: Shape[] = [];
let oldestReader = 0;

function readShape(): Shape {
  for (let at = 0; at < readers.length; at += 1) {
    const shape = readers[at] as Shape;
    if (from === 2 ? standsAtFirst(shape.head) : standsThere(shape.bytes)) return shape;
  }
  const bytes = Uint8Array.from(toRead.subarray(from, from + (toRead[from] as number)));
  const keys: string[] = [];
  for (let at = 2; at < bytes.length; at += 1 + (bytes[at] as number)) {
    keys.push(toRead.toString('latin1', from + at + 1, from + at + 1 + (bytes[at] as number)));
  }
  const made = { keys, bytes, head: headOf(bytes) };
  readers[oldestReader] = made;
  oldestReader = (oldestReader + 1) % SHAPES;
  return made;
}

function standsThere(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) if (toRead[from + at] !== bytes[at]) return false;
  return true;
}

function standsAtFirst(head: Int32Array): boolean {
  for (let at = 0; at < head.length; at += 1) if (toReadWords[at] !== head[at]) return false;
  return true;
}
