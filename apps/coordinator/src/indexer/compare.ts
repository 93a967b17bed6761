/** Holds the fleet's count against the recount, number by number. */
import { lstatSync } from 'node:fs';
import { type Entry, showPath, underRoot } from './entry.ts';
import { type Summary, summarise } from './summary.ts';

/** One count of a tree: by the fleet, or by the recount. */
export interface Count {
  readonly entries: readonly Entry[];
  readonly words: ReadonlyMap<string, number>;
}

export interface Comparison {
  /** One line for each number that is not the same. */
  readonly differences: readonly string[];
  /** Paths that changed between the two counts, for which no number can be compared. */
  readonly changed: readonly string[];
  /** How many numbers were compared. */
  readonly compared: number;
}

/**
 * Compares everything: each path's kind, size, hash and words, each sum, each word. A path that differs and that the
 * file system says was touched after `startedAt` (ms since 1970) is `changed` and left out of both sides; then single
 * words can't be compared any more, only their sum over the files that stayed as they were.
 */
export function compareCounts(root: Buffer, fleet: Count, again: Count, startedAt: number): Comparison {
  const check = new Check();
  const changed = new Set<string>();
  const fleetByPath = byPath(fleet.entries);
  const againByPath = byPath(again.entries);
  for (const [key, path] of allPaths(fleetByPath, againByPath)) {
    const lines = comparePath(path, fleetByPath.get(key), againByPath.get(key), check);
    if (lines.length > 0 && wasTouched(underRoot(root, path), startedAt)) changed.add(key);
    else check.differences.push(...lines);
  }
  const stayed = ({ path }: Entry) => !changed.has(path.toString('latin1'));
  const fleetStayed = fleet.entries.filter(stayed);
  const againStayed = again.entries.filter(stayed);
  check.summary(summarise(fleetStayed), summarise(againStayed));
  check.same('words in all files', sumWords(fleetStayed), sumWords(againStayed));
  check.same('the fleet’s words against its files', sumCounts(fleet.words), sumWords(fleet.entries));
  if (changed.size === 0) check.words(fleet.words, again.words);
  return {
    differences: check.differences,
    changed: [...changed].map((key) => showPath(Buffer.from(key, 'latin1'))),
    compared: check.compared,
  };
}

class Check {
  readonly differences: string[] = [];
  compared = 0;

  same(what: string, fleet: unknown, again: unknown): boolean {
    this.compared += 1;
    const equal = JSON.stringify(fleet) === JSON.stringify(again);
    if (!equal) this.differences.push(`${what}: ${shorten(fleet)}, recounted ${shorten(again)}`);
    return equal;
  }

  summary(fleet: Summary, again: Summary): void {
    for (const key of Object.keys(fleet.totals) as (keyof Summary['totals'])[]) {
      this.same(`total of ${key}`, fleet.totals[key], again.totals[key]);
    }
    const types = new Map(again.types.map((sum) => [sum.type, sum]));
    for (const sum of fleet.types) this.same(`type ${sum.type}`, sum, types.get(sum.type));
    this.same('number of types', fleet.types.length, again.types.length);
    const groups = new Map(again.duplicates.list.map((group) => [group.sha256, group]));
    for (const group of fleet.duplicates.list)
      this.same(`duplicates of ${group.sha256}`, group, groups.get(group.sha256));
    for (const key of ['groups', 'files', 'wasted'] as const) {
      this.same(`duplicates, ${key}`, fleet.duplicates[key], again.duplicates[key]);
    }
    this.same('problems', fleet.problems, again.problems);
  }

  words(fleet: ReadonlyMap<string, number>, again: ReadonlyMap<string, number>): void {
    this.same('distinct words', fleet.size, again.size);
    for (const [word, count] of again) {
      this.compared += 1;
      if (fleet.get(word) !== count) this.same(`word ${JSON.stringify(word)}`, fleet.get(word) ?? 0, count);
    }
    for (const [word, count] of fleet)
      if (!again.has(word)) this.same(`word ${JSON.stringify(word)}`, count, 0);
  }
}

function comparePath(
  path: Buffer,
  fleet: Entry | undefined,
  again: Entry | undefined,
  check: Check,
): string[] {
  check.compared += 1;
  const name = showPath(path);
  if (fleet === undefined || again === undefined) {
    return [`${name}: ${fleet?.kind ?? 'not found'}, recounted ${again?.kind ?? 'not found'}`];
  }
  // Whether it changed while it was read is an event, not a number: each count had its own chance to see one.
  const keys = ['kind', 'size', 'modified', 'sha256', 'words', 'overlong', 'code'] as const;
  return keys
    .filter((key) => fleet[key] !== again[key])
    .map((key) => `${name}: ${key} ${fleet[key]}, recounted ${again[key]}`);
}

/** Gone, or changed (also by a rename, or by `chmod`) since then. */
function wasTouched(place: Buffer, since: number): boolean {
  try {
    return lstatSync(place).ctimeMs >= since;
  } catch {
    return true;
  }
}

function byPath(entries: readonly Entry[]): Map<string, Entry> {
  return new Map(entries.map((entry) => [entry.path.toString('latin1'), entry]));
}

function allPaths(...sides: readonly ReadonlyMap<string, Entry>[]): Map<string, Buffer> {
  return new Map(sides.flatMap((side) => [...side].map(([key, { path }]) => [key, path] as const)));
}

const sumWords = (entries: readonly Entry[]): number => entries.reduce((sum, { words }) => sum + words, 0);
const sumCounts = (words: ReadonlyMap<string, number>): number =>
  words.values().reduce((sum, n) => sum + n, 0);

function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}
