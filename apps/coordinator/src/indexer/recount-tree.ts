/** The recount's own walk: by recursion and `lstat` alone, where the index goes by the kinds that listings tell. */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { codeOf, type Entry, isGone, joinPath, plainEntry, underRoot } from './entry.ts';
import { specialKind } from './walk.ts';

export type Listed = Entry | { readonly kind: 'file'; readonly path: Buffer };

/** Yields everything under `root`, the root too, but for the paths in `exclude`. */
export function* listTree(
  root: Buffer,
  exclude: readonly Buffer[],
  path: Buffer = Buffer.alloc(0),
): Generator<Listed> {
  const place = underRoot(root, path);
  try {
    const stats = path.length === 0 ? statSync(place) : lstatSync(place);
    if (stats.isSymbolicLink()) yield plainEntry(path, leadsNowhere(place) ? 'broken-link' : 'link');
    else if (stats.isFile()) yield { kind: 'file', path };
    else if (!stats.isDirectory()) yield plainEntry(path, 'special', specialKind(stats));
    if (!stats.isDirectory()) return;
    const names = readdirSync(place, { encoding: 'buffer' });
    const paths = names
      .map((name) => joinPath(path, name))
      .filter((child) => !exclude.some((e) => e.equals(child)));
    yield plainEntry(path, paths.length === 0 ? 'empty-directory' : 'directory');
    for (const child of paths) yield* listTree(root, exclude, child);
  } catch (error) {
    const code = codeOf(error);
    yield plainEntry(path, isGone(code) ? 'vanished' : 'unreadable', code);
  }
}

function leadsNowhere(place: Buffer): boolean {
  try {
    statSync(place);
    return false;
  } catch (error) {
    return codeOf(error) !== 'EACCES';
  }
}
