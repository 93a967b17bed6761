import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as embeddedRedis from '@heddle/embedded-redis';
import * as pool from '@heddle/pool';
import * as primitives from '@heddle/primitives';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(`${root}/docs/guide/errors.md`, 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('|'));

/** The codes that stand in a text: of errors, and of warnings. */
function codesIn(text: string): string[] {
  return [...new Set(text.match(/\b(?:ERR_HEDDLE_[A-Z_]*[A-Z]|HEDDLE_LOCK_[A-Z]+)\b/g))].sort();
}

/** The error classes that a package exports, but for the roots, which nothing is thrown as without a code of its own. */
function errorsOf(exported: object): [string, new (...args: never[]) => Error][] {
  return Object.entries(exported).filter(
    ([name, value]) =>
      name !== 'HeddleError' && typeof value === 'function' && value.prototype instanceof Error,
  );
}

describe('the page of errors', () => {
  const classes = [primitives, pool, embeddedRedis].flatMap(errorsOf);

  it.each(classes)('has a row for %s', (name) => {
    expect(rows.some((row) => row.startsWith(`| \`${name}\``))).toBe(true);
  });

  it.each(errorsOf(primitives))('gives the code of %s', (name, thrown) => {
    const { code } = new thrown(...(['', {}, {}] as never[])) as Error & { code: string };
    expect(rows.some((row) => row.startsWith(`| \`${name}\``) && row.includes(`\`${code}\``))).toBe(true);
  });

  it('names each code that the sources have, and no other', () => {
    const sources = globSync('libs/*/src/**/*.ts', {
      cwd: root,
      exclude: ['**/*.spec.ts', '**/testing/**'],
    });
    const used = sources.map((path) => readFileSync(`${root}/${path}`, 'utf8')).join('\n');
    expect(codesIn(page)).toEqual(codesIn(used));
  });
});
