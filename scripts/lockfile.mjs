// `node scripts/lockfile.mjs`, after `npm install` has changed package-lock.json.
// npm leaves out of the lock file every optional package that the registry at hand does not carry, commonly the builds
// of a tool for other platforms, and `npm ci` then refuses the lock as incomplete. This writes them in: by name, version
// and platform, which is all that npm needs to pass over them elsewhere and to fetch them where they belong.
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'];

/** The platform that a package of one platform's binaries carries in its name, `undefined` where it carries none. */
export function platformOf(name) {
  const words = name.split(/[/-]/);
  const system = words.find((word) => systems.includes(word));
  const processor = processors.find((candidate) => words.includes(candidate));
  if (!system || !processor) return undefined;
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word.startsWith('gnu'))
      ? 'glibc'
      : undefined;
  return { os: [system], cpu: [processor], ...(libc && system === 'linux' ? { libc: [libc] } : {}) };
}

/** The optional packages that the lock names as dependencies and has no entry for, with the entry each should have. */
export function missingPlatforms(lock) {
  const missing = {};
  for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const nested = `${path}/node_modules/${name}`;
      const hoisted = `node_modules/${name}`;
      const platform = platformOf(name);
      if (lock.packages[nested] || lock.packages[hoisted] || !platform) continue;
      missing[hoisted] = { version, ...(dev ? { dev } : {}), optional: true, ...platform };
    }
  }
  return missing;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const missing = missingPlatforms(lock);
  const { '': root, ...packages } = { ...lock.packages, ...missing };
  lock.packages = {
    '': root,
    ...Object.fromEntries(Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en'))),
  };
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  for (const name of Object.keys(missing)) console.log(`added ${name}`);
}
