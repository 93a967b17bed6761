/**
 * What a word is. A run is a maximal row of Unicode letters, marks and numbers in the text read as UTF-8, what is not
 * valid UTF-8 being a separator. A run of at most 64 UTF-16 units that holds a letter is a word, told in lower case and
 * NFC; a longer one is counted as overlong, one without a letter is nobody's word.
 */

/** In UTF-16 units, before lower case and NFC. */
export const longestWord = 64;

/** Every run in a string. */
export const runPattern = /[\p{L}\p{M}\p{N}]+/gu;

const letter = /\p{L}/u;

/** The word that a run is; `'overlong'` flagged by `null`, and nothing (`undefined`) where it holds no letter. */
export function wordOf(run: string): string | null | undefined {
  if (!letter.test(run)) return undefined;
  if (run.length > longestWord) return null;
  return run.toLowerCase().normalize('NFC');
}
