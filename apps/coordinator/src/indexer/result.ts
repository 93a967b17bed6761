/** What `heddle index` writes, and how it is shown. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import process from 'node:process';
import { count, megabytes, table } from '../views.ts';
import type { HostPace } from './pace.ts';
import type { Summary } from './summary.ts';
import type { WordCount } from './top-words.ts';

/** Word counts over the whole tree. */
export interface WordSums {
  readonly total: number;
  readonly distinct: number;
  /** Runs of letters and digits that are too long to be words. */
  readonly overlong: number;
  /** The most frequent first. */
  readonly top: readonly WordCount[];
}

export interface IndexResult extends Summary {
  /** The run's id, as in its log lines. */
  readonly run: string;
  readonly version: string;
  readonly root: string;
  readonly started: string;
  /** Seconds from the start to the result. */
  readonly seconds: number;
  readonly words: WordSums;
  readonly hosts: readonly HostPace[];
  /** What it took: workers replaced, reduce rounds begun, the fencing token of the last write to the shared result. */
  readonly effort: {
    readonly batches: number;
    readonly replaced: number;
    readonly rounds: number;
    readonly token: number;
  };
}

/** Writes the result beside its place and moves it there, so that nobody ever reads half of it. */
export function writeResult(file: string, result: IndexResult): void {
  const beside = besideOf(file);
  try {
    writeFileSync(beside, `${JSON.stringify(result, null, 2)}\n`);
    renameSync(beside, file);
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Where the result is written before it is moved to `file`. */
export const besideOf = (file: string): string => `${file}.${hostname()}-${process.pid}.tmp`;

/** The result for a person: `top` rows of each list. */
export function showResult(result: IndexResult, top = 15): string {
  const { totals, types, words, duplicates, hosts } = result;
  return [
    table(
      'Words',
      ['word', 'count'],
      words.top.slice(0, top).map(([word, n]) => [word, count(n)]),
    ),
    table(
      'Types',
      ['type', 'files', 'MB', 'binary'],
      types.slice(0, top).map((t) => [t.type, count(t.files), megabytes(t.bytes), count(t.binary)]),
    ),
    table(
      'Duplicates',
      ['copies', 'MB each', 'the first of them'],
      duplicates.list
        .slice(0, top)
        .map((g) => [count(g.paths.length), megabytes(g.size), clip(g.paths[0] ?? '', 60)]),
    ),
    table('Pace', ['host', 'process', 'thread', 'files', 'MB', 'files/s', 'MB/s'], hosts.flatMap(paceRows)),
    `${count(totals.files)} files, ${megabytes(totals.bytes)} MB: ${count(totals.text)} text, ` +
      `${count(totals.binary)} binary, ${count(totals.empty)} empty; ` +
      `${count(totals.directories)} directories, ${count(totals.emptyDirectories)} empty`,
    `${count(words.total)} words, ${count(words.distinct)} distinct, ${count(words.overlong)} overlong; ` +
      `${count(duplicates.groups)} contents are there more than once, ${megabytes(duplicates.wasted)} MB to spare`,
    `${count(totals.links)} links, ${count(totals.brokenLinks)} broken; ${count(totals.special)} special, ` +
      `${count(totals.unreadable)} unreadable, ${count(totals.vanished)} vanished, ${count(totals.changed)} changed, ` +
      `${count(totals.oddNames)} names not UTF-8`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function paceRows({ threads, ...host }: HostPace): string[][] {
  return [
    [host.host, String(host.pid), 'all', ...paceCells(host)],
    ...threads.map((thread) => ['', '', thread.thread, ...paceCells(thread)]),
  ];
}

function paceCells(
  pace: Pick<HostPace, 'files' | 'bytes' | 'filesPerSecond' | 'megabytesPerSecond'>,
): string[] {
  return [
    count(pace.files),
    megabytes(pace.bytes),
    count(Math.round(pace.filesPerSecond)),
    pace.megabytesPerSecond.toFixed(1),
  ];
}

const clip = (text: string, length: number): string =>
  text.length > length ? `…${text.slice(1 - length)}` : text;
