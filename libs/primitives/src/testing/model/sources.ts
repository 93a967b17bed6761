/**
 * The shipped sources, made into functions that can be run anew for each simulated thread: types taken away, imports
 * and exports turned into calls, and nothing else. A fault is a change of that text, and so is a constant made small;
 * one that no longer finds what it changes is an error.
 */
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { posix } from 'node:path';
import { Script } from 'node:vm';
import { parseSync } from 'oxc-parser';
import { callMarks, type Edit, stateOf, unveilings, waitMarks } from './marks.ts';

/** A change of one source file, given by its path below `src`. */
export interface Change {
  readonly file: string;
  /** Text that stands in the file exactly once, or as often as `times` says. */
  readonly from: string;
  readonly to: string;
  readonly times?: number;
}

/** One module, compiled: a function of the platform's names that gives a function of its surroundings. */
export interface Compiled {
  readonly script: Script;
  /** Files below `src`, and `node:` modules. */
  readonly imports: readonly string[];
  /** Whether it keeps something that changes from one run to the next. */
  readonly stateful: boolean;
}

/** What sources take from the platform without importing it; each simulated thread brings its own. */
export const PLATFORM = [
  'AbortController',
  'AbortSignal',
  'Atomics',
  'Buffer',
  'SharedArrayBuffer',
  'TextDecoder',
  'TextEncoder',
  'URL',
  'clearInterval',
  'clearTimeout',
  'console',
  'process',
  'queueMicrotask',
  'setInterval',
  'setTimeout',
  'structuredClone',
] as const;
export type PlatformName = (typeof PLATFORM)[number];

const ROOT = new URL('../../', import.meta.url);
const unchanged = new Map<string, Compiled>();

/** The sources with some changes. */
export class Sources {
  readonly #changes: readonly Change[];
  readonly #changed = new Map<string, Compiled>();

  constructor(changes: readonly Change[] = []) {
    this.#changes = changes;
  }

  /** The module at a path below `src`. */
  compiled(file: string): Compiled {
    const changes = this.#changes.filter((change) => change.file === file);
    const known = changes.length > 0 ? this.#changed : unchanged;
    let compiled = known.get(file);
    if (compiled === undefined) {
      compiled = compile(file, changes.reduce(changeText, readFileSync(new URL(file, ROOT), 'utf8')));
      known.set(file, compiled);
    }
    return compiled;
  }

  /** Refuses changes of files that nobody has loaded: they would prove nothing. */
  checkUsed(): void {
    const unused = this.#changes.find(({ file }) => !this.#changed.has(file));
    if (unused !== undefined) throw new Error(`${unused.file} was to be changed, but is not loaded`);
  }
}

function changeText(text: string, { file, from, to, times = 1 }: Change): string {
  const parts = text.split(from);
  if (parts.length - 1 === times) return parts.join(to);
  throw new Error(
    `${file} was to be changed ${times} times, but has this ${parts.length - 1} times:\n${from}`,
  );
}

function compile(file: string, text: string): Compiled {
  const code = stripTypeScriptTypes(text);
  const { program, module, errors } = parseSync(file.replace(/\.ts$/, '.js'), code);
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0]?.message}`);
  const edits: Edit[] = [];
  const imports: string[] = [];
  const exported: string[] = [];
  for (const { start, end, moduleRequest, entries } of module.staticImports) {
    const from = resolve(file, moduleRequest.value);
    imports.push(from);
    const names = entries.map(({ importName, localName }) => `${importName.name}: ${localName.value}`);
    edits.push({ start, end, text: `const { ${names.join(', ')} } = $load(${JSON.stringify(from)});` });
  }
  for (const statement of program.body) {
    if (statement.type === 'ExportNamedDeclaration' && statement.declaration) {
      edits.push({ start: statement.start, end: statement.declaration.start, text: '' });
      exported.push(...namesOf(statement.declaration));
    } else if (statement.type.startsWith('Export')) {
      throw new SyntaxError(`${file}: this export can't be linked; export where it is declared`);
    }
  }
  for (const { start, end } of module.importMetas) edits.push({ start, end, text: '$meta' });
  edits.push(...unveilings(program));
  edits.push(...(file.endsWith('.scenarios.ts') ? callMarks(program) : waitMarks(program, file)));
  let linked = '';
  let done = 0;
  for (const { start, end, text: by } of edits.sort((a, b) => a.start - b.start || a.end - b.end)) {
    linked += code.slice(done, start) + by;
    done = end;
  }
  linked += code.slice(done);
  const header = `(function (${PLATFORM.join(', ')}) { return function ($exports, $load, $meta) { 'use strict';`;
  const kept = program.body.flatMap(stateOf).join(', ');
  const footer = `${exported.map((name) => `$exports.${name} = ${name};`).join(' ')} $exports.$state = () => [${kept}];`;
  return {
    script: new Script(`${header}${linked}\n${footer}\n}; })`, { filename: file }),
    imports,
    stateful: kept !== '',
  };
}

function resolve(file: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier;
}

type Declaration = { type: string; id?: unknown; kind?: string; declarations?: readonly unknown[] };

function namesOf(declaration: Declaration): string[] {
  const ids =
    declaration.type === 'VariableDeclaration'
      ? (declaration.declarations as { id: { name?: string } }[]).map(({ id }) => id)
      : [declaration.id as { name?: string }];
  return ids.map(({ name }) => {
    if (name === undefined || declaration.kind === 'let')
      throw new SyntaxError('this export can not be linked');
    return name;
  });
}
