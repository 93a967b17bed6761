import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { commandOf, isAlive, Program, runToEnd, until } from '../../worker/test/program.ts';
import { coordinatorProgram } from '../src/coordinator-program.ts';
import { printable } from '../src/views.ts';

const tasks = fileURLToPath(new URL('../../worker/test/worker-tasks.ts', import.meta.url));
const quick = ['--tasks', tasks, '--queue', 'naps', '--grace-period', '500'];

describe('heddle up', { timeout: 60_000 }, () => {
  it('starts a Redis and workers, shows them with ps, and ends them all at Ctrl-C', async () => {
    await using program = new Program('heddle', ['up', '--workers', '2', '--threads', '3', ...quick]);
    const [, url = ''] = await program.said(/^export REDIS_URL=(\S+)$/m);
    await program.said(/^2 workers take jobs from naps; Ctrl-C ends them$/m);
    const family = program.descendants();
    {
      await using session = await connect(url);
      const executor = new DistributedExecutor<typeof import('../../worker/test/worker-tasks.ts')>('naps', {
        session,
      });
      expect(await executor.submit('nap', 1)).toBe('rested');
      const { out } = await runToEnd('heddle', ['ps', '--json'], { env: { REDIS_URL: url } });
      const shown = JSON.parse(out);
      expect(shown.hosts).toHaveLength(2);
      expect(shown.hosts[0]).toMatchObject({ queue: 'naps', threads: 3, busy: 0 });
      expect(shown.queues).toEqual([
        expect.objectContaining({ name: 'naps', hosts: 2, waiting: 0, completed: 1 }),
      ]);
      const table = await runToEnd('heddle', ['ps'], { env: { REDIS_URL: url } });
      expect(table).toMatchObject({
        code: 0,
        out: expect.stringMatching(/Workers[\s\S]*naps[\s\S]*Queues[\s\S]*naps/),
      });
      await executor.shutdown();
    }
    process.kill(program.pid, 'SIGINT');
    expect(await program.ended).toMatchObject({ code: 0 });
    await until(() => !family.some(isAlive));
  });

  it('does the work of heddle index --workers 0', async () => {
    await using program = new Program('heddle', ['up', '--workers', '1', '--threads', '1']);
    const [, url = ''] = await program.said(/^export REDIS_URL=(\S+)$/m);
    const dir = mkdtempSync(join(tmpdir(), 'heddle-fleet-'));
    const tree = fileURLToPath(new URL('.', import.meta.url));
    const args = ['index', tree, '--workers', '0', '--verify', '--out', join(dir, 'out.json')];
    const ended = await runToEnd('heddle', args, { env: { REDIS_URL: url } });
    expect(ended).toMatchObject({ code: 0, out: expect.stringContaining('all equal') });
    rmSync(dir, { recursive: true });
  });

  it('replaces a worker that dies', async () => {
    await using program = new Program('heddle', ['up', '--workers', '1', ...quick]);
    await program.said(/Ctrl-C ends them/);
    const worker = () => program.descendants().find((pid) => commandOf(pid).includes('worker/src/main'));
    const first = worker() ?? 0;
    process.kill(first, 'SIGKILL');
    await program.said(new RegExp(`worker ${first} ended with SIGKILL; another takes its place`));
    await until(() => worker() !== undefined && worker() !== first);
    await program.said(/"msg":"ready"[\s\S]*"msg":"ready"/);
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0 });
  });

  it('needs no worker', async () => {
    await using program = new Program('heddle', ['up', '--workers', '0']);
    await program.said(/^0 workers/m);
    process.kill(program.pid, 'SIGINT');
    expect(await program.ended).toMatchObject({ code: 0 });
  });

  it('gives up where no worker can run, and says why', async () => {
    const missing = await runToEnd('heddle', ['up', '--tasks', '/nowhere.ts']);
    expect(missing).toMatchObject({
      code: 66,
      err: expect.stringContaining('/nowhere.ts: there is no such file'),
    });
    const broken = fileURLToPath(new URL('../../worker/test/throws.ts', import.meta.url));
    const thrown = await runToEnd('heddle', ['up', '--tasks', broken]);
    expect(thrown).toMatchObject({ code: 70, err: expect.stringContaining('the loom is broken') });
  });
});

describe('heddle', { timeout: 60_000 }, () => {
  it('lists the commands it has, and no other', async () => {
    const { code, out } = await runToEnd('heddle', ['--help']);
    expect(code).toBe(0);
    for (const name of ['index', 'up', 'ps', 'locks', 'lock'])
      expect(out).toMatch(new RegExp(`^  ${name} `, 'm'));
    expect(coordinatorProgram().commands.map((command) => command.name())).toEqual([
      'index',
      'up',
      'ps',
      'locks',
      'lock',
    ]);
    expect(await runToEnd('heddle', ['--version'])).toMatchObject({ code: 0, out: '0.1.0\n' });
  });

  it.each([
    [['lokc'], "unknown command 'lokc'"],
    [['ps', '--jsno'], "unknown option '--jsno'"],
    [['ps', 'x'], 'too many arguments'],
    [['locks', '--namespace', ''], '--namespace: must be a namespace'],
  ])('refuses %j with 2', async (args, message) => {
    expect(await runToEnd('heddle', args)).toMatchObject({ code: 2, err: expect.stringContaining(message) });
  });

  it('shows nothing in a name that a terminal would obey, or turn round', () => {
    expect(printable('a\u001b[31m\u009b\n\u202egpj.exe\u2066\u2028b é 🦆')).toBe('a�[31m���gpj.exe��b é 🦆');
  });

  it('ps reckons how long a worker is up by its own clock', async () => {
    await using redis = await startRedis();
    await using session = await connect(redis.url, { namespace: `test-ps-${process.pid}` });
    const tomorrow = Date.now() + 86_400_000;
    const host = {
      host: 'loom',
      pid: 7,
      queue: 'q',
      queues: ['q'],
      threads: 1,
      busy: 0,
      running: 0,
      completed: 0,
      failed: 0,
    };
    const shown = {
      ...host,
      id: 'x',
      session: 'x',
      tasks: [],
      version: '1',
      since: tomorrow,
      seen: tomorrow + 185_000,
    };
    const client = new Redis(redis.url);
    const key = (part: string) => `{${session.namespace}:fleet}:${part}`;
    await client.set(key('host:x'), JSON.stringify(shown), 'PX', 30_000);
    const setBack = { ...shown, host: 'heald', id: 'y', session: 'y', seen: tomorrow - 3_600_000 };
    await client.set(key('host:y'), JSON.stringify(setBack), 'PX', 30_000);
    await client.sadd(key('hosts'), 'x', 'y');
    const args = ['ps', '--namespace', session.namespace];
    const { out } = await runToEnd('heddle', args, { env: { REDIS_URL: redis.url } });
    await client.del(key('host:x'), key('host:y'), key('hosts'));
    client.disconnect();
    expect(out).toMatch(/loom .* 3 min /);
    expect(out).toMatch(/heald .* 0 ms /);
  });

  it.each(['ps', 'locks'])('says that there is no Redis: %s', async (command) => {
    const env = { REDIS_URL: 'redis://127.0.0.1:1' };
    expect(await runToEnd('heddle', [command], { env })).toMatchObject({ code: 69, out: '' });
  });
});
