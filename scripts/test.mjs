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
  quietNx,
  root,
  run,
  say,
  workspaceEnv,
} from './setup.mjs';

await ensureInstalled();
await ensureRedis();

const nx = join(root, 'node_modules', 'nx', 'bin', 'nx.js');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const env = workspaceEnv();

say('checking style and types …');
const checks = await run(
  pinnedNode,
  [nx, 'run-many', '-t', 'lint', 'typecheck', 'build', '--nxBail=false', '--output-style=static'],
  { env: quietNx(env) },
);
if (checks.signal) await endLike(checks);

say('running the tests …');
const report = mkdtempSync(join(tmpdir(), 'heddle-test-'));
const results = join(report, 'results.json');
const tests = await run(
  pinnedNode,
  [
    vitest,
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${results}`,
    ...process.argv.slice(2),
  ],
  { env },
);
const { passed, failed } = count(results);
rmSync(report, { recursive: true, force: true });
if (tests.signal) await endLike(tests);

if (checks.code !== 0) console.log('\nStyle, types or build: failed; see the top of this output.\n');
// A failure that is no single test's (a file that does not load, an unhandled error, a check) counts as one.
const others = (tests.code !== 0 && failed === 0 ? 1 : 0) + (checks.code !== 0 ? 1 : 0);
console.log(`${passed} passed, ${failed + others} failed`);
process.exit(tests.code || checks.code);

function count(path) {
  try {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(path, 'utf8'));
    const unloaded = testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
    );
    return { passed: numPassedTests, failed: numFailedTests + unloaded.length };
  } catch {
    return { passed: 0, failed: 0 }; // vitest itself could not run, and has said why
  }
}
