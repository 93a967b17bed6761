/** The most frequent words, in one order that everybody who ranks them keeps to. */

export type WordCount = readonly [word: string, count: number];

/** The most frequent first; among equals by UTF-16 units, as `<` has it. */
export function byFrequency(a: WordCount, b: WordCount): number {
  return b[1] - a[1] || (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
}

/** The first `n` of them all. Sorts a few at a time, so that millions of rare words cost no sort of millions. */
export function topWords(words: Iterable<WordCount>, n: number): WordCount[] {
  let best: WordCount[] = [];
  for (const word of words) {
    if (best.length >= n && byFrequency(word, best[n - 1] as WordCount) > 0) continue;
    best.push(word);
    // Room for as many again, then cut: each cut makes the door narrower.
    if (best.length >= 2 * n + 16) best = best.sort(byFrequency).slice(0, n);
    else if (best.length === n) best.sort(byFrequency);
  }
  return best.sort(byFrequency).slice(0, n);
}
