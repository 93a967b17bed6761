/** Sums up what is known of every path. */
import { type Entry, isUtf8, showPath, typeOf } from './entry.ts';

export interface Totals {
  /** Regular files that were read: `text` + `binary`. */
  readonly files: number;
  readonly bytes: number;
  readonly text: number;
  readonly binary: number;
  readonly empty: number;
  readonly directories: number;
  readonly emptyDirectories: number;
  readonly links: number;
  readonly brokenLinks: number;
  readonly special: number;
  readonly unreadable: number;
  readonly vanished: number;
  /** Files that changed while they were read; they are among `files` too. */
  readonly changed: number;
  /** Paths of any kind that are not valid UTF-8. */
  readonly oddNames: number;
}

export interface TypeSum {
  /** The extension in lower case, or `(none)`. */
  readonly type: string;
  readonly files: number;
  readonly bytes: number;
  readonly binary: number;
}

export interface DuplicateGroup {
  readonly sha256: string;
  /** Bytes of each. */
  readonly size: number;
  readonly paths: readonly string[];
}

export interface Duplicates {
  /** How many contents are there more than once. */
  readonly groups: number;
  /** How many files have them. */
  readonly files: number;
  /** Bytes that one copy of each would save. */
  readonly wasted: number;
  /** What wastes most comes first. */
  readonly list: readonly DuplicateGroup[];
}

export interface Problem {
  readonly path: string;
  readonly kind: string;
  readonly code?: string;
}

export interface Summary {
  readonly totals: Totals;
  readonly types: readonly TypeSum[];
  readonly duplicates: Duplicates;
  /** Everything that was not plainly read, in the order of paths. */
  readonly problems: readonly Problem[];
}

/** The sums over these entries; their order does not matter. */
export function summarise(entries: Iterable<Entry>): Summary {
  const all = [...entries].sort((a, b) => Buffer.compare(a.path, b.path));
  const read = all.filter(wasRead);
  return {
    totals: totalsOf(all, read),
    types: typesOf(read),
    duplicates: duplicatesOf(read),
    problems: problemsOf(all),
  };
}

/** Whether the file was read to its end. */
export const wasRead = ({ kind }: Entry): boolean => kind === 'text' || kind === 'binary';

function totalsOf(all: readonly Entry[], read: readonly Entry[]): Totals {
  const count = (holds: (entry: Entry) => boolean) => all.filter(holds).length;
  return {
    files: read.length,
    bytes: read.reduce((sum, { size }) => sum + size, 0),
    text: count(({ kind }) => kind === 'text'),
    binary: count(({ kind }) => kind === 'binary'),
    empty: read.filter(({ size }) => size === 0).length,
    directories: count(({ kind }) => kind === 'directory' || kind === 'empty-directory'),
    emptyDirectories: count(({ kind }) => kind === 'empty-directory'),
    links: count(({ kind }) => kind === 'link' || kind === 'broken-link'),
    brokenLinks: count(({ kind }) => kind === 'broken-link'),
    special: count(({ kind }) => kind === 'special'),
    unreadable: count(({ kind }) => kind === 'unreadable'),
    vanished: count(({ kind }) => kind === 'vanished'),
    changed: count(({ changed }) => changed),
    oddNames: count(({ path }) => !isUtf8(path)),
  };
}

function typesOf(read: readonly Entry[]): TypeSum[] {
  const sums = new Map<string, { type: string; files: number; bytes: number; binary: number }>();
  for (const { path, size, kind } of read) {
    const type = typeOf(path);
    const sum = sums.get(type) ?? { type, files: 0, bytes: 0, binary: 0 };
    sums.set(type, sum);
    sum.files += 1;
    sum.bytes += size;
    if (kind === 'binary') sum.binary += 1;
  }
  return [...sums.values()].sort((a, b) => b.bytes - a.bytes || b.files - a.files || byText(a.type, b.type));
}

function duplicatesOf(read: readonly Entry[]): Duplicates {
  const bySha = Map.groupBy(read, ({ sha256 }) => sha256 ?? '');
  const list = [...bySha]
    .filter(([, same]) => same.length > 1)
    .map(([sha256, same]) => ({
      sha256,
      size: same[0]?.size ?? 0,
      paths: same.map(({ path }) => showPath(path)),
    }))
    .sort((a, b) => wastedBy(b) - wastedBy(a) || byText(a.sha256, b.sha256));
  return {
    groups: list.length,
    files: list.reduce((sum, { paths }) => sum + paths.length, 0),
    wasted: list.reduce((sum, group) => sum + wastedBy(group), 0),
    list,
  };
}

const wastedBy = ({ size, paths }: DuplicateGroup): number => size * (paths.length - 1);

function problemsOf(all: readonly Entry[]): Problem[] {
  const isProblem = ({ kind, changed }: Entry) =>
    changed || kind === 'unreadable' || kind === 'vanished' || kind === 'broken-link' || kind === 'special';
  return all.filter(isProblem).map(({ path, kind, changed, code }) => ({
    path: showPath(path),
    kind: changed ? 'changed' : kind,
    ...(code === undefined ? {} : { code }),
  }));
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
