/** The tasks of every pool: nothing, and so many steps of computing. */

export const noop = (): void => {};

/** xorshift, which no compiler can leave out. */
export function burn(steps: number): number {
  let word = 1;
  for (let n = 0; n < steps; n += 1) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
  }
  return word;
}

/** One task for pools that know no names: a number above 0 says how much to compute. */
export default function task(steps: number): number {
  return steps > 0 ? burn(steps) : 0;
}
