/** What submitters hear of a Redis that is there and says no: for good, or until it is a master again. */
import { DistributedExecutor } from '@heddle/pool';
import { RedisRefusedError, setExceptHook } from '@heddle/primitives';
import { expect, it, onTestFinished, vi } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

/** A session of a user who may do all, until `forbid` says otherwise. */
async function another() {
  const user = `user-${bench.namespace}`;
  await bench.plain.call('ACL', 'SETUSER', user, 'on', '>pw', '~*', '&*', '+@all');
  onTestFinished(async () => void (await bench.plain.call('ACL', 'DELUSER', user)));
  const redis = { username: user, password: 'pw' };
  const session = await bench.anotherSession({ redis, logger: { warn: () => {}, error: () => {} } });
  return { session, forbid: (rule: string) => bench.plain.call('ACL', 'SETUSER', user, rule) };
}

const refusal = (what: RegExp) => ({ name: 'RedisRefusedError', message: what });

it.each(['wait', 'refuse'] as const)(
  'refuses a task that there may not be room for, where it may not look: whenFull %s',
  async (whenFull) => {
    const { session, forbid } = await another();
    const pool = new DistributedExecutor<typeof tasks>('work', { session, maxPending: 3, whenFull });
    await forbid('-eval');
    const future = pool.submit('square', 2);
    await expect(future.accepted).rejects.toMatchObject(refusal(/the job: NOPERM .*allow this user/));
    await expect(future).rejects.toThrow(RedisRefusedError);
    await forbid('+eval');
    await pool.submit('square', 3).accepted;
  },
);

it('refuses one whose key may not be looked for', async () => {
  const { session, forbid } = await another();
  const pool = new DistributedExecutor<typeof tasks>('work', {
    ...{ session, maxPending: 1, whenFull: 'refuse', dedupe: 'key' },
  });
  await bench.executor().submit('square', 1).accepted;
  await forbid('-mget');
  await expect(pool.submit('square', 2)).rejects.toMatchObject(refusal(/NOPERM/));
});

it('ends a Future of a job that it may not look after', async () => {
  const { session, forbid } = await another();
  const pool = new DistributedExecutor<typeof tasks>('work', { session });
  const { id, accepted } = bench.executor().submit('square', 2);
  await accepted;
  const followed = pool.future(id);
  await forbid('-eval');
  await expect(followed).rejects.toMatchObject(refusal(/to look after the job: NOPERM .*allow this user/));
  await expect(pool.future(id)).rejects.toMatchObject(refusal(/NOPERM/));
});

it('ends one whose result it may not fetch', async () => {
  const { session, forbid } = await another();
  const pool = new DistributedExecutor<typeof tasks>('work', { session });
  const future = pool.submit('repeat', 2 ** 18);
  await future.accepted;
  await forbid('-eval');
  await bench.host();
  await expect(future).rejects.toMatchObject(refusal(/to look after the job: NOPERM/));
});

it.each(['cancel', 'abort'] as const)(
  'tells of a task that it refused by its Future alone, also who would %s it',
  async (end) => {
    const told = vi.fn();
    const before = setExceptHook(told);
    onTestFinished(() => void setExceptHook(before));
    const { session, forbid } = await another();
    const pool = new DistributedExecutor<typeof tasks>('work', { session });
    await forbid('-evalsha');
    await forbid('-eval');
    const future = pool.submit('square', 2);
    await null; // it leaves with this tick
    expect(await future[end]()).toBe(end === 'abort');
    expect(await future.exception().catch((error: Error) => error)).toMatchObject({
      name: end === 'abort' ? 'CancelledError' : 'RedisRefusedError',
    });
    await expect(future.accepted).rejects.toThrow(RedisRefusedError);
    expect(told).not.toHaveBeenCalled();
  },
);

it('makes no listener of the session for each that is asked for at once', async () => {
  const warned = vi.spyOn(process, 'emitWarning');
  onTestFinished(() => warned.mockRestore());
  const futures = Array.from({ length: 30 }, (_, n) => bench.executor().submit('square', n));
  await Promise.all(futures.map(({ accepted }) => accepted));
  expect(await Promise.all(futures.map((future) => future.cancel()))).toEqual(futures.map(() => true));
  expect(warned).not.toHaveBeenCalled();
});

it('tells by the session why jobs wait, where Redis has become a replica, and once', async () => {
  const told: Error[] = [];
  bench.session.on('error', (error) => told.push(error));
  const pools = [bench.executor(), bench.executor({ maxPending: 9 })];
  await bench.plain.call('REPLICAOF', '127.0.0.1', '1');
  try {
    const futures = pools.map((pool) => pool.submit('square', 3));
    await until(() => expect(told).not.toHaveLength(0));
    expect(futures.some((future) => future.done())).toBe(false);
    await bench.plain.call('REPLICAOF', 'NO', 'ONE');
    await Promise.all(futures.map(({ accepted }) => accepted));
  } finally {
    await bench.plain.call('REPLICAOF', 'NO', 'ONE');
  }
  expect(told.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^Redis refused jobs .*: READONLY .*; it is a replica now: give the address/),
  ]);
});
