// `npm start [-- DIR …flags]`: indexes a directory with a fleet of worker processes. The first command after a clone.
import { resolve } from 'node:path';
import process from 'node:process';
import { endLike, ensureInstalled, ensureRedis, pinnedNode, root, run, workspaceEnv } from './setup.mjs';

await ensureInstalled();
await ensureRedis();

const coordinator = resolve(root, 'apps/coordinator/src/main.ts');
endLike(
  await run(pinnedNode, ['--conditions=@heddle/source', coordinator, 'index', ...process.argv.slice(2)], {
    // DIR is meant from where the user stands. npm has moved to the root, and says where that was.
    cwd: process.env.INIT_CWD ?? process.cwd(),
    env: workspaceEnv(),
  }),
);
