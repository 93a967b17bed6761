/**
 * Counts a tree again, in one thread and without any of Heddle: no executor, no Redis, and its own way to walk,
 * to read files and to find words, by regular expressions over decoded text. It is here to disagree with the fleet where the fleet
 * is wrong.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { codeOf, type Entry, isGone, looksBinary, plainEntry, underRoot } from './entry.ts';
import { listTree } from './recount-tree.ts';
import { longestWord, runPattern, wordOf } from './word.ts';

export interface Recount {
  readonly entries: readonly Entry[];
  readonly words: ReadonlyMap<string, number>;
}

export interface RecountOptions {
  readonly exclude: readonly Buffer[];
  readonly signal: AbortSignal;
  onFile?(size: number): void;
}

const pieceSize = 1 << 22;

/** Counts everything under `root`. Throws the signal's reason. */
export async function recount(root: Buffer, { exclude, signal, onFile }: RecountOptions): Promise<Recount> {
  const entries: Entry[] = [];
  const words = new Map<string, number>();
  const buffer = Buffer.allocUnsafeSlow(pieceSize);
  let lastTurn = performance.now();
  for (const found of listTree(root, exclude)) {
    const steps = found.kind === 'file' ? readWhole(root, found.path, buffer, words) : [found];
    for (const step of steps) {
      if (step !== undefined) entries.push(step);
      if (step !== undefined && found.kind === 'file') onFile?.(step.size);
      if (performance.now() - lastTurn < 50) continue;
      await nextTurn();
      signal.throwIfAborted();
      lastTurn = performance.now();
    }
  }
  return { entries, words };
}

/** Yields `undefined` between pieces of a big file, and its entry at the end. */
function* readWhole(
  root: Buffer,
  path: Buffer,
  buffer: Buffer,
  words: Map<string, number>,
): Generator<Entry | undefined> {
  let file: number | undefined;
  try {
    file = openSync(underRoot(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const before = fstatSync(file);
    if (!before.isFile()) {
      yield plainEntry(path, 'vanished', 'NOT_A_FILE');
      return;
    }
    const hash = createHash('sha256');
    const text = new TextWords(words);
    let kind: 'text' | 'binary' | undefined;
    let read = 0;
    while (read < before.size) {
      const got = readSync(file, buffer, 0, Math.min(buffer.length, before.size - read), read);
      if (got === 0) break;
      const piece = buffer.subarray(0, got);
      hash.update(piece);
      kind ??= looksBinary(piece) ? 'binary' : 'text';
      if (kind === 'text') text.add(piece);
      read += got;
      if (read < before.size) yield undefined;
    }
    text.end();
    const after = fstatSync(file);
    yield {
      path,
      kind: kind ?? 'text',
      size: read,
      modified: after.mtimeMs,
      sha256: hash.digest('hex'),
      words: text.words,
      overlong: text.overlong,
      changed: read !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs,
    };
  } catch (error) {
    const code = codeOf(error);
    yield plainEntry(path, isGone(code) ? 'vanished' : 'unreadable', code);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The words of one text that comes in pieces. */
class TextWords {
  words = 0;
  overlong = 0;
  readonly #all: Map<string, number>;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** The run at the end of the last piece, which may go on. */
  #open = '';

  constructor(all: Map<string, number>) {
    this.#all = all;
  }

  add(piece: Buffer): void {
    this.#count(this.#open + this.#decoder.decode(piece, { stream: true }), false);
  }

  end(): void {
    this.#count(this.#open + this.#decoder.decode(), true);
  }

  #count(text: string, last: boolean): void {
    this.#open = '';
    for (const { 0: run, index } of text.matchAll(runPattern)) {
      if (!last && index + run.length === text.length) this.#open = bounded(run);
      else this.#countRun(run);
    }
  }

  #countRun(run: string): void {
    const word = wordOf(run);
    if (word === null) this.overlong += 1;
    if (typeof word !== 'string') return;
    this.words += 1;
    this.#all.set(word, (this.#all.get(word) ?? 0) + 1);
  }
}

/** A run that is overlong whatever follows need not be kept whole, only whether it has a letter. */
function bounded(run: string): string {
  if (run.length <= 4 * longestWord) return run;
  const head = run.slice(0, 2 * longestWord).replace(/[\uD800-\uDBFF]$/, '');
  return wordOf(head) === undefined && wordOf(run) !== undefined ? `${head}a` : head;
}
