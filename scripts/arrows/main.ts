// `node scripts/arrows/main.ts [ROOT]`: does every import of the workspace go the way it should? Part of `npm run lint`.
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import { offences } from './rules.ts';

const root = resolve(process.argv[2] ?? new URL('../..', import.meta.url).pathname);
const paths = globSync(['{libs,apps}/*/package.json', '{libs,apps}/*/{src,test}/**/*.ts'], { cwd: root });
const tree = new Map(
  paths.map((path) => [path.replaceAll('\\', '/'), readFileSync(resolve(root, path), 'utf8')]),
);
const found = offences(tree);

for (const { rule, path, because } of found) console.error(`${path}: ${because}\n    ${rule}`);
if (found.length > 0) process.exitCode = 1;
else console.log(`${tree.size} files, every arrow as it should be.`);
