/** Contenders in several processes on one lock, and what they got: interleaved rounds, medians. */
import type { Log, Order } from './contend.ts';
import type { Forked } from './processes.ts';
import { jain, mean, median, percentile, printTable } from './statistics.ts';
import { wayOf } from './ways.ts';

export interface Race {
  readonly permits?: number;
  /** Parties of each process, and contenders of each party. */
  readonly parties: number;
  readonly tasks: number;
  readonly ms: number;
  readonly hold?: number;
}

export interface Result {
  readonly acquires: number;
  readonly switches: number;
  readonly p50: number;
  readonly p99: number;
  readonly jain: number;
  readonly jainOfParties: number;
  readonly longest: number;
  readonly commands: number;
  /** From the beginning of the first release during a wait to the end of that wait. */
  readonly handOver: number;
}

let names = 0;

/** One round of one way. */
export async function race(
  url: string,
  way: string,
  processes: readonly Forked[],
  terms: Race,
): Promise<Result> {
  names += 1;
  const { permits = 0, parties, tasks, ms, hold = 0 } = terms;
  const name = `race ${names}`;
  await wayOf(way).prepare?.(url, name, Math.max(1, permits));
  const orders = processes.map(
    (_, at): Order => ({ way, url, name, permits, first: at * parties, parties, tasks, ms, hold }),
  );
  const tell = <T>(what: (process: Forked, order: Order) => Promise<T>) =>
    Promise.all(processes.map((process, at) => what(process, orders[at] as Order)));
  await tell((process, order) => process.do('openParties', order));
  const start = Number(process.hrtime.bigint()) / 1e6 + 50;
  const outcomes = await tell((process, order) => process.do('contend', order, start));
  const commands = outcomes.reduce((all, each) => all + each.commands, 0);
  return judge(
    outcomes.flatMap(({ logs }) => logs),
    commands,
    start + ms,
    ms,
  );
}

function judge(logs: readonly Log[], commands: number, end: number, ms: number): Result {
  const grants = logs
    .flatMap(({ contender, asked, granted, released }) =>
      granted.map((at, n) => ({ contender, at, asked: asked[n] as number, released: released[n] as number })),
    )
    .sort((a, b) => a.at - b.at);
  const inTime = grants.filter(({ at }) => at < end);
  const waits = grants.map(({ at, asked }) => at - asked);
  const got = ({ granted }: Log) => granted.filter((at) => at < end).length;
  const byParty = Map.groupBy(logs, ({ party }) => party);
  const releases = grants.map(({ released }) => released).sort((a, b) => a - b);
  const handOvers = grants.flatMap(({ at, asked }) => {
    const first = releases[firstFrom(releases, asked)];
    return first !== undefined && first < at ? [at - first] : [];
  });
  return {
    acquires: (inTime.length * 1000) / ms,
    switches:
      (inTime.filter(({ contender }, at) => inTime[at - 1]?.contender !== contender).length * 1000) / ms,
    p50: percentile(waits, 0.5),
    p99: percentile(waits, 0.99),
    jain: jain(logs.map(got)),
    jainOfParties: jain([...byParty.values()].map((all) => all.reduce((sum, log) => sum + got(log), 0))),
    longest: percentile(waits, 1) / mean(waits),
    commands: commands / grants.length,
    handOver: median(handOvers),
  };
}

/** Where the first of these, in order, is that is not below `least`. */
function firstFrom(times: readonly number[], least: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ms of the round that does not count: several processes on few processors take a while until their code is compiled. */
const WARM_UP = 2000;

/** A way that races under terms of its own. */
export interface Entry {
  readonly label: string;
  readonly way: string;
  readonly terms: Race;
}

/** Each way once a round, all after one that warms up; the median of each number. */
export function races(
  url: string,
  ways: readonly string[],
  processes: readonly Forked[],
  terms: Race,
  rounds: number,
): Promise<Map<string, Result>> {
  const entries = ways.map((way): Entry => ({ label: way, way, terms }));
  return racesOf(url, entries, processes, rounds);
}

/** The same for ways whose terms differ. */
export async function racesOf(
  url: string,
  entries: readonly Entry[],
  processes: readonly Forked[],
  rounds: number,
): Promise<Map<string, Result>> {
  const results = new Map(entries.map(({ label }) => [label, [] as Result[]]));
  for (let round = -1; round < rounds; round += 1) {
    for (const { label, way, terms } of entries) {
      const result = await race(url, way, processes, round < 0 ? { ...terms, ms: WARM_UP } : terms);
      if (round >= 0) results.get(label)?.push(result);
    }
  }
  const middle = (all: readonly Result[]) =>
    Object.fromEntries(
      Object.keys(all[0] as Result).map((key) => [key, median(all.map((each) => each[key as keyof Result]))]),
    ) as unknown as Result;
  return new Map([...results].map(([label, all]) => [label, middle(all)]));
}

/** The table of a race: `rate` says which of its numbers comes first. */
export function printRace(title: string, results: Map<string, Result>, rate: 'switches' | 'acquires'): void {
  printTable(
    title,
    ['', `${rate}/s`, 'p50 ms', 'p99 ms', 'Jain', 'of parties', 'longest / mean', 'commands'],
    [...results].map(([way, result]) => [
      way,
      result[rate].toFixed(0),
      result.p50.toFixed(2),
      result.p99.toFixed(2),
      result.jain.toFixed(3),
      result.jainOfParties.toFixed(3),
      result.longest.toFixed(1),
      result.commands.toFixed(2),
    ]),
  );
}
