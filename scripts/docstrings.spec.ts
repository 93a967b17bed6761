import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Class,
  type Comment,
  type Directive,
  parseSync,
  type Statement,
  type TSInterfaceBody,
} from 'oxc-parser';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = [
  'libs/primitives/src/index.ts',
  'libs/primitives/src/distributed.ts',
  'libs/primitives/src/opentelemetry.distributed.ts',
  'libs/pool/src/index.ts',
  'libs/pool/src/task.ts',
  'libs/embedded-redis/src/index.ts',
];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly body: readonly (Directive | Statement)[];
  readonly comments: readonly Comment[];
}

/** One exported name: where it is declared, and its declaration. */
interface Found {
  readonly source: Source;
  readonly name: string;
  readonly at: number;
  readonly node: { readonly type: string; readonly body?: unknown };
}

const sources = new Map<string, Source>();

function sourceOf(path: string, text = readFileSync(path, 'utf8')): Source {
  const known = sources.get(path);
  if (known !== undefined) return known;
  const { program, comments } = parseSync(path, text);
  const source = { path, text, body: program.body, comments };
  sources.set(path, source);
  return source;
}

/** What a source exports, each with its declaration, in whatever file of ours that stands. */
function exportsOf(source: Source, wanted?: ReadonlySet<string>): Found[] {
  return source.body.flatMap((statement): Found[] => {
    if (statement.type !== 'ExportNamedDeclaration') return [];
    const { declaration, specifiers, source: from } = statement;
    const of = (name: string): Found[] =>
      wanted?.has(name) === false
        ? []
        : [{ source, name, at: statement.start, node: declaration as Found['node'] }];
    if (declaration?.type === 'VariableDeclaration') {
      return declaration.declarations.flatMap(({ id }) => (id.type === 'Identifier' ? of(id.name) : []));
    }
    if (declaration !== null && 'id' in declaration && declaration.id?.type === 'Identifier') {
      return of(declaration.id.name);
    }
    if (from === null || !from.value.startsWith('.')) return [];
    const names = specifiers.map(({ local }) => (local.type === 'Identifier' ? local.name : ''));
    return exportsOf(sourceOf(resolve(dirname(source.path), from.value)), new Set(names));
  });
}

/** The docstring right before a place; '' where there is none. */
function docBefore({ comments, text }: Source, at: number): string {
  const last = comments.findLast(({ type, end }) => type === 'Block' && end <= at);
  if (last === undefined || !last.value.startsWith('*')) return '';
  const between = text.slice(last.end, at).replace(/\/\/ biome-ignore .*/, '');
  return between.trim() === '' ? last.value : '';
}

/** The public members of a class or an interface, each by its name, with its docstring. */
function membersOf({ source, node }: Found): { name: string; doc: string }[] {
  if (node.type !== 'ClassDeclaration' && node.type !== 'TSInterfaceDeclaration') return [];
  const { body } = (node as { body: Class['body'] | TSInterfaceBody }).body;
  return body.flatMap((member) => {
    if (!('key' in member) || member.computed || member.key.type !== 'Identifier') return [];
    if ('accessibility' in member && (member.accessibility ?? 'public') !== 'public') return [];
    if (member.key.name === 'constructor' || member.key.name === 'prototype') return [];
    return [{ name: member.key.name, doc: docBefore(source, member.start) }];
  });
}

/** What is exported without a docstring; a method of a class may have that of an interface. */
function undocumented(found: readonly Found[]): string[] {
  const inherited = new Set(
    found
      .filter(({ node }) => node.type === 'TSInterfaceDeclaration')
      .flatMap((each) => membersOf(each).flatMap(({ name, doc }) => (doc === '' ? [] : [name]))),
  );
  const told = new Set(
    found.flatMap(({ source, name, at }) => (docBefore(source, at) === '' ? [] : [`${source.path} ${name}`])),
  );
  return found.flatMap((each) => {
    const { source, name, node } = each;
    const own = told.has(`${source.path} ${name}`) ? [] : [name]; // Overloads, a type and its value share one.
    const members = membersOf(each);
    const bare = members.filter(
      (member, index) =>
        member.doc === '' &&
        !members.slice(0, index).some((before) => before.name === member.name) &&
        !(node.type === 'ClassDeclaration' && inherited.has(member.name)),
    );
    const place = relative(root, source.path);
    return [...own, ...bare.map((member) => `${name}.${member.name}`)].map((what) => `${what} in ${place}`);
  });
}

describe('what the packages export', () => {
  it('has a docstring, member by member', () => {
    const found = entries.flatMap((entry) => exportsOf(sourceOf(resolve(root, entry))));
    expect(found.length).toBeGreaterThan(150);
    expect(undocumented(found)).toEqual([]);
  });

  it('would be told without one', () => {
    const text =
      'export interface A {\n  x: number;\n}\n/** Of it. */\nexport class B {\n  /** Told. */\n  y(): void {}\n  z(): void {}\n}\nexport function c(): void {}';
    expect(undocumented(exportsOf(sourceOf(resolve(root, 'made-up.ts'), text)))).toEqual([
      'A in made-up.ts',
      'A.x in made-up.ts',
      'B.z in made-up.ts',
      'c in made-up.ts',
    ]);
  });
});
