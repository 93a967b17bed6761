/** Every example is run, and prints what its first comment says: the lines set in by four blanks; `…` is anything. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const folder = new URL('./threading/', import.meta.url);
const programs = readdirSync(folder).filter((name) => name.endsWith('.ts'));

/** What the first comment of a program promises, line by line. */
function promised(source: string): string[] {
  const comment = source.slice(0, source.indexOf('*/'));
  return comment.split('\n').flatMap((line) => /^ \* {5}(.*)$/.exec(line)?.slice(1) ?? []);
}

const asPattern = (line: string) =>
  new RegExp(
    `^${line
      .split('…')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('\\d+(\\.\\d+)?')}$`,
  );

describe('examples/threading', () => {
  it('are all in the index', () => {
    const index = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
    expect(programs.filter((name) => !index.includes(`(threading/${name})`))).toEqual([]);
  });

  it.each(programs)('%s prints what it says', { timeout: 60_000 }, async (name) => {
    const path = fileURLToPath(new URL(name, folder));
    const lines = promised(readFileSync(path, 'utf8'));
    expect(lines.length).toBeGreaterThan(0);
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, path]);
    const printed = stdout.trimEnd().split('\n');
    expect(printed).toEqual(
      lines.map((line) => (line.includes('…') ? expect.stringMatching(asPattern(line)) : line)),
    );
  });
});
