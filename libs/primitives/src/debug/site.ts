/** Where a watched lock was made: text behind its words, so that every thread can tell. */
import { siteOf, stackHere } from './stack.ts';

/** Words that the text takes, its length in front. */
export const SITE_WORDS = 64;
const BYTES = 4 * SITE_WORDS;

/** Notes that the lock in this memory is made by the caller. */
export function writeSite(memory: SharedArrayBuffer): void {
  const at = memory.byteLength - BYTES;
  const length = Buffer.from(memory, at + 4, BYTES - 4).write(siteOf(stackHere()));
  new Int32Array(memory, at, 1)[0] = length;
}

export function readSite(memory: SharedArrayBuffer): string {
  const at = memory.byteLength - BYTES;
  const [length = 0] = new Int32Array(memory, at, 1);
  return Buffer.from(memory, at + 4, length).toString();
}
