// Builds the package it is started in: TypeScript to `dist`, and the scripts that Redis runs beside their callers.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, globSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

const require = createRequire(import.meta.url);
const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
const { bin = {} } = JSON.parse(readFileSync('package.json', 'utf8'));

// What a deleted source leaves behind would be packed and published.
rmSync('dist', { recursive: true, force: true });

try {
  execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
} catch {
  process.exit(1); // the compiler has said why
}

for (const script of globSync('**/*.lua', { cwd: 'src' })) cpSync(join('src', script), join('dist', script));

for (const program of Object.values(bin)) {
  if (!existsSync(program) || !readFileSync(program, 'utf8').startsWith('#!')) {
    console.error(
      `${program} is a command of this package, but was not built as a file that starts with "#!".`,
    );
    process.exit(1);
  }
  chmodSync(program, 0o755);
}
