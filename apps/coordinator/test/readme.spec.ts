import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startRedis } from '@heddle/embedded-redis';
import { removeQueue } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program } from '../../worker/test/program.ts';

const root = new URL('../../../', import.meta.url);
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'heddle-readme-'));
  symlinkSync(fileURLToPath(new URL('node_modules', root)), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  for (const [, name = '', source = ''] of readme.matchAll(/^```ts\n\/\/ (\S+)\n([\s\S]*?)^```/gm)) {
    writeFileSync(join(dir, name), source);
  }
});
afterAll(() => rmSync(dir, { recursive: true }));

async function run(file: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const args = ['--conditions=@heddle/source', join(dir, file)];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: dir,
    env: { ...process.env, ...env },
  });
  return stdout;
}

describe('the examples of the README', { timeout: 60_000 }, () => {
  it('run in one process', async () => {
    expect(await run('local.ts')).toBe('4000\n');
    expect(await run('pool.ts')).toMatch(/^da9e96b4\w+\n$/);
  });

  it('run between processes', async () => {
    await using redis = await startRedis();
    const env = { REDIS_URL: redis.url };
    const args = ['--queue', 'hashes', '--tasks', 'tasks.ts'];
    await using _worker = new Program('heddle-worker', args, { cwd: dir, env });
    expect(await run('lock.ts', env)).toMatch(/fencing token \d+\n$/);
    const [warp, weft] = (await run('distributed.ts', env)).split('\n');
    await using session = await connect(redis.url);
    await removeQueue(session, 'hashes');
    expect([warp?.slice(0, 8), weft?.slice(0, 8)]).toEqual(['da9e96b4', 'e627e223']);
  });
});
