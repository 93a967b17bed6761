import { posix } from 'node:path';
import { type Arrow, type Module, readModules, type Tree } from './modules.ts';

/** One place where the sources go against the order of the house. */
export interface Offence {
  readonly rule: string;
  readonly path: string;
  readonly because: string;
}

type Modules = ReadonlyMap<string, Module>;
type Rule = (modules: Modules, tree: Tree) => Iterable<Omit<Offence, 'rule'>>;

/** Checks a tree of sources against every rule. */
export function offences(tree: Tree): Offence[] {
  const modules = readModules(tree);
  return Object.entries(RULES).flatMap(([rule, find]) =>
    [...find(modules, tree)].map((offence) => ({ rule, ...offence })),
  );
}

/**
 * The rules, by what each demands. Tests, and what only tests use, may look anywhere; of them only circles are asked,
 * and that they load nothing that is not there.
 */
export const RULES: Readonly<Record<string, Rule>> = {
  'no circles': (modules) => circles(modules),

  'apps → pool → primitives, one way': (modules) =>
    arrowsOf(modules, ({ path }, { file, package: name }) => {
      const [from, to] = [packageOf(path), file && packageOf(file)];
      if (!from || !to || from === to) return undefined;
      if (name === undefined) return `reaches into ${to} past its exports`;
      return (MAY_USE[from] ?? []).includes(to) ? undefined : `${from} may not use ${to}`;
    }),

  'nobody imports their own barrel': (modules, tree) => {
    const barrels = barrelsOf(tree);
    return arrowsOf(modules, ({ path }, { file, specifier }) =>
      file && barrels.has(file) && packageOf(file) === packageOf(path)
        ? `imports ${specifier}, its own package's entry; name the file that declares it`
        : undefined,
    );
  },

  'only *.distributed.ts and session/ see ioredis': (modules) =>
    arrowsOf(modules, ({ path }, { package: name }) =>
      name === 'ioredis' && isIn(path, 'libs/primitives') && !isDistributed(path) && !isSession(path)
        ? 'imports ioredis'
        : undefined,
    ),

  'only jobs/ sees bullmq': (modules) =>
    arrowsOf(modules, ({ path }, { package: name }) =>
      name === 'bullmq' && !isIn(path, 'libs/pool/src/jobs') ? 'imports bullmq' : undefined,
    ),

  'threads/ knows no Redis': (modules) =>
    arrowsOf(modules, ({ path }, { package: name, specifier, file, kind }) => {
      if (!isIn(path, 'libs/pool/src/threads')) return undefined;
      const client = name === 'ioredis' || name === 'bullmq' || isIn(file ?? '', 'libs/pool/src/jobs');
      // A job may carry a session for its task to use; only its type is known here.
      const scope = isDistributed(file ?? '') || (isEntry(file ?? '') && kind !== 'type');
      return client || scope ? `imports ${specifier}` : undefined;
    }),

  'only *.distributed.ts and *.scripts.ts see session/': (modules) =>
    arrowsOf(modules, ({ path }, { file, specifier }) =>
      isSession(file ?? '') &&
      !isSession(path) &&
      !isDistributed(path) &&
      !path.endsWith('.scripts.ts') &&
      !isEntry(path)
        ? `imports ${specifier}`
        : undefined,
    ),

  'a contract knows none of its implementations': (modules) =>
    arrowsOf(modules, ({ path }, { file = '', specifier }) =>
      isContract(path) && (isLocal(file) || isDistributed(file) || isSession(file) || isSharedMemory(file))
        ? `imports ${specifier}`
        : undefined,
    ),

  'local and distributed do not know each other': (modules) =>
    [...modules.values()]
      .filter(({ path }) => isProduct(path))
      .flatMap((module) => {
        const others = isLocal(module.path)
          ? isDistributed
          : isDistributed(module.path)
            ? isLocal
            : undefined;
        const found = others && reachable(modules, module.path).find((path) => others(path));
        return found ? [{ path: module.path, because: `reaches ${found}` }] : [];
      }),

  'distributed primitives stand on seats, not on each other': (modules) =>
    arrowsOf(modules, ({ path }, { file = '', specifier, kind }) =>
      kind !== 'type' &&
      isPrimitive(path) &&
      isPrimitive(file) &&
      !SEAT.test(file) &&
      posix.dirname(path) !== posix.dirname(file)
        ? `imports ${specifier}; a chain of round trips is not atomic`
        : undefined,
    ),

  'the local scope needs no package': (modules) =>
    reachable(modules, 'libs/primitives/src/index.ts').flatMap((path) =>
      (modules.get(path)?.arrows ?? [])
        .filter(({ package: name, kind }) => name !== undefined && kind !== 'type')
        .map(({ specifier }) => ({
          path,
          because: `imports ${specifier}, and is part of @heddle/primitives`,
        })),
    ),

  'only shared-memory/ names Atomics': (modules) =>
    products(modules, ({ path, atomics }) =>
      atomics.length > 0 && !isSharedMemory(path) ? 'names Atomics' : undefined,
    ),

  'only word.ts waits and notifies': (modules) =>
    products(modules, ({ path, atomics }) => {
      const waits = atomics.filter((member) => ['wait', 'waitAsync', 'notify'].includes(member));
      return waits.length > 0 && path !== 'libs/primitives/src/shared-memory/word.ts'
        ? `names Atomics.${waits.join(', Atomics.')}`
        : undefined;
    }),

  'no default exports': (modules) =>
    products(modules, ({ hasDefaultExport }) => (hasDefaultExport ? 'has a default export' : undefined)),

  'no drawer for the rest': (_, tree) =>
    [...tree.keys()].flatMap((path) => {
      const drawer = path
        .split('/')
        .find((part) => /^(utils?|helpers?|common|misc|shared|types\.ts)(\.ts)?$/.test(part));
      return drawer ? [{ path, because: `${drawer} says nothing; name it for what it is` }] : [];
    }),

  'every package is declared': (modules, tree) =>
    arrowsOf(modules, ({ path }, { package: name, specifier, kind }) => {
      const owner = packageOf(path);
      if (!owner || !name || kind === 'type') return undefined;
      const { dependencies = {}, peerDependencies = {} } = JSON.parse(
        tree.get(`${owner}/package.json`) ?? '{}',
      );
      return name in dependencies || name in peerDependencies
        ? undefined
        : `imports ${specifier}, which ${owner} does not declare`;
    }),
};

const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  'libs/primitives': [],
  'libs/embedded-redis': [],
  'libs/pool': ['libs/primitives'],
  'apps/worker': ['libs/primitives', 'libs/pool'],
  'apps/coordinator': ['libs/primitives', 'libs/pool', 'libs/embedded-redis', 'apps/worker'],
};

const isIn = (path: string, folder: string) => path.startsWith(`${folder}/`);
const isLocal = (path: string) => path.endsWith('.local.ts');
const isDistributed = (path: string) => path.endsWith('.distributed.ts');
const isSession = (path: string) => isIn(path, 'libs/primitives/src/session');
const isSharedMemory = (path: string) => /^libs\/[^/]+\/src\/shared-memory\//.test(path);
const isEntry = (path: string) => path === 'libs/primitives/src/distributed.ts';

/** `lock/lock.distributed.ts`, but not the session, which makes them all. */
const isPrimitive = (path: string) => /^libs\/primitives\/src\/[^/]+\/[^/]+\.distributed\.ts$/.test(path);

/** What is one script a step, whoever stands on it. */
const SEAT = /\/[a-z-]+-seat\.distributed\.ts$|\/inner-lock\.distributed\.ts$/;

/** `lock/lock.ts`: the file named for its folder says what both scopes promise. */
function isContract(path: string): boolean {
  const folder = posix.dirname(path);
  return isIn(path, 'libs/primitives/src') && posix.basename(path, '.ts') === posix.basename(folder);
}

/** What is packed and shipped, rather than tests and what only they use. */
function isProduct(path: string): boolean {
  return (
    /^(libs|apps)\/[^/]+\/src\//.test(path) &&
    !/\.(spec|test-d|conformance)\.ts$|\/(testing|fixtures)\//.test(path)
  );
}

function packageOf(path: string): string | undefined {
  return /^((?:libs|apps)\/[^/]+)\//.exec(path)?.[1];
}

function barrelsOf(tree: Tree): ReadonlySet<string> {
  const barrels = new Set<string>();
  for (const [path, source] of tree) {
    if (posix.basename(path) !== 'package.json') continue;
    const entries: Record<string, { '@heddle/source'?: string }> = JSON.parse(source).exports ?? {};
    for (const { '@heddle/source': entry } of Object.values(entries)) {
      if (entry) barrels.add(posix.join(posix.dirname(path), entry));
    }
  }
  return barrels;
}

function* products(modules: Modules, find: (module: Module) => string | undefined) {
  for (const module of modules.values()) {
    const because = isProduct(module.path) ? find(module) : undefined;
    if (because !== undefined) yield { path: module.path, because };
  }
}

function* arrowsOf(modules: Modules, find: (module: Module, arrow: Arrow) => string | undefined) {
  for (const module of modules.values()) {
    if (!isProduct(module.path)) continue;
    for (const arrow of module.arrows) {
      const because = find(module, arrow);
      if (because !== undefined) yield { path: module.path, because };
    }
  }
}

/** Every file that is loaded along with `start`, itself first. */
function reachable(modules: Modules, start: string): string[] {
  const seen = new Set(modules.has(start) ? [start] : []);
  for (const path of seen) {
    for (const { file, kind } of modules.get(path)?.arrows ?? []) {
      if (file !== undefined && kind !== 'type') seen.add(file);
    }
  }
  return [...seen];
}

/**
 * Circles of imports, each told once. A module that is started by its URL loads in a world of its own and may import
 * what its starter is made of, so those arrows close no circle.
 */
function* circles(modules: Modules): Iterable<Omit<Offence, 'rule'>> {
  const done = new Set<string>();
  const trail: string[] = [];
  function* walk(path: string): Iterable<Omit<Offence, 'rule'>> {
    const at = trail.indexOf(path);
    if (at >= 0) {
      yield { path, because: [...trail.slice(at), path].join(' → ') };
      return;
    }
    if (done.has(path)) return;
    trail.push(path);
    for (const { file, kind } of modules.get(path)?.arrows ?? [])
      if (file && kind !== 'url') yield* walk(file);
    trail.pop();
    done.add(path);
  }
  for (const path of modules.keys()) yield* walk(path);
}
