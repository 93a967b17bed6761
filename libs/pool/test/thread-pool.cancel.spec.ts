/** Tasks of a pool of threads that are taken back, aborted, or out of time. */
import { CancelledError } from '@heddle/pool';
import { TimeoutError } from '@heddle/primitives';
import { describe, expect, it } from 'vitest';
import { marked, openGate, poolBench, words } from './pool-bench.ts';
import { until } from './until.ts';

const pool = poolBench();

describe('cancelling', () => {
  it('takes back what no thread has begun, even what lies behind a task that hangs, and nothing else', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const waiting = [2, 3, 4].map((at) => executor.submit('markRun', memory, at));
    await Promise.resolve();
    expect([running.running(), waiting[0]?.running()]).toEqual([true, false]);
    expect(await running.cancel()).toBe(false);
    expect(await Promise.all(waiting.map((future) => future.cancel()))).toEqual([true, true, true]);
    expect(waiting.map((future) => [future.done(), future.cancelled()])).toEqual(Array(3).fill([true, true]));
    await expect(waiting[0]).rejects.toThrow(CancelledError);
    await expect(waiting[0]?.exception()).rejects.toThrow(CancelledError);
    openGate(memory, 1);
    await running;
    await executor.submit('noop');
    expect([...memory.slice(2, 5)]).toEqual([0, 0, 0]);
    expect(await running.cancel()).toBe(false);
  });

  it('aborts a running task through its signal; the Future ends at once, with the reason', async () => {
    const executor = pool();
    const future = executor.submit('untilAborted');
    await until(() => expect(future.running()).toBe(true));
    expect(await future.abort(new Error('enough'))).toBe(true);
    expect(future.cancelled()).toBe(true);
    await expect(future).rejects.toMatchObject({ name: 'CancelledError', cause: { message: 'enough' } });
    expect(await future.abort()).toBe(false);
  });

  it('ends the thread of an aborted task that goes on, and no other task is hurt', async () => {
    const executor = pool({ maxWorkers: 1 });
    const future = executor.submit('spinForever');
    await until(() => expect(future.running()).toBe(true));
    const behind = executor.submit('add', 1, 1);
    await Promise.resolve();
    await future.abort();
    expect(await behind).toBe(2);
  });

  it('aborts by a signal given to with(), before and while the task runs, and leaves no listener', async () => {
    const executor = pool();
    const controller = new AbortController();
    const future = executor.with({ signal: controller.signal }).submit('untilAborted');
    await until(() => expect(future.running()).toBe(true));
    controller.abort('stop');
    await expect(future).rejects.toMatchObject({ cause: 'stop' });
    const late = executor.with({ signal: controller.signal }).submit('noop');
    expect(late.cancelled()).toBe(true);
  });

  it('fails a task that takes longer than its time, and one not done within its ttl', async () => {
    const executor = pool({ maxWorkers: 1, taskTimeout: 20 });
    const [spun, behind] = [executor.submit('spinForever'), executor.submit('add', 1, 2)];
    await expect(spun).rejects.toThrow(TimeoutError);
    expect(await behind).toBe(3);
    const memory = words();
    const blocking = executor.with({ timeout: 60_000 }).submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    await expect(executor.with({ ttl: 10 }).submit('markRun', memory, 2)).rejects.toThrow(/ttl/);
    openGate(memory, 1);
    await blocking;
    await executor.submit('noop');
    expect(memory[2]).toBe(0);
  });
});
