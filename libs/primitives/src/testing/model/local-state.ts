/**
 * What a simulated thread knows, as text: all that is left of its history. Two histories that leave the same are one
 * from there on, so that what a thread has waited through is not carried along for ever.
 *
 * It is written down where nothing of it stands on the stack that is not known otherwise: where a call of the scenario's
 * program has returned (the program follows from what its calls gave), at the head of the loop in which a thread blocks
 * (who called follows from the node at which it began to), and where an event loop has nothing to do (who awaits
 * follows from the nodes at which they began to).
 */
import { hash } from 'node:crypto';

/** `bufferOf`: the number of a buffer of shared memory, whose contents are no part of what a thread knows. */
export function textOf(
  roots: readonly unknown[],
  bufferOf: (buffer: ArrayBufferLike) => number | undefined,
): string {
  const known = new Map<object, number>();
  let text = '';
  const write = (value: unknown): void => {
    if (typeof value === 'string') text += JSON.stringify(value);
    else if (typeof value === 'bigint') text += `${value}n`;
    else if (typeof value === 'function') text += 'ƒ';
    else if (typeof value === 'symbol') text += value.description;
    else if (typeof value !== 'object' || value === null) text += Object.is(value, -0) ? '-0' : String(value);
    else {
      const number = known.get(value);
      if (number !== undefined) text += `@${number}`;
      else {
        known.set(value, known.size);
        writeObject(value);
      }
    }
  };
  const list = (values: Iterable<unknown>): void => {
    text += '[';
    for (const value of values) {
      write(value);
      text += ',';
    }
    text += ']';
  };
  const writeObject = (object: object): void => {
    if (ArrayBuffer.isView(object)) {
      const { buffer, byteOffset, byteLength } = object;
      const number = bufferOf(buffer);
      text += `${byteOffset}+${byteLength}`;
      text +=
        number === undefined ? Buffer.from(buffer, byteOffset, byteLength).toString('base64') : `of${number}`;
      return;
    }
    // Objects of the thread's own world: their classes are not ours.
    const kind = Object.prototype.toString.call(object).slice(8, -1);
    if (Array.isArray(object)) return list(object);
    if (kind === 'Map' || kind === 'Set') {
      text += kind;
      return list([...(object as Set<unknown>)].flat());
    }
    if (kind === 'SharedArrayBuffer') {
      text += `memory${bufferOf(object as SharedArrayBuffer)}`;
      return;
    }
    text += object.constructor?.name ?? kind;
    if (kind === 'Error') text += JSON.stringify((object as Error).message);
    text += '{';
    for (const key of Object.keys(object)) {
      text += `${key}:`;
      write(Reflect.get(object, key));
      text += ',';
    }
    for (const key of Object.getOwnPropertySymbols(object)) {
      text += `${key.description}:`;
      write(Reflect.get(object, key));
      text += ',';
    }
    text += '}';
  };
  for (const root of roots) write(root);
  return text;
}

/** A short name for a long text. */
export const digest = (text: string): string => hash('sha1', text, 'base64');
