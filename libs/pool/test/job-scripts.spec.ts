/** What each script does to a job as it stands in Redis: to which jobs, and to which not. */
import { readFileSync } from 'node:fs';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

let server: EmbeddedRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis({ sources: ['process'] });
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.[Symbol.asyncDispose]();
});
beforeEach(() => redis.flushall());

const run = (name: string, keys: readonly string[], ...args: readonly (string | number)[]) =>
  redis.eval(
    readFileSync(new URL(`../src/jobs/job.${name}.lua`, import.meta.url), 'utf8'),
    keys.length,
    ...keys,
    ...args,
  );

/** A job of the id `id`, from the session `ab`. */
const job = (fields: object = {}) =>
  redis.hset('id', { name: 'task', data: '{"from":"ab"}', timestamp: '1', ats: '1', ...fields });

describe('job.admit', () => {
  const LISTS = ['wait', 'paused', 'prioritized', 'delayed', 'grants'];
  const admit = (wanted: number, grant: string) => run('admit', LISTS, wanted, 10, grant, 60_000);

  it('counts jobs wherever they wait, and what was granted, for as long as that holds', async () => {
    await redis.rpush('wait', 'a');
    await redis.rpush('paused', 'b');
    await redis.zadd('prioritized', 1, 'c');
    await redis.zadd('delayed', 1, 'd');
    await redis.zadd('grants', 1, 'long ago:1:5');
    const [seconds = 0] = await redis.time();
    expect(await admit(2, 'x:1')).toBe(2);
    expect(await redis.zrange('grants', '0', '-1')).toEqual(['x:1:2']);
    expect(Number(await redis.zscore('grants', 'x:1:2'))).toBeGreaterThanOrEqual(seconds * 1000 + 60_000);
    expect(await redis.pttl('grants')).toBeGreaterThan(0);
    expect([await admit(2, 'x:2'), await admit(1, 'x:3')]).toEqual([2, 1]);
    expect(await admit(4, 'x:4')).toBe(1);
    expect(await admit(4, 'x:5')).toBe(0);
    expect(await redis.zcard('grants')).toBe(4);
  });
});

describe('job.cancel', () => {
  const KEYS = ['id', 'wait', 'paused', 'prioritized', 'delayed', 'id:logs', 'id:args', 'id:result'];
  const cancel = (abort = '') => run('cancel', KEYS, 'id', 'de:', 'reason', '["stack"]', 60_000, abort);

  it.each(['wait', 'paused', 'prioritized', 'delayed'])(
    'takes a job out of %s, and tells whose it was',
    async (at) => {
      await job({ deid: 'k', pb: 'host' });
      await redis.mset('de:k', 'id', 'id:args', 'x', 'id:result', 'y', 'id:logs', 'z');
      if (at === 'wait' || at === 'paused') await redis.rpush(at, 'id');
      else await redis.zadd(at, 1, 'id');
      expect(await cancel()).toEqual([1, 'ab']);
      expect((await redis.keys('*')).sort()).toEqual(['id']);
      expect(await redis.hgetall('id')).toEqual({
        name: 'task',
        finishedOn: expect.stringMatching(/^\d{13}$/),
        failedReason: 'reason',
        stacktrace: '["stack"]',
      });
      expect(await redis.pttl('id')).toBeGreaterThan(0);
    },
  );

  it('leaves the dedupe key to another job that has it by now', async () => {
    await job({ deid: 'k' });
    await redis.set('de:k', 'another');
    await redis.rpush('wait', 'id');
    await cancel();
    expect(await redis.get('de:k')).toBe('another');
  });

  it('takes one that waits in its host out of its hands', async () => {
    await job({ deid: 'k', pb: 'host', parked: '1' });
    await redis.set('de:k', 'id');
    expect(await cancel()).toEqual([2, 'host']);
    expect(await redis.hgetall('id')).toMatchObject({ parked: 'cancelled', data: '{"from":"ab"}' });
    expect(await redis.exists('de:k')).toBe(0);
    expect(await cancel()).toEqual([3, 'host']);
  });

  it('only tells who has one that may have begun; an abort stays there for whoever has it then', async () => {
    await job({ deid: 'k', pb: 'host', ats: '0' });
    await redis.set('de:k', 'id');
    expect(await cancel()).toEqual([3, 'host']);
    expect(await redis.hgetall('id')).toMatchObject({ ats: '0' });
    expect(await redis.hexists('id', 'aborted')).toBe(0);
    expect(await redis.exists('de:k')).toBe(1);
    expect(await cancel('enough')).toEqual([3, 'host']);
    expect(await redis.hgetall('id')).toMatchObject({ ats: '1', aborted: 'enough' });
    expect(await redis.exists('de:k')).toBe(0);
    await redis.hset('id', 'ats', '3');
    await cancel('enough');
    expect(await redis.hget('id', 'ats')).toBe('3');
  });

  it('does nothing to one that is done, that no host has, or that is none', async () => {
    await job({ pb: 'host', finishedOn: '1' });
    expect(await cancel('enough')).toEqual([0]);
    await redis.hdel('id', 'finishedOn', 'pb');
    expect(await cancel('enough')).toEqual([0]);
    expect(await redis.hexists('id', 'aborted')).toBe(0);
    await redis.del('id');
    await redis.rpush('id', 'a list of the queue');
    expect(await cancel('enough')).toEqual([0]);
  });
});

describe('job.claim', () => {
  const claim = () =>
    run('claim', ['id', 'id:lock', 'active', 'de:k'], 'id', 'job ', 'mine', 'reason', '["stack"]', 60_000);

  it.each([
    ['nobody', null],
    ['it itself', 'id'],
    ['one that is done', 'gone'],
  ])('gives a run the key that %s has', async (_, holder) => {
    await job();
    if (holder !== null) await redis.set('de:k', holder);
    expect(await claim()).toBe(1);
    expect(await redis.get('de:k')).toBe('id');
  });

  it('takes a run out of the queue where another has its key, if it is this host’s still', async () => {
    await job();
    await redis.set('de:k', 'other');
    await redis.hset('job other', 'name', 'task');
    await redis.rpush('active', 'id');
    await redis.set('id:lock', 'another’s');
    expect(await claim()).toBe(0);
    expect(await redis.hget('id', 'data')).not.toBeNull();
    expect(await redis.llen('active')).toBe(1);
    await redis.set('id:lock', 'mine');
    expect(await claim()).toBe(0);
    expect(await redis.exists('active', 'id:lock')).toBe(0);
    expect(await redis.hgetall('id')).toEqual({
      name: 'task',
      finishedOn: expect.stringMatching(/^\d{13}$/),
      failedReason: 'reason',
      stacktrace: '["stack"]',
    });
    expect(await redis.pttl('id')).toBeGreaterThan(0);
    expect(await redis.get('de:k')).toBe('other');
  });

  it('lets one begin that was aborted, without the key', async () => {
    await job({ aborted: 'enough' });
    expect(await claim()).toBe(1);
    expect(await redis.exists('de:k')).toBe(0);
  });
});

describe('job.free', () => {
  it('frees a key that still names the job, and no other', async () => {
    await redis.set('de:k', 'another');
    expect(await run('free', ['de:k'], 'id')).toBe(0);
    expect(await redis.get('de:k')).toBe('another');
    expect(await run('free', ['de:k'], 'another')).toBe(1);
    expect(await redis.exists('de:k')).toBe(0);
  });
});

describe('job.leave and job.unbegun', () => {
  it('count no attempt, but of one that was aborted or cancelled leave what is to be seen', async () => {
    await job();
    expect([await run('leave', ['id']), await run('leave', ['id'])]).toEqual([1, 2]);
    expect(await redis.hgetall('id')).toMatchObject({ ats: '-1', left: '2' });
    await job({ parked: '1' });
    expect(await run('unbegun', ['id'])).toBe(1);
    expect(await redis.hmget('id', 'ats', 'parked')).toEqual(['0', null]);
    for (const fields of [{ aborted: 'enough' }, { parked: 'cancelled' }]) {
      await redis.del('id');
      await job(fields);
      expect(await run('unbegun', ['id'])).toBe(1);
      expect(await redis.hgetall('id')).toMatchObject({ ats: '1', ...fields });
    }
    await job({ aborted: 'enough' });
    await run('leave', ['id']);
    expect(await redis.hget('id', 'ats')).toBe('1');
    await redis.del('id');
    expect(await run('unbegun', ['id'])).toBe(0);
    expect(await redis.exists('id')).toBe(0);
  });
});

describe('job.park', () => {
  const park = (waits: 0 | 1) => run('park', ['id', 'meta'], waits);

  it('notes that a job waits and that it goes on, unless it was cancelled', async () => {
    await job();
    expect(await park(1)).toBe(1);
    expect(await redis.hget('id', 'parked')).toBe('1');
    expect(await park(0)).toBe(1);
    expect(await redis.hmget('id', 'parked', 'ats')).toEqual([null, '1']);
    await redis.hset('id', 'parked', 'cancelled');
    expect([await park(1), await park(0)]).toEqual([0, 0]);
    expect(await redis.hget('id', 'parked')).toBe('cancelled');
  });

  it('sends it back where the queue is paused as it would begin, with no attempt', async () => {
    await job();
    await redis.hset('meta', 'paused', '1');
    expect([await park(1), await park(0)]).toEqual([1, 2]);
    expect(await redis.hmget('id', 'parked', 'ats')).toEqual([null, '0']);
  });
});

describe('job.replay', () => {
  const replay = (failedAt: number, push = 'LPUSH') =>
    run(
      'replay',
      ['id', 'failed', 'wait', 'prioritized', 'pc', 'marker', 'meta', 'id:args'],
      'id',
      failedAt,
      'anew',
      push,
      'de:',
    );

  it('puts a job that failed then, and no other, back with all its attempts', async () => {
    const left = {
      finishedOn: '7',
      processedOn: '6',
      failedReason: 'x',
      atm: '3',
      parked: 'cancelled',
      aborted: 'y',
    };
    await job(left);
    await redis.zadd('failed', 7, 'id');
    expect(await replay(8)).toBe(0);
    expect(await redis.hgetall('id')).toMatchObject(left);
    await redis.rpush('wait', 'another');
    expect(await replay(7)).toBe(1);
    expect(await redis.hgetall('id')).toEqual({ name: 'task', data: 'anew', timestamp: '1', ats: '1' });
    expect(await redis.lrange('wait', 0, -1)).toEqual(['id', 'another']);
    expect(await redis.exists('failed', 'prioritized')).toBe(0);
    expect(await redis.zrange('marker', '0', '-1')).toEqual(['0']);
    expect(await replay(7)).toBe(0);
  });

  it('gives it its key again, unless another has that, and its arguments for as long as it is there', async () => {
    for (const [holder, then] of [
      [undefined, 'id'],
      ['another', 'another'],
    ] as const) {
      await job({ deid: 'k' });
      await redis.zadd('failed', 7, 'id');
      await redis.set('id:args', 'large', 'EX', 60);
      await redis.del('de:k');
      if (holder !== undefined) await redis.set('de:k', holder);
      expect(await replay(7)).toBe(1);
      expect(await redis.get('de:k')).toBe(then);
      expect(await redis.ttl('id:args')).toBe(-1);
    }
  });

  it('keeps the order among equals of a priority, and wakes nobody where the queue is paused', async () => {
    await redis.hset('meta', 'paused', '1');
    const scores: number[] = [];
    for (let n = 0; n < 2; n += 1) {
      await job({ priority: '3' });
      await redis.zadd('failed', 7, 'id');
      expect(await replay(7)).toBe(1);
      scores.push(Number(await redis.zscore('prioritized', 'id')));
    }
    expect(scores).toEqual([3 * 2 ** 32 + 1, 3 * 2 ** 32 + 2]);
    expect(await redis.exists('wait', 'marker')).toBe(0);
  });
});

describe('job.take', () => {
  it('puts a job that was put off before all others, and no other job', async () => {
    await redis.rpush('wait', 'last', 'next');
    expect(await run('take', ['delayed', 'wait'], 'id')).toBe(0);
    await redis.zadd('delayed', 1, 'id');
    expect(await run('take', ['delayed', 'wait'], 'id')).toBe(1);
    expect(await redis.lrange('wait', 0, -1)).toEqual(['last', 'next', 'id']);
    expect(await redis.exists('delayed')).toBe(0);
  });
});

describe('job.told', () => {
  const told = () => run('told', ['id'], 'channel', '[', ']', 10, '{mark');

  it('tells of a job that has ended well, with a result that is short and its own', async () => {
    const heard: string[] = [];
    const ear = redis.duplicate();
    ear.on('message', (_, message: string) => heard.push(message));
    await ear.subscribe('channel');
    for (const fields of [
      { returnvalue: '"r"' },
      { finishedOn: '1' },
      { finishedOn: '1', returnvalue: '"12345678901"' },
      { finishedOn: '1', returnvalue: '"{mark"' },
    ]) {
      await redis.del('id');
      await job(fields);
      expect(await told()).toBe(0);
    }
    await job({ finishedOn: '1', returnvalue: '"12345678"' });
    expect(await told()).toBe(1);
    await ear.ping();
    expect(heard).toEqual(['["12345678"]']);
    ear.disconnect();
  });
});

describe('job.look', () => {
  it('tells what stands there, of what is a job', async () => {
    await job({ finishedOn: '2', returnvalue: 'r', failedReason: 'f', stacktrace: 's' });
    await redis.hset('going', 'name', 'task', 'timestamp', '1');
    await redis.hset('parked', 'name', 'task', 'timestamp', '1', 'parked', '1');
    await redis.hset('schedule', 'name', 'task', 'every', '5');
    await redis.rpush('list', 'x');
    const names = ['id', 'going', 'parked', 'schedule', 'list', 'nothing'];
    for (const name of ['going', 'parked']) await redis.set(`${name}:lock`, 'x');
    expect(
      await run(
        'look',
        names.flatMap((name) => [name, `${name}:lock`]),
      ),
    ).toEqual([
      ['task', '2', 'r', 'f', 's', 0],
      ['task', null, null, null, null, 1],
      ['task', null, null, null, null, 0],
      [],
      [],
      [],
    ]);
  });
});
