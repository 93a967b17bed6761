/** A free lock, acquired and released: one name at a time, and many names at once in one process. */
import { withProcesses } from './processes.ts';
import { printTable } from './statistics.ts';
import { PAIR } from './ways-bare.ts';
import { HEDDLE } from './ways-heddle.ts';
import { peerWays } from './ways-peers.ts';

const ROUNDS = 7;
/** Names at once → pairs a round. */
const SIZES = [
  [1, 600],
  [64, 3_840],
  [512, 5_120],
] as const;

const ways = [PAIR, HEDDLE, ...peerWays.map(({ name }) => name)];

export async function free(url: string): Promise<void> {
  await withProcesses(1, async ([process]) => {
    for (const [width, pairs] of SIZES) {
      const rates =
        (await process?.do('freeRates', url, ways, width, pairs, ROUNDS)) ?? new Map<string, number>();
      const bare = rates.get(PAIR) ?? Number.NaN;
      printTable(
        `A free lock, ${width === 1 ? 'one at a time' : `${width} names at once`}: acquire + release`,
        ['', 'pairs/s', 'µs', '× bare'],
        [...rates].map(([way, rate]) => [
          way,
          rate.toFixed(0),
          (1e6 / rate).toFixed(1),
          (rate / bare).toFixed(2),
        ]),
      );
    }
  });
}
