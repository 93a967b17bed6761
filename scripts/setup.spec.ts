import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isInstalled } from './setup.mjs';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-setup-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function write(path: string, content: string | object): Promise<string> {
  const file = join(directory, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

describe('whether anything must be installed', () => {
  const entry = (version: string, more = {}) => ({ version, integrity: `sha512-${version}`, ...more });
  const wanted = {
    '': { name: 'heddle' },
    'libs/a': { version: '1.0.0' },
    'node_modules/a': { resolved: 'libs/a', link: true },
    'node_modules/left': entry('1.0.0'),
    'node_modules/left/node_modules/right': entry('2.0.0'),
    'node_modules/left-win32': entry('1.0.0', { optional: true }),
  };
  const { 'node_modules/left-win32': _, ...installed } = wanted;

  async function given(lock: object, found?: object): Promise<boolean> {
    await write('package-lock.json', { packages: lock });
    if (found) await write('node_modules/.package-lock.json', { packages: found });
    return isInstalled(directory);
  }

  it('nothing, where all is there that this platform takes', async () => {
    expect(await given(wanted, installed)).toBe(true);
  });

  it('all of it in a fresh clone', async () => {
    expect(await given(wanted)).toBe(false);
  });

  it('what the lock file has gained', async () => {
    expect(await given({ ...wanted, 'node_modules/new': entry('1.0.0') }, installed)).toBe(false);
  });

  it('what the lock file has in another version', async () => {
    expect(await given({ ...wanted, 'node_modules/left': entry('1.0.1') }, installed)).toBe(false);
  });

  it('what was published again under the same version', async () => {
    const republished = { ...entry('1.0.0'), integrity: 'sha512-other' };
    expect(await given({ ...wanted, 'node_modules/left': republished }, installed)).toBe(false);
  });

  it('optional packages too, where they are of another version', async () => {
    expect(await given(wanted, { ...installed, 'node_modules/left-win32': entry('0.9.0') })).toBe(false);
  });

  it('all of it after an install that was cut short', async () => {
    await write('package-lock.json', { packages: wanted });
    await write('node_modules/left/package.json', {});
    expect(isInstalled(directory)).toBe(false);
  });
});

describe('a command run in the foreground', () => {
  /** Runs `child` as the two commands run theirs, and ends as it ends. */
  async function wrapped(child: string) {
    const setup = new URL('./setup.mjs', import.meta.url);
    const program = await write('child.mjs', child);
    const wrapper = await write(
      'wrapper.mjs',
      `import { endLike, run } from ${JSON.stringify(setup)};
      await endLike(await run(process.execPath, [${JSON.stringify(program)}], { cwd: ${JSON.stringify(directory)} }));`,
    );
    const running = spawn(process.execPath, [wrapper], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(running, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
    return { running, ended, line: async () => (await lines.next()).value as string };
  }

  const patient = (onSignal: string) => `
    setInterval(() => {}, 1_000);
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { ${onSignal} });
    console.log('ready');`;

  it.each([0, 3])('gives its exit code, %d', async (code) => {
    const { ended } = await wrapped(`process.exit(${code})`);
    expect(await ended).toEqual([code, null]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('gets %s, and may take its time to end', async (signal) => {
    const { running, ended, line } = await wrapped(
      patient('console.log(signal); setTimeout(() => process.exit(7), 50);'),
    );
    expect(await line()).toBe('ready');
    running.kill(signal);
    expect(await line()).toBe(signal);
    expect(await ended).toEqual([7, null]);
  });

  it('gets a signal once that npm and the terminal both pass on', async () => {
    const { running, ended, line } = await wrapped(
      patient('console.log(signal); if (signal === "SIGTERM") process.exit(0);'),
    );
    expect(await line()).toBe('ready');
    running.kill('SIGINT');
    expect(await line()).toBe('SIGINT');
    running.kill('SIGINT');
    running.kill('SIGTERM');
    expect(await line()).toBe('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  it('that a signal ended is told by the same signal', async () => {
    const { ended } = await wrapped(`process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1_000);`);
    expect(await ended).toEqual([null, 'SIGKILL']);
  });
});

describe('the pieces that need nothing installed', () => {
  it('start, and say what to do, on a machine where npm cannot install', async () => {
    await cp(fileURLToPath(new URL('.', import.meta.url)), join(directory, 'scripts'), { recursive: true });
    await write('package.json', { name: 'clone', type: 'module' });
    const npm = await write('npm-cli.js', 'console.error("npm: no network"); process.exit(1);');
    const start = spawn(process.execPath, ['scripts/start.mjs'], {
      cwd: directory,
      env: { ...process.env, npm_execpath: npm },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    start.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    const [code] = await once(start, 'close');
    expect(code).toBe(1);
    expect(said).toBe(
      'heddle: installing dependencies (npm ci) …\nnpm: no network\nheddle: the dependencies could not be installed; npm has said why above.\n',
    );
  });
});
