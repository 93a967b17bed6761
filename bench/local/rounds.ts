/** Side by side: each contender once a round, round after round, so that the machine's moods hit all alike. */

export interface Contender {
  readonly name: string;
  /** Does its work and gives how many ns one unit of it took. */
  run(): number | Promise<number>;
}

/** A contender's times, round by round. */
export interface Row {
  readonly name: string;
  readonly times: readonly number[];
}

const COLLECT = (globalThis as { gc?: () => void }).gc;

/** What each contender took in `rounds` rounds; a round before them warms up. */
export async function sideBySide(contenders: readonly Contender[], rounds = 15): Promise<Row[]> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, run } of contenders) {
      COLLECT?.();
      const time = await run();
      if (round >= 0) times.get(name)?.push(time);
    }
  }
  return contenders.map(({ name }) => ({ name, times: times.get(name) ?? [] }));
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
}

/** ns for each of `times` calls of `fn`. */
export function timed(times: number, fn: () => void): number {
  const start = process.hrtime.bigint();
  for (let n = 0; n < times; n += 1) fn();
  return Number(process.hrtime.bigint() - start) / times;
}

/**
 * A table of medians. The last column is the median, too, of what each took in a round as a multiple of what the row named
 * `unit` took in the same: where the machine gets slower for a while, both do.
 */
export function print(title: string, rows: readonly Row[], unit: string): void {
  const one = rows.find(({ name }) => name === unit)?.times ?? [];
  console.log(`\n${title}`);
  for (const { name, times } of rows) {
    const ns = median(times);
    const time = ns >= 1000 ? `${(ns / 1000).toFixed(2)} µs` : `${ns.toFixed(1)} ns`;
    const ratio = median(times.map((of, round) => of / (one[round] ?? Number.NaN)));
    console.log(`  ${name.padEnd(44)} ${time.padStart(12)}   ${ratio.toFixed(2)} ×`);
  }
}
