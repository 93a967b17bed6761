import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type EmbeddedRedis, type RedisProcess, startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, fleet, removeQueue } from '@heddle/pool';
import { connect, type Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Program, runToEnd, until } from './program.ts';

type Tasks = typeof import('./worker-tasks.ts');

const tasks = fileURLToPath(new URL('./worker-tasks.ts', import.meta.url));
const throws = fileURLToPath(new URL('./throws.ts', import.meta.url));
const noTasks = fileURLToPath(new URL('../../../libs/pool/test/no-tasks.ts', import.meta.url));
const namespace = `test-worker-${process.pid}`;

let redis: EmbeddedRedis;
let session: Session;
let queue: string;
let executor: DistributedExecutor<Tasks>;
let queues = 0;

beforeAll(async () => {
  redis = await startRedis();
  session = await connect(redis.url, { namespace });
});
afterAll(async () => {
  await session.close();
  await redis.close();
});
beforeEach(() => {
  queues += 1;
  queue = `q${queues}`;
  executor = new DistributedExecutor<Tasks>(queue, { session });
});
afterEach(async () => {
  await executor.shutdown({ wait: false, cancelFutures: true });
  await removeQueue(session, queue);
});

/** A worker for this test's queue. */
function worker(...more: string[]): Program {
  const args = ['--queue', queue, '--tasks', tasks, '--threads', '2', '--namespace', namespace, ...more];
  return new Program('heddle-worker', args, { env: { REDIS_URL: redis.url } });
}

const lines = (program: Program) =>
  program.out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

describe('heddle-worker', { timeout: 60_000 }, () => {
  it('takes jobs, announces itself, logs JSON, and ends with 0 when told to', async () => {
    await using program = worker('--name', 'loom-7');
    await program.said(/"msg":"ready"/);
    expect(await executor.submit('environment')).toEqual([redis.url, namespace]);
    const { hosts } = await fleet(session);
    const mine = { queue, pid: program.pid, threads: 2, version: '0.1.0' };
    expect(hosts).toContainEqual(expect.objectContaining(mine));
    expect((await session.members()).map(({ name }) => name)).toContain('loom-7');
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0, signal: null, err: '' });
    expect(lines(program).map(({ msg }) => msg)).toEqual(['ready', 'ending: no new jobs', 'ended']);
    expect((await fleet(session)).hosts).not.toContainEqual(expect.objectContaining(mine));
  });

  it('logs what tasks say with the context variables around it, none of which takes the place of a field', async () => {
    await using program = worker('--name', 'loom-7');
    const tags = new Map<string, unknown>([['a', new Set([1n])]]);
    const circle: unknown[] = [];
    circle.push(circle);
    const mine = { level: 'mine', time: 'noon', msg: 'no', worker: 'me', job: 0, context: { deep: true } };
    const others = {
      runId: 'r7',
      tags,
      nested: { big: 2n ** 64n, when: new Date(0), list: [1, null] },
      circle,
    };
    await executor.submit('sayWithin', { ...mine, ...others });
    const [text] = await program.said(/^.*"said".*$/m);
    const line = JSON.parse(text);
    expect(line).toMatchObject({ level: 30, worker: 'loom-7', task: 'sayWithin', attempt: 1, msg: 'said' });
    expect(line.context).toEqual(mine);
    expect(line).toMatchObject({
      runId: 'r7',
      tags: "Map(1) { 'a' => Set(1) { 1n } }",
      nested: { big: '18446744073709551616n', when: '1970-01-01T00:00:00.000Z', list: [1, null] },
      circle: expect.stringContaining('Circular'),
    });
    expect(line.time).toBeTypeOf('number');
  });

  it('logs what tasks print as lines like all others, with their job', async () => {
    await using program = worker();
    const future = executor.submit('print');
    await future;
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0, err: '' });
    const by = { job: future.id, task: 'print', attempt: 1 };
    expect(lines(program).filter(({ job }) => job !== undefined)).toMatchObject([
      { ...by, level: 30, stream: 'stdout', msg: 'printed out' },
      { ...by, level: 40, stream: 'stderr', msg: expect.stringMatching(/^Error: not fatal\n {4}at print/) },
      { ...by, level: 30, stream: 'stdout', msg: 'and on' },
    ]);
  });

  it('logs the beginning of a line that is larger than a log can keep', async () => {
    await using program = worker();
    await executor.submit('sayMuch', 2_000_000);
    process.kill(program.pid, 'SIGTERM');
    await program.ended;
    const said = lines(program).filter(({ task }) => task === 'sayMuch');
    const [line, printed] = said.map(({ msg }) => msg);
    expect(line).toMatch(/^s{65536}… \(the first 65536 of 2000000 characters\)$/);
    expect(printed).toMatch(/^p{65536}… /);
  });

  it('takes jobs of the version that its tasks have', async () => {
    await using program = worker('--tasks-version', '2');
    await program.said(/"msg":"ready"/);
    expect(await executor.with({ version: '2' }).submit('environment')).toEqual([redis.url, namespace]);
    const other = executor.with({ version: '3' }).submit('environment');
    expect(await other.exception()).toMatchObject({ name: 'UnknownTaskError' });
    expect((await fleet(session)).hosts.find(({ pid }) => pid === program.pid)?.version).toBe('2');
  });

  it.each(['hangs', 'loops'])('ends when told to while the module %s as it is loaded', async (module) => {
    const file = fileURLToPath(new URL(`../../../libs/pool/test/${module}.ts`, import.meta.url));
    await using program = worker('--tasks', file, '--listen', '0');
    await program.said(/"msg":"listening"/);
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0, err: '' });
  });

  it('lets running jobs end within the grace period', async () => {
    await using program = worker();
    const napping = executor.submit('nap', 1_000);
    await program.said(/napping/);
    process.kill(program.pid, 'SIGINT');
    expect(await napping).toBe('rested');
    expect(await program.ended).toMatchObject({ code: 0 });
  });

  it.each([
    ['nap', 'napping'],
    ['spin', 'spinning'],
  ] as const)('gives back a %s that goes on for longer, and another worker does it', async (task, said) => {
    await using program = worker('--grace-period', '100');
    const future = executor.submit(task, 60_000);
    await program.said(new RegExp(said));
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0 });
    expect((await fleet(session)).queues.find(({ name }) => name === queue)).toMatchObject({
      waiting: 1,
      active: 0,
    });
    await using other = worker('--grace-period', '0');
    await other.said(new RegExp(said));
    expect(await future.abort()).toBe(true);
  });

  it('ends at once at the second signal, and its jobs go to another', async () => {
    await using program = worker('--stall-timeout', '500');
    const future = executor.submit('nap', 60_000);
    await program.said(/napping, attempt 1/);
    process.kill(program.pid, 'SIGTERM');
    await program.said(/ending/);
    process.kill(program.pid, 'SIGINT');
    expect(await program.ended).toMatchObject({ code: 130 });
    expect(lines(program).at(-1)).toMatchObject({
      ...{ level: 40, why: 'SIGINT' },
      msg: expect.stringMatching(/second signal; its jobs go to other workers 500 ms from now/),
    });
    await using other = worker('--stall-timeout', '500', '--grace-period', '0');
    await other.said(/napping, attempt 2/);
    await future.abort();
  });

  it('ends also where Redis does not answer, and says what becomes of its jobs', async () => {
    await using own = (await startRedis({ sources: ['process'] })) as RedisProcess;
    await using mine = await connect(own.url, { namespace });
    const pool = new DistributedExecutor<Tasks>(queue, { session: mine });
    await using program = worker('--redis', own.url, '--grace-period', '100');
    const future = pool.submit('nap', 60_000);
    await program.said(/napping/);
    own.pause();
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0, err: '' });
    expect(program.out).toContain('ERR_HEDDLE_OUTCOME_UNKNOWN');
    own.resume();
    await future.abort();
  });

  it.each([
    ['before it has looked', undefined],
    ['while it starts', /"msg":"listening"/],
    ['while it works', /"msg":"ready"/],
  ] as const)('ends as at a signal where the process that forked it is gone %s', async (_, moment) => {
    const args = ['--queue', queue, '--tasks', tasks, '--threads', '1', '--listen', '0'];
    const env = { REDIS_URL: redis.url, HEDDLE_NAMESPACE: namespace };
    await using program = new Program('heddle-worker', args, { env, forked: true });
    if (moment !== undefined) await program.said(moment);
    program.child.disconnect();
    expect(await program.ended).toMatchObject({ code: 0, signal: null, err: '' });
    expect(lines(program)).toContainEqual(expect.objectContaining({ why: 'parent gone' }));
  });

  it('shows the password of no URL in its log', async () => {
    // One of its own: a server without a password, as $REDIS_URL may name, takes any.
    await using guarded = await startRedis({ sources: ['process'] });
    const url = guarded.url.replace(/^redis:\/\/([^@/]*@)?/, 'redis://default:sesame@');
    const ended = await runToEnd('heddle-worker', ['--queue', queue, '--tasks', tasks, '--redis', url]);
    expect(ended.code).not.toBe(0);
    expect(ended.out + ended.err).not.toContain('sesame');
  });

  it('reads the same settings from a file and from the environment', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'heddle-worker-'));
    const config = join(dir, 'worker.json');
    writeFileSync(config, JSON.stringify({ queue, tasks, threads: 1, namespace, redis: redis.url }));
    await using program = new Program('heddle-worker', ['--config', config], {
      env: { HEDDLE_THREADS: '3' },
    });
    await program.said(/"msg":"ready"/);
    expect((await fleet(session)).hosts).toContainEqual(expect.objectContaining({ queue, threads: 3 }));
    rmSync(dir, { recursive: true });
  });

  it('takes jobs from several queues, no more of them in a time than it may', async () => {
    const other = new DistributedExecutor<Tasks>(`${queue} too`, { session });
    await using program = worker('--queue', `${queue}=3,${queue} too=1`, '--rate-limit', '1000/1000');
    await program.said(/"msg":"ready"/);
    const [mine] = (await fleet(session)).hosts.filter(({ pid }) => pid === program.pid);
    expect(mine?.queues).toEqual([queue, `${queue} too`]);
    const both = await Promise.all([executor.submit('environment'), other.submit('environment')]);
    expect(both[1]).toEqual(both[0]);
    await other.shutdown();
    await removeQueue(session, `${queue} too`);
  });

  it('answers whether it lives and is ready, and tells its metrics', async () => {
    await using own = await startRedis({ sources: ['process'] });
    await using mine = await connect(own.url, { namespace });
    await using pool = new DistributedExecutor<Tasks>(queue, { session: mine });
    await using program = worker('--redis', own.url, '--listen', '0', '--grace-period', '5000');
    const [, url] = await program.said(/"url":"(http:\/\/127\.0\.0\.1:\d+)"/);
    const get = async (path: string) => {
      const response = await fetch(`${url}${path}`);
      return [response.status, await response.text()] as const;
    };
    expect(await get('/healthz')).toEqual([200, 'ok\n']);
    await program.said(/"msg":"ready"/);
    expect(await get('/readyz')).toEqual([200, 'ok\n']);
    expect(await pool.submit('environment')).toEqual([own.url, namespace]);
    await until(async () => (await get('/metrics'))[1].includes('heddle_worker_jobs_completed_total 1'));
    const [, text] = await get('/metrics');
    expect(text).toContain('heddle_worker_threads 2');
    expect(text).toContain(`heddle_queue_jobs{queue="${queue}",state="completed"} 1`);
    expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m);
    expect((await get('/'))[0]).toBe(404);
    const napping = pool.submit('nap', 1_000);
    await program.said(/napping/);
    process.kill(program.pid, 'SIGTERM');
    await program.said(/"msg":"ending/);
    expect(await get('/readyz')).toEqual([503, 'ending\n']);
    expect(await napping).toBe('rested');
    expect(await program.ended).toMatchObject({ code: 0, err: '' });
  });

  it('is not ready while Redis is away, and says so', async () => {
    await using own = (await startRedis({ sources: ['process'] })) as RedisProcess;
    await using program = worker('--redis', own.url, '--listen', '0');
    const [, url] = await program.said(/"url":"(http:\/\/127\.0\.0\.1:\d+)"/);
    await program.said(/"msg":"ready"/);
    own.pause(); // no connection is cut by that
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    own.resume();
    await until(async () => (await fetch(`${url}/readyz`)).status === 200);
    await own.kill();
    await until(async () => (await fetch(`${url}/readyz`)).status === 503);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    await own.restart({ data: 'lose' });
    await until(async () => (await fetch(`${url}/readyz`)).status === 200);
    const taken = await runToEnd('heddle-worker', [
      ...['--queue', queue, '--tasks', tasks, '--redis', own.url, '--listen', new URL(url ?? '').host],
    ]);
    expect(taken).toMatchObject({ code: 1, err: expect.stringContaining('EADDRINUSE') });
  });

  it('says in a line each that Redis is away, where and why, and that it is back', async () => {
    await using own = (await startRedis({ sources: ['process'] })) as RedisProcess;
    await using program = worker('--redis', own.url.replace('127.0.0.1', 'localhost'));
    await program.said(/"msg":"ready"/);
    await own.kill();
    await program.said(/out of reach/);
    await own.restart();
    await program.said(/Redis is back, after/);
    const told = lines(program).filter(({ level }) => level >= 40);
    const away = told.filter(({ msg }) => !msg.startsWith('the session was lost'));
    expect(away).toHaveLength(1);
    const { port } = new URL(own.url);
    const msg = new RegExp(
      `Redis at redis://\\S*localhost:${port} is out of reach \\([^)]*ECONN.*again every second`,
    );
    expect(away[0]).toMatchObject({ level: 40, since: expect.any(String), msg: expect.stringMatching(msg) });
    expect(away[0]).not.toHaveProperty('err');
    process.kill(program.pid, 'SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0, err: '' });
  });

  it('says in one line what keeps it from starting, and ends with the code for it', async () => {
    const needed = ['--queue', queue, '--tasks', tasks];
    const cases: [string[], NodeJS.ProcessEnv, number, string][] = [
      [[], {}, 2, '--queue is missing (or HEDDLE_QUEUE)'],
      [[...needed, '--threds', '2'], {}, 2, "unknown option '--threds'"],
      [[...needed, 'extra'], {}, 2, 'too many arguments'],
      [[...needed, '--threads', 'two'], {}, 2, '--threads: must be a whole number from 1 to 1024, not "two"'],
      [
        needed,
        { HEDDLE_CONCURENCY: '2' },
        2,
        'HEDDLE_CONCURENCY: no such setting; did you mean HEDDLE_CONCURRENCY?',
      ],
      [
        ['--queue', queue, '--tasks', '/nowhere/tasks.ts'],
        {},
        66,
        '--tasks /nowhere/tasks.ts: there is no such file',
      ],
      [
        ['--queue', queue, '--tasks', 'nowhere.ts'],
        {},
        66,
        `--tasks nowhere.ts: there is no such file (${join(process.cwd(), 'nowhere.ts')})`,
      ],
      [
        ['--queue', queue, '--tasks', tmpdir()],
        {},
        66,
        `--tasks ${tmpdir()}: is no file; name the module itself`,
      ],
      [needed, { REDIS_URL: `${redis.url}/9999` }, 77, 'give a database that it has'],
      [['--queue', queue, '--tasks', throws], { REDIS_URL: redis.url }, 70, 'the loom is broken'],
      [['--queue', queue, '--tasks', noTasks], { REDIS_URL: redis.url }, 70, 'exports no function'],
      [needed, { REDIS_URL: 'redis://127.0.0.1:1' }, 69, '127.0.0.1:1'],
      [needed, { REDIS_URL: 'redis://nowhere.invalid' }, 69, 'nowhere.invalid'],
    ];
    await Promise.all(
      cases.map(async ([args, env, code, message]) => {
        const ended = await runToEnd('heddle-worker', args, { env });
        expect({ args, ...ended }).toMatchObject({ code, err: expect.stringContaining(message) });
        expect(ended.err.split('\n').filter(Boolean).length).toBeLessThanOrEqual(2);
      }),
    );
  });

  it('logs where a module threw that could not be loaded', async () => {
    await using program = worker('--tasks', throws);
    expect(await program.ended).toMatchObject({ code: 70 });
    expect(lines(program)).toMatchObject([
      { level: 60, err: { message: 'the loom is broken', stack: expect.stringContaining('throws.ts') } },
    ]);
  });

  it('ends by a signal while it connects', async () => {
    const connected = Promise.withResolvers<void>();
    const silent = createServer(() => connected.resolve()).listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    await using worker = new Program('heddle-worker', [
      '-q',
      'q',
      '--tasks',
      tasks,
      '--redis',
      `redis://127.0.0.1:${port}`,
    ]);
    await connected.promise;
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toMatchObject({
      code: 0,
      out: expect.stringContaining('before it was connected'),
    });
  });

  it('tells a wrong password from a Redis that is not there', async () => {
    await using locked = await startRedis({ sources: ['process', 'docker'], password: 'right' });
    const url = locked.url.replace('right', 'wrong');
    const ended = await runToEnd('heddle-worker', ['--queue', queue, '--tasks', tasks, '--redis', url]);
    expect(ended).toMatchObject({ code: 77, err: expect.stringMatching(/password/i) });
    expect(ended.err).not.toContain('wrong');
  });

  it('ends with 77 where its user may open a session and not work', async () => {
    await using server = await startRedis({ sources: ['process'], password: false });
    const admin = new Redis(server.url);
    await admin.call('ACL', 'SETUSER', 'few', 'on', '>secret', '~*', '&*', '+@all', '-exec');
    admin.disconnect();
    const url = server.url.replace('redis://', 'redis://few:secret@');
    const ended = await runToEnd('heddle-worker', ['--queue', queue, '--tasks', tasks, '--redis', url]);
    expect(ended).toMatchObject({
      code: 77,
      err: expect.stringMatching(/^heddle-worker: Redis refused .*\n$/),
    });
    expect(ended.err).toContain('allow this user the command');
  });

  it('prints its version, and every setting in its help', async () => {
    expect(await runToEnd('heddle-worker', ['--version'])).toMatchObject({ code: 0, out: '0.1.0\n' });
    const { code, out } = await runToEnd('heddle-worker', ['--help']);
    expect(code).toBe(0);
    for (const word of ['--queue', 'HEDDLE_QUEUE', '--config', 'SIGTERM', 'Exit codes'])
      expect(out).toContain(word);
  });
});
