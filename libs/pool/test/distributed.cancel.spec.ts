/** Jobs that are taken back, aborted, or out of time, wherever they are. */
import { setImmediate } from 'node:timers/promises';
import { CancelledError } from '@heddle/pool';
import { TimeoutError } from '@heddle/primitives';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./tasks.ts', import.meta.url));

describe('cancelling a job', () => {
  it('takes it out of the queue before it has begun, whatever list it is in', async () => {
    const pool = bench.executor();
    const futures = [
      pool.submit('noop'),
      pool.with({ priority: 5 }).submit('noop'),
      pool.with({ delay: 60_000 }).submit('noop'),
    ];
    await Promise.all(futures.slice(1).map((future) => future.accepted));
    expect(await Promise.all(futures.map((future) => future.cancel()))).toEqual([true, true, true]);
    expect(futures.every((future) => future.cancelled())).toBe(true);
    expect(await bench.unfinished()).toBe(0);
    expect(await bench.plain.zcard(bench.key('prioritized'))).toBe(0);
  });

  it('warns of no leak where many are cancelled at once', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const futures = Array.from({ length: 30 }, () => bench.executor().submit('noop'));
    await Promise.all(futures.map((future) => future.accepted));
    expect(await Promise.all(futures.map((future) => future.cancel()))).toEqual(futures.map(() => true));
    await setImmediate();
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  it('is false, without effect, once it runs or is done', async () => {
    await bench.host();
    const gate = `${bench.namespace}:gate`;
    const running = bench.executor().submit('untilGate', [bench.url, gate]);
    await until(() => expect(running.running()).toBe(true));
    expect(await running.cancel()).toBe(false);
    await bench.plain.set(gate, 'open');
    expect(await running).toBe(1);
    expect(await running.cancel()).toBe(false);
    await bench.plain.del(gate);
  });

  it('aborts it while it runs, through its signal, or by ending its thread', async () => {
    const { completed } = await bench.host({ threads: 1 }).then((made) => made.status());
    expect(completed).toBe(0);
    const pool = bench.executor();
    const polite = pool.submit('untilAborted');
    await until(() => expect(polite.running()).toBe(true));
    expect(await polite.abort(new Error('enough'))).toBe(true);
    await expect(polite).rejects.toMatchObject({ name: 'CancelledError', cause: { message: 'enough' } });
    const rude = pool.submit('spinForever');
    await until(() => expect(rude.running()).toBe(true));
    await rude.abort();
    await expect(rude).rejects.toThrow(CancelledError);
    expect(await pool.submit('add', 1, 1)).toBe(2);
    await until(async () => expect(await bench.unfinished()).toBe(0));
  });

  it('fails it when it takes longer than its time, or is not done within its ttl', async () => {
    const pool = bench.executor({ retries: 3 });
    const late = pool.with({ ttl: 30 }).submit('noop');
    await expect(late).rejects.toThrow(TimeoutError);
    await until(async () => expect(await bench.unfinished()).toBe(0));
    await bench.host();
    await expect(pool.with({ timeout: 30 }).submit('spinForever')).rejects.toThrow(TimeoutError);
    expect(await pool.submit('add', 1, 1)).toBe(2);
  });
});
