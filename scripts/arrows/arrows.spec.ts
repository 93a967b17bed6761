import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { offences, RULES } from './rules.ts';

const manifest = (name: string, exports: Record<string, string>, ...dependencies: string[]) =>
  JSON.stringify({
    name,
    exports: Object.fromEntries(
      Object.entries(exports).map(([key, file]) => [key, { '@heddle/source': file, default: './dist/x.js' }]),
    ),
    dependencies: Object.fromEntries(dependencies.map((dependency) => [dependency, '*'])),
  });

/** A small house in order. Every case below puts one thing out of place in it. */
const HOUSE = {
  'libs/primitives/package.json': manifest(
    '@heddle/primitives',
    {
      '.': './src/index.ts',
      './distributed': './src/distributed.ts',
      './internal-session': './src/internal.distributed.ts',
    },
    'ioredis',
  ),
  'libs/primitives/src/index.ts': `export { Lock } from './lock/lock.local.ts';`,
  'libs/primitives/src/distributed.ts': `export { DistributedLock } from './lock/lock.distributed.ts';`,
  'libs/primitives/src/internal.distributed.ts': `export { Inbox } from './session/inbox.ts';`,
  'libs/primitives/src/errors.ts': `export class HeddleError extends Error {}`,
  'libs/primitives/src/lock/lock.ts': `import { HeddleError } from '../errors.ts';\nexport interface AnyLock {}`,
  'libs/primitives/src/lock/lock.local.ts': `import type { AnyLock } from './lock.ts';\nimport { Word } from '../shared-memory/word.ts';\nexport class Lock {}`,
  'libs/primitives/src/lock/lock.distributed.ts': `import type { Redis } from 'ioredis';\nimport { acquire } from './lock.scripts.ts';\nimport { Inbox } from '../session/inbox.ts';`,
  'libs/primitives/src/lock/lock.scripts.ts': `import type { Script } from '../session/inbox.ts';\nexport const acquire = 1;`,
  'libs/primitives/src/event/event.local.ts': `import { Lock } from '../lock/lock.local.ts';`,
  'libs/primitives/src/event/event.distributed.ts': `import { Inbox } from '../session/inbox.ts';`,
  'libs/primitives/src/session/inbox.ts': `import { Redis } from 'ioredis';\nexport class Inbox {}\nnew URL(import.meta.url.endsWith('.ts') ? './keeper.thread.ts' : './keeper.thread.js', import.meta.url);`,
  'libs/primitives/src/session/keeper.thread.ts': `import { Inbox } from './inbox.ts';`,
  'libs/primitives/src/shared-memory/word.ts': `export class Word { wait() { Atomics.wait(this.cells, 0, 0); } }`,
  'libs/primitives/src/lock/lock.spec.ts': `import { Lock } from '../index.ts';\nimport { Redis } from 'ioredis';\nimport { startRedis } from '@heddle/embedded-redis';\nAtomics.load(x, 0);`,
  'libs/primitives/src/testing/crew.ts': `import { startRedis } from '@heddle/embedded-redis';\nexport default function task() {}`,
  'libs/embedded-redis/package.json': manifest(
    '@heddle/embedded-redis',
    { '.': './src/index.ts' },
    'ioredis',
  ),
  'libs/embedded-redis/src/index.ts': `import { Redis } from 'ioredis';`,
  'libs/pool/package.json': manifest(
    '@heddle/pool',
    { '.': './src/index.ts', './task': './src/task.ts' },
    '@heddle/primitives',
    'bullmq',
    'ioredis',
  ),
  'libs/pool/src/index.ts': `export { ThreadPool } from './threads/thread-pool.ts';`,
  'libs/pool/src/task.ts': `export const currentJob = () => undefined;`,
  'libs/pool/src/threads/thread-pool.ts': `import { Lock } from '@heddle/primitives';\nimport type { Session } from '@heddle/primitives/distributed';\n// Atomics would do here\nexport class ThreadPool {}`,
  'libs/pool/src/jobs/job-queue.ts': `import { Queue } from 'bullmq';\nimport { connect } from '@heddle/primitives/distributed';`,
  'apps/worker/package.json': manifest('@heddle/worker', { './command': './src/command.ts' }, '@heddle/pool'),
  'apps/worker/src/command.ts': `import { ThreadPool } from '@heddle/pool';`,
  'apps/coordinator/package.json': manifest(
    '@heddle/coordinator',
    {},
    '@heddle/worker',
    '@heddle/embedded-redis',
  ),
  'apps/coordinator/src/main.ts': `import { command } from '@heddle/worker/command';\nimport { startRedis } from '@heddle/embedded-redis';`,
} satisfies Record<string, string>;

/** What one changed file of the house breaks: the rule, the file, what it says. */
const BREACHES: readonly (readonly [rule: string, path: string, source: string])[] = [
  ['no circles', 'libs/primitives/src/errors.ts', `import type { AnyLock } from './lock/lock.ts';`],
  ['no circles', 'libs/primitives/src/shared-memory/word.ts', `export * from '../lock/lock.local.ts';`],
  ['no circles', 'libs/pool/src/task.ts', `import './task.ts';`],
  [
    'apps → pool → primitives, one way',
    'libs/primitives/src/errors.ts',
    `import { ThreadPool } from '@heddle/pool';`,
  ],
  ['apps → pool → primitives, one way', 'libs/primitives/src/errors.ts', `import '@heddle/embedded-redis';`],
  [
    'apps → pool → primitives, one way',
    'libs/pool/src/task.ts',
    `export * from '../../primitives/src/errors.ts';`,
  ],
  [
    'apps → pool → primitives, one way',
    'libs/pool/src/task.ts',
    `type T = import('@heddle/worker/command').T;`,
  ],
  ['nobody imports their own barrel', 'libs/primitives/src/errors.ts', `import { Lock } from './index.ts';`],
  ['nobody imports their own barrel', 'libs/pool/src/task.ts', `await import('@heddle/pool');`],
  [
    'only *.distributed.ts and session/ see ioredis',
    'libs/primitives/src/errors.ts',
    `import type { Redis } from 'ioredis';`,
  ],
  [
    'only *.distributed.ts and session/ see ioredis',
    'libs/primitives/src/lock/lock.scripts.ts',
    `import 'ioredis';`,
  ],
  ['only jobs/ sees bullmq', 'libs/pool/src/task.ts', `import { Job } from 'bullmq';`],
  ['only jobs/ sees bullmq', 'apps/worker/src/command.ts', `export { Worker } from 'bullmq';`],
  [
    'threads/ knows no Redis',
    'libs/pool/src/threads/thread-pool.ts',
    `import type { Redis } from 'ioredis';`,
  ],
  ['threads/ knows no Redis', 'libs/pool/src/threads/thread-pool.ts', `import '../jobs/job-queue.ts';`],
  [
    'threads/ knows no Redis',
    'libs/pool/src/threads/thread-pool.ts',
    `import { connect } from '@heddle/primitives/distributed';`,
  ],
  [
    'threads/ knows no Redis',
    'libs/pool/src/threads/thread-pool.ts',
    `import type { Inbox } from '@heddle/primitives/internal-session';`,
  ],
  [
    'only *.distributed.ts and *.scripts.ts see session/',
    'libs/primitives/src/lock/lease.ts',
    `import { Inbox } from '../session/inbox.ts';`,
  ],
  [
    'only *.distributed.ts and *.scripts.ts see session/',
    'libs/primitives/src/lock/lease.ts',
    `new Worker(new URL('../session/keeper.thread.ts', import.meta.url));`,
  ],
  [
    'a contract knows none of its implementations',
    'libs/primitives/src/lock/lock.ts',
    `import type { Lock } from './lock.local.ts';`,
  ],
  [
    'a contract knows none of its implementations',
    'libs/primitives/src/lock/lock.ts',
    `import { DistributedLock } from './lock.distributed.ts';`,
  ],
  [
    'local and distributed do not know each other',
    'libs/primitives/src/event/event.local.ts',
    `import '../lock/lock.distributed.ts';`,
  ],
  [
    'local and distributed do not know each other',
    'libs/primitives/src/event/event.distributed.ts',
    `import '../lock/lock.local.ts';`,
  ],
  [
    'local and distributed do not know each other',
    'libs/primitives/src/lock/lock.scripts.ts',
    `import '../event/event.local.ts';`,
  ],
  [
    'distributed primitives stand on seats, not on each other',
    'libs/primitives/src/event/event.distributed.ts',
    `import { DistributedLock } from '../lock/lock.distributed.ts';`,
  ],
  [
    'the local scope needs no package',
    'libs/primitives/src/lock/lock.local.ts',
    `import { Redis } from 'ioredis';`,
  ],
  [
    'the local scope needs no package',
    'libs/primitives/src/shared-memory/word.ts',
    `import '../lock/lock.distributed.ts';`,
  ],
  [
    'only shared-memory/ names Atomics',
    'libs/primitives/src/lock/lock.local.ts',
    `Atomics.add(cells, 0, 1);`,
  ],
  ['only shared-memory/ names Atomics', 'libs/pool/src/threads/thread-pool.ts', `const { load } = Atomics;`],
  [
    'only word.ts waits and notifies',
    'libs/primitives/src/shared-memory/cells.ts',
    `Atomics.notify(cells, 0, 1);`,
  ],
  [
    'only word.ts waits and notifies',
    'libs/primitives/src/shared-memory/cells.ts',
    `Atomics['waitAsync'](cells, 0, 1);`,
  ],
  ['no default exports', 'libs/pool/src/task.ts', `export default class {}`],
  ['no default exports', 'libs/pool/src/task.ts', `const task = 1;\nexport { task as default };`],
  ['no drawer for the rest', 'libs/pool/src/utils/clamp.ts', `export const clamp = 1;`],
  ['no drawer for the rest', 'libs/pool/src/types.ts', `export type Id = string;`],
  ['no drawer for the rest', 'libs/pool/src/helpers.ts', `export const id = 1;`],
  ['every package is declared', 'apps/worker/src/command.ts', `import { Lock } from '@heddle/primitives';`],
  ['every package is declared', 'libs/pool/src/task.ts', `await import('zod');`],
];

const broken = (path: string, source: string) =>
  offences(new Map(Object.entries({ ...HOUSE, [path]: source })));

describe('the order of imports', () => {
  it('finds nothing in a house in order', () => {
    expect(offences(new Map(Object.entries(HOUSE)))).toEqual([]);
  });

  it.each(BREACHES)('%s: seen in %s, %s', (rule, path, source) => {
    expect(broken(path, source).map((offence) => offence.rule)).toContain(rule);
  });

  it('tells where and why', () => {
    expect(broken('libs/pool/src/task.ts', `import { Job } from 'bullmq';`)).toEqual([
      { rule: 'only jobs/ sees bullmq', path: 'libs/pool/src/task.ts', because: 'imports bullmq' },
    ]);
  });

  it('has a breach here for every rule', () => {
    expect(new Set(BREACHES.map(([rule]) => rule))).toEqual(new Set(Object.keys(RULES)));
  });

  it('vouches for no file that does not parse', () => {
    expect(() => broken('libs/pool/src/task.ts', 'import {')).toThrow('libs/pool/src/task.ts');
  });
});

describe('the command', () => {
  const run = promisify(execFile);
  const command = fileURLToPath(new URL('./main.ts', import.meta.url));
  const roots: string[] = [];

  afterEach(async () => {
    for (const root of roots.splice(0)) await rm(root, { recursive: true });
  });

  async function build(files: Record<string, string>): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), 'heddle-arrows-'));
    roots.push(root);
    for (const [path, source] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), source);
    }
    return root;
  }

  it('passes a tree in order', async () => {
    const { stdout } = await run(process.execPath, [command, await build(HOUSE)]);
    expect(stdout).toContain('every arrow as it should be');
  });

  it('fails one that is not, naming the file and the rule', async () => {
    const root = await build({ ...HOUSE, 'libs/pool/src/task.ts': `import { Job } from 'bullmq';` });
    await expect(run(process.execPath, [command, root])).rejects.toMatchObject({
      code: 1,
      stderr: 'libs/pool/src/task.ts: imports bullmq\n    only jobs/ sees bullmq\n',
    });
  });

  it('passes this repository', async () => {
    const { stdout } = await run(process.execPath, [command]);
    expect(stdout).toMatch(/^\d{2,} files, every arrow/);
  });
});
