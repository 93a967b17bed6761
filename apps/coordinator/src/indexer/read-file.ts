/** Reads one file piece by piece: hashes it and, where it is text, counts its words. */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { codeOf, type Entry, isGone, looksBinary, plainEntry, underRoot } from './entry.ts';
import { Tokeniser } from './tokenise.ts';
import type { WordTable } from './word-table.ts';

/** A file may have been swapped for a link or a FIFO since it was listed: the first is not followed, the second not waited for. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** After so many ms without a look at the event loop, a big file lets it turn: for abort, and the session's messages. */
const longestStretch = 50;

/** One reader to a thread: its buffer is used for file after file. */
export class FileReader {
  readonly #buffer: Buffer;
  #lastTurn = performance.now();

  /** `bufferSize` is at least the 8,000 bytes that tell binary files. */
  constructor(bufferSize = 1 << 20) {
    this.#buffer = Buffer.allocUnsafeSlow(bufferSize);
  }

  /**
   * Reads as much as the file held when it was opened, so that one that grows all the time has an end too. Never
   * rejects for what the file system does: that is what the entry is about. Rejects with the signal's reason.
   */
  async read(root: Buffer, path: Buffer, table: WordTable, signal: AbortSignal): Promise<Entry> {
    let file: number;
    try {
      file = openSync(underRoot(root, path), openFlags);
    } catch (error) {
      return failed(path, error);
    }
    try {
      const before = fstatSync(file);
      if (!before.isFile()) return plainEntry(path, 'vanished', 'NOT_A_FILE');
      return await this.#readOpen(file, path, before, table, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return failed(path, error);
    } finally {
      closeSync(file);
    }
  }

  async #readOpen(
    file: number,
    path: Buffer,
    before: Stats,
    table: WordTable,
    signal: AbortSignal,
  ): Promise<Entry> {
    const hash = createHash('sha256');
    const tokeniser = new Tokeniser(table);
    let isText: boolean | undefined;
    let carried = 0;
    let read = 0;
    while (read < before.size) {
      const got = this.#fill(file, carried, read, before.size);
      hash.update(this.#buffer.subarray(carried, carried + got));
      isText ??= !looksBinary(this.#buffer.subarray(0, got));
      read += got;
      const last = got === 0 || read >= before.size;
      if (isText) carried = tokeniser.take(this.#buffer, carried + got, last);
      if (got === 0) break;
      if (!last) await this.breathe(signal);
    }
    const after = fstatSync(file);
    return {
      path,
      kind: (isText ?? true) ? 'text' : 'binary',
      size: read,
      modified: after.mtimeMs,
      sha256: hash.digest('hex'),
      words: tokeniser.words,
      overlong: tokeniser.overlong,
      changed: read !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs,
    };
  }

  /** Reads until the buffer is full or the file ends: a short read must not hide a NUL from the probe. */
  #fill(file: number, from: number, position: number, size: number): number {
    const wanted = Math.min(this.#buffer.length - from, size - position);
    let got = 0;
    while (got < wanted) {
      const more = readSync(file, this.#buffer, from + got, wanted - got, position + got);
      if (more === 0) break;
      got += more;
    }
    return got;
  }

  /** Lets the event loop turn where it has not for a while, and throws the signal's reason if it has aborted. */
  async breathe(signal: AbortSignal): Promise<void> {
    if (performance.now() - this.#lastTurn > longestStretch) {
      await nextTurn();
      this.#lastTurn = performance.now();
    }
    signal.throwIfAborted();
  }
}

function failed(path: Buffer, error: unknown): Entry {
  const code = codeOf(error);
  return plainEntry(path, isGone(code) ? 'vanished' : 'unreadable', code);
}
