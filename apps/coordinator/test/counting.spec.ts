import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Batch, inBatches, joinPaths, splitPaths } from '../src/indexer/batch.ts';
import { fromColumns, toColumns } from '../src/indexer/batch-result.ts';
import { type Count, compareCounts } from '../src/indexer/compare.ts';
import { type Entry, showPath, typeOf } from '../src/indexer/entry.ts';
import { FileReader } from '../src/indexer/read-file.ts';
import { recount } from '../src/indexer/recount.ts';
import { summarise } from '../src/indexer/summary.ts';
import { topWords } from '../src/indexer/top-words.ts';
import { walk } from '../src/indexer/walk.ts';
import { packWords, unpackInto } from '../src/indexer/word-codec.ts';
import { hashOf, WordTable } from '../src/indexer/word-table.ts';
import { makeOddTree, type OddTree } from './odd-tree.ts';

const never = new AbortController().signal;
let tree: OddTree;
beforeAll(async () => {
  tree = await makeOddTree();
});
afterAll(() => tree[Symbol.asyncDispose]());

/** As the fleet counts, in this thread. */
async function count(root: Buffer, bufferSize?: number): Promise<Count> {
  const entries: Entry[] = [];
  const table = new WordTable();
  const reader = new FileReader(bufferSize);
  for await (const { path } of walk(root, { signal: never, onEntry: (entry) => entries.push(entry) })) {
    entries.push(await reader.read(root, path, table, never));
  }
  return { entries, words: wordsOf(table) };
}

function wordsOf(table: WordTable): Map<string, number> {
  const words = new Map<string, number>();
  table.forEach((bytes, n) => {
    words.set(bytes.toString(), n);
  });
  return words;
}

describe('counting a tree with every odd thing in it', () => {
  it.each([undefined, 8_000, 8_001, 65_536])(
    'finds all there is, with a buffer of %s bytes',
    async (bufferSize) => {
      const root = Buffer.from(tree.root);
      const counted = await count(root, bufferSize);
      expect(summarise(counted.entries).totals).toMatchObject(tree.totals);
      const again = await recount(root, { exclude: [], signal: never });
      const compared = compareCounts(root, counted, again, Date.now());
      expect(compared).toMatchObject({ differences: [], changed: [] });
      expect(compared.compared).toBeGreaterThan(again.words.size + again.entries.length);
    },
  );

  it('hashes as sha256sum does', async () => {
    const { entries } = await count(Buffer.from(tree.root));
    const plain = entries.find(({ path }) => path.equals(Buffer.from('plain.txt')));
    const sum = execFileSync('sha256sum', [join(tree.root, 'plain.txt')], { encoding: 'utf8' }).slice(0, 64);
    expect(plain?.sha256).toBe(sum);
    const { duplicates } = summarise(entries);
    expect(duplicates.list[0]).toEqual({
      sha256: sum,
      size: readFileSync(join(tree.root, 'plain.txt')).length,
      paths: ['hard-link.txt', 'plain.txt', 'same.txt', 'sub/same.md'],
    });
    expect(duplicates).toMatchObject({ groups: 2, files: 6, wasted: 3 * (duplicates.list[0]?.size ?? 0) });
  });

  it('finds words by Unicode, in lower case, and leaves out what is none', async () => {
    const { words } = await count(Buffer.from(tree.root));
    expect(
      Object.fromEntries(
        ['straße', 'café', 'x1', 'b'.repeat(64), 'οδος', 'οδοσ'].map((w) => [w, words.get(w)]),
      ),
    ).toEqual({
      straße: 1,
      café: 2,
      x1: 1,
      ['b'.repeat(64)]: 1,
      οδος: 1,
      οδοσ: undefined,
    });
    expect(words.get('織布'.repeat(10))).toBe(20_000);
    expect(words.get('word')).toBe(1_800);
    for (const none of ['42', '١٢٣', 'c'.repeat(65), '9'.repeat(65)]) expect(words.has(none)).toBe(false);
  });

  it('tells of what was not plainly read', async () => {
    const { problems } = summarise((await count(Buffer.from(tree.root))).entries);
    expect(problems).toEqual(
      expect.arrayContaining([
        { path: 'broken', kind: 'broken-link' },
        { path: 'loop', kind: 'broken-link' },
        { path: 'fifo', kind: 'special', code: 'FIFO' },
        { path: 'socket', kind: 'special', code: 'SOCKET' },
        expect.objectContaining({ kind: 'unreadable', code: 'ENAMETOOLONG' }),
      ]),
    );
  });

  it('tells a file that vanished, or became something else, from one it may not read', async () => {
    const root = Buffer.from(tree.root);
    const reader = new FileReader();
    const read = (path: string) => reader.read(root, Buffer.from(path), new WordTable(), never);
    expect(await read('gone')).toMatchObject({ kind: 'vanished', code: 'ENOENT' });
    expect(await read('link.txt')).toMatchObject({ kind: 'vanished', code: 'ELOOP' });
    expect(await read('fifo')).toMatchObject({ kind: 'vanished', code: 'NOT_A_FILE' });
    expect(await read('sub')).toMatchObject({ kind: 'vanished', code: 'NOT_A_FILE' });
    expect(await read('plain.txt/below')).toMatchObject({ kind: 'vanished', code: 'ENOTDIR' });
  });
});

describe('the tokeniser', () => {
  it('agrees with the regular expressions on any bytes, cut anywhere', async () => {
    const pieces = [
      'a',
      'Z',
      '9',
      ' ',
      '_',
      'é',
      '漢',
      '\u{1d7d8}',
      '\u{10400}',
      '\u0301',
      '。',
      'İ',
      'Σ',
      '\ufeff',
      '\0',
    ];
    const bytes = [0xff, 0xc3, 0xe2, 0xf0, 0x80, 0xbf, 0xed, 0xa0].map((byte) => Buffer.from([byte]));
    const all = [...pieces.map((piece) => Buffer.from(piece)), ...bytes];
    const dir = join(tree.root, 'outer');
    for (let seed = 1; seed <= 12; seed += 1) {
      let state = seed;
      const random = (n: number) => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        return (state >>> 8) % n;
      };
      // Some texts have hardly a separator, so that runs go on over many buffers.
      const few = all.filter((_, i) => seed % 3 !== 0 || (i !== 3 && i !== 4 && i !== 14));
      const parts = Array.from({ length: 30_000 }, () => few[random(few.length)] ?? Buffer.alloc(0));
      writeFileSync(join(dir, `fuzz-${seed}`), Buffer.concat([Buffer.alloc(8_000, 'x '), ...parts]));
    }
    const root = Buffer.from(dir);
    const again = await recount(root, { exclude: [], signal: never });
    for (const size of [8_000, 8_192, 10_007]) {
      expect(compareCounts(root, await count(root, size), again, Date.now()).differences).toEqual([]);
    }
    for (let seed = 1; seed <= 12; seed += 1) rmSync(join(dir, `fuzz-${seed}`));
  });

  it('keeps words whole on their way through Redis, each in one partition', () => {
    const table = new WordTable();
    const add = (word: string, n: number) => {
      const bytes = Buffer.from(word);
      table.add(bytes, 0, bytes.length, hashOf(bytes), n);
    };
    for (let i = 0; i < 50_000; i += 1) add(`w${i % 20_000}`, (i % 300) + 1);
    add('much', 2 ** 52);
    add('ﷺ'.repeat(64), 1);
    const packed = packWords(table, 7);
    const back = new WordTable();
    for (const partition of packed) unpackInto(back, partition);
    expect(wordsOf(back)).toEqual(wordsOf(table));
    expect(back.size).toBe(20_002);
    expect(packed.every(({ length }) => length > 10_000)).toBe(true);
    expect(() => unpackInto(new WordTable(), packed[0]?.subarray(0, -1) ?? Buffer.alloc(0))).toThrow(
      RangeError,
    );
  });

  it('ranks words alike however they come', () => {
    const words = Array.from({ length: 5_000 }, (_, i) => [`w${i}`, (i * 7919) % 50] as const);
    const expected = words.toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 30);
    expect(topWords(words, 30)).toEqual(expected);
    expect(topWords(words.toReversed(), 30)).toEqual(expected);
    expect(topWords(words.slice(0, 3), 30)).toHaveLength(3);
  });
});

describe('the comparison', () => {
  const old = new Date('2020-01-01');

  async function twoCounts(): Promise<{ root: Buffer; fleet: Count; again: Count; dir: string }> {
    const dir = join(tree.root, 'void', `compare-${Math.random()}`);
    mkdirSync(dir);
    for (const name of ['a.txt', 'b.txt']) {
      writeFileSync(join(dir, name), `some words in ${name}`);
      utimesSync(join(dir, name), old, old);
    }
    const root = Buffer.from(dir);
    return {
      root,
      dir,
      fleet: await count(root),
      again: await recount(root, { exclude: [], signal: never }),
    };
  }

  it.each([
    [
      'a word',
      (c: Count) => ({ ...c, words: new Map([...c.words, ['words', 3]]) }),
      'word "words": 3, recounted 2',
    ],
    [
      'a word too many',
      (c: Count) => ({ ...c, words: new Map([...c.words, ['zz', 1]]) }),
      'word "zz": 1, recounted 0',
    ],
    ['a hash', (c: Count) => change(c, { sha256: '00' }), 'a.txt: sha256 00, recounted'],
    ['a size', (c: Count) => change(c, { size: 1 }), 'total of bytes'],
    ['a kind', (c: Count) => change(c, { kind: 'binary' as const }), 'total of text: 1, recounted 2'],
    [
      'a file twice',
      (c: Count) => ({ ...c, entries: [...c.entries, ...c.entries.slice(-1)] }),
      'total of files: 3',
    ],
    [
      'a file missing',
      (c: Count) => ({ ...c, entries: c.entries.slice(0, -1) }),
      'b.txt: not found, recounted text',
    ],
  ])('sees %s that is wrong', async (_, spoil, line) => {
    const { root, fleet, again } = await twoCounts();
    expect(compareCounts(root, fleet, again, Date.now() + 60_000).differences).toEqual([]);
    const { differences } = compareCounts(root, spoil(fleet), again, Date.now() + 60_000);
    expect(differences).toEqual(expect.arrayContaining([expect.stringContaining(line)]));
  });

  it('reports what changed between the counts, and compares the rest', async () => {
    const { root, dir, fleet } = await twoCounts();
    const started = Date.now() - 1_000;
    appendFileSync(join(dir, 'a.txt'), ' and more');
    writeFileSync(join(dir, 'new.txt'), 'new');
    rmSync(join(dir, 'b.txt'));
    const again = await recount(root, { exclude: [], signal: never });
    const { differences, changed } = compareCounts(root, fleet, again, started);
    expect(differences).toEqual([]);
    expect(changed.toSorted()).toEqual(['a.txt', 'b.txt', 'new.txt']);
  });
});

function change(counted: Count, fields: Partial<Entry>): Count {
  const entries = counted.entries.map((entry) =>
    entry.path.equals(Buffer.from('a.txt')) ? { ...entry, ...fields } : entry,
  );
  return { ...counted, entries };
}

describe('paths', () => {
  it('go through a job and back as they are, whatever their bytes', () => {
    const paths = ['a', 'b\n', '\\x']
      .map((path) => Buffer.from(path))
      .concat(Buffer.from([0xff, 0x2f, 0x80]));
    expect(splitPaths(joinPaths(paths.map((path) => ({ path, size: 0 }))))).toEqual(paths);
  });

  it.each([
    [Buffer.from('plain/é.txt'), 'plain/é.txt', '.txt'],
    [Buffer.from([0x61, 0xff, 0x5c]), 'a\\xff\\\\', '(none)'],
    [Buffer.from(''), '.', '(none)'],
    [Buffer.from('dir.d/file'), 'dir.d/file', '(none)'],
    [Buffer.from('.bashrc'), '.bashrc', '(none)'],
    [Buffer.from('A.TAR.GZ'), 'A.TAR.GZ', '.gz'],
  ])('%s are shown and typed', (path, shown, type) => {
    expect(showPath(path)).toBe(shown);
    expect(typeOf(path)).toBe(type);
  });
});

describe('batches', () => {
  it('are full by files or by bytes, keep the order, and let a huge file be alone', async () => {
    const sizes = [1, 1, 1, 5, 20, 1, 9, 1, 1, 1, 1];
    async function* files() {
      for (const [i, size] of sizes.entries()) yield { path: Buffer.from(String(i)), size };
    }
    const batches: Batch[] = [];
    for await (const batch of inBatches(files(), { files: 4, bytes: 10 })) batches.push(batch);
    expect(batches.map((batch) => batch.files.map(({ size }) => size))).toEqual([
      [1, 1, 1, 5],
      [20],
      [1, 9],
      [1, 1, 1, 1],
    ]);
    expect(batches.map(({ number }) => number)).toEqual([0, 1, 2, 3]);
  });

  it('come back with an entry for each file, or not at all', async () => {
    const { entries } = await count(Buffer.from(tree.root));
    const files = entries.filter(({ kind }) => kind === 'text' || kind === 'binary');
    const columns = structuredClone(toColumns(files));
    expect(
      fromColumns(
        columns,
        files.map(({ path }) => path),
      ),
    ).toEqual(files);
    expect(() => fromColumns(columns, [])).toThrow(RangeError);
  });
});
