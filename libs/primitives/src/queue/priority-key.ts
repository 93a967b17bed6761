/**
 * The place of an item in a priority queue, as bytes that compare as the items do. Numbers come before strings, these
 * before arrays; numbers and strings among themselves as `<` says, arrays element by element, the shorter first. In an
 * array, what is neither is cargo, and so is an array that stands in itself, or too deep: from there on items are equal.
 */
import { show, typeError } from '../errors.ts';

const END = 0;
const NUMBER = 1;
const STRING = 2;
const ARRAY = 3;
const CARGO = 4;

/** Arrays within arrays that are looked into. */
const DEEPEST = 1000;

/** @throws TypeError for an item that is no number, string, or array that begins with one of these. */
export function priorityKey(item: unknown): Uint8Array {
  const key: number[] = [];
  if (!append(key, item, [])) {
    throw typeError(
      `PriorityQueue.put: an item must be a number, a string, or an array that begins with one, not ${show(item)}; put [priority, item]`,
    );
  }
  return Uint8Array.from(key);
}

/** Below 0 where `a` comes before `b`, 0 where they are equal. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** False where the item has no order; `above`: the arrays it stands in. */
function append(key: number[], item: unknown, above: unknown[]): boolean {
  if (typeof item === 'number') return !Number.isNaN(item) && appendNumber(key, item);
  if (typeof item === 'string') return appendString(key, item);
  return Array.isArray(item) && appendArray(key, item, above);
}

/** IEEE 754 from the sign down, all bits turned round where it is negative: larger numbers have larger bytes. */
function appendNumber(key: number[], item: number): true {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, item === 0 ? 0 : item);
  const turned = (bytes[0] as number) >= 128 ? 0xff : 0;
  key.push(NUMBER, ((bytes[0] as number) ^ turned) | (turned ? 0 : 0x80));
  for (const byte of bytes.subarray(1)) key.push(byte ^ turned);
  return true;
}

/** UTF-16 units, as `<` compares them; two zeros end it, and a zero inside is followed by a one. */
function appendString(key: number[], item: string): true {
  key.push(STRING);
  for (let at = 0; at < item.length; at += 1) {
    const unit = item.charCodeAt(at);
    key.push(unit >> 8, unit & 0xff);
    if (unit === 0) key.push(0, 1);
  }
  key.push(0, 0, 0, 0);
  return true;
}

function appendArray(key: number[], items: readonly unknown[], above: unknown[]): boolean {
  if (above.length === DEEPEST || above.includes(items)) return false;
  key.push(ARRAY);
  above.push(items);
  let ordered = true;
  for (const [index, item] of items.entries()) {
    if (append(key, item, above)) continue;
    ordered = index > 0;
    key.push(CARGO);
    break;
  }
  above.pop();
  key.push(END);
  return ordered;
}
