/** Items as bytes, for shared memory: small plain ones our own way, others by structured clone of what `toPortable` makes of them. */
import { Deserializer, Serializer } from 'node:v8';
import { rangeError } from '../errors.ts';
import { type MemoryName, memoryOf, nameOf, settle } from '../sharing/carried-memory.ts';
import { fromPortable, toPortable } from '../values/portable.ts';
import { isPlain, readPlain, toRead, writePlain, written, writtenWords } from './plain-bytes.ts';

/** An item on its way in: the first `length` of `bytes`. */
export interface ItemBytes {
  readonly bytes: Uint8Array;
  /** The same, where they begin at a whole word. */
  readonly words: Int32Array | undefined;
  readonly length: number;
  /** The shared memory it holds: to be carried when it is put. */
  readonly memories?: readonly MemoryName[] | undefined;
}

/** The one that `toBytes` gives where it can: one for the whole thread, as its bytes are. */
const plain = { bytes: written, words: writtenWords, length: 0, memories: undefined };

/** What goes along in items though structured clone can't take it; both sides of it. */
interface Travel {
  share(object: object): unknown;
  attach(handle: unknown): unknown;
}

let travel: Travel | undefined;

/** Says how local primitives go along in items. */
export function travelBy(way: Travel): void {
  travel = way;
}

/** An item that holds shared memory begins so: this byte, how many pieces, and from byte 8 on the two words of each's name. */
const CARRYING = 2;
const FIRST_NAME = 8;

/**
 * An item's bytes: good until the next call in this thread; `keep` makes them last.
 * `primitive` is the queue, for errors.
 * @throws NotCloneableError with the path to the part that can't travel.
 */
export function toBytes(item: unknown, primitive?: { readonly label: string }): ItemBytes {
  const length = writePlain(item);
  if (length > 0) {
    plain.length = length;
    return plain;
  }
  const pieces = new Map<SharedArrayBuffer, number>();
  const numberOf = (memory: SharedArrayBuffer): number => {
    const number = pieces.get(memory) ?? pieces.size;
    pieces.set(memory, number);
    return number;
  };
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(toPortable(item, 'item', { share: travel?.share, numberOf, primitive }));
  const written = serializer.releaseBuffer();
  if (pieces.size === 0) return { bytes: written, words: undefined, length: written.length };
  const memories = [...pieces.keys()].map(nameOf);
  const bytes = Buffer.concat([named(memories), written]);
  return { bytes, words: undefined, length: bytes.length, memories };
}

function named(memories: readonly MemoryName[]): Buffer {
  if (memories.length > 255) {
    throw rangeError(`item holds ${memories.length} pieces of shared memory; put at most 255 in one item`);
  }
  const names = Buffer.alloc(FIRST_NAME + 8 * memories.length);
  names.set([CARRYING, memories.length]);
  for (const [n, [thread, number]] of memories.entries()) {
    names.writeUInt32LE(thread, FIRST_NAME + 8 * n);
    names.writeUInt32LE(number, FIRST_NAME + 8 * n + 4);
  }
  return names;
}

/** The same bytes, for as long as somebody has them. */
export function keep(item: ItemBytes): ItemBytes {
  if (item !== plain) return item;
  return { ...item, bytes: item.bytes.slice(0, item.length), words: undefined };
}

/** The item in the first `length` of `bytes`, which are `toRead` where they are few. */
export function fromBytes(bytes: Uint8Array, length: number): unknown {
  if (bytes === toRead && isPlain(bytes[0])) return readPlain();
  const item = bytes.subarray(0, length);
  if (item[0] === CARRYING) return fromCarrying(item);
  const deserializer = new Deserializer(item);
  deserializer.readHeader();
  return fromPortable(deserializer.readValue(), travel);
}

function fromCarrying(item: Uint8Array): unknown {
  const view = Buffer.from(item.buffer, item.byteOffset, item.byteLength);
  const names: MemoryName[] = Array.from({ length: view[1] as number }, (_, n) => {
    return [view.readUInt32LE(FIRST_NAME + 8 * n), view.readUInt32LE(FIRST_NAME + 8 * n + 4)];
  });
  try {
    const memories = names.map(memoryOf);
    const deserializer = new Deserializer(item.subarray(FIRST_NAME + 8 * names.length));
    deserializer.readHeader();
    return fromPortable(deserializer.readValue(), {
      attach: travel?.attach,
      memoryOf: (number) => memories[number] as SharedArrayBuffer,
    });
  } finally {
    settle(names);
  }
}
