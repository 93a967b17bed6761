/** What the walk and the tasks find out about one path, and what a whole tree sums up to. */

/**
 * - `text`, `binary`: regular files, read and hashed; binary ones, with a NUL in their first 8,000 bytes (git's rule),
 *   are not searched for words.
 * - `unreadable`: a file or directory that the system refuses to open or read; `code` says why.
 * - `vanished`: it was listed, and gone when it was to be read.
 * - `link`, `broken-link`: symbolic links, never followed; the second kind leads nowhere.
 * - `special`: a FIFO, socket or device, never opened.
 */
export type EntryKind =
  | 'text'
  | 'binary'
  | 'unreadable'
  | 'vanished'
  | 'directory'
  | 'empty-directory'
  | 'link'
  | 'broken-link'
  | 'special';

export interface Entry {
  /** Below the root, as the file system has it: any bytes but NUL. */
  readonly path: Buffer;
  readonly kind: EntryKind;
  /** Bytes, where it is a file. */
  readonly size: number;
  /** Milliseconds of the last change that the system recorded, where it is a file. */
  readonly modified: number;
  /** Of `text` and `binary`: in hex. */
  readonly sha256?: string;
  /** Of `text`: how many words. */
  readonly words: number;
  /** Of `text`: how many runs were too long to be words. */
  readonly overlong: number;
  /** It changed while it was read; what was read is what counts. */
  readonly changed: boolean;
  /** The system's word for what went wrong: `EACCES`. */
  readonly code?: string;
}

/** An entry that is no file that was read. */
export function plainEntry(path: Buffer, kind: EntryKind, code?: string): Entry {
  return {
    path,
    kind,
    size: 0,
    modified: 0,
    words: 0,
    overlong: 0,
    changed: false,
    ...(code === undefined ? {} : { code }),
  };
}

/** How many leading bytes tell a binary file by a NUL among them: git's `buffer_is_binary`. */
export const binaryProbe = 8_000;

/** Whether these first bytes of a file are those of a binary one. */
export function looksBinary(bytes: Buffer): boolean {
  return bytes.subarray(0, binaryProbe).includes(0);
}

/** Below the root: `dir` and `name` joined. */
export function joinPath(dir: Buffer, name: Buffer): Buffer {
  return dir.length === 0 ? name : Buffer.concat([dir, Buffer.from('/'), name]);
}

/** The path for the system's calls. */
export function underRoot(root: Buffer, path: Buffer): Buffer {
  return path.length === 0 ? root : Buffer.concat([root, Buffer.from('/'), path]);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Whether a path is valid UTF-8. */
export function isUtf8(path: Buffer): boolean {
  try {
    utf8.decode(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * A path as text. One that is not valid UTF-8 is told byte by byte: ASCII as it is, the backslash doubled, every other
 * byte as `\xHH`; so that two different names never look the same among those.
 */
export function showPath(path: Buffer): string {
  if (path.length === 0) return '.';
  if (isUtf8(path)) return path.toString();
  return Array.from(path, (byte) => {
    if (byte === 0x5c) return '\\\\';
    if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
    return `\\x${byte.toString(16).padStart(2, '0')}`;
  }).join('');
}

/** The kind of file that a name tells of: its last extension in lower case, or `(none)`. */
export function typeOf(path: Buffer): string {
  const name = path.toString('latin1').slice(path.lastIndexOf(0x2f) + 1);
  return /^.+(\.[A-Za-z0-9_+-]{1,16})$/.exec(name)?.[1]?.toLowerCase() ?? '(none)';
}

/** The error's code, or what there is of one. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** Codes that say that a path, listed a moment ago, is no longer what it was. */
export function isGone(code: string): boolean {
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENXIO';
}
