// `npm test [-- …vitest arguments]`: every check and every test of the workspace. The first command after a clone.
// Compiling, types and style are taken from Nx's cache where nothing changed; tests always run, for they are the proof.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import {
  endLike,
  ensureInstalled,
  ensureRedis,
  pinnedNode,
  program,
  quietNx,
  root,
  run,
  say,
  workspaceEnv,
} from './setup.mjs';

await ensureInstalled();
await ensureRedis();

say('checking style and types …');
const checks = await nx('lint', 'typecheck', 'build');

say('running the tests …');
const { code, passed, failed } = await vitest(process.argv.slice(2));

if (checks !== 0) console.log('\nStyle, types or the build failed: see the beginning of this output.\n');
const broken = failed + (code !== 0 && failed === 0 ? 1 : 0) + (checks !== 0 ? 1 : 0);
console.log(`${passed} passed, ${broken} failed`);
process.exit(code || checks);

async function nx(...targets) {
  const outcome = await run(
    pinnedNode,
    [program('nx'), 'run-many', '--targets', targets.join(','), '--nxBail=false', '--output-style=static'],
    { env: quietNx(workspaceEnv()) },
  );
  if (outcome.signal) await endLike(outcome);
  return outcome.code;
}

async function vitest(args) {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-test-'));
  const tally = join(directory, 'tally.json');
  const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts', 'tally.mjs')}`];
  try {
    const outcome = await run(pinnedNode, [program('vitest'), 'run', ...reporters, ...args], {
      env: { ...workspaceEnv(), HEDDLE_TALLY: tally },
    });
    if (outcome.signal) await endLike(outcome);
    return { code: outcome.code, ...read(tally) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function read(tally) {
  try {
    return JSON.parse(readFileSync(tally, 'utf8'));
  } catch {
    return { passed: 0, failed: 0 }; // vitest could not even begin, and has said why
  }
}
