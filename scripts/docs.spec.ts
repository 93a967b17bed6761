import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = globSync(['*.md', 'docs/**/*.md', '{libs,apps}/*/*.md', 'examples/**/*.md'], {
  cwd: root,
  exclude: ['**/node_modules/**'],
});

/** A page without its fenced blocks and code spans, in which links are no links and headings no headings. */
function prose(page: string): string {
  return page.replace(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2 *$/gm, '').replace(/`[^`\n]*`/g, '');
}

/** The anchors of a page, made from its headings as GitHub makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  const withoutFences = page.replace(/^( *)(```+|~~~+)[^\n]*\n[\s\S]*?^ *\2 *$/gm, '');
  for (const [, heading = ''] of withoutFences.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  for (const [, id = ''] of page.matchAll(/<a +(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** What is wrong with a page's links: files that are not there, anchors that no heading makes. */
function brokenLinks(path: string, page: string): string[] {
  const text = prose(page);
  const targets = [
    ...text.matchAll(/\]\(<?([^)\s>]+)>?(?: +"[^"]*")?\)|^\[[^\]]+\]: +(\S+)|(?:src|href)="([^"]+)"/gm),
  ];
  return targets.flatMap(([, inline, reference, html]) => {
    const target = inline ?? reference ?? html ?? '';
    if (/^[a-z+]+:/i.test(target)) return [];
    const [file = '', anchor] = target.split('#');
    const place = file === '' ? path : resolve(dirname(path), decodeURIComponent(file));
    if (file !== '' && !existsSync(place)) return [`${target}: there is no such file`];
    if (anchor === undefined || !place.endsWith('.md')) return [];
    const there = file === '' ? page : readFileSync(place, 'utf8');
    return anchorsOf(there).has(anchor) ? [] : [`${target}: there is no such heading`];
  });
}

interface Example {
  /** Where it stands, for a message. */
  readonly line: number;
  /** Its file's name, from a first line like `// tasks.ts`: how another example of the page imports it. */
  readonly name: string;
  readonly source: string;
}

/** The examples of a page. They read on: what one has imported, those after it need not import again. */
function examplesOf(page: string): Example[] {
  const imported = new Map<string, string>();
  return [...page.matchAll(/^( *)```(?:ts|typescript)\b[^\n]*\n([\s\S]*?)^ *```/gm)].map(
    ({ index, 1: indent, 2: body = '' }) => {
      const source = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
      const line = page.slice(0, index).split('\n').length;
      const [, name = `line-${line}.ts`] = /^\/\/ ([\w-]+\.ts)\b/.exec(source) ?? [];
      const own = importsOf(source);
      const before = [...imported].filter(([local]) => !own.has(local)).map(([, declaration]) => declaration);
      for (const [local, declaration] of own) imported.set(local, declaration);
      return { line, name, source: `${before.join(' ')}${source}` };
    },
  );
}

/** What an example imports by name: each name, with a declaration for it alone. */
function importsOf(source: string): ReadonlyMap<string, string> {
  const imports = new Map<string, string>();
  for (const [, names = '', from = ''] of source.matchAll(/^import \{([^}]*)\} from (['"][^'"]+['"])/gm)) {
    for (const specifier of names.split(',').map((name) => name.trim())) {
      const local = specifier.split(' ').at(-1);
      if (local) imports.set(local, `import { ${specifier} } from ${from};`);
    }
  }
  return imports;
}

describe.each(pages)('%s', (path) => {
  const file = join(root, path);
  const page = readFileSync(file, 'utf8');

  it('links to what is there', () => {
    expect(brokenLinks(file, page)).toEqual([]);
  });

  it('names nothing of a single machine', () => {
    expect(page).not.toMatch(/\/(?:home|Users|root|work)\//);
  });
});

// Each starts a compiler, which takes its time on a busy machine.
describe('the examples in the pages', { timeout: 120_000 }, () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'heddle-docs-'));
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  });

  afterAll(async () => {
    await rm(directory, { recursive: true });
  });

  async function compile(examples: readonly Example[], folder: string): Promise<string> {
    await mkdir(join(directory, folder), { recursive: true });
    for (const { name, source } of examples) {
      await writeFile(join(directory, folder, name), `${source}\nexport {};\n`);
    }
    // A reader's own settings: strict, but without our taste in unused names.
    const compilerOptions = { noEmit: true, noUnusedLocals: false, noUnusedParameters: false };
    const extended = relative(directory, join(root, 'tsconfig.base.json'));
    const files = examples.map(({ name }) => `${folder}/${name}`);
    await writeFile(
      join(directory, 'tsconfig.json'),
      JSON.stringify({ extends: `./${extended}`, compilerOptions, files }),
    );
    const { stdout } = await promisify(execFile)(process.execPath, [program('tsc'), '-p', directory], {
      cwd: directory,
    }).catch((failed) => failed);
    return stdout;
  }

  const withExamples = pages.flatMap((path) => {
    const examples = examplesOf(readFileSync(join(root, path), 'utf8'));
    return examples.length > 0 ? [{ path, examples }] : [];
  });

  it.runIf(withExamples.length > 0).each(withExamples)('compile, in $path', async ({ path, examples }) => {
    expect(await compile(examples, path.replaceAll(/\W/g, '-'))).toBe('');
  });

  it('would be caught, if one did not', async () => {
    const page =
      '```ts\n// a.ts\nexport const a = 1;\n```\n\n- so:\n  ```ts\n  import { a } from "./a.ts";\n  a.b;\n  ```\n';
    expect(await compile(examplesOf(page), 'broken')).toMatch(/^broken\/line-7\.ts\(2,3\): error TS2339/);
  });
});

describe('the check of links', () => {
  const page = '# One `two`, three!\n\n## Same\n\n## Same\n\n```md\n# not one\n[no](link.md)\n```\n';

  it('knows the headings', () => {
    expect([...anchorsOf(page)]).toEqual(['one-two-three', 'same', 'same-1']);
  });

  it('passes links to headings, files and other hosts', () => {
    const links =
      '[a](#same-1) [b](package.json) [c](https://example.com) <a href="scripts">d</a> `[e](nowhere)`';
    expect(brokenLinks(join(root, 'page.md'), page + links)).toEqual([]);
  });

  it.each([
    '[a](nowhere.md)',
    '[a](#other)',
    '[a]: nowhere.md',
    '<img src="nowhere.png">',
    '[a](CONTRIBUTING.md#nowhere)',
  ])('finds %s', (link) => {
    expect(brokenLinks(join(root, 'page.md'), `${page}\n${link}\n`)).toHaveLength(1);
  });
});
