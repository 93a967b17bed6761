// `npm start [-- DIR …flags]`: indexes a directory with a fleet of worker processes. The first command after a clone.
import { resolve } from 'node:path';
import process from 'node:process';
import { endLike, ensureInstalled, ensureRedis, pinnedNode, root, run, workspaceEnv } from './setup.mjs';

await ensureInstalled();
await ensureRedis();

const coordinator = resolve(root, 'apps/coordinator/src/main.ts');
// Sources run as they are, in threads too: what both options are for stands in vitest.config.ts.
const options = ['--conditions=@heddle/source', '--wasm-wrapper-tiering-budget=1000000000'];
endLike(
  await run(pinnedNode, [...options, coordinator, 'index', ...process.argv.slice(2)], {
    // DIR is meant from where the user stands. npm has moved to the root, and says where that was.
    cwd: process.env.INIT_CWD ?? process.cwd(),
    env: workspaceEnv(),
  }),
);
