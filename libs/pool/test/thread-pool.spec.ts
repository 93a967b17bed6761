/** Threads of a pool: how they start and end, and what a task finds in them. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BrokenExecutorError,
  type Executor,
  InvalidStateError,
  ThreadPoolExecutor,
  type ThreadPoolOptions,
} from '@heddle/pool';
import { UnknownTaskError } from '@heddle/primitives';
import { context, propagation } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { marked, openGate, poolBench, words } from './pool-bench.ts';
import { until } from './until.ts';

const pool = poolBench();

describe('a ThreadPoolExecutor', () => {
  it('runs tasks in threads that are not this one, by name', async () => {
    const executor = pool();
    expect(await executor.submit('add', 1, 2)).toBe(3);
    expect(await executor.submit('thread')).toBeGreaterThan(0);
  });

  it('imports the module once in each thread, and calls the initializer there first', async () => {
    const executor = pool({ maxWorkers: 1, initializer: 'init', initargs: ['hi'] });
    const counts = await Promise.all([1, 2, 3].map(() => executor.submit('count')));
    expect(counts).toEqual([1, 2, 3]);
    expect(await executor.submit('initialisedWith')).toBe(`hi-${await executor.submit('thread')}`);
  });

  it('names its threads and tells the task where it is', async () => {
    const executor = pool({ threadNamePrefix: 'loom' });
    const future = executor.submit('job');
    expect(await future).toMatchObject({ id: future.id, task: 'job', attempt: 1, thread: 'loom-1' });
    expect(await executor.submit('threadName')).toBe('loom-1');
  });

  it('refuses an unknown task with the list of known ones, before and after the module is loaded', async () => {
    const executor = pool() as unknown as Executor;
    for (let round = 0; round < 2; round += 1) {
      const error = await executor.submit('nonesuch').exception();
      expect(error).toBeInstanceOf(UnknownTaskError);
      expect((error as UnknownTaskError).known).toContain('add');
      expect((error as UnknownTaskError).known).not.toContain('notATask');
    }
  });

  it('says that sessions do not reach threads', async () => {
    expect(await pool().submit('session').exception()).toMatchObject({ code: 'ERR_HEDDLE_NO_SESSION' });
  });
});

describe('a pool that cannot start', () => {
  const broken = (module: string) =>
    new ThreadPoolExecutor(new URL(module, import.meta.url), { maxWorkers: 2 });

  it.each([
    ['throws on import', './broken.ts', /broken on purpose/],
    ['does not exist', './missing.ts', /missing\.ts/],
    ['exits on import', './exits.ts', /code 9/],
  ])('a module that %s breaks it for all tasks, with the reason', async (_, module, reason) => {
    const executor = broken(module);
    const errors = await Promise.all([executor.submit('a').exception(), executor.submit('b').exception()]);
    for (const error of errors) {
      expect(error).toBeInstanceOf(BrokenExecutorError);
      expect(error?.message).toMatch(reason);
    }
    expect(await executor.submit('c').exception()).toBeInstanceOf(BrokenExecutorError);
    await executor.shutdown();
  });

  it('breaks also where it is shut down before it could: shutdown ends', async () => {
    const executor = broken('./exits.ts');
    const future = executor.submit('a');
    await executor.shutdown();
    expect(await future.exception()).toBeInstanceOf(BrokenExecutorError);
  });

  it('fails at once also what was put off: it would wait for nothing', async () => {
    const executor = broken('./broken.ts');
    const delayed = executor.with({ delay: 60_000 }).submit('a');
    expect(await executor.submit('b').exception()).toBeInstanceOf(BrokenExecutorError);
    expect(await delayed.exception()).toBeInstanceOf(BrokenExecutorError);
    await executor.shutdown();
  });

  it('so does a failing initializer', async () => {
    const executor = pool({ initializer: 'failingInit' });
    const error = await executor.submit('noop').exception();
    expect(error).toBeInstanceOf(BrokenExecutorError);
    expect(error?.cause).toMatchObject({ message: 'no licence' });
    const silent = await pool({ initializer: 'exitingInit' }).submit('noop').exception();
    expect(silent?.message).toMatch(
      /importing .*, or the initializer, failed: the thread exited with code 3/,
    );
  });

  it('takes CommonJS modules too', async () => {
    await using executor = broken('./common.cjs');
    expect(await executor.submit('twice', 4)).toBe(8);
    expect(await executor.submit('hidden')).toBe('found');
  });
});

describe('the process', () => {
  it('is kept alive by accepted tasks, not by an idle pool', async () => {
    const child = fork(new URL('./idle-process.ts', import.meta.url), {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(output).toBe('ended 5\n');
  });
});

describe('shutdown', () => {
  it('finishes what was accepted and refuses what comes after', async () => {
    const executor = pool();
    const futures = Array.from({ length: 100 }, (_, n) => executor.submit('square', n));
    await executor.shutdown();
    expect(futures.every((future) => future.done())).toBe(true);
    expect(() => executor.submit('noop')).toThrow(InvalidStateError);
    await executor.shutdown();
  });

  it('refuses also what would be cancelled at once, or would be the Future of another', async () => {
    const executor = pool();
    const memory = words();
    const running = executor.with({ dedupe: 'key' }).submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const down = executor.shutdown();
    for (const options of [{ signal: AbortSignal.abort() }, { dedupe: 'key' }, { version: '1' }])
      expect(() => executor.with(options).submit('noop')).toThrow(InvalidStateError);
    openGate(memory, 1);
    await Promise.all([running, down]);
  });

  it('cancels what has not begun, where that is asked for', async () => {
    const executor = pool({ maxWorkers: 1 });
    const memory = words();
    const running = executor.submit('markAndBlock', memory, 0, 1);
    await marked(memory, 0);
    const waiting = [1, 2, 3].map(() => executor.submit('noop'));
    await executor.shutdown({ wait: false, cancelFutures: true });
    await until(() => expect(waiting.every((future) => future.cancelled())).toBe(true));
    openGate(memory, 1);
    expect(await running).toBeGreaterThan(0);
    await executor.shutdown();
  });

  it('ends idle threads after idleTimeout and starts others when there is work again', async () => {
    const executor = pool({ maxWorkers: 1, idleTimeout: 5 });
    const first = await executor.submit('thread');
    await sleep(5);
    await until(async () => expect(await executor.submit('thread')).not.toBe(first), 50);
  });
});

describe('time', () => {
  it('that is left to a task is known in it, and to what it submits', async () => {
    const executor = pool({ maxWorkers: 1 });
    expect(await executor.submit('remaining')).toBe(Number.POSITIVE_INFINITY);
    const limited = executor.with({ ttl: 60_000, timeout: 50_000 });
    const left = await limited.submit('remaining');
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(50_000);
    const module = new URL('./nested-tasks.ts', import.meta.url);
    await using outer = new ThreadPoolExecutor<typeof import('./nested-tasks.ts')>(module, { maxWorkers: 1 });
    const limit = outer.with({ timeout: 50_000 });
    expect(await limit.submit('remainingInside')).toBeLessThanOrEqual(50_000);
    expect(await limit.submit('remainingInside', 40_000)).toBeLessThanOrEqual(40_000);
    expect(await outer.submit('remainingInside')).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a trace', () => {
  it('goes along, where OpenTelemetry has one', async () => {
    const { inTrace } = await import('./trace-tasks.ts');
    const module = new URL('./trace-tasks.ts', import.meta.url);
    await using executor = new ThreadPoolExecutor<typeof import('./trace-tasks.ts')>(module, {
      maxWorkers: 1,
    });
    try {
      expect(await context.with(inTrace('t1'), () => executor.submit('trace'))).toBe('t1');
      expect(await executor.submit('trace')).toBeUndefined();
    } finally {
      context.disable();
      propagation.disable();
    }
  });
});

describe('bad arguments', () => {
  const whole = new ArrayBuffer(8);
  const detached = new ArrayBuffer(8);
  structuredClone(detached, { transfer: [detached] });

  it.each<[string, () => unknown, RegExp]>([
    ['a path', () => new ThreadPoolExecutor('./tasks.ts' as unknown as URL), /must be a URL/],
    ['no worker', () => pool({ maxWorkers: 0 }), /maxWorkers/],
    ['an unknown option', () => pool({ workers: 2 } as ThreadPoolOptions), /unknown option "workers"/],
    ['a negative time', () => pool({ taskTimeout: -1 }), /taskTimeout/],
    ['NaN', () => pool().with({ delay: Number.NaN }), /delay/],
    ['an unknown submit option', () => pool().with({ prio: 1 } as object), /unknown option "prio"/],
    ['nothing to hold', () => pool().with({ holding: {} as string }), /holding must be/],
    ['a hold of no name', () => pool().with({ holding: { lock: '{' } }), /must be a name/],
    ['a hold of a thread', () => pool().with({ holding: 'x' }).submit('noop'), /needs a DistributedExecutor/],
    ['a task that is no name', () => pool().submit(1 as unknown as 'noop'), /name of a task/],
    ['inputs that are none', () => pool().map('square', 5 as unknown as number[]), /iterable/],
    ['a limit', () => pool({ resourceLimits: 5 as never }), /resourceLimits.* not 5/],
    [
      'a text',
      () => pool({ resourceLimits: { stackSizeMb: 'a' as unknown as number } }),
      /stackSizeMb .* MB/,
    ],
    ['no limit', () => pool({ resourceLimits: { heap: 5 } as object }), /no limit "heap"/],
    [
      'no heap',
      () => pool({ resourceLimits: { maxOldGenerationSizeMb: -1 } }),
      /maxOldGenerationSizeMb .* -1/,
    ],
    ['no stack', () => pool({ resourceLimits: { stackSizeMb: 0.01 } }), /stackSizeMb .* 0.01/],
    [
      'a number moved',
      () =>
        pool()
          .with({ transfer: [5 as never] })
          .submit('noop'),
      /transfer\[0\] .* not 5/,
    ],
    [
      'data moved',
      () =>
        pool()
          .with({ transfer: [{}] })
          .submit('noop'),
      /transferred/,
    ],
    [
      'a view moved',
      () =>
        pool()
          .with({ transfer: [new Uint8Array(1)] })
          .submit('noop'),
      /transferred/,
    ],
    [
      'moved bytes',
      () =>
        pool()
          .with({ transfer: [detached] })
          .submit('noop'),
      /transferred before/,
    ],
    [
      'the same twice',
      () =>
        pool()
          .with({ transfer: [whole, whole] })
          .submit('noop'),
      /twice/,
    ],
    ['gone bytes', () => pool().submit('echo', [detached]), /args\[0\]\[0\] .* transferred before/],
    ['no chunk', () => pool().map('square', [1], { chunksize: 0 }), /chunksize/],
  ])('%s', (_, act, message) => {
    const error = (() => {
      try {
        act();
      } catch (caught) {
        return caught;
      }
      return undefined;
    })();
    expect(error).toMatchObject({
      message: expect.stringMatching(message),
      code: expect.stringMatching(/^ERR_HEDDLE_/),
    });
  });
});
