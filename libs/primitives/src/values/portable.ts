/**
 * Values between threads. `toPortable` makes a copy that structured clone carries as it is: errors become records,
 * local primitives their handles. It is a snapshot: what the caller changes later does not travel.
 * Which objects are such records is told by identity, in an envelope around the value, so that no data of a user
 * can be taken for one. Where there are none, there is no envelope either.
 */
import type { NotCloneableError } from '../errors.ts';
import { addFields, type ErrorRecord, putTogether, takeApart } from './error-record.ts';
import { isDense, kindOf, symbolKey, VIEWS, viewName } from './kinds.ts';
import { DEEPEST, mapStep, Walk, type WalkOptions } from './walk.ts';

export interface PortableOptions extends WalkOptions {
  /** Objects that will be in the transfer list: these, and views of them, go as they are. */
  readonly transfer?: ReadonlySet<object> | undefined;
  /** Where bytes alone go, which can't hold shared memory: gives the number to put in its place, for `memoryOf`. */
  readonly numberOf?: ((memory: SharedArrayBuffer) => number) | undefined;
}

/** What `fromPortable` asks. */
export interface ReviveOptions {
  /** Makes the primitive of a handle that `share` gave. */
  readonly attach?: ((handle: unknown) => unknown) | undefined;
  /** The shared memory of a number. */
  readonly memoryOf?: ((number: number) => SharedArrayBuffer) | undefined;
}

const ENVELOPE = '@heddle/portable';

/** The special records of one value, by what they stand for. */
interface Envelope {
  readonly root: unknown;
  readonly errors: readonly ErrorRecord[];
  readonly buffers: readonly Uint8Array[];
  readonly handles: readonly { readonly handle: unknown }[];
  readonly memories?: readonly MemoryRecord[];
}

/** Shared memory by its number, or a view of it. */
interface MemoryRecord {
  readonly memory: number;
  readonly view?: string;
  readonly offset?: number;
  readonly length?: number;
}

/**
 * A copy of `value` for `postMessage` or `v8.serialize`; `where` starts the path in errors (`args`, `result`, …).
 * A primitive value is given back as it is. A node `Buffer` arrives as a `Buffer`; a view of a part of an
 * `ArrayBuffer` brings that part alone; accessors are read, as structured clone does.
 * @throws NotCloneableError with the path to the part that can't travel.
 */
export function toPortable(value: unknown, where: string, options: PortableOptions = {}): unknown {
  if (isPrimitive(value)) return value;
  if (isFlat(value)) return value.slice();
  return new Copier(where, options).envelope(value);
}

/**
 * A value as it was before `toPortable`, out of its structured clone (which it may change in place).
 */
export function fromPortable(value: unknown, options: ReviveOptions = {}): unknown {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, ENVELOPE)) return value;
  return new Reviver(Reflect.get(value, ENVELOPE) as Envelope, options).root();
}

function isPrimitive(value: unknown): boolean {
  if (value === null) return true;
  const type = typeof value;
  return type !== 'object' && type !== 'function' && type !== 'symbol';
}

/** A short array of primitives: what most arguments are, and no walk is needed for. */
function isFlat(value: unknown): value is unknown[] {
  if (!Array.isArray(value) || value.length > 8 || Object.getPrototypeOf(value) !== Array.prototype)
    return false;
  return value.every(isPrimitive) && isDense(value, Object.keys(value)) && symbolKey(value) === undefined;
}

class Copier extends Walk {
  private readonly seen = new Map<object, unknown>();
  private readonly errors: ErrorRecord[] = [];
  private readonly buffers: Uint8Array[] = [];
  private readonly handles: { readonly handle: unknown }[] = [];
  private readonly memories: MemoryRecord[] = [];
  private readonly transfer: ReadonlySet<object> | undefined;
  private readonly numberOf: ((memory: SharedArrayBuffer) => number) | undefined;

  constructor(where: string, options: PortableOptions) {
    super(where, options);
    this.transfer = options.transfer;
    this.numberOf = options.numberOf;
  }

  envelope(value: unknown): unknown {
    const root = this.guarded(() => this.copy(value, 0));
    const { errors, buffers, handles, memories } = this;
    const special = errors.length + buffers.length + handles.length + memories.length > 0;
    const mistakable = root !== null && typeof root === 'object' && Object.hasOwn(root, ENVELOPE);
    if (!special && !mistakable) return root;
    const named = memories.length > 0 && { memories };
    return { [ENVELOPE]: { root, errors, buffers, handles, ...named } satisfies Envelope };
  }

  private copy(value: unknown, depth: number): unknown {
    if (typeof value === 'object' && value !== null)
      return this.seen.get(value) ?? this.copyObject(value, depth);
    return typeof value === 'function' || typeof value === 'symbol' ? this.refused(value, depth) : value;
  }

  private copyObject(value: object, depth: number): unknown {
    if (this.transfer?.has(value)) return value;
    if (depth > DEEPEST) return this.instead(this.tooDeep(), depth);
    switch (kindOf(value)) {
      case 'object':
        return this.copyPlain(value as Record<string, unknown>, depth);
      case 'array':
        return this.copyArray(value as unknown[], depth);
      case 'map':
        return this.copyMap(value as Map<unknown, unknown>, depth);
      case 'set':
        return this.copySet(value as Set<unknown>, depth);
      case 'date':
        return this.keep(value, new Date(value as Date));
      case 'regexp':
        return this.keep(value, new RegExp(value as RegExp));
      case 'error':
        return this.copyError(value as Error, depth);
      case 'bytes':
        return this.keep(value, (value as ArrayBuffer).slice(0));
      case 'view':
      case 'buffer':
        return this.copyView(value as ArrayBufferView, depth);
      case 'shared':
        return this.numberOf === undefined ? value : this.copyShared(value, this.numberOf);
      case 'other':
        return this.shareOrRefuse(value, depth);
    }
  }

  private keep<T>(original: object, copied: T): T {
    this.seen.set(original, copied);
    return copied;
  }

  private copyPlain(value: Record<string, unknown>, depth: number): unknown {
    if (symbolKey(value) !== undefined) return this.refused(value, depth);
    const copied: Record<string, unknown> = this.keep(value, {});
    for (const key of Object.keys(value)) {
      this.path[depth] = key;
      put(copied, key, this.copy(value[key], depth + 1));
    }
    return copied;
  }

  private copyArray(value: unknown[], depth: number): unknown {
    const keys = Object.keys(value);
    const dense = isDense(value, keys);
    const copied: unknown[] = this.keep(value, dense ? [] : new Array(value.length));
    for (let index = 0; dense && index < value.length; index += 1) {
      this.path[depth] = index;
      copied.push(this.copy(value[index], depth + 1));
    }
    for (const key of dense ? [] : keys) {
      this.path[depth] = key;
      put(copied, key, this.copy(Reflect.get(value, key), depth + 1));
    }
    return copied;
  }

  private copyMap(value: Map<unknown, unknown>, depth: number): unknown {
    const copied = this.keep(value, new Map<unknown, unknown>());
    for (const [key, item] of value) {
      this.path[depth] = { shown: `.keys()[${copied.size}]` };
      const keyCopy = this.copy(key, depth + 1);
      this.path[depth] = mapStep(key, copied.size);
      copied.set(keyCopy, this.copy(item, depth + 1));
    }
    return copied;
  }

  private copySet(value: Set<unknown>, depth: number): unknown {
    const copied = this.keep(value, new Set<unknown>());
    for (const item of value) {
      this.path[depth] = { shown: `.values()[${copied.size}]` };
      copied.add(this.copy(item, depth + 1));
    }
    return copied;
  }

  private copyError(error: Error, depth: number): unknown {
    if (depth > DEEPEST / 2) return this.instead(this.tooDeep(), depth);
    return this.copyRecord(error, depth);
  }

  private copyRecord(error: Error, depth: number): unknown {
    const record: Record<string, unknown> = this.keep(error, {});
    Object.assign(
      record,
      takeApart(error, (field, key) => {
        this.path[depth] = key;
        return this.copy(field, depth + 1);
      }),
    );
    this.errors.push(record as unknown as ErrorRecord);
    return record;
  }

  private copyView(value: ArrayBufferView, depth: number): unknown {
    if (this.transfer?.has(value.buffer)) return value;
    if (Buffer.isBuffer(value)) {
      const bytes = this.keep(value, Uint8Array.from(value));
      this.buffers.push(bytes);
      return bytes;
    }
    const View = VIEWS.get(viewName(value)) as new (buffer: ArrayBufferLike) => ArrayBufferView;
    return this.keep(value, new View(this.copy(bytesOf(value), depth) as ArrayBuffer));
  }

  private copyShared(value: object, numberOf: (memory: SharedArrayBuffer) => number): unknown {
    const record: MemoryRecord = ArrayBuffer.isView(value)
      ? {
          memory: numberOf(value.buffer as SharedArrayBuffer),
          view: Buffer.isBuffer(value) ? 'Buffer' : viewName(value),
          offset: value.byteOffset,
          length: value instanceof DataView ? value.byteLength : (value as Uint8Array).length,
        }
      : { memory: numberOf(value as SharedArrayBuffer) };
    this.memories.push(record);
    return this.keep(value, record);
  }

  private shareOrRefuse(value: object, depth: number): unknown {
    const handle = this.options.share?.(value);
    if (handle === undefined) return this.refused(value, depth);
    const record: { handle: unknown } = this.keep(value, { handle });
    this.handles.push(record);
    // A handle is plain; all that may have to be said otherwise is its memory.
    if (this.numberOf !== undefined) record.handle = this.copy(handle, depth);
    return record;
  }

  private refused(value: unknown, depth: number): unknown {
    return this.instead(this.refuse(value, depth), depth);
  }

  private instead(refusal: NotCloneableError, depth: number): unknown {
    if (this.options.lenient !== true) throw refusal;
    return this.copyRecord(refusal, depth);
  }
}

class Reviver {
  private readonly envelope: Envelope;
  /** What each object has become: containers are changed in place and so become themselves. */
  private readonly became = new Map<object, unknown>();
  private readonly errors: ReadonlySet<object>;

  constructor(envelope: Envelope, { attach, memoryOf }: ReviveOptions) {
    this.envelope = envelope;
    this.errors = new Set(envelope.errors);
    for (const bytes of envelope.buffers) {
      this.became.set(bytes, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    }
    for (const record of envelope.memories ?? []) {
      if (memoryOf !== undefined) this.became.set(record, memoryIn(record, memoryOf(record.memory)));
    }
    for (const record of envelope.handles) {
      const handle = this.revive(record.handle);
      this.became.set(record, attach === undefined ? handle : attach(handle));
    }
  }

  root(): unknown {
    return this.revive(this.envelope.root);
  }

  private revive(value: unknown): unknown {
    if (value === null || typeof value !== 'object') return value;
    if (this.became.has(value)) return this.became.get(value);
    if (this.errors.has(value)) return this.reviveError(value as ErrorRecord);
    this.became.set(value, value);
    if (value instanceof Map) this.reviveMap(value);
    else if (value instanceof Set) this.reviveSet(value);
    else if (!ArrayBuffer.isView(value)) this.reviveFields(value as Record<string, unknown>);
    return value;
  }

  private reviveFields(value: Record<string, unknown>): void {
    for (const key of Object.keys(value)) {
      const field = value[key];
      if (field !== null && typeof field === 'object') put(value, key, this.revive(field));
    }
  }

  private reviveMap(value: Map<unknown, unknown>): void {
    const entries = [...value];
    value.clear();
    for (const [key, item] of entries) value.set(this.revive(key), this.revive(item));
  }

  private reviveSet(value: Set<unknown>): void {
    const items = [...value];
    value.clear();
    for (const item of items) value.add(this.revive(item));
  }

  private reviveError(record: ErrorRecord): Error {
    const error = putTogether(record);
    this.became.set(record, error);
    this.reviveFields(record.fields);
    this.reviveFields(record.hidden);
    addFields(error, record.name, record.fields, record.hidden);
    return error;
  }
}

function memoryIn({ view, offset, length }: MemoryRecord, memory: SharedArrayBuffer): unknown {
  if (view === undefined) return memory;
  if (view === 'Buffer') return Buffer.from(memory, offset, length);
  const View = VIEWS.get(view) as new (memory: ArrayBufferLike, offset?: number, length?: number) => object;
  return new View(memory, offset, length);
}

/** The bytes a view shows: its whole buffer, the same for all such views, or a copy of its part. */
export function bytesOf(view: ArrayBufferView): ArrayBufferLike {
  const { buffer, byteOffset, byteLength } = view;
  return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
}

/** Sets a property that stays data whatever its name. */
export function put(target: object, key: string, value: unknown): void {
  if (key !== '__proto__') (target as Record<string, unknown>)[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}
