import { describe, expect, it } from 'vitest';
import { LOSSES, lossNumber, lossOf, wasLostThere } from './losses.ts';

describe('why a session can be lost', () => {
  it('goes as a number, and comes back', () => {
    expect(LOSSES.map((loss) => lossOf(lossNumber(loss)))).toEqual(LOSSES);
    expect(new Set(LOSSES.map(lossNumber)).size).toBe(LOSSES.length);
    for (const unknown of [-1, LOSSES.length]) expect(lossOf(unknown)).toBe(LOSSES[0]);
  });

  it('is told apart: where Redis knew before its holder did, another may have had it', () => {
    expect(LOSSES.filter(wasLostThere)).toEqual([
      'Redis no longer knows it: it expired, or the data was lost',
      'the data of its namespace was lost',
      'Redis was restarted or failed over, and may have lost grants',
      'the clock of Redis was set',
    ]);
    expect(wasLostThere(undefined)).toBe(false);
  });
});
