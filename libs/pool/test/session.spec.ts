import { type ChildProcess, fork } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import {
  DistributedExecutor,
  type DistributedOptions,
  WorkerHost,
  type WorkerHostOptions,
} from '@heddle/pool';
import { connect, type Session } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type * as tasks from './session-tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./session-tasks.ts', import.meta.url);

let server: EmbeddedRedis;
let plain: Redis;
let namespaces = 0;
let namespace = '';
let session: Session;
const executors: DistributedExecutor<typeof tasks>[] = [];
const hosts: WorkerHost[] = [];
const sessions: Session[] = [];
const processes: ChildProcess[] = [];

beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
  plain = new Redis(server.url);
});
afterAll(async () => {
  plain?.disconnect();
  await server?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  namespaces += 1;
  namespace = `lent-${process.pid}-${namespaces}`;
  session = await connect(server.url, { namespace });
});
afterEach(async () => {
  await Promise.all(executors.splice(0).map((pool) => pool.shutdown({ wait: false, cancelFutures: true })));
  await Promise.all(hosts.splice(0).map((host) => host.close({ gracePeriod: 0 })));
  for (const child of processes.splice(0)) child.kill('SIGKILL');
  await Promise.all(sessions.splice(0).map((each) => each.close()));
  await session.close();
});

function executor(options: Partial<DistributedOptions> = {}): DistributedExecutor<typeof tasks> {
  const made = new DistributedExecutor<typeof tasks>('work', { session, ...options });
  executors.push(made);
  return made;
}

async function host(options: Partial<WorkerHostOptions> = {}): Promise<WorkerHost> {
  const base = { session, tasks: TASKS, threads: 2, gracePeriod: 100, stallTimeout: 600 };
  const made = new WorkerHost('work', { ...base, ...options });
  hosts.push(made);
  await made.start();
  return made;
}

async function anotherSession(options: object = {}): Promise<Session> {
  const made = await connect(server.url, { namespace, ...options });
  sessions.push(made);
  return made;
}

async function hostProcess(options: object = {}): Promise<ChildProcess> {
  const file = new URL('./host-process.ts', import.meta.url);
  const child = fork(file, [
    server.url,
    namespace,
    'work',
    JSON.stringify({ module: TASKS.href, ...options }),
  ]);
  processes.push(child);
  await once(child, 'message');
  return child;
}

describe('currentJob().session()', () => {
  it('has the locks of the host: their leases are valid, released once, and tell', async () => {
    await host();
    expect(await executor().submit('leaseOfLock', 'a')).toEqual([
      ...[true, false, true, true],
      null,
      ...[false, false],
      ...[false, true],
      true,
      true,
    ]);
  });

  it('has every other primitive of a session', async () => {
    await host();
    expect(await executor().submit('everything', 'x')).toEqual({
      ids: [namespace, true],
      queue: {
        full: 'QueueFullError',
        got: { when: new Date(5), map: new Map([['a', 1n]]), bytes: new Uint8Array([1, 2]) },
        joined: true,
        rest: [],
        empty: 'QueueEmptyError',
      },
      order: [[1, 'a'], 2],
      latch: [false, true, 0],
      semaphore: [null, 'OverReleaseError', 1, 0, 2, 1],
      locks: [null, true, true, null, false, false],
      event: [false, true, true],
      counter: [3, false],
      mismatch: ['ConfigMismatchError', { permits: 1, bounded: false }],
    });
  });

  it('excludes between threads and between hosts', async () => {
    await Promise.all([host(), host({ session: await anotherSession() })]);
    const jobs = Array.from({ length: 8 }, () => executor().submit('increment', ['guard', 'count', 10]));
    await Promise.all(jobs);
    expect(await session.counter('count').value()).toBe(80);
  });

  it('makes each job, and each logical thread in it, an owner of its own', async () => {
    await host();
    const pool = executor();
    expect(await pool.submit('reenter', 'r')).toEqual([true, null, true, false, true, false, false]);
    const holder = pool.submit('holdRLock', ['r', 'holds', 'go']);
    await session.event('holds').wait();
    expect(await pool.submit('tryRLock', 'r')).toBe(false);
    await session.event('go').set();
    expect(await holder).toBe(true);
    expect(await pool.submit('tryRLock', 'r')).toBe(true);
  });

  it('waits at conditions, whose lease is the handle of the new hold', async () => {
    await host();
    const pool = executor();
    const waiting = pool.submit('waitForItem', 'c');
    await pool.submit('makeItem', 'c');
    expect(await waiting).toEqual([true, true, true, false, true, false, true]);
    expect(await pool.submit('onLock', 'd')).toEqual([false, true]);
    expect(await pool.submit('unowned', 'e')).toEqual(Array(5).fill('NotHeldError'));
  });

  it('gives back the rest of what one lease is for, where a bare release has ended a part', async () => {
    await host();
    const pool = executor();
    expect(await pool.submit('partly', ['p', true])).toEqual([false, false, false, true, false]);
    expect(await pool.submit('partly', ['p', false])).toEqual([false, false, false, true, true]);
    expect(await session.lock('p 2').locked()).toBe(false);
  });

  it('meets at barriers, and runs the action in the thread of the last', async () => {
    await host();
    const met = await Promise.all([1, 2].map(() => executor().submit('meet', ['b', 2])));
    expect(met.map(([index]) => index).sort()).toEqual([0, 1]);
    expect(met.map(([, acted]) => acted).sort()).toEqual([0, 1]);
    expect(await executor().submit('meetBadly', 'bad').exception()).toMatchObject({ message: 'no' });
  });

  it('aborts a wait with the reason itself, and leaves nothing queued', async () => {
    await host();
    expect(await executor().submit('abortWait', 'q')).toEqual([true, 'QueueEmptyError']);
  });

  it('has one listener on a signal together with all waits that have it', async () => {
    await host();
    expect(await executor().submit('listenersOfWaits', 'e')).toEqual([1, 0]);
  });

  it('refuses wrong arguments as a session does', async () => {
    await host();
    expect(await executor().submit('wrong')).toEqual([
      'TypeError: ERR_HEDDLE_INVALID_ARG_TYPE',
      'TypeError: ERR_HEDDLE_INVALID_ARG_TYPE',
      'RangeError: ERR_HEDDLE_OUT_OF_RANGE',
      'TypeError: ERR_HEDDLE_INVALID_ARG_TYPE',
      'RangeError: ERR_HEDDLE_OUT_OF_RANGE',
      'NotCloneableError: ERR_HEDDLE_NOT_CLONEABLE',
      'TypeError: ERR_HEDDLE_INVALID_ARG_TYPE',
      'TypeError: ERR_HEDDLE_INVALID_ARG_TYPE',
      ...Array(5).fill('TypeError: ERR_HEDDLE_INVALID_ARG_TYPE'),
      'gone',
    ]);
  });

  it('tells a task of the circle that it makes itself, and of none where its bodies run side by side', async () => {
    const quick = await connect(server.url, { namespace, deadlockAfter: 50 });
    sessions.push(quick);
    await host({ session: quick, threads: 1 });
    const pool = executor();
    expect(await pool.submit('nested', 'inside')).toBe('DeadlockError');
    let probes = 0;
    const count = () => {
      probes += 1;
    };
    subscribe('heddle:probe', count);
    const both = pool.submit('sideBySide', ['beside', 'go on']);
    await until(() => expect(probes).toBeGreaterThan(2));
    unsubscribe('heddle:probe', count);
    await session.event('go on').set();
    expect(await both).toEqual(['first', 'second']);
  });

  it('is over with its job: what the job held is free when its Future is done', async () => {
    await host({ threads: 1 });
    const pool = executor();
    expect(await pool.submit('leaveHeld', ['a', 'b'])).toBe(2);
    expect(await Promise.all([session.lock('a').locked(), session.lock('b').locked()])).toEqual([
      false,
      false,
    ]);
    expect(await session.semaphore('left', 2).value()).toBe(2);
    await session.queue('never').put(1);
    expect(await session.queue('never').size()).toBe(1);
    await pool.submit('keep', 'k');
    expect(await pool.submit('useKept')).toEqual([false, undefined, 'SessionClosedError']);
    expect(await pool.submit('closed', 'k')).toEqual([false, 'SessionClosedError']);
    expect(await session.lock('k').locked()).toBe(false);
  });

  it('gives back what a thread held that exits, or is ended', async () => {
    await host();
    const pool = executor();
    expect(await pool.submit('holdAndExit', 'x').exception()).toMatchObject({ name: 'ThreadCrashedError' });
    expect(await session.lock('x').acquire({ timeout: 5000 })).not.toBeNull();
    const spinning = pool.submit('spinHolding', ['y', 'spins']);
    await session.event('spins').wait();
    await spinning.abort();
    expect(await session.lock('y').acquire({ timeout: 5000 })).not.toBeNull();
  });

  it('takes any maxHold, Infinity being none, as a session does', async () => {
    await host();
    const holds = [2 ** 31 + 500, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY];
    expect(await executor().submit('holdFor', ['any', holds])).toEqual([true, true, true]);
  });

  it('tells of a lease that is lost, by valid first', async () => {
    await host();
    expect(await executor().submit('outlive', ['m', 30])).toEqual([
      false,
      'LeaseLostError',
      'LeaseLostError',
    ]);
  });

  it('loses its leases with the session', async () => {
    const own = await anotherSession({ ttl: 500 });
    await host({ session: own });
    const lost = executor().submit('untilLost', ['l', 'held']);
    await session.event('held').wait();
    const [life] = await plain
      .zrange(`{${namespace}:0}:sessions`, '0', '-1')
      .then((all) => all.filter((id) => id.startsWith(own.id)));
    await plain.zrem(`{${namespace}:0}:sessions`, life ?? '');
    expect(await lost).toBe('false LeaseLostError');
  });

  it('frees the lock of a host that is killed, after its ttl', async () => {
    const child = await hostProcess();
    const pool = executor();
    pool.submit('holdForever', ['k', 'held']);
    await session.event('held').wait();
    expect(await session.lock('k').locked()).toBe(true);
    child.kill('SIGKILL');
    const lease = await session.lock('k').acquire({ timeout: 10_000 });
    expect(lease?.valid).toBe(true);
  });

  it('costs no connection for each thread', async () => {
    const clients = async () => Number(/connected_clients:(\d+)/.exec(await plain.info('clients'))?.[1]);
    const count = async (threads: number) => {
      const before = await clients();
      const own = await connect(server.url, { namespace });
      const working = await host({ session: own, threads });
      await Promise.all(
        Array.from({ length: threads * 4 }, (_, n) => executor().submit('pairs', [`p${n % 2}`, 5])),
      );
      const cost = (await clients()) - before;
      hosts.splice(hosts.indexOf(working), 1);
      await working.close();
      await own.close();
      await until(async () => expect(await clients()).toBeLessThanOrEqual(before));
      return cost;
    };
    const first = await host(); // what this process and its session open once
    await executor().submit('pairs', ['p', 1]);
    await first.close();
    const one = await count(1);
    expect(await count(4)).toBe(one);
  });
});

describe('with({ holding })', () => {
  it('runs one at a time under a lock, each with a larger token', async () => {
    await Promise.all([host(), host({ session: await anotherSession() })]);
    const pool = executor().with({ holding: 'one' });
    const seen = (await Promise.all(Array.from({ length: 12 }, () => pool.submit('held', 'h')))) as {
      valid: boolean;
      token: number;
    }[];
    expect(seen.every(({ valid }) => valid)).toBe(true);
    expect(new Set(seen.map(({ token }) => token)).size).toBe(12);
    expect(await session.counter('h most 1').value()).toBe(12);
    expect(await session.lock('one').locked()).toBe(false);
  });

  it('runs as many at a time as a semaphore has permits', async () => {
    await host({ threads: 3 });
    const pool = executor().with({ holding: { semaphore: 'two', permits: 2 } });
    await Promise.all(Array.from({ length: 8 }, () => pool.submit('held', 's')));
    expect(await session.counter('s most 3').value()).toBe(0);
    expect(await session.semaphore('two', 2).value()).toBe(2);
  });

  it('waits without a thread: other jobs of the host go on', async () => {
    await host({ threads: 1 });
    const pool = executor();
    const mine = await session.lock('busy').acquire();
    const waiting = Array.from({ length: 5 }, () =>
      pool.with({ holding: { lock: 'busy' } }).submit('free', 1),
    );
    await Promise.all(waiting.map(({ accepted }) => accepted));
    for (let n = 0; n < 5; n += 1) expect(await pool.submit('free', n)).toBe(n);
    expect(waiting.some((future) => future.done())).toBe(false);
    await mine.release();
    expect(await Promise.all(waiting)).toEqual([1, 1, 1, 1, 1]);
  });

  it('ends while it waits: by abort, by its ttl, by the host that closes', async () => {
    const working = await host({ threads: 1 });
    const pool = executor();
    const mine = await session.lock('busy').acquire();
    const holding = pool.with({ holding: 'busy' });
    const aborted = holding.submit('free', 1);
    const late = pool.with({ holding: 'busy', ttl: 150 }).submit('free', 2);
    const kept = holding.submit('free', 3);
    await aborted.accepted;
    await until(() => expect(working.status().running).toBeGreaterThanOrEqual(2));
    expect(await aborted.abort()).toBe(true);
    expect(await late.exception()).toMatchObject({ name: 'TimeoutError' });
    await until(() => expect(working.status().running).toBe(1));
    await working.close({ gracePeriod: 0 });
    await mine.release();
    await host();
    expect(await kept).toBe(3);
  });

  it('can be cancelled while it waits, also from elsewhere; then it never begins', async () => {
    const working = await host({ threads: 1 });
    const pool = executor();
    const mine = await session.lock('busy').acquire();
    const waiting = [1, 2, 3].map((n) => pool.with({ holding: 'busy' }).submit('free', n));
    await until(() => expect(working.status().running).toBe(3));
    const key = `{${namespace}:queue:work}:work:${waiting[1]?.id}`;
    await until(async () => expect(await plain.hget(key, 'parked')).toBe('1'));
    await until(async () => expect(await waiting[1]?.cancel()).toBe(true));
    const other = new DistributedExecutor('work', { session: await anotherSession() });
    executors.push(other as DistributedExecutor<typeof tasks>);
    await until(async () => expect(await other.future(waiting[2]?.id ?? '').cancel()).toBe(true));
    await until(() => expect(working.status().running).toBe(1));
    expect(waiting[1]?.cancelled()).toBe(true);
    await expect(waiting[2]).rejects.toMatchObject({ name: 'CancelledError' });
    await mine.release();
    expect(await waiting[0]).toBe(1);
    expect(await waiting[0]?.cancel()).toBe(false);
  });

  it('is not begun by a host that has not heard of its cancellation, nor by the next', async () => {
    const child = await hostProcess();
    const pool = executor();
    const mine = await session.lock('busy').acquire();
    const waiting = pool.with({ holding: 'busy' }).submit('free', 1);
    const key = `{${namespace}:queue:work}:work:${waiting.id}`;
    await until(async () => expect(await plain.hget(key, 'parked')).toBe('1'));
    child.kill('SIGSTOP');
    expect(await waiting.cancel()).toBe(true);
    child.kill('SIGKILL');
    await mine.release();
    const working = await host();
    await expect(executor().future(waiting.id)).rejects.toMatchObject({ name: 'CancelledError' });
    expect(working.status().completed).toBe(0);
  }, 60_000);

  it('holds nothing any more where the host has no such task, or the lock has another shape', async () => {
    await host();
    const pool = executor();
    const unknown = pool.with({ holding: 'u' }).submit('nonesuch' as 'free', 1);
    expect(await unknown.exception()).toMatchObject({ name: 'UnknownTaskError' });
    expect(await session.lock('u').locked()).toBe(false);
    await session.semaphore('shaped', 2).acquire();
    const other = pool.with({ holding: { semaphore: 'shaped', permits: 3 } }).submit('free', 1);
    expect(await other.exception()).toMatchObject({ name: 'ConfigMismatchError' });
    expect(await pool.submit('free', 2)).toBe(2);
  });

  it('is aborted where it loses what it holds, and tried again as configured', async () => {
    const own = await anotherSession({ ttl: 500 });
    await host({ session: own });
    const pool = executor({ retries: 1 });
    const future = pool.with({ holding: 'l' }).submit('untilLeaseLost', 'runs');
    const failing = executor().with({ holding: 'm' }).submit('untilLeaseLost', 'runs too');
    await Promise.all([session.event('runs').wait(), session.event('runs too').wait()]);
    for (const id of await plain.zrange(`{${namespace}:0}:sessions`, '0', '-1'))
      if (id.startsWith(own.id)) await plain.zrem(`{${namespace}:0}:sessions`, id);
    expect(await future).toBe('again, true');
    expect(await failing.exception()).toMatchObject({ name: 'LeaseLostError' });
  });

  it('goes on elsewhere, with a larger token, when its host is killed', async () => {
    const child = await hostProcess();
    const future = executor().with({ holding: 'k' }).submit('untilEvent', 'go');
    await until(async () => expect(await session.lock('k').locked()).toBe(true));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await host();
    await session.event('go').set();
    expect(await future).toBeGreaterThan(0);
    await until(async () => expect(await session.lock('k').locked()).toBe(false));
  });
});
