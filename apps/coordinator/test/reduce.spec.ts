import { randomUUID } from 'node:crypto';
import { type EmbeddedRedis, startRedis } from '@heddle/embedded-redis';
import { ThreadPoolExecutor } from '@heddle/pool';
import { connect, type Session } from '@heddle/primitives/distributed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../worker/test/program.ts';
import { ReducePhase } from '../src/indexer/reduce.ts';

type Tasks = typeof import('../src/indexer/tasks.ts');

let redis: EmbeddedRedis;
let session: Session;
beforeAll(async () => {
  redis = await startRedis();
  process.env.TEST_REDIS = redis.url;
  session = await connect(redis.url, { namespace: 'test-reduce', logger: {} });
});
afterAll(async () => {
  await session.close();
  await redis.close();
});

function phase(fault: string, { maxWorkers = 3, signal = new AbortController().signal } = {}) {
  const done: string[] = [];
  const failures: unknown[] = [];
  const executor = new ThreadPoolExecutor<Tasks>(new URL('./reduce-tasks.ts', import.meta.url), {
    maxWorkers,
    onLog: ({ line }) => done.push(line),
  });
  const reduce = new ReducePhase({
    ...{ executor, session, signal, partitions: 3, top: 1, keepAll: false },
    run: `${randomUUID()}:${fault}`,
    onFailure: (why) => failures.push(why),
  });
  return { reduce, executor, done, failures };
}

const all = ['done 0', 'done 1', 'done 2'];

describe('the reduce phase', () => {
  it('is one round where nothing goes wrong, sent ahead or not', async () => {
    for (const ahead of [true, false]) {
      const { reduce, executor, done } = phase('none:0');
      await using _executor = executor;
      if (ahead) reduce.sendAhead();
      await reduce.finish();
      expect(done.toSorted()).toEqual(all);
      expect(reduce.rounds).toBe(1);
    }
  });

  it.each([
    ['fails before', 'before'],
    ['breaks', 'breaking'],
  ])('begins again for all where one %s the barrier', async (_, fault) => {
    const { reduce, executor, done, failures } = phase(`${fault}:0`);
    await using _executor = executor;
    reduce.sendAhead();
    await reduce.finish();
    expect(done.toSorted()).toEqual(all);
    expect(failures.map(String)).toHaveLength(1);
    // Two, then one, since the three did not come together.
    expect(reduce.rounds).toBe(3);
  });

  it('begins again for the one that fails after the barrier, and for no other', async () => {
    const { reduce, executor, done, failures } = phase('after:0');
    await using _executor = executor;
    await reduce.finish();
    expect(done.toSorted()).toEqual(all);
    expect(failures).toEqual([expect.objectContaining({ message: 'fails after the barrier' })]);
  });

  it('does not wait for one that will never come, once it is told that a worker died', async () => {
    const { reduce, executor, done } = phase('silent:0');
    await using _executor = executor;
    reduce.sendAhead();
    const finished = reduce.finish();
    await until(async () => {
      await reduce.abandonRound();
      return reduce.rounds > 1;
    });
    await finished;
    expect(done.toSorted()).toEqual(all);
  });

  it('goes on with fewer at a time where the fleet has not threads enough for all', async () => {
    const { reduce, executor, done } = phase('narrow:0', { maxWorkers: 2 });
    await using _executor = executor;
    await reduce.finish();
    expect(done.toSorted()).toEqual(all);
    // Three do not come together, then two and one; more where the machine is so busy that even two are late.
    expect(reduce.rounds).toBeGreaterThanOrEqual(3);
  });

  it('ends with the signal', async () => {
    const stop = new AbortController();
    const { reduce, executor } = phase('silent:0', { signal: stop.signal });
    await using _executor = executor;
    const finished = expect(reduce.finish()).rejects.toBe('enough');
    stop.abort('enough');
    await finished;
    await executor.shutdown({ wait: false, cancelFutures: true });
    await reduce.abandonRound();
  });
});
