import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { program } from './setup.mjs';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-tally-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function tally(files: Record<string, string>): Promise<unknown> {
  for (const [name, source] of Object.entries(files)) await writeFile(join(directory, name), source);
  const reporter = fileURLToPath(new URL('./tally.mjs', import.meta.url));
  const file = join(directory, 'tally.json');
  const args = ['run', '--globals', `--root=${directory}`, `--reporter=${reporter}`];
  const vitest = spawn(process.execPath, [program('vitest'), ...args], {
    cwd: directory,
    env: { ...process.env, HEDDLE_TALLY: file },
    stdio: 'ignore',
  });
  await once(vitest, 'exit');
  return JSON.parse(await readFile(file, 'utf8'));
}

const passing = `it('passes', () => {}); it('passes too', () => {}); it.skip('waits', () => {});`;

it('counts tests that passed and tests that failed', async () => {
  expect(
    await tally({
      'a.spec.mjs': passing,
      'b.spec.mjs': `describe('b', () => { it('fails', () => { throw new Error('b'); }); }); ${passing}`,
    }),
  ).toEqual({ passed: 4, failed: 1 });
});

it('counts a file that does not load as one that failed', async () => {
  expect(await tally({ 'a.spec.mjs': passing, 'b.spec.mjs': `import './nowhere.mjs';` })).toEqual({
    passed: 2,
    failed: 1,
  });
});

it('counts what nobody caught', async () => {
  const loose = `it('passes', async () => { Promise.reject(new Error('loose')); await new Promise(setImmediate); });`;
  expect(await tally({ 'a.spec.mjs': loose })).toEqual({ passed: 1, failed: 1 });
});
