/** Free locks in one process: pairs of acquire and release a second, by many ways in turn. */
import { median } from './statistics.ts';
import { type Party, wayOf } from './ways.ts';

const parties = new Map<string, Party>();

/** By `width` loops with a name each. */
async function rate(party: Party, width: number, pairs: number): Promise<number> {
  const loops = Array.from({ length: width }, (_, at) => party.mutex(`free ${at}`));
  const start = performance.now();
  await Promise.all(
    loops.map(async (acquire) => {
      for (let n = 0; n < pairs / width; n += 1) await (await acquire())();
    }),
  );
  return (pairs * 1000) / (performance.now() - start);
}

/** Rounds that do not count: the compiler takes its time. */
const WARM_UP = 4;

/** The median of each way over the rounds, after those that warm up. */
export async function freeRates(
  url: string,
  ways: readonly string[],
  width: number,
  pairs: number,
  rounds: number,
): Promise<Map<string, number>> {
  const rates = new Map(ways.map((way) => [way, [] as number[]]));
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const way of ways) {
      const party = parties.get(way) ?? (await wayOf(way).open(url, 0));
      parties.set(way, party);
      const measured = await rate(party, width, pairs);
      if (round >= 0) rates.get(way)?.push(measured);
    }
  }
  return new Map([...rates].map(([way, all]) => [way, median(all)]));
}
