import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { connect } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandOf, isAlive, Program, runToEnd, until } from '../../worker/test/program.ts';
import type { IndexResult } from '../src/indexer/result.ts';
import { makeOddTree } from './odd-tree.ts';

const fileCount = 600;

let redis: EmbeddedRedis;
let dir: string;
beforeAll(async () => {
  redis = await startRedis();
  dir = mkdtempSync(join(tmpdir(), 'heddle-index-'));
  makeTree(join(dir, 'tree'), fileCount);
});
afterAll(async () => {
  rmSync(dir, { recursive: true });
  await redis.close();
});

/** Files of some words each, every tenth a copy of another. */
function makeTree(root: string, files: number): void {
  for (let i = 0; i < files; i += 1) {
    const place = join(root, `d${i % 40}`);
    if (i < 40) mkdirSync(place, { recursive: true });
    const own = i % 10 === 0 ? 'copied' : `number${i}`;
    writeFileSync(
      join(place, `f${i}.${i % 2 ? 'txt' : 'md'}`),
      `${own} `.repeat(20) + 'shed heddle reed '.repeat(500),
    );
  }
}

let namespaces = 0;
/** Flags for a run on the tests' Redis, in a namespace of its own. */
function run(tree: string, ...more: string[]) {
  namespaces += 1;
  const namespace = `test-index-${process.pid}-${namespaces}`;
  const out = join(dir, `${namespace}.json`);
  const args = ['index', tree, '--out', out, '--namespace', namespace, '--verify', ...more];
  return { args, namespace, env: { REDIS_URL: redis.url }, result: () => read(out), out };
}

const read = (out: string): IndexResult => JSON.parse(readFileSync(out, 'utf8'));
const workersOf = (program: Program) =>
  program.descendants().filter((pid) => commandOf(pid).includes('worker/src/main'));
const slowly = ['--batch-files', '2', '--log-level', 'info'];

/**
 * What a run leaves in Redis for good: shapes and flags, which go by their time to live, and nothing that holds or
 * waits. A thread that was ended in the middle of its goodbye is swept up by the next session, here ours.
 */
async function expectNothingLeft(namespace: string): Promise<void> {
  const client = new Redis(redis.url);
  const session = await connect(redis.url, { namespace, ttl: 500 });
  try {
    await until(async () => {
      const keys = await client.keys(`*${namespace}*`);
      const shapes = /:((semaphore|barrier|event|lock):index:.*:state|epoch|ring|members|sessions)$/;
      return keys.every((key) => shapes.test(key) || key.includes(session.id));
    }, 30_000);
  } finally {
    await session.close();
    client.disconnect();
  }
}

function expectWhole(result: IndexResult): void {
  const copies = fileCount / 10;
  expect(result.totals).toMatchObject({ files: fileCount, text: fileCount, directories: 41, unreadable: 0 });
  expect(result.duplicates).toMatchObject({ groups: 1, files: copies });
  expect(result.words).toMatchObject({ total: fileCount * 1_520, distinct: 4 + fileCount - copies });
  expect(result.words.top.slice(0, 4)).toEqual([
    ['heddle', fileCount * 500],
    ['reed', fileCount * 500],
    ['shed', fileCount * 500],
    ['copied', copies * 20],
  ]);
}

describe('heddle index', { timeout: 60_000 }, () => {
  it('counts every odd thing as it is, and as the recount does', async () => {
    await using tree = await makeOddTree();
    const { args, env, result } = run(tree.root);
    const { code, out, err } = await runToEnd('heddle', args, { env });
    expect(`${code} ${err}`).toMatch(/^0 /);
    expect(out).toMatch(/Verified: \d+ numbers compared in [\d.]+ s, all equal/);
    expect(result().totals).toMatchObject(tree.totals);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no file name may reach the terminal with one
    expect(out).not.toMatch(/\u001b/);
  });

  it('shares the work between processes and threads, and signs every line with the run', async () => {
    const { args, env, result, namespace } = run(join(dir, 'tree'), ...slowly);
    const { code, err } = await runToEnd('heddle', args, { env });
    expect(code).toBe(0);
    expectWhole(result());
    const { hosts, effort, run: id } = result();
    expect(hosts).toHaveLength(2);
    expect(hosts.flatMap(({ threads }) => threads)).toHaveLength(4);
    expect(hosts.reduce((sum, host) => sum + host.files, 0)).toBe(fileCount);
    expect(effort).toMatchObject({ batches: fileCount / 2, replaced: 0, rounds: 1 });
    expect(effort.token).toBeGreaterThan(0);
    const lines = err.split('\n').filter((line) => line.startsWith('{'));
    expect(lines.length).toBeGreaterThan(fileCount / 2);
    expect(lines.filter((line) => !line.includes(id))).toEqual([]);
    const tasks = lines.map((line) => JSON.parse(line)).filter(({ task }) => task !== undefined);
    expect(new Set(tasks.map(({ run }) => run))).toEqual(new Set([id]));
    await expectNothingLeft(namespace);
  });

  it.each([
    ['killed', 'SIGKILL', 'SIGKILL'],
    ['told to end', 'SIGTERM', 'exit code 0'],
  ] as const)('counts nothing twice and loses nothing when a worker is %s midway', async (_, signal, how) => {
    const { args, env, result } = run(join(dir, 'tree'), ...slowly);
    await using program = new Program('heddle', args, { env });
    await program.said(/batch 40:/);
    const [victim] = workersOf(program);
    process.kill(victim ?? 0, signal);
    expect(await program.ended).toMatchObject({ code: 0 });
    expect(program.err).toContain(`worker ${victim} ended with ${how}; another takes its place`);
    expectWhole(result());
    expect(result().effort.replaced).toBe(1);
  });

  it('goes on when all workers are killed', async () => {
    const { args, env, result } = run(join(dir, 'tree'), ...slowly);
    await using program = new Program('heddle', args, { env });
    await program.said(/batch 40:/);
    for (const pid of workersOf(program)) process.kill(pid, 'SIGKILL');
    expect(await program.ended).toMatchObject({ code: 0 });
    expectWhole(result());
    expect(result().effort.replaced).toBe(2);
  });

  it('ends at Ctrl-C with all it started, and leaves nothing', async () => {
    const { args, out } = run(join(dir, 'tree'), ...slowly);
    await using program = new Program('heddle', args, { env: {} }); // with a Redis of its own
    await program.said(/batch 40:/);
    const family = program.descendants();
    expect(family.length).toBeGreaterThanOrEqual(3);
    process.kill(program.pid, 'SIGINT');
    expect(await program.ended).toMatchObject({ code: 130 });
    await until(() => !family.some(isAlive));
    expect(existsSync(out)).toBe(false);
  });

  it('leaves nothing in a Redis that it shares when it is ended', async () => {
    const { args, env, namespace } = run(join(dir, 'tree'), ...slowly);
    await using program = new Program('heddle', args, { env });
    await program.said(/batch 40:/);
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 143 });
    await expectNothingLeft(namespace);
  });

  it('ends at once at the second Ctrl-C', async () => {
    const { args } = run(join(dir, 'tree'), ...slowly);
    await using program = new Program('heddle', args, { env: {} });
    await program.said(/batch 40:/);
    const family = program.descendants();
    for (const pid of workersOf(program)) process.kill(pid, 'SIGSTOP'); // so that they can't end in order
    process.kill(program.pid, 'SIGINT');
    const begun = performance.now();
    await until(() => {
      if (performance.now() - begun > 300) program.child.kill('SIGINT');
      return program.child.exitCode !== null;
    });
    expect(await program.ended).toMatchObject({ code: 130 });
    await until(() => !family.some(isAlive));
  });

  it('takes its workers along when it is killed', async () => {
    const { args, env } = run(join(dir, 'tree'), ...slowly);
    await using program = new Program('heddle', args, { env });
    await program.said(/batch 40:/);
    const family = program.descendants();
    process.kill(program.pid, 'SIGKILL');
    await until(() => !family.some(isAlive), 30_000);
  });

  it('is told by one line and an exit code what it can’t use', async () => {
    const nowhere = join(dir, 'nowhere');
    const cases: [string[], NodeJS.ProcessEnv, number, string][] = [
      [['index', nowhere], {}, 66, `heddle: DIR ${nowhere}: there is no such directory`],
      [['index', __filename], {}, 66, 'is no directory'],
      [
        ['index', dir, '--out', join(nowhere, 'x')],
        {},
        66,
        `heddle: --out ${nowhere}: there is no such directory`,
      ],
      [['index', dir, '--out', dir], {}, 66, 'is a directory'],
      [['index', dir, '--out', join(dir, 'x'.repeat(300))], {}, 66, "can't be written (ENAMETOOLONG)"],
      [
        ['index', dir, '--threads', '0'],
        {},
        2,
        'heddle: --threads: must be a whole number from 1 to 256, not 0',
      ],
      [['index', dir, '--thraeds', '2'], {}, 2, "unknown option '--thraeds'"],
      [['index', dir, dir], {}, 2, 'too many arguments'],
      [['index', dir, '--out', join(dir, 'x')], { REDIS_URL: 'redis://127.0.0.1:1' }, 69, '127.0.0.1:1'],
    ];
    for (const [args, env, code, message] of cases) {
      const ended = await runToEnd('heddle', args, { env });
      expect({ args, ...ended }).toMatchObject({ code, err: expect.stringContaining(message) });
      expect(ended.err).not.toContain('    at ');
    }
  });

  it('is told by one line and an exit code that the result could not be written', async () => {
    const { args, env } = run(mkdtempSync(join(dir, 'nothing-')));
    const out = join(dir, 'x'.repeat(252)); // what it is written to before it is moved there has a longer name
    const ended = await runToEnd('heddle', [...args, '--out', out], { env });
    expect(ended).toMatchObject({
      code: 66,
      err: expect.stringContaining("can't be written (ENAMETOOLONG)"),
    });
    expect(ended.err).not.toContain('    at ');
  });
});
