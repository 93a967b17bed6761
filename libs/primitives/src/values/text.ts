/**
 * Values as text, for Redis: JSON, in which an object with a single key that begins with `$` stands for what JSON
 * has no word for: `{"$date":"2026-01-01T00:00:00.000Z"}`, `{"$map":[["a",1]]}`, `{"$undefined":true}`. A user's own
 * object of that form is wrapped as `{"$object":{…}}`. An object met again is `{"$ref":n}`, n being its number in
 * the order in which objects begin in the text; so cycles and shared parts come back as they were.
 */
import { HeddleError, type NotCloneableError, show, typeError } from '../errors.ts';
import { addFields, putTogether, takeApart } from './error-record.ts';
import { isDense, kindOf, symbolKey, VIEWS, viewName } from './kinds.ts';
import { bytesOf, put } from './portable.ts';
import { DEEPEST, mapStep, Walk, type WalkOptions } from './walk.ts';

/** What the walk makes and `JSON.stringify` writes. */
type Node = null | boolean | number | string | readonly Node[] | { [key: string]: Node };

/**
 * `value` as one line of text that `decodeText` reads; `where` starts the path in errors (`args`, `item`, …).
 * @throws NotCloneableError with the path to the part that can't travel.
 */
export function encodeText(value: unknown, where: string, options: WalkOptions = {}): string {
  return new Encoder(where, options).text(value);
}

/**
 * The value that `encodeText` wrote.
 * @throws HeddleError (`ERR_HEDDLE_MALFORMED_VALUE`) where the text is not of that form. The text is only ever data:
 * it names no class beyond errors, runs nothing, and a key `__proto__` stays a key.
 */
export function decodeText(text: string): unknown {
  if (typeof text !== 'string') throw typeError(`decodeText: text must be a string, not ${show(text)}`);
  try {
    return new Decoder().value(JSON.parse(text) as Node);
  } catch (error) {
    if (error instanceof HeddleError) throw error;
    throw malformed(error instanceof Error ? error.message : String(error), error);
  }
}

function malformed(reason: string, cause?: unknown): HeddleError {
  return new HeddleError(
    `a value from Redis cannot be read (${reason}); it was not written by Heddle, or by a newer version of it`,
    'ERR_HEDDLE_MALFORMED_VALUE',
    { cause },
  );
}

class Encoder extends Walk {
  private readonly seen = new Map<object, number>();

  text(value: unknown): string {
    return this.guarded(() => JSON.stringify(this.node(value, 0)));
  }

  private node(value: unknown, depth: number): Node {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value;
      case 'number':
        if (Number.isFinite(value) && !Object.is(value, -0)) return value;
        return { $number: Object.is(value, -0) ? '-0' : String(value) };
      case 'undefined':
        return { $undefined: true };
      case 'bigint':
        return { $bigint: String(value) };
      case 'object':
        return value === null ? null : this.object(value, depth);
      default:
        return this.refused(value, depth);
    }
  }

  private object(value: object, depth: number): Node {
    const met = this.seen.get(value);
    if (met !== undefined) return { $ref: met };
    if (depth > DEEPEST) return this.instead(this.tooDeep(), value, depth);
    const kind = kindOf(value);
    if (kind !== 'other' && kind !== 'shared') this.seen.set(value, this.seen.size);
    switch (kind) {
      case 'object':
        return this.plain(value as Record<string, unknown>, depth);
      case 'array':
        return this.array(value as unknown[], depth);
      case 'map':
        return this.map(value as Map<unknown, unknown>, depth);
      case 'set':
        return this.set(value as Set<unknown>, depth);
      case 'date':
        return { $date: Number.isNaN((value as Date).getTime()) ? null : (value as Date).toISOString() };
      case 'regexp':
        return { $regexp: [(value as RegExp).source, (value as RegExp).flags] };
      case 'error':
        return this.error(value as Error, depth);
      case 'bytes':
        return { $bytes: Buffer.from(value as ArrayBuffer).toString('base64') };
      case 'buffer':
        return { $buffer: (value as Buffer).toString('base64') };
      case 'view':
        return {
          $view: [viewName(value as ArrayBufferView), this.node(bytesOf(value as ArrayBufferView), depth)],
        };
      case 'shared':
      case 'other':
        return this.shareOrRefuse(value, depth);
    }
  }

  private plain(value: Record<string, unknown>, depth: number): Node {
    if (symbolKey(value) !== undefined) return this.refused(value, depth);
    const keys = Object.keys(value);
    const node = this.fields(value, keys, depth);
    return keys.length === 1 && keys[0]?.startsWith('$') === true ? { $object: node } : node;
  }

  private fields(value: object, keys: readonly string[], depth: number): { [key: string]: Node } {
    const node: { [key: string]: Node } = {};
    for (const key of keys) {
      this.path[depth] = key;
      put(node, key, this.node(Reflect.get(value, key), depth + 1));
    }
    return node;
  }

  private array(value: unknown[], depth: number): Node {
    const keys = Object.keys(value);
    if (!isDense(value, keys)) return { $array: [value.length, this.fields(value, keys, depth)] };
    return value.map((item, index) => {
      this.path[depth] = index;
      return this.node(item, depth + 1);
    });
  }

  private map(value: Map<unknown, unknown>, depth: number): Node {
    const entries: Node[] = [];
    for (const [key, item] of value) {
      this.path[depth] = { shown: `.keys()[${entries.length}]` };
      const keyNode = this.node(key, depth + 1);
      this.path[depth] = mapStep(key, entries.length);
      entries.push([keyNode, this.node(item, depth + 1)]);
    }
    return { $map: entries };
  }

  private set(value: Set<unknown>, depth: number): Node {
    const items: Node[] = [];
    for (const item of value) {
      this.path[depth] = { shown: `.values()[${items.length}]` };
      items.push(this.node(item, depth + 1));
    }
    return { $set: items };
  }

  private error(error: Error, depth: number): Node {
    if (depth > DEEPEST / 2) return this.instead(this.tooDeep(), error, depth);
    return this.record(error, depth);
  }

  private record(error: Error, depth: number): Node {
    // The fields are met in the order in which `takeApart` goes, and stand in that order in the text.
    const fields: Node[] = [];
    const {
      class: known,
      name,
      message,
      stack,
    } = takeApart(error, (field, key) => {
      this.path[depth] = key;
      const shown = Object.prototype.propertyIsEnumerable.call(error, key);
      fields.push([key, shown, this.node(field, depth + 1)]);
      return undefined;
    });
    return { $error: { class: known, name, message, stack: stack ?? null, fields } };
  }

  private shareOrRefuse(value: object, depth: number): Node {
    const handle = this.options.share?.(value);
    return handle === undefined ? this.refused(value, depth) : this.node(handle, depth);
  }

  private refused(value: unknown, depth: number): Node {
    return this.instead(this.refuse(value, depth), value, depth);
  }

  /** It has the number that `value` may have been given: objects are numbered as they are read. */
  private instead(refusal: NotCloneableError, value: unknown, depth: number): Node {
    if (this.options.lenient !== true) throw refusal;
    this.seen.delete(value as object);
    this.seen.set(refusal, this.seen.size);
    return this.record(refusal, depth);
  }
}

/** How each tag is read; a tag that is not here makes the text malformed. */
const TAGS: ReadonlyMap<string, (decoder: Decoder, node: Node) => unknown> = new Map<
  string,
  (decoder: Decoder, node: Node) => unknown
>([
  ['$undefined', () => undefined],
  ['$number', (_, node) => decodeNumber(node)],
  ['$bigint', (_, node) => BigInt(text(node))],
  ['$ref', (decoder, node) => decoder.met(node)],
  ['$object', (decoder, node) => decoder.plain(record(node))],
  ['$array', (decoder, node) => decoder.sparse(node)],
  ['$map', (decoder, node) => decoder.map(list(node))],
  ['$set', (decoder, node) => decoder.set(list(node))],
  ['$date', (decoder, node) => decoder.keep(new Date(node === null ? Number.NaN : text(node)))],
  ['$regexp', (decoder, node) => decoder.keep(new RegExp(text(list(node)[0]), text(list(node)[1])))],
  ['$bytes', (decoder, node) => decoder.keep(decodeBytes(node))],
  ['$buffer', (decoder, node) => decoder.keep(Buffer.from(text(node), 'base64'))],
  ['$view', (decoder, node) => decoder.view(list(node))],
  ['$error', (decoder, node) => decoder.error(record(node))],
]);

class Decoder {
  private readonly objects: unknown[] = [];

  value(node: Node): unknown {
    if (node === null || typeof node !== 'object') return node;
    if (Array.isArray(node)) return this.array(node);
    const fields = record(node);
    const keys = Object.keys(fields);
    const tag = keys.length === 1 ? keys[0] : undefined;
    if (tag === undefined || !tag.startsWith('$')) return this.plain(fields);
    const read = TAGS.get(tag);
    if (read === undefined) throw malformed(`unknown tag ${show(tag)}`);
    return read(this, fields[tag] ?? null);
  }

  keep<T>(object: T): T {
    this.objects.push(object);
    return object;
  }

  met(node: Node): unknown {
    const object = typeof node === 'number' ? this.objects[node] : undefined;
    if (object === undefined) throw malformed(`reference to nothing: ${show(node)}`);
    return object;
  }

  plain(node: { [key: string]: Node }): object {
    return this.fill(this.keep({}), node);
  }

  array(node: readonly Node[]): unknown[] {
    const array: unknown[] = this.keep([]);
    for (const item of node) array.push(this.value(item));
    return array;
  }

  sparse(node: Node): unknown[] {
    const [length, items] = list(node);
    if (typeof length !== 'number') throw malformed('an array without a length');
    return this.fill(this.keep(new Array<unknown>(length)), record(items));
  }

  map(entries: readonly Node[]): Map<unknown, unknown> {
    const map = this.keep(new Map<unknown, unknown>());
    for (const entry of entries) {
      const [key, item] = list(entry);
      map.set(this.value(key ?? null), this.value(item ?? null));
    }
    return map;
  }

  set(items: readonly Node[]): Set<unknown> {
    const set = this.keep(new Set<unknown>());
    for (const item of items) set.add(this.value(item));
    return set;
  }

  view([name, bytes]: readonly Node[]): ArrayBufferView {
    const View = VIEWS.get(text(name));
    if (View === undefined) throw malformed(`unknown view ${show(name)}`);
    const at = this.objects.push(undefined) - 1; // the view begins before its bytes do
    const buffer = this.value(bytes ?? null);
    if (!(buffer instanceof ArrayBuffer)) throw malformed('a view without its bytes');
    const view = new View(buffer);
    this.objects[at] = view;
    return view;
  }

  error(node: { [key: string]: Node }): Error {
    const name = text(node.name);
    const stack = node.stack;
    const error = this.keep(
      putTogether({
        class: text(node.class),
        name,
        message: text(node.message),
        stack: typeof stack === 'string' ? stack : undefined,
      }),
    );
    const shown: [string, unknown][] = [];
    const hidden: [string, unknown][] = [];
    for (const field of list(node.fields)) {
      const [key, enumerable, value] = list(field);
      (enumerable === true ? shown : hidden).push([text(key), this.value(value ?? null)]);
    }
    addFields(error, name, Object.fromEntries(shown), Object.fromEntries(hidden));
    return error;
  }

  private fill<T extends object>(target: T, node: { [key: string]: Node }): T {
    for (const key of Object.keys(node)) put(target, key, this.value(node[key] ?? null));
    return target;
  }
}

function decodeNumber(node: Node): number {
  const number = ['-0', 'NaN', 'Infinity', '-Infinity'].includes(text(node)) ? Number(node) : undefined;
  if (number === undefined) throw malformed(`no number: ${show(node)}`);
  return number;
}

function decodeBytes(node: Node): ArrayBuffer {
  const bytes = Buffer.from(text(node), 'base64');
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

function text(node: Node | undefined): string {
  if (typeof node !== 'string') throw malformed(`text expected, not ${show(node)}`);
  return node;
}

function list(node: Node | undefined): readonly Node[] {
  if (!Array.isArray(node)) throw malformed(`a list expected, not ${show(node)}`);
  return node;
}

function record(node: Node | undefined): { [key: string]: Node } {
  if (node === null || typeof node !== 'object' || Array.isArray(node)) {
    throw malformed(`an object expected, not ${show(node)}`);
  }
  return node as { [key: string]: Node };
}
