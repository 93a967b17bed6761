/** Items as bytes, for shared memory: small plain ones our own way, others by structured clone of what `toPortable` makes of them. */
import { Deserializer, Serializer } from 'node:v8';
import { NotCloneableError } from '../errors.ts';
import { fromPortable, toPortable } from '../values/portable.ts';
import { isPlain, readPlain, toRead, writePlain, written, writtenWords } from './plain-bytes.ts';

/** An item on its way in: the first `length` of `bytes`. */
export interface ItemBytes {
  readonly bytes: Uint8Array;
  /** The same, where they begin at a whole word. */
  readonly words: Int32Array | undefined;
  readonly length: number;
}

/** The one that `toBytes` gives where it can: one for the whole thread, as its bytes are. */
const plain = { bytes: written, words: writtenWords, length: 0 };

/** What a view, a buffer or an object becomes is V8's own form, so that views of one buffer stay so. */
class ItemSerializer extends Serializer {
  /** V8 asks for this; bytes can't name memory that threads share. */
  _getSharedArrayBufferId(): never {
    throw new NotCloneableError(
      'item holds shared memory (a SharedArrayBuffer, or a handle that share() gave), which a queue of bytes can not carry yet: give it to the thread as an argument or message',
      'item',
    );
  }
}

/**
 * An item's bytes: good until the next call in this thread; `keep` makes them last.
 * @throws NotCloneableError with the path to the part that can't travel.
 */
export function toBytes(item: unknown): ItemBytes {
  const length = writePlain(item);
  if (length > 0) {
    plain.length = length;
    return plain;
  }
  const serializer = new ItemSerializer();
  serializer.writeHeader();
  serializer.writeValue(toPortable(item, 'item'));
  const bytes = serializer.releaseBuffer();
  return { bytes, words: undefined, length: bytes.length };
}

/** The same bytes, for as long as somebody has them. */
export function keep(item: ItemBytes): ItemBytes {
  if (item !== plain) return item;
  return { bytes: item.bytes.slice(0, item.length), words: undefined, length: item.length };
}

/** The item in the first `length` of `bytes`, which are `toRead` where they are few. */
export function fromBytes(bytes: Uint8Array, length: number): unknown {
  if (bytes === toRead && isPlain(bytes[0])) return readPlain();
  const deserializer = new Deserializer(bytes.subarray(0, length));
  deserializer.readHeader();
  return fromPortable(deserializer.readValue());
}
