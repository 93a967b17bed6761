/** A small tree with every odd thing that a file system can hold, and what is to be counted in it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

export interface OddTree extends AsyncDisposable {
  readonly root: string;
  /** Expected totals; `unreadable` depends on whether permissions bind whoever runs the tests. */
  readonly totals: Readonly<Record<string, number>>;
}

/** For root no permission is missing. */
const bound = process.getuid?.() !== 0;

/** Chinese without one ASCII byte, longer than any buffer of the reader's: words parted by U+3002 alone. */
const endless = `${'織布'.repeat(10)}。`.repeat(20_000);

/** Regular files that can be read, by name. */
const contents: Readonly<Record<string, string | Buffer>> = {
  'plain.txt': 'the warp and the weft, the WARP and the Weft',
  'same.txt': 'the warp and the weft, the WARP and the Weft',
  'sub/same.md': 'the warp and the weft, the WARP and the Weft',
  'empty.txt': '',
  'sub/empty.log': '',
  'binary.bin': Buffer.from([1, 2, 0, 3]),
  'late-nul.txt': Buffer.concat([Buffer.alloc(9_000, 'word '), Buffer.from([0]), Buffer.from('after')]),
  'unicode.txt': 'Straße İstanbul ΟΔΟΣ cafe\u0301 CAFÉ naïve 漢字 ١٢٣ x1 42 don’t a—b',
  'invalid.txt': Buffer.from([0x61, 0xff, 0x62, 0xc3, 0x28, 0xe2, 0x82, 0x63, 0xf0, 0x9f]),
  'endless.txt': endless,
  'long-run.txt': `${'a'.repeat(2_500_000)} short ${'b'.repeat(64)} ${'c'.repeat(65)} ${'9'.repeat(65)}`,
  'bom.txt': '\ufefffirst second',
  'UPPER.TXT': 'case of the extension',
  '.hidden': 'dot file',
  'no-extension': 'none',
  'a.b.c.tar.gz': Buffer.from([0x1f, 0x8b, 0]),
  'line\nbreak\u001b[31m.txt': 'a name that a terminal would obey',
  'back\\slash.txt': 'backslash',
  [`${'n'.repeat(251)}.txt`]: 'the longest name',
  'sub/deeper/and/deeper/leaf.json': '{"leaf": true}',
};

/** Makes the tree in a temporary directory. */
export async function makeOddTree(): Promise<OddTree> {
  const root = mkdtempSync(join(tmpdir(), 'heddle-odd-'));
  for (const dir of ['sub/deeper/and/deeper', 'void', 'outer/void'])
    mkdirSync(join(root, dir), { recursive: true });
  for (const [name, content] of Object.entries(contents)) writeFileSync(join(root, name), content);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/odd-`), Buffer.from([0xff, 0xfe])]), 'bytes in the name');
  linkSync(join(root, 'plain.txt'), join(root, 'hard-link.txt'));
  symlinkSync('plain.txt', join(root, 'link.txt'));
  symlinkSync('sub', join(root, 'link-to-directory'));
  symlinkSync('..', join(root, 'sub/link-upwards'));
  symlinkSync('nowhere', join(root, 'broken'));
  symlinkSync('loop', join(root, 'loop'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  const server = await listenAt(join(root, 'socket'));
  const closed = bound ? makeUnreadable(root) : { unreadable: 0, directories: 0 };
  const deep = makeTooDeep(root);
  const files = Object.keys(contents).length + 2;
  return {
    root,
    totals: {
      files,
      text: files - 2,
      binary: 2,
      empty: 2,
      directories: 8 + deep.directories,
      emptyDirectories: 2,
      links: 5,
      brokenLinks: 2,
      special: 2,
      unreadable: 1 + closed.unreadable,
      vanished: 0,
      changed: 0,
      oddNames: 1,
    },
    async [Symbol.asyncDispose]() {
      server.close();
      execFileSync('chmod', ['-R', 'u+rwX', join(root, 'sub')]);
      execFileSync('rm', ['-rf', root]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function listenAt(path: string): Promise<Server> {
  const server = createServer();
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

function makeUnreadable(root: string): { unreadable: number; directories: number } {
  writeFileSync(join(root, 'sub/closed.txt'), 'not for you');
  chmodSync(join(root, 'sub/closed.txt'), 0);
  mkdirSync(join(root, 'sub/closed'));
  chmodSync(join(root, 'sub/closed'), 0);
  return { unreadable: 2, directories: 0 };
}

/** Directories below each other until the path is longer than the system takes: one more can't be listed. */
function makeTooDeep(root: string): { directories: number } {
  const name = 'd'.repeat(200);
  // In a process of its own, since it takes steps of relative paths.
  const script = `for (let i = 0; i < 40; i += 1) { fs.mkdirSync('${name}'); process.chdir('${name}'); }`;
  execFileSync(process.execPath, ['-e', script], { cwd: root });
  // A path of 4,095 bytes still works; each level takes one name and a slash.
  return { directories: Math.floor((4_095 - Buffer.byteLength(root)) / (name.length + 1)) };
}
