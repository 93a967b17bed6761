/** How specs of wrong arguments look: which error, by exception or rejection, and that nothing was changed. */
import { expect } from 'vitest';
import { INNER, MEMORY, type Memory, WHOLE } from '../shared-memory/memory.ts';

export const TYPE = { name: 'TypeError', code: 'ERR_HEDDLE_INVALID_ARG_TYPE' };
export const RANGE = { name: 'RangeError', code: 'ERR_HEDDLE_OUT_OF_RANGE' };
export const NOT_HELD = { name: 'NotHeldError', code: 'ERR_HEDDLE_NOT_HELD' };
export const OVER = { name: 'OverReleaseError', code: 'ERR_HEDDLE_OVER_RELEASE' };
export const STATE = { name: 'InvalidStateError', code: 'ERR_HEDDLE_INVALID_STATE' };

/** A call whose types are wrong on purpose. */
type Call = (...args: unknown[]) => unknown;
/** The method of that name, to be called with whatever arguments. */
export const method = (object: object, name: string): Call => {
  const found: unknown = Reflect.get(object, name);
  if (typeof found !== 'function') throw new Error(`no method ${name}`);
  return (...args) => Reflect.apply(found, object, args);
};

/** The bytes of a primitive's state. */
function stateOf(primitive: object): Buffer {
  const memories = [primitive, Reflect.get(primitive, INNER)].map(
    (each: object | undefined) => each && (Reflect.get(each, MEMORY) ?? Reflect.get(each, WHOLE)),
  );
  return Buffer.concat(
    memories.filter((each) => each).map(({ buffer }: Memory) => Buffer.from(new Uint8Array(buffer))),
  );
}

/** The call fails so, by exception or rejection, and the primitive is as it was. */
export async function refuses(primitive: object, call: () => unknown, error: object, primitiveNamed = false) {
  const before = stateOf(primitive);
  const thrown = await (async () => call())().then(
    (value) => {
      throw new Error(`gave ${String(value)} instead of failing`);
    },
    (reason: unknown) => reason,
  );
  expect(thrown).toMatchObject(error);
  if (primitiveNamed) expect(thrown).toHaveProperty('primitive', expect.stringMatching(/#\d+/));
  expect(stateOf(primitive).equals(before)).toBe(true);
}

/** For a queue that a spec makes in plenty. */
export const small = { maxBytes: 256 };
