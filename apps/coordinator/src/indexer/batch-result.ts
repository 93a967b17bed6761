/** What a task sends back for a batch: one column for each field, so that ten thousand entries are a few arrays. */
import { type Entry, type EntryKind, plainEntry } from './entry.ts';

export interface BatchColumns {
  readonly kinds: Uint8Array;
  readonly sizes: Float64Array;
  readonly modified: Float64Array;
  /** 32 bytes for each. */
  readonly hashes: Uint8Array;
  readonly words: Float64Array;
  readonly overlong: Float64Array;
  readonly changed: Uint8Array;
  /** The codes of those that failed, by their place in the batch. */
  readonly codes: Readonly<Record<number, string>>;
}

const kinds: readonly EntryKind[] = ['text', 'binary', 'unreadable', 'vanished'];
const hashLength = 32;

/** The entries of a batch as columns. */
export function toColumns(entries: readonly Entry[]): BatchColumns {
  const hashes = new Uint8Array(entries.length * hashLength);
  const codes: Record<number, string> = {};
  for (const [i, { sha256, code }] of entries.entries()) {
    if (sha256 !== undefined) hashes.set(Buffer.from(sha256, 'hex'), i * hashLength);
    if (code !== undefined) codes[i] = code;
  }
  return {
    kinds: Uint8Array.from(entries, ({ kind }) => kinds.indexOf(kind)),
    sizes: Float64Array.from(entries, ({ size }) => size),
    modified: Float64Array.from(entries, ({ modified }) => modified),
    hashes,
    words: Float64Array.from(entries, ({ words }) => words),
    overlong: Float64Array.from(entries, ({ overlong }) => overlong),
    changed: Uint8Array.from(entries, ({ changed }) => Number(changed)),
    codes,
  };
}

/** The entries again, with the paths that the submitter has. */
export function fromColumns(columns: BatchColumns, paths: readonly Buffer[]): Entry[] {
  const hashes = Buffer.from(columns.hashes.buffer, columns.hashes.byteOffset, columns.hashes.byteLength);
  if (columns.kinds.length !== paths.length) {
    throw new RangeError(`a batch of ${paths.length} files came back with ${columns.kinds.length} entries`);
  }
  return paths.map((path, i) => {
    const kind = kinds[columns.kinds[i] ?? 0] ?? 'unreadable';
    if (kind !== 'text' && kind !== 'binary') return plainEntry(path, kind, columns.codes[i]);
    return {
      path,
      kind,
      size: columns.sizes[i] ?? 0,
      modified: columns.modified[i] ?? 0,
      sha256: hashes.toString('hex', i * hashLength, (i + 1) * hashLength),
      words: columns.words[i] ?? 0,
      overlong: columns.overlong[i] ?? 0,
      changed: columns.changed[i] === 1,
    };
  });
}
