// What `npm ci` and `npm install` end with: the packages are compiled, so that plain `node` can import them.
// Where there is nothing to compile, or nothing to compile it with (an image's production layer), it does nothing;
// and a source that does not compile must not keep anybody from installing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { pinnedNode, quietNx } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

function installed(name) {
  try {
    return require.resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
}

const nx = installed('nx') && require.resolve('nx/bin/nx.js');
const sources = existsSync(`${root}/libs/primitives/src/index.ts`) && existsSync(`${root}/nx.json`);

if (nx && installed('typescript') && sources && existsSync(pinnedNode)) {
  const build = spawnSync(pinnedNode, [nx, 'run-many', '-t', 'build', '--output-style=static'], {
    cwd: root,
    env: quietNx(process.env),
    encoding: 'utf8',
  });
  if (build.status !== 0) {
    console.error(
      `${build.stdout}${build.stderr}\nThe packages were installed but not compiled; \`npm run build\` tries again.`,
    );
  }
}
