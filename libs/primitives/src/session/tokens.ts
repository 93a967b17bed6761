/** Tokens, as Redis grants them: in blocks, for a session to hand on one by one. */

/** Tokens a hand-over grants at once; the releaser's choice, so it is one constant for all. */
export const TOKEN_BLOCK = 64;

/** Tokens granted together: the first, and the last that may be given out. */
export interface TokenBlock {
  readonly first: number;
  readonly last: number;
}

/** `undefined` where it is not a block of tokens. */
export function parseBlock(first: string | undefined, last: string | undefined): TokenBlock | undefined {
  const block = { first: Number(first), last: Number(last) };
  const whole = Number.isSafeInteger(block.first) && Number.isSafeInteger(block.last);
  return whole && 0 < block.first && block.first <= block.last ? block : undefined;
}
