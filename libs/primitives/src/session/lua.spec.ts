import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { operations } from '../machinery.distributed.ts';
import type { Operation } from './lua.ts';

const src = new URL('..', import.meta.url);

/** What a script's header says of its keys and arguments. */
function headerOf(file: URL): { keys: string; args: string; purpose: string } {
  const text = readFileSync(file, 'utf8');
  const line = (tag: string) => new RegExp(`^-- ${tag}:(.*)$`, 'm').exec(text)?.[1]?.trim();
  const [keys, args, returns] = [line('KEYS'), line('ARGV'), line('RETURNS')];
  if (keys === undefined || args === undefined || returns === undefined)
    throw new Error(`${file.pathname} lacks a header line`);
  return { keys, args, purpose: text.split('\n', 1)[0] ?? '' };
}

describe('Lua operations', () => {
  it.each(operations.map((operation): [string, Operation] => [operation.name, operation]))(
    '%s: the header says what its door does',
    (name, { file, keys, args }) => {
      const header = headerOf(file);
      expect(header.keys).toBe(keys.join(' '));
      expect(header.args).toBe(args.join(' '));
      expect(header.purpose).toMatch(/^-- \S.*/);
      expect(file.pathname).toContain(name.replace(/^session\./, 'session.'));
    },
  );

  it('are all known: no file lies about that no door leads to', async () => {
    const known = new Set(operations.map(({ file }) => file.pathname));
    const files = (await readdir(src, { recursive: true })).filter((file) => file.endsWith('.lua'));
    const apart = [
      'session/prelude.lua',
      'session/postlude.lua',
      'session/session.renew.lua',
      'fencing/fenced.set.lua',
    ];
    const unknown = files.filter((file) => !known.has(new URL(file, src).pathname) && !apart.includes(file));
    expect(unknown).toEqual([]);
    expect(files).toHaveLength(operations.length + apart.length);
  });

  it('stay short, and take no number through tostring or ..', async () => {
    for (const { file } of operations) {
      const text = readFileSync(file, 'utf8');
      expect(text.split('\n').length).toBeLessThanOrEqual(60);
      expect(text).not.toMatch(/tostring|cjson|os\.time/);
    }
  });
});
