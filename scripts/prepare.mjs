// What `npm ci` and `npm install` end with: the packages are compiled, so that plain `node` can import them.
// Where there is nothing to compile, or nothing to compile it with (an image's production layer), it does nothing;
// and a source that does not compile must not keep anybody from installing.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pinnedNode, program, quietNx, root } from './setup.mjs';

const needed = [
  pinnedNode,
  `${root}/node_modules/typescript/package.json`,
  `${root}/node_modules/.bin/nx`,
  `${root}/nx.json`,
  `${root}/libs/primitives/src/index.ts`,
];

if (needed.every((path) => existsSync(path))) {
  const build = spawnSync(pinnedNode, [program('nx'), 'run-many', '-t', 'build', '--output-style=static'], {
    cwd: root,
    env: quietNx(process.env),
    encoding: 'utf8',
  });
  if (build.status !== 0) {
    console.error(
      `${build.stdout}${build.stderr}\nThe packages were installed but not compiled; \`npm run build\` tries again.`,
    );
  } else for (const app of ['coordinator', 'worker']) linkCommands(app);
}

/** npm links the commands of packages before there is anything to link them to. */
function linkCommands(app) {
  const { bin } = JSON.parse(readFileSync(`${root}/apps/${app}/package.json`, 'utf8'));
  for (const [name, file] of Object.entries(bin)) {
    const link = `${root}/node_modules/.bin/${name}`;
    rmSync(link, { force: true });
    symlinkSync(join('../../apps', app, file), link);
  }
}
