/** What `heddle index` writes, and how it is shown. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import process from 'node:process';
import Table from 'cli-table3';
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
    section(
      'Words',
      ['word', 'count'],
      words.top.slice(0, top).map(([word, n]) => [word, number(n)]),
    ),
    section(
      'Types',
      ['type', 'files', 'MB', 'binary'],
      types.slice(0, top).map((t) => [t.type, number(t.files), megabytes(t.bytes), number(t.binary)]),
    ),
    section(
      'Duplicates',
      ['copies', 'MB each', 'the first of them'],
      duplicates.list
        .slice(0, top)
        .map((g) => [number(g.paths.length), megabytes(g.size), clip(g.paths[0] ?? '', 60)]),
    ),
    section('Pace', ['host', 'process', 'thread', 'files', 'MB', 'files/s', 'MB/s'], hosts.flatMap(paceRows)),
    `${number(totals.files)} files, ${megabytes(totals.bytes)} MB: ${number(totals.text)} text, ` +
      `${number(totals.binary)} binary, ${number(totals.empty)} empty; ` +
      `${number(totals.directories)} directories, ${number(totals.emptyDirectories)} empty`,
    `${number(words.total)} words, ${number(words.distinct)} distinct, ${number(words.overlong)} overlong; ` +
      `${number(duplicates.groups)} contents are there more than once, ${megabytes(duplicates.wasted)} MB to spare`,
    `${number(totals.links)} links, ${number(totals.brokenLinks)} broken; ${number(totals.special)} special, ` +
      `${number(totals.unreadable)} unreadable, ${number(totals.vanished)} vanished, ${number(totals.changed)} changed, ` +
      `${number(totals.oddNames)} names not UTF-8`,
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
    number(pace.files),
    megabytes(pace.bytes),
    number(Math.round(pace.filesPerSecond)),
    pace.megabytesPerSecond.toFixed(1),
  ];
}

function section(title: string, head: readonly string[], rows: readonly string[][]): string {
  if (rows.length === 0) return '';
  const isNumber = (column: number) => rows.every((row) => /^[\d,. ]*$|^all$/.test(row[column] ?? ''));
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, column) => (isNumber(column) ? 'right' : 'left')),
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => row.map(printable)));
  return `${title}\n${table.toString()}`;
}

const grouped = new Intl.NumberFormat('en-US');
const number = (n: number): string => grouped.format(n);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const clip = (text: string, length: number): string =>
  text.length > length ? `…${text.slice(1 - length)}` : text;

/** File names may hold what a terminal would obey. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this replaces
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '�');
}
