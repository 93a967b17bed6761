/** Where the tree is and where the result goes: both looked at before anything is started. */
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { CommandFailure, exitCode } from '@heddle/worker/command';
import { codeOf, joinPath } from '../indexer/entry.ts';
import { besideOf } from '../indexer/result.ts';

export interface Places {
  /** The tree, links resolved. */
  readonly root: Buffer;
  /** The result's file. */
  readonly out: string;
  /** Paths below the root that the command itself writes. */
  readonly exclude: readonly Buffer[];
}

/** Throws a `CommandFailure` where the tree is no directory, or the result could not be written. */
export function findPlaces(dir: string, out: string): Places {
  const root = realDirectory(dir, 'DIR');
  const file = resolve(out);
  const place = realDirectory(dirname(file), '--out');
  try {
    accessSync(place, constants.W_OK);
  } catch (error) {
    throw new CommandFailure(
      `--out ${out}: its directory can't be written to (${codeOf(error)})`,
      exitCode.noInput,
    );
  }
  if (isDirectory(out, file)) throw new CommandFailure(`--out ${out}: is a directory`, exitCode.noInput);
  const inRoot = below(root, place);
  const names = inRoot === undefined ? [] : [file, besideOf(file)];
  return {
    root,
    out: file,
    exclude: names.map((name) => joinPath(inRoot ?? root, Buffer.from(basename(name)))),
  };
}

/** What is told where the result can't be written after all: its name is too long, the disk is full. */
export function cannotWrite(out: string, error: unknown): CommandFailure {
  return new CommandFailure(`--out ${out}: can't be written (${codeOf(error)})`, exitCode.noInput, {
    cause: error,
  });
}

function realDirectory(path: string, what: string): Buffer {
  try {
    const real = realpathSync(path, { encoding: 'buffer' });
    if (statSync(real).isDirectory()) {
      accessSync(real, constants.R_OK | constants.X_OK);
      return real;
    }
  } catch (error) {
    throw new CommandFailure(`${what} ${path}: ${reason(codeOf(error))}`, exitCode.noInput);
  }
  throw new CommandFailure(`${what} ${path}: is no directory`, exitCode.noInput);
}

const reason = (code: string): string =>
  code === 'ENOENT' ? 'there is no such directory' : `can't be used (${code})`;

function isDirectory(out: string, file: string): boolean {
  try {
    return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch (error) {
    throw cannotWrite(out, error);
  }
}

/** `place` relative to `root`: empty where they are the same, `undefined` where it lies elsewhere. */
function below(root: Buffer, place: Buffer): Buffer | undefined {
  if (place.equals(root)) return Buffer.alloc(0);
  const prefix = root.toString('latin1') === '/' ? root : Buffer.concat([root, Buffer.from('/')]);
  return place.subarray(0, prefix.length).equals(prefix) ? place.subarray(prefix.length) : undefined;
}
