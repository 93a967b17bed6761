import { posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

/** Source files by their path in the repository, with `/` and without a leading one. */
export type Tree = ReadonlyMap<string, string>;

/** One module's mention of another. */
export interface Arrow {
  /** What the source says: `./lock.ts`, `ioredis`, `@heddle/pool`. */
  readonly specifier: string;
  /** The file of this repository that it means; absent for what comes from elsewhere. */
  readonly file?: string;
  /** The package it comes from, ours included; absent for relative and built-in modules. */
  readonly package?: string;
  /**
   * `value`: loaded with the importer. `type`: gone once compiled. `url`: a module started by its URL, in a thread or
   * process of its own.
   */
  readonly kind: 'value' | 'type' | 'url';
}

/** What the rules look at of one source file. */
export interface Module {
  readonly path: string;
  readonly arrows: readonly Arrow[];
  /** Members of `Atomics` that the code names; `*` where it names the object alone. */
  readonly atomics: readonly string[];
  readonly hasDefaultExport: boolean;
}

interface Package {
  readonly folder: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

type Node = { readonly type: string; readonly [field: string]: unknown };

/** Reads every TypeScript file of the tree. A file that does not parse is an error: it can't be vouched for. */
export function readModules(tree: Tree): ReadonlyMap<string, Module> {
  const packages = readPackages(tree);
  const modules = new Map<string, Module>();
  for (const [path, source] of tree) {
    if (path.endsWith('.ts')) modules.set(path, readModule(path, source, packages));
  }
  return modules;
}

function readPackages(tree: Tree): ReadonlyMap<string, Package> {
  const packages = new Map<string, Package>();
  for (const [path, source] of tree) {
    if (posix.basename(path) !== 'package.json') continue;
    const { name, exports = {} } = JSON.parse(source);
    packages.set(name, { folder: posix.dirname(path), exports });
  }
  return packages;
}

function readModule(path: string, source: string, packages: ReadonlyMap<string, Package>): Module {
  const { program, errors } = parseSync(path, source);
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0]?.message}`);
  const arrows: Arrow[] = [];
  const atomics = new Set<string>();
  let hasDefaultExport = false;
  const point = (specifier: unknown, kind: Arrow['kind']) => {
    if (typeof specifier === 'string') arrows.push(resolve(path, specifier, kind, packages));
  };
  new Visitor({
    ImportDeclaration: (node) => point(node.source.value, isTypeOnly(node) ? 'type' : 'value'),
    ExportAllDeclaration: (node) => point(node.source.value, node.exportKind === 'type' ? 'type' : 'value'),
    ExportNamedDeclaration(node) {
      point(node.source?.value, isTypeOnly(node) ? 'type' : 'value');
      if (node.specifiers.some(({ exported }) => nameOf(exported) === 'default')) hasDefaultExport = true;
    },
    ExportDefaultDeclaration() {
      hasDefaultExport = true;
    },
    ImportExpression: (node) => point(literal(node.source), 'value'),
    TSImportType: (node) => point(node.source.value, 'type'),
    NewExpression(node) {
      const [first, second] = node.arguments;
      if (nameOf(node.callee) !== 'URL' || second === undefined) return;
      for (const specifier of literalsIn(first))
        if (/^\.\.?\/.*\.ts$/.test(specifier)) point(specifier, 'url');
    },
    MemberExpression(node) {
      if (nameOf(node.object) === 'Atomics') atomics.add(nameOf(node.property) ?? '*');
    },
    Identifier(node) {
      if (node.name === 'Atomics') atomics.add('*');
    },
  }).visit(program);
  return { path, arrows, atomics: [...atomics], hasDefaultExport };
}

/** `import type { A }` and `import { type A }` both vanish; `import './a.ts'` and `import {} from` do not. */
function isTypeOnly(node: {
  importKind?: string;
  exportKind?: string;
  specifiers: readonly unknown[];
}): boolean {
  if (node.importKind === 'type' || node.exportKind === 'type') return true;
  const kinds = node.specifiers.map((specifier) => {
    const { importKind, exportKind } = specifier as { importKind?: string; exportKind?: string };
    return importKind ?? exportKind;
  });
  return kinds.length > 0 && kinds.every((kind) => kind === 'type');
}

function nameOf(node: unknown): string | undefined {
  const { name, value } = node as { name?: unknown; value?: unknown };
  return typeof name === 'string' ? name : typeof value === 'string' ? value : undefined;
}

function literal(node: unknown): unknown {
  return (node as Node).type === 'Literal' ? (node as Node).value : undefined;
}

/** The strings in an expression, such as both branches of `compiled ? './x.js' : './x.ts'`. */
function literalsIn(node: unknown): string[] {
  if (Array.isArray(node)) return node.flatMap(literalsIn);
  if (typeof node !== 'object' || node === null) return [];
  const value = 'type' in node ? literal(node) : undefined;
  return typeof value === 'string' ? [value] : Object.values(node).flatMap(literalsIn);
}

function resolve(
  from: string,
  specifier: string,
  kind: Arrow['kind'],
  packages: ReadonlyMap<string, Package>,
): Arrow {
  if (specifier.startsWith('.')) return { specifier, kind, file: posix.join(posix.dirname(from), specifier) };
  if (specifier.startsWith('node:')) return { specifier, kind };
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  const file = entryOf(packages.get(name), `.${specifier.slice(name.length)}`);
  return { specifier, kind, package: name, ...(file === undefined ? {} : { file }) };
}

function entryOf(owner: Package | undefined, subpath: string): string | undefined {
  const entry = owner?.exports[subpath] as { '@heddle/source'?: string } | undefined;
  const source = entry?.['@heddle/source'];
  return owner && source ? posix.join(owner.folder, source) : undefined;
}
