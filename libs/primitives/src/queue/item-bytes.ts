/** Items as bytes, for shared memory: structured clone of what `toPortable` makes of them. */
import { Deserializer, Serializer } from 'node:v8';
import { NotCloneableError } from '../errors.ts';
import { fromPortable, toPortable } from '../values/portable.ts';

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

/** @throws NotCloneableError with the path to the part that can't travel. */
export function toBytes(item: unknown): Uint8Array {
  const serializer = new ItemSerializer();
  serializer.writeHeader();
  serializer.writeValue(toPortable(item, 'item'));
  return serializer.releaseBuffer();
}

export function fromBytes(bytes: Uint8Array): unknown {
  const deserializer = new Deserializer(bytes);
  deserializer.readHeader();
  return fromPortable(deserializer.readValue());
}
