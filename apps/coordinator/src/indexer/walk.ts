/** Walks a tree and tells of every path in it. Follows no link, opens nothing but directories. */
import { type BigIntStats, type Dirent, lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { codeOf, type Entry, isGone, joinPath, plainEntry, underRoot } from './entry.ts';

/** A regular file, yet to be read. */
export interface FoundFile {
  readonly path: Buffer;
  readonly size: number;
}

export interface WalkOptions {
  /** Paths, below the root, that are passed over: the program's own output. */
  readonly exclude?: readonly Buffer[];
  readonly signal: AbortSignal;
  /** Told of everything that is no regular file. */
  onEntry(entry: Entry): void;
}

/**
 * Yields each regular file, a directory's own before those below it, in the order of their bytes. Never throws for
 * what the file system does: `onEntry` is told. Throws the signal's reason.
 */
export async function* walk(root: Buffer, options: WalkOptions): AsyncGenerator<FoundFile> {
  const excluded = new Set(options.exclude?.map((path) => path.toString('latin1')));
  const directories: Buffer[] = [Buffer.alloc(0)];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    options.signal.throwIfAborted();
    await nextTurn();
    const listed = list(root, directory, options, excluded);
    if (listed === undefined) continue;
    const below: Buffer[] = [];
    for (const child of listed) {
      const path = joinPath(directory, child.name);
      if (child.isDirectory()) below.push(path);
      else if (child.isSymbolicLink()) options.onEntry(plainEntry(path, linkKind(root, path)));
      else yield* fileOrOther(root, path, options);
    }
    directories.push(...below.reverse());
  }
}

function list(
  root: Buffer,
  directory: Buffer,
  { onEntry }: WalkOptions,
  excluded: ReadonlySet<string>,
): Dirent<Buffer>[] | undefined {
  let children: Dirent<Buffer>[];
  try {
    children = readdirSync(underRoot(root, directory), { withFileTypes: true, encoding: 'buffer' });
  } catch (error) {
    const code = codeOf(error);
    onEntry(plainEntry(directory, isGone(code) ? 'vanished' : 'unreadable', code));
    return undefined;
  }
  const kept = children.filter(({ name }) => !excluded.has(joinPath(directory, name).toString('latin1')));
  onEntry(plainEntry(directory, kept.length === 0 ? 'empty-directory' : 'directory'));
  return kept.sort((a, b) => Buffer.compare(a.name, b.name));
}

/** The listing may not know the kind (some file systems don't tell), and the size has to be asked for anyway. */
function* fileOrOther(root: Buffer, path: Buffer, { onEntry }: WalkOptions): Generator<FoundFile> {
  let stats: Stats;
  try {
    stats = lstatSync(underRoot(root, path));
  } catch (error) {
    const code = codeOf(error);
    onEntry(plainEntry(path, isGone(code) ? 'vanished' : 'unreadable', code));
    return;
  }
  if (stats.isFile()) yield { path, size: stats.size };
  else if (stats.isSymbolicLink()) onEntry(plainEntry(path, linkKind(root, path)));
  else onEntry(plainEntry(path, 'special', specialKind(stats)));
}

function linkKind(root: Buffer, path: Buffer): 'link' | 'broken-link' {
  try {
    statSync(underRoot(root, path));
    return 'link';
  } catch (error) {
    // A target that may not be looked at is there all the same.
    return codeOf(error) === 'EACCES' ? 'link' : 'broken-link';
  }
}

/** What a special file is called in reports. */
export function specialKind(stats: Stats | BigIntStats): string {
  if (stats.isFIFO()) return 'FIFO';
  if (stats.isSocket()) return 'SOCKET';
  if (stats.isCharacterDevice()) return 'CHARACTER_DEVICE';
  if (stats.isBlockDevice()) return 'BLOCK_DEVICE';
  return 'OTHER';
}
