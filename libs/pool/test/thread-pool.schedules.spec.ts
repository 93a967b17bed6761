/** What a pool of threads runs at a later time, or again and again. */
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Executor, InvalidStateError } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { requestId } from './context.ts';
import { marked, openGate, poolBench, words } from './pool-bench.ts';
import { until } from './until.ts';

const pool = poolBench();

describe('a ThreadPoolExecutor', () => {
  it('runs a scheduled task again and again until it is cancelled', async () => {
    const executor = pool();
    const memory = words();
    const schedule = await executor.schedule('markRun', [memory, 0], { every: 5 });
    await until(() => expect(Atomics.load(memory, 0)).toBeGreaterThan(2));
    expect(await schedule.cancel()).toBe(true);
    expect(await schedule.cancel()).toBe(false);
    await expect(executor.schedule('noop', [], { cron: '* * * * *' })).rejects.toMatchObject({
      message: expect.stringMatching(/DistributedExecutor/),
      code: 'ERR_HEDDLE_NOT_SUPPORTED',
    });
  });
});

describe('a scheduled task', () => {
  const refusedBy = (act: Promise<unknown>) => act.then(() => undefined).catch((error: unknown) => error);

  it('is refused at the call where it could not run', async () => {
    const executor = pool();
    const bad = executor as unknown as Executor;
    const fn = () => 1;
    for (const when of [{ delay: 5 }, { every: 5 }]) {
      expect(await refusedBy(bad.schedule('echo', [{ fn }], when))).toMatchObject({ path: 'args[0].fn' });
      const inContext = requestId.run(fn as unknown as string, () => bad.schedule('noop', [], when));
      expect(await refusedBy(inContext)).toMatchObject({ path: 'context.requestId' });
      const kept = new ArrayBuffer(8);
      const moving = requestId.run(fn as unknown as string, () =>
        executor.with({ transfer: [kept] }).schedule('echo', [kept], when),
      );
      expect(await refusedBy(moving)).toHaveProperty('code');
      expect(kept.byteLength).toBe(8);
      const holding = executor.with({ holding: 'x' }).schedule('noop', [], when);
      const refusal = await refusedBy(holding);
      expect(refusal).toBeInstanceOf(TypeError);
      expect(refusal).toMatchObject({ code: 'ERR_HEDDLE_NOT_SUPPORTED' });
      const version = executor.with({ version: 'x' }).schedule('noop', [], when);
      expect(await refusedBy(version)).toBeInstanceOf(TypeError);
    }
    const bytes = new ArrayBuffer(8);
    const moving = executor.with({ transfer: [bytes] });
    expect(await refusedBy(moving.schedule('echo', [bytes], { every: 5 }))).toMatchObject({
      message: expect.stringMatching(/leave out transfer/),
    });
    await moving.schedule('echo', [bytes], { delay: 5 });
    expect(bytes.byteLength).toBe(0);
    await executor.shutdown();
    for (const when of [{ delay: 5 }, { every: 5 }])
      expect(await refusedBy(executor.schedule('noop', [], when))).toBeInstanceOf(InvalidStateError);
  });

  it.each([{ delay: 1 }, { every: 1 }])(
    '(%o) is cancelled while a run of it waits for a thread',
    async (when) => {
      const executor = pool({ maxWorkers: 1 });
      const memory = words();
      const running = executor.submit('markAndBlock', memory, 0, 1);
      await marked(memory, 0);
      const schedule = await executor.schedule('markRun', [memory, 2], when);
      await sleep(20); // timers fire in the order in which they are due
      expect(await schedule.cancel()).toBe(true);
      expect(await schedule.cancel()).toBe(false);
      openGate(memory, 1);
      await running;
      await executor.submit('noop');
      expect(memory[2]).toBe(0);
    },
  );

  it('has one run waiting at most, however often it is due', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const schedule = await executor.schedule('markRun', [memory, 2], { every: 1 });
    await sleep(20); // timers fire in the order in which they are due
    const next = executor.submit('markRun', memory, 2);
    openGate(memory, 1);
    await running;
    expect(await next).toBe(2);
    await schedule.cancel();
  });

  it('has an id of its own', async () => {
    const executor = pool();
    const [first, second] = await Promise.all(
      [1, 2].map(() => executor.schedule('noop', [], { every: 9000 })),
    );
    await first?.cancel();
    const third = await executor.schedule('noop', [], { every: 9000 });
    expect(third.id).not.toBe(second?.id);
  });

  it.each([{ delay: 60_000 }, { every: 60_000, delay: 60_000 }])(
    '(%o) is ended by its signal, and leaves no listener on it',
    async (when) => {
      const executor = pool();
      const controller = new AbortController();
      const { signal } = controller;
      const cancelled = await executor.with({ signal }).schedule('noop', [], when);
      const ended = await executor.with({ signal }).schedule('noop', [], when);
      expect(await cancelled.cancel()).toBe(true);
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      controller.abort('enough');
      expect(await ended.cancel()).toBe(false);
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
      expect(await refusedBy(executor.with({ signal }).schedule('noop', [], when))).toBe('enough');
      const another = new AbortController();
      await executor.with({ signal: another.signal }).schedule('noop', [], when);
      await executor.shutdown({ cancelFutures: true });
      expect(getEventListeners(another.signal, 'abort')).toHaveLength(0);
    },
  );

  it('is accepted: shutdown waits for it, or cancels it, and ends what repeats', async () => {
    const memory = words();
    const executor = pool();
    await executor.schedule('markRun', [memory, 0], { delay: 20 });
    await executor.schedule('markRun', [memory, 1], { every: 60_000, delay: 60_000 });
    await executor.shutdown();
    const cancelling = pool();
    await cancelling.schedule('markRun', [memory, 2], { delay: 60_000 });
    await cancelling.shutdown({ cancelFutures: true });
    expect([...memory.slice(0, 3)]).toEqual([1, 0, 0]);
  });
});
