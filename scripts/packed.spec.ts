import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program, quietNx, workspaceEnv } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const libraries = ['primitives', 'pool', 'embedded-redis'] as const;

let directory: string;
const tarballs: Record<string, string> = {};

/** A project of somebody else's: nothing of this repository is above it, and no condition points at our sources. */
class Project {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async with(name: string, names: readonly string[], ...npmOptions: string[]): Promise<Project> {
    const project = new Project(join(directory, name));
    await project.write('package.json', JSON.stringify({ name, private: true, type: 'module' }));
    const packages = names.map((library) => tarballs[library] ?? library);
    await npm(project.path, 'install', '--ignore-scripts', ...npmOptions, ...packages);
    return project;
  }

  async write(name: string, content: string): Promise<void> {
    await mkdir(dirname(join(this.path, name)), { recursive: true });
    await writeFile(join(this.path, name), content);
  }

  async node(name: string, source: string): Promise<string> {
    await this.write(name, source);
    const { stdout } = await run(process.execPath, [name], {
      cwd: this.path,
      env: plainEnv(),
      timeout: 30_000,
    });
    return stdout.trim();
  }

  /** What the compiler has to say; nothing, where all is well. */
  async typecheck(name: string, source: string): Promise<string> {
    await this.write(name, source);
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      module: 'nodenext',
      target: 'es2023',
      lib: ['es2024', 'esnext.disposable'],
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    };
    await this.write('tsconfig.json', JSON.stringify({ compilerOptions, files: [name] }));
    const { stdout } = await run(process.execPath, [program('tsc'), '-p', '.'], { cwd: this.path }).catch(
      (failed) => failed,
    );
    return stdout.trim();
  }
}

/** Vitest and npm both leave marks in the environment that a user's shell does not have. */
function plainEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(workspaceEnv()).filter(([name]) => !/^(npm_|vitest|node_options|node_path)/i.test(name)),
  );
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { npm_execpath: cli } = process.env;
  const options = { cwd, env: plainEnv(), timeout: 120_000 };
  const quiet = ['--loglevel=error', '--no-audit', '--no-fund'];
  const { stdout } = await (cli
    ? run(process.execPath, [cli, ...args, ...quiet], options)
    : run('npm', [...args, ...quiet], options));
  return stdout;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-packed-'));
  const projects = libraries.map((library) => `@heddle/${library}`).join(',');
  await run(
    process.execPath,
    [program('nx'), 'run-many', '--targets=build', `--projects=${projects}`, '--output-style=static'],
    { cwd: root, env: quietNx(workspaceEnv()) },
  ).catch((failed) => {
    throw new Error(`The packages do not build:\n${failed.stdout}`);
  });
  for (const library of libraries) {
    const packed = await npm(
      join(root, 'libs', library),
      'pack',
      '--json',
      '--ignore-scripts',
      `--pack-destination=${directory}`,
    );
    const name = /heddle-[\w.-]+\.tgz/.exec(packed)?.[0] ?? '';
    tarballs[library] = join(directory, name);
  }
}, 180_000);

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe.each(libraries)('the tarball of @heddle/%s', (library) => {
  const folder = join(root, 'libs', library);
  let files: string[];

  beforeAll(async () => {
    const { stdout } = await run('tar', ['-tzf', tarballs[library] ?? '']);
    files = stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/^package\//, ''));
  });

  it('has the compiled modules with their types and maps, and no tests', () => {
    const strays = files.filter(
      (file) => !/^dist\/.+\.(js|js\.map|d\.ts|lua)$|^(package\.json|LICENSE|README\.md)$/.test(file),
    );
    expect(strays).toEqual([]);
    expect(files.filter((file) => /\.(spec|conformance|test-d)\.|\/(testing|fixtures)\//.test(file))).toEqual(
      [],
    );
    const modules = files.filter((file) => file.endsWith('.js'));
    const companions = modules.flatMap((file) => [`${file}.map`, file.replace(/\.js$/, '.d.ts')]);
    expect(companions.filter((file) => !files.includes(file))).toEqual([]);
  });

  it('has a module for every source that ships, and every script that Redis runs', () => {
    const sources = globSync('**/*.{ts,lua}', { cwd: join(folder, 'src') }).filter(
      (path) => !/\.(spec|conformance|test-d)\.ts$|(^|\/)(testing|fixtures)\//.test(path),
    );
    const expected = sources.map((path) => `dist/${path.replace(/\.ts$/, '.js')}`);
    expect(expected.filter((path) => !files.includes(path))).toEqual([]);
  });

  it('has a file for everything that its exports promise', async () => {
    const { exports } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const promised = Object.values<{ types: string; default: string }>(exports).flatMap((entry) => [
      entry.types,
      entry.default,
    ]);
    expect(promised.filter((path) => !files.includes(path.replace('./', '')))).toEqual([]);
  });
});

describe('an empty project that installs @heddle/primitives', () => {
  let project: Project;

  // Offline: the local scope needs no other package, so npm has nobody to ask.
  beforeAll(async () => {
    project = await Project.with('local', ['primitives'], '--offline');
  }, 120_000);

  it('gets that package and no other', () => {
    expect(globSync(['*', '@*/*'], { cwd: join(project.path, 'node_modules') }).sort()).toEqual([
      '@heddle',
      '@heddle/primitives',
    ]);
  });

  it('locks, counts and meets in plain JavaScript', async () => {
    const source = `
      import { Barrier, Event, Lock, Semaphore } from '@heddle/primitives';
      const lock = new Lock();
      const lease = await lock.acquire();
      const second = await lock.acquire({ timeout: 0 });
      await lease.release();
      const semaphore = new Semaphore(2);
      await semaphore.acquire();
      const event = new Event();
      const waiting = event.wait();
      event.set();
      const barrier = new Barrier(2);
      const indices = await Promise.all([barrier.wait(), barrier.wait()]);
      console.log(JSON.stringify([second, lock.locked(), semaphore.value(), await waiting, indices.sort()]));`;
    expect(await project.node('main.js', source)).toBe('[null,false,1,true,[0,1]]');
  });

  it('shares a lock between threads', async () => {
    await project.write(
      'thread.js',
      `import { parentPort, workerData } from 'node:worker_threads';
      import { attach } from '@heddle/primitives';
      parentPort.postMessage(attach(workerData).acquireSync({ timeout: 0 }));`,
    );
    const source = `
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      import { Lock, share } from '@heddle/primitives';
      const lock = new Lock();
      const attempt = async () => {
        const thread = new Worker(new URL('./thread.js', import.meta.url), { workerData: share(lock) });
        // Both at once: the message and the end may come in one step.
        const [[got]] = await Promise.all([once(thread, 'message'), once(thread, 'exit')]);
        return got;
      };
      const lease = await lock.acquire();
      const held = await attempt();
      await lease.release();
      console.log(held, await attempt());`;
    expect(await project.node('share.js', source)).toBe('false true');
  });

  it('finds the types, and they need nothing that is not there', async () => {
    const source = `
      import { type AnyLock, type Lease, Lock } from '@heddle/primitives';
      const lock: AnyLock = new Lock();
      export async function main(): Promise<number> {
        const lease: Lease = await lock.acquire();
        const maybe: Lease | null = await lock.acquire({ timeout: 10 });
        await lease.release();
        return maybe?.token ?? lease.token;
      }`;
    expect(await project.typecheck('main.ts', source)).toBe('');
  });

  it('is told of misuse by the types', async () => {
    const source = `import { Lock } from '@heddle/primitives';\nawait new Lock().acquire({ timeout: 'soon' });`;
    expect(await project.typecheck('misuse.ts', source)).toMatch(/^misuse\.ts\(2,\d+\): error TS/);
  });
});

describe('an empty project that installs all of it', () => {
  let project: Project;

  // What npm installed here not long ago is in its cache.
  beforeAll(async () => {
    project = await Project.with('all', [...libraries], '--prefer-offline');
  }, 120_000);

  it('hands a distributed lock from session to session', async () => {
    const source = `
      import { startRedis } from '@heddle/embedded-redis';
      import { connect } from '@heddle/primitives/distributed';
      await using redis = await startRedis();
      const namespace = 'packed-' + process.pid;
      await using one = await connect(redis.url, { namespace });
      await using two = await connect(redis.url, { namespace });
      const first = await one.lock('l').acquire();
      const waiting = two.lock('l').acquire();
      await first.release();
      const second = await waiting;
      console.log(second.token > first.token, second.valid, first.valid);
      await second.release();`;
    expect(await project.node('distributed.js', source)).toBe('true true false');
  });

  it('runs tasks in threads', async () => {
    await project.write('tasks.js', `export const square = (n) => n * n;`);
    const source = `
      import { ThreadPoolExecutor } from '@heddle/pool';
      await using pool = new ThreadPoolExecutor(new URL('./tasks.js', import.meta.url), { maxWorkers: 2 });
      console.log(await pool.submit('square', 7));`;
    expect(await project.node('pool.js', source)).toBe('49');
  });

  it('tells a task that has a second copy of the pool, which knows of no job', async () => {
    const second = join(project.path, 'apart/node_modules/@heddle');
    await cp(join(project.path, 'node_modules/@heddle'), second, { recursive: true });
    await project.write(
      'apart/tasks.js',
      `import { currentJob } from '@heddle/pool/task';\nexport const id = () => currentJob().id;`,
    );
    const source = `
      import { ThreadPoolExecutor } from '@heddle/pool';
      await using pool = new ThreadPoolExecutor(new URL('./apart/tasks.js', import.meta.url), { maxWorkers: 1 });
      const { name, message } = await pool.submit('id').exception();
      console.log(name, message);`;
    const told = await project.node('apart.js', source);
    expect(told).toMatch(/^InvalidStateError .*another copy of @heddle\/pool/);
    expect(told).toContain('/apart/node_modules/@heddle/pool/');
  });

  it('runs tasks on another host', async () => {
    await project.write('tasks.js', `export const square = (n) => n * n;`);
    const source = `
      import { startRedis } from '@heddle/embedded-redis';
      import { DistributedExecutor, WorkerHost } from '@heddle/pool';
      import { connect } from '@heddle/primitives/distributed';
      await using redis = await startRedis();
      await using session = await connect(redis.url, { namespace: 'packed-' + process.pid });
      const host = new WorkerHost('packed', { session, tasks: new URL('./tasks.js', import.meta.url), threads: 1 });
      await host.start();
      const executor = new DistributedExecutor('packed', { session });
      console.log(await executor.submit('square', 8));
      await executor.shutdown();
      await host.close();`;
    expect(await project.node('jobs.js', source)).toBe('64');
  });

  it('finds the types of every entry', async () => {
    await project.write('tasks.d.ts', 'export function square(n: number): number;');
    const source = `
      import { startRedis } from '@heddle/embedded-redis';
      import { type Future, ThreadPoolExecutor } from '@heddle/pool';
      import { currentJob } from '@heddle/pool/task';
      import { connect, type Session } from '@heddle/primitives/distributed';
      const pool = new ThreadPoolExecutor<typeof import('./tasks.js')>(new URL('./tasks.js', import.meta.url));
      export const future: Future<number> = pool.submit('square', 7);
      export const session: Promise<Session> = connect('redis://127.0.0.1:6379');
      export const job = currentJob;
      export const redis = startRedis;`;
    expect(await project.typecheck('all.ts', source)).toBe('');
  });
});
