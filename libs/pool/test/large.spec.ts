import { once } from 'node:events';
import { drainQueue, pauseQueue, removeQueue, replay, resumeQueue } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './large-tasks.ts';
import { until } from './until.ts';

const MIB = 2 ** 20;
const bench = jobBench<typeof tasks>(new URL('./large-tasks.ts', import.meta.url));
const hostProcess = () => bench.hostProcess({ quiet: true, stallTimeout: 4000 });

/** Keys in which arguments, or results, lie beside their jobs. */
async function beside(what: 'arguments' | 'result'): Promise<string[]> {
  const found = await bench.plain.keys(bench.key(`*:${what === 'arguments' ? 'failed' : 'processed'}`));
  return found.filter((key) => !/:work:(failed|processed)$/.test(key));
}

/** A text in which every other character has two halves, so that no piece ends where it would by count alone. */
const odd = (characters: number) => `x${'😀"'.repeat(Math.ceil(characters / 3))}`;

describe('arguments and results too large to lie in a job', () => {
  it('come as they are, 50 MB and more of them', async () => {
    await hostProcess();
    await using work = bench.executor();
    const text = odd(4 * MIB);
    const [echoed, long, small] = [
      work.submit('echo', text),
      work.submit('repeat', 52 * MIB),
      work.submit('echo', 'small'),
    ];
    expect((await echoed) === text).toBe(true);
    expect((await long).length).toBe(52 * MIB);
    expect(await small).toBe('small');
    expect((await work.future(echoed.id)) === text).toBe(true); // whoever else asks
    await until(async () => expect(await beside('arguments')).toEqual([]));
    const results = await beside('result');
    expect(results).toHaveLength(2);
    for (const key of results) {
      const left = await bench.plain.ttl(key);
      expect(left).toBeGreaterThan(3000);
      expect(left).toBeLessThanOrEqual(3600);
    }
  }, 60_000);

  it('are kept though Redis is busy when their jobs are in, and harm no job beside them', async () => {
    await using work = bench.executor();
    await bench.plain.config('SET', 'busy-reply-threshold', '1');
    const other = bench.plain.duplicate();
    try {
      const large = Array.from({ length: 20 }, () => work.submit('echo', 'x'.repeat(1.1 * MIB)));
      const small = work.submit('echo', 'y');
      await large[0]?.accepted; // the others' arguments are not kept yet
      other.eval('while true do redis.call("PING") end', 0).catch(() => {});
      await until(() => expect(bench.plain.ping()).rejects.toThrow('BUSY'));
      await bench.plain.script('KILL');
      await until(() => bench.plain.ping());
      for (const future of large) await future.accepted;
      for (const key of await beside('arguments')) expect(await bench.plain.ttl(key)).toBe(-1);
      await hostProcess();
      const results = await Promise.all([...large, small]);
      expect(new Set(results.map((text) => text.length))).toEqual(new Set([1.1 * MIB, 1].map(Math.floor)));
    } finally {
      await bench.plain.config('SET', 'busy-reply-threshold', '5000');
      other.disconnect();
    }
  }, 60_000);

  it('have a limit, which is told', async () => {
    await hostProcess();
    await using work = bench.executor();
    expect(() => work.submit('length', 'x'.repeat(65 * MIB))).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_HEDDLE_TOO_LARGE' }),
    );
    await expect(work.submit('repeat', 65 * MIB)).rejects.toMatchObject({ code: 'ERR_HEDDLE_TOO_LARGE' });
    await expect(work.schedule('length', ['x'.repeat(17 * MIB)], { every: 1000 })).rejects.toMatchObject({
      code: 'ERR_HEDDLE_TOO_LARGE',
    });
    expect([await beside('arguments'), await beside('result')]).toEqual([[], []]);
  }, 60_000);

  it('leave nothing where jobs are cancelled, drained, or removed with their queue', async () => {
    await using work = bench.executor();
    const text = 'x'.repeat(2 * MIB);
    const submit = async () => {
      const future = work.submit('length', text);
      await future.accepted;
      await until(async () => expect((await beside('arguments')).length).toBe(1));
      return { future }; // which is awaitable itself
    };
    expect(await (await submit()).future.cancel()).toBe(true);
    expect(await beside('arguments')).toEqual([]);
    const drained = await submit();
    expect(await drainQueue(bench.session, 'work')).toBe(1);
    await expect(drained.future.result()).rejects.toThrow();
    expect(await beside('arguments')).toEqual([]);
    const removed = await submit();
    await removeQueue(bench.session, 'work');
    expect(await beside('arguments')).toEqual([]);
    void removed.future.abort();
  });

  it('go with the jobs of which BullMQ keeps no more', async () => {
    await hostProcess();
    await using work = bench.executor({ keep: { count: 2 } });
    for (let n = 0; n < 4; n += 1)
      expect((await work.submit('echo', 'x'.repeat(2 * MIB))).length).toBe(2 * MIB);
    await until(async () => expect((await beside('result')).length).toBeLessThanOrEqual(2));
    await until(async () => expect(await beside('arguments')).toEqual([]));
  });

  it('are there for every attempt: after a failure, after a host was killed, and when replayed', async () => {
    const first = await hostProcess();
    await using work = bench.executor();
    const text = 'x'.repeat(3 * MIB);
    expect(await work.with({ retries: 1 }).submit('failOnce', text)).toBe(3 * MIB);
    const failed = work.submit('fail', text);
    await expect(failed.result()).rejects.toThrow('characters');
    await until(async () => expect((await beside('arguments')).length).toBe(1));
    const [key = ''] = await beside('arguments');
    await until(async () => expect(await bench.plain.ttl(key)).toBeGreaterThan(0)); // with the failed job, for as long as that
    await pauseQueue(bench.session, 'work');
    expect(await replay(bench.session, 'work', [failed.id])).toEqual([failed.id]);
    expect(await bench.plain.ttl(key)).toBe(-1); // it may wait for longer than that
    await resumeQueue(bench.session, 'work');
    await expect(work.future(failed.id).result()).rejects.toThrow('characters');
    const held = work.submit('hold', text);
    await until(() => expect(held.running()).toBe(true));
    first.kill('SIGKILL');
    await once(first, 'exit');
    await hostProcess();
    expect(await held).toBe(3 * MIB);
  }, 60_000);

  it('end the job clearly where they are gone', async () => {
    await using work = bench.executor();
    const future = work.submit('length', 'x'.repeat(2 * MIB));
    await future.accepted;
    await until(async () => expect((await beside('arguments')).length).toBe(1));
    await bench.plain.del(...(await beside('arguments')));
    await hostProcess();
    await expect(future.result()).rejects.toMatchObject({ code: 'ERR_HEDDLE_OUTCOME_UNKNOWN' });
  });
});
