import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}

const { services }: { services: Record<'redis' | 'coordinator' | 'worker', Service> } = parse(
  read('docker-compose.yml'),
);

/** The ways to call Compose, of which this machine may have none. */
const composers = [['docker-compose'], ['docker', 'compose']].filter(
  ([program = '', ...args]) => spawnSync(program, [...args, 'version']).status === 0,
);

describe('the compose file', () => {
  it.runIf(composers.length > 0)('passes compose config', () => {
    for (const [program = '', ...args] of composers) {
      const config = execFileSync(program, [...args, 'config'], {
        cwd: root,
        encoding: 'utf8',
        env: { ...process.env, TREE: '/usr' },
      });
      expect(Object.keys(parse(config).services).sort()).toEqual(['coordinator', 'redis', 'worker']);
    }
  });

  it('has everybody wait for a Redis that answers', () => {
    expect(services.redis.healthcheck?.test).toEqual(['CMD', 'redis-cli', 'ping']);
    expect(services.coordinator.depends_on?.redis?.condition).toBe('service_healthy');
    expect(services.worker.depends_on?.redis?.condition).toBe('service_healthy');
  });

  it('gives a worker nothing that two of them would fight over', () => {
    expect(services.worker).not.toHaveProperty('container_name');
    expect(services.worker).not.toHaveProperty('ports');
    expect(services.worker).not.toHaveProperty('hostname');
  });

  it('lets Redis refuse rather than forget', () => {
    expect(read('docker-compose.yml')).toMatch(/--maxmemory-policy, noeviction/);
  });

  it('has coordinator and workers meet in one queue', () => {
    expect(services.coordinator).toHaveProperty(
      'command',
      expect.arrayContaining(['--queue', services.worker.environment?.HEDDLE_QUEUE]),
    );
    expect(services.coordinator.environment?.HEDDLE_REDIS).toBe(services.worker.environment?.HEDDLE_REDIS);
  });
});

describe.each(['coordinator', 'worker'] as const)('the image of the %s', (name) => {
  const dockerfile = services[name].build?.dockerfile ?? '';
  const steps = read(dockerfile)
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line));
  const stages = steps.filter((step) => step.startsWith('FROM '));
  const copies = steps.filter((step) => step.startsWith('COPY ')).map((step) => step.split(' ').slice(1));

  it('is built in stages, on the Node that the workspace pins', () => {
    const { node } = JSON.parse(read('package.json')).devDependencies;
    const bases = stages.map((stage) => stage.split(' ')[1]).filter((base) => base?.includes(':'));
    expect(stages.length).toBeGreaterThan(2);
    expect(new Set(bases)).toEqual(new Set([`node:${node.replace(/\.\d+$/, '')}-bookworm-slim`]));
  });

  it('does not run as root', () => {
    const last = steps.findLastIndex((step) => step.startsWith('USER '));
    expect(steps[last]).toBe('USER node');
    expect(steps.slice(last).some((step) => step.startsWith('RUN '))).toBe(false);
  });

  it('is made of files that are there, and that .dockerignore lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    const sources = copies
      .filter(([first]) => !first?.startsWith('--'))
      .flatMap((words) => words.slice(0, -1));
    expect(sources.filter((source) => !existsSync(join(root, source)))).toEqual([]);
    expect(
      sources.filter((source) => !allowed.some((line) => `${source}/`.startsWith(`${line.slice(1)}/`))),
    ).toEqual([]);
  });

  it('installs from the manifest of every package, as npm ci demands', () => {
    const manifests = globSync(['package.json', '{libs,apps}/*/package.json', 'bench/package.json'], {
      cwd: root,
    });
    const copied = new Set(copies.flat());
    expect(manifests.filter((path) => !copied.has(path))).toEqual([]);
  });

  it('carries the compiled form of every package that it installs', () => {
    const built = copies.filter(([first, source]) => first === '--from=build' && source?.endsWith('/dist'));
    const wanted = JSON.parse(read(join(dirname(dockerfile), 'package.json'))).dependencies;
    const folders = built.map(([, source = '']) => dirname(source).replace('/heddle/', ''));
    const names = folders.map((folder) => JSON.parse(read(`${folder}/package.json`)).name);
    expect(names).toEqual(
      expect.arrayContaining(Object.keys(wanted).filter((dependency) => dependency.startsWith('@heddle/'))),
    );
  });

  it('starts, and names, files that the build makes', () => {
    const compiled = [...read(dockerfile).matchAll(/\/heddle\/((?:apps|libs)\/\w+)\/dist\/([\w/-]+)\.js/g)];
    expect(compiled.length).toBeGreaterThan(0);
    for (const [, folder, file] of compiled)
      expect(existsSync(join(root, `${folder}/src/${file}.ts`))).toBe(true);
  });
});

describe('an image of one’s own, as the guide shows it', () => {
  const [, from, place] =
    /^```dockerfile\nFROM (\S+)\nCOPY \S+ (\S+)$/m.exec(read('docs/guide/deploy.md')) ?? [];

  it('starts from the image of the worker', () => {
    expect(from).toBe(services.worker.image);
  });

  it('has its tasks where they find the packages of the worker', () => {
    const [workdir] =
      [...read(services.worker.build?.dockerfile ?? '').matchAll(/(?<=^WORKDIR )\S+/gm)].at(-1) ?? [];
    expect(place?.startsWith(`${workdir}/`)).toBe(true);
  });
});
