import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { DeadlockError, NotHeldError } from '../errors.ts';
import { Lock } from '../lock/lock.local.ts';
import { ReadWriteLock } from '../read-write-lock/read-write-lock.local.ts';
import { RLock } from '../rlock/rlock.local.ts';
import { attach, share } from '../sharing/share.ts';
import { ourWarnings } from '../testing/our-warnings.ts';
import { Crew } from '../testing/threads.ts';
import { later, stillPending, until } from '../testing/waiting.ts';
import { setExceptHook } from '../thread/except-hook.ts';
import { Thread } from '../thread/thread.local.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

const debug = { debug: true };

const warnings = ourWarnings();
const codes = () => warnings.map(({ code }) => code);

describe('a lock in debug mode', () => {
  it('does what it does without', async () => {
    for (const lock of [new Lock(debug), new RLock(debug), new ReadWriteLock(debug).write]) {
      expect(() => lock.release()).toThrow(NotHeldError);
      const lease = await lock.acquire();
      expect([lease.valid, lock.locked()]).toEqual([true, true]);
      lock.release();
      expect(lease.valid).toBe(false);
      await lease.release();
      expect(lock.acquireSync()).toBe(true);
      lock.release();
      await expect(lock.acquire({ timeout: -1 })).rejects.toThrow(RangeError);
      await expect(lock.acquire({ signal: AbortSignal.abort('no') })).rejects.toBe('no');
      expect(() => lock.acquireSync({ timeout: Number.NaN })).toThrow(RangeError);
      await using again = await lock.acquire({ timeout: 10 });
      expect(again?.valid).toBe(true);
    }
  });

  it('is known as such on the other side', async () => {
    const lock = new Lock(debug);
    const other = attach(structuredClone(share(lock)));
    await expect(lock.with(() => other.acquire())).rejects.toThrow(DeadlockError);
    expect(Object.keys(lock)).toEqual(Object.keys(new Lock()));
  });

  it('tells of locks taken in two orders, once for each two, with both stacks', async () => {
    const [a, b, c] = [new Lock(debug), new Lock(debug), new RLock(debug)];
    await a.with(() => b.with(() => c.with(() => {})));
    expect(codes()).toEqual([]);
    await b.with(() => a.with(() => {}));
    await b.with(() => a.with(() => {}));
    await a.with(() => b.with(() => {}));
    b.withSync(() => a.withSync(() => {}));
    await until(() => warnings.length > 0, 'it is told');
    await later(5, undefined);
    expect(codes()).toEqual(['HEDDLE_LOCK_ORDER']);
    expect(warnings[0]?.message).toMatch(/Lock#\d+ and Lock#\d+ are taken in both orders/);
    expect(warnings[0]?.detail?.match(/debug\.spec\.ts/g)?.length).toBeGreaterThanOrEqual(4);
  });

  it('tells nothing of who only tries in the other order', async () => {
    const [a, b] = [new Lock(debug), new Lock(debug)];
    a.withSync(() => b.withSync(() => {}));
    b.withSync(() => a.withSync(() => {}, { timeout: 0 }));
    await b.with(async () => (await a.acquire({ timeout: 0 }))?.release());
    await later(5, undefined);
    expect(codes()).toEqual([]);
  });

  it('tells of two orders in two threads', async () => {
    const [a, b] = [new Lock(debug), new Lock(debug)];
    const target = (first: Lock, second: Lock) => {
      first.withSync(() => second.withSync(() => {}));
    };
    const thread = new Thread({ target, args: [a, b], name: 'first' });
    thread.start();
    await thread.result;
    b.withSync(() => a.withSync(() => {}));
    await until(() => warnings.length > 0, 'it is told');
    expect(codes()).toEqual(['HEDDLE_LOCK_ORDER']);
    expect(warnings[0]?.detail).toContain('first took');
  });

  it('tells of two orders in threads that are over at once', async () => {
    const index = new URL('../index.ts', import.meta.url).href;
    const program = `import { Lock, Thread } from ${JSON.stringify(index)};
      const [a, b] = [new Lock({ debug: true }), new Lock({ debug: true })];
      const target = (first, second) => {
        first.acquireSync();
        second.acquireSync();
        second.release();
        first.release();
      };
      for (const args of [[a, b], [b, a]]) {
        const thread = new Thread({ target, args });
        thread.start();
        await thread.join();
      }`;
    const options = [...process.execArgv, '--input-type=module'];
    const { stderr } = await promisify(execFile)(process.execPath, [...options, '-e', program]);
    expect(stderr).toMatch(
      /\[HEDDLE_LOCK_ORDER\] HeddleWarning: Lock#\d+ and Lock#\d+ are taken in both orders/,
    );
  });

  it('is told of where a thread ended while it held it', async () => {
    const lock = new Lock(debug);
    const target = (theirs: Lock) => void theirs.acquireSync();
    const thread = new Thread({ target, args: [lock], name: 'careless' });
    thread.start();
    await thread.result;
    await until(() => warnings.length > 0, 'it is told');
    expect(codes()).toEqual(['HEDDLE_LOCK_ABANDONED']);
    expect(warnings[0]?.message).toMatch(
      /^Lock#\d+ \(made at .*debug\.spec\.ts:\d+:\d+\) was still held when thread careless/,
    );
    expect(warnings[0]?.detail).toMatch(/^It was taken at\n\s+at .*eval/);
    expect(lock.locked()).toBe(true);
  });

  it('is told of where a thread was terminated while it held it; a robust one goes on', async () => {
    type Tasks = typeof import('../testing/thread-tasks.ts');
    await using crew = new Crew<Tasks>(new URL('../testing/thread-tasks.ts', import.meta.url));
    for (const robust of [false, true]) {
      warnings.length = 0;
      const lock = new Lock({ robust, debug: true });
      const said = new Int32Array(new SharedArrayBuffer(16));
      const thread = crew.run('acquireAndStay', share(lock), said);
      await until(() => said[0] === 2, 'the thread holds');
      await thread.terminate();
      // Nobody tells of the end of a bare worker: who waits finds out.
      const waiter = lock.acquire({ timeout: 60_000 });
      if (robust) {
        const lease = await waiter;
        expect(lease?.abandoned).toBe(true);
        await lease?.release();
      } else {
        expect(await stillPending(waiter)).toBe(true);
        await until(() => warnings.length > 0, 'it is told');
        expect(codes()).toEqual(['HEDDLE_LOCK_ABANDONED']);
        lock.release();
        await (await waiter)?.release();
      }
    }
  });

  it('fails a wait in a deadlock though nobody catches it, and tells the hook whose thread that ends', async () => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push(error));
    try {
      const lock = new Lock(debug);
      const target = (theirs: Lock) => theirs.withSync(() => theirs.withSync(() => {}));
      const thread = new Thread({ target, args: [lock] });
      thread.start();
      await thread.join();
      await until(() => told.length > 0, 'it is told');
      expect(told[0]).toBeInstanceOf(DeadlockError);
      expect(lock.locked()).toBe(false);
    } finally {
      setExceptHook(before);
    }
  });
});

it('is off unless asked for: the same methods, and nothing kept', () => {
  for (const lock of [new Lock(), new RLock(), new ReadWriteLock().read, new Lock({ debug: false })]) {
    for (const name of ['acquire', 'acquireSync', 'release', 'withSync'] as const) {
      expect(Object.getOwnPropertyDescriptor(lock, name)).toBe(undefined);
    }
  }
  expect('ledger' in share(new Lock())).toBe(false);
});
