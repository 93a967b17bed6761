import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidStateError } from '../errors.ts';
import { Event } from '../event/event.local.ts';
import { Lock } from '../lock/lock.local.ts';
import { BoundedSemaphore } from '../semaphore/semaphore.local.ts';
import { Greeter } from '../testing/thread-fixture.ts';
import { until } from '../testing/waiting.ts';
import { type ExceptHook, setExceptHook } from './except-hook.ts';
import { Thread } from './thread.local.ts';
import { activeCount, currentThread, enumerate, getIdent, getNativeId, mainThread } from './threads.ts';

const fixture = new URL('../testing/thread-fixture.ts', import.meta.url);
const linux = process.platform === 'linux';

function started(name: string, ...args: unknown[]): Thread {
  const thread = new Thread({ target: fixture, export: name, args });
  thread.start();
  return thread;
}

let before: ExceptHook | null;
beforeEach(() => {
  before = setExceptHook(() => {});
});
afterEach(async () => {
  setExceptHook(before);
  await until(() => activeCount() === 1, 'no thread is left over');
});

describe('Thread: what it runs', () => {
  it('runs the default export of a module, with arguments', async () => {
    const thread = new Thread({ target: fixture, args: [1, 2, 39] });
    thread.start();
    expect(await thread.result).toBe(42);
    expect(await thread.join()).toBe(true);
    expect(thread.error).toBeUndefined();
  });

  it('takes the URL as a string as well', async () => {
    const thread = new Thread({ target: fixture.href });
    thread.start();
    expect(await thread.result).toBe(0);
  });

  it('runs a function that closes over nothing, asynchronous or not, and methods', async () => {
    const shapes = [
      (a: number, b: number) => a * b,
      async function named(a: number, b: number) {
        const { setTimeout: sleep } = await import('node:timers/promises');
        await sleep(1);
        return a * b;
      },
      {
        method(a: number, b: number) {
          return a * b;
        },
      }.method,
    ];
    const threads = shapes.map((target) => new Thread({ target, args: [6, 7] }));
    for (const thread of threads) thread.start();
    expect(await Promise.all(threads.map((thread) => thread.result))).toEqual([42, 42, 42]);
  });

  it('runs run() of a subclass on the fields of the instance, without its constructor', async () => {
    const greeter = new Greeter('good day');
    greeter.start();
    expect(await greeter.result).toBe('good day, world, from greeter undefined true');
    expect(greeter.gate.isSet()).toBe(true);
  });

  it('is waited for where it is disposed of, if it was started', async () => {
    const event = new Event();
    let thread: Thread;
    {
      await using never = new Thread({ target: fixture });
      await using waiting = new Thread({ target: fixture, export: 'setLater', args: [event] });
      thread = waiting;
      waiting.start();
      expect([never.isAlive(), waiting.isAlive()]).toEqual([false, true]);
    }
    expect([thread.isAlive(), event.isSet()]).toEqual([false, true]);
  });

  it('hands local primitives over wherever they stand in the arguments', async () => {
    const target = (deep: { list: [Map<string, Lock>]; semaphore: BoundedSemaphore }) => {
      deep.list[0].get('lock')?.acquireSync();
      return deep.semaphore;
    };
    const lock = new Lock();
    const semaphore = new BoundedSemaphore(3);
    const thread = new Thread({ target, args: [{ list: [new Map([['lock', lock]])], semaphore }] });
    thread.start();
    const back = await thread.result;
    expect(lock.locked()).toBe(true);
    expect(back).toBeInstanceOf(BoundedSemaphore);
    back.acquireSync();
    expect(semaphore.value()).toBe(2);
  });

  it('shares a value per thread by ThreadLocal with nobody', async () => {
    expect(await started('ownValues').result).toEqual([1, 2, 1]);
  });
});

describe('Thread: identity', () => {
  it('knows itself, its name and who else lives', async () => {
    const thread = new Thread({ target: fixture, export: 'whoAmI', name: 'observer', daemon: true });
    expect(thread).toMatchObject({ ident: undefined, nativeId: undefined, daemon: true, name: 'observer' });
    thread.start();
    const ident = thread.ident;
    const told = await thread.result;
    expect(told).toMatchObject({
      name: 'observer',
      daemon: true,
      ident,
      alive: true,
      same: [true, true, true],
      main: 'MainThread',
    });
    expect(told).toHaveProperty('names', ['MainThread', 'observer'].sort());
    expect(thread.nativeId).toEqual(linux ? expect.any(Number) : undefined);
    expect(ident).not.toBe(mainThread().ident);
  });

  it('is numbered where it has no name', () => {
    const [a, b] = [1, 2].map(() => new Thread({ target: fixture }));
    expect(a?.name).toMatch(/^Thread-\d+$/);
    expect(Number(b?.name.slice(7))).toBe(Number(a?.name.slice(7)) + 1);
  });

  it('lists the main thread and the started ones, as long as they live', async () => {
    const go = new Event();
    const threads = [started('waitFor', go), started('waitFor', go)];
    expect(enumerate()).toEqual(expect.arrayContaining([mainThread(), ...threads]));
    expect(activeCount()).toBe(3);
    go.set();
    for (const thread of threads) await thread.join();
    expect(enumerate()).toEqual([mainThread()]);
  });

  it('lists no thread whose outcome is here, wherever that one is in its end', async () => {
    const thread = started('standStill');
    await thread.result;
    expect(thread.isAlive()).toBe(false);
    expect(enumerate()).toEqual([mainThread()]);
    expect(await thread.join()).toBe(true);
  });

  it('has a main thread, which is the current one here', () => {
    expect(currentThread()).toBe(mainThread());
    expect(mainThread()).toMatchObject({ daemon: false, ident: getIdent(), nativeId: getNativeId() });
    expect(mainThread().isAlive()).toBe(true);
    expect(mainThread()).toBeInstanceOf(Thread);
    expect(getNativeId()).toEqual(linux ? process.pid : undefined);
  });
});

describe('Thread: life', () => {
  it('is alive from its start to the end of its function, whatever that leaves behind', async () => {
    const target = () => {
      setInterval(() => {}, 1_000);
    };
    const thread = new Thread({ target });
    expect(thread.isAlive()).toBe(false);
    thread.start();
    expect(thread.isAlive()).toBe(true);
    expect(await thread.join({ timeout: 10_000 })).toBe(true);
    expect(thread.isAlive()).toBe(false);
  });

  it('is joined with a time-out, a signal, or blocking', async () => {
    const go = new Event();
    const thread = started('waitFor', go);
    expect(await thread.join({ timeout: 10 })).toBe(false);
    expect(await thread.join({ timeout: 0 })).toBe(false);
    expect(thread.joinSync({ timeout: 10 })).toBe(false);
    const reason = new Error('enough');
    await expect(thread.join({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    go.set();
    expect(thread.joinSync()).toBe(true);
    expect(thread.isAlive()).toBe(false);
    expect(await thread.result).toBe(true);
    expect([await thread.join(), thread.joinSync()]).toEqual([true, true]);
  });

  it('is joined blocking right after its start', () => {
    const thread = started('fail');
    expect(thread.joinSync({ timeout: 15_000 })).toBe(true);
    expect(thread.error).toBeInstanceOf(RangeError);
  });

  it('refuses a second start, a join before the first, and a join by itself', async () => {
    const thread = new Thread({ target: fixture });
    await expect(thread.join()).rejects.toThrow(InvalidStateError);
    expect(() => thread.joinSync()).toThrow(InvalidStateError);
    thread.start();
    expect(() => thread.start()).toThrow(InvalidStateError);
    await thread.join();
    expect(() => thread.start()).toThrow(InvalidStateError);
    expect(await started('joinSelf').result).toBe('InvalidStateError');
    expect(() => mainThread().joinSync()).toThrow(InvalidStateError);
  });

  it('names the thread in its errors', async () => {
    const thread = new Thread({ target: fixture, name: 'named' });
    const named = expect.objectContaining({ primitive: 'named', code: 'ERR_HEDDLE_INVALID_STATE' });
    expect(() => thread.joinSync()).toThrow(named);
    thread.start();
    expect(() => thread.start()).toThrow(named);
    await thread.join();
    const make = () => new Thread({ target: fixture, name: 'named', args: [() => 1] });
    expect(make).toThrow(expect.objectContaining({ primitive: 'named', path: 'args[0]' }));
    expect(make).toThrow(/^named: args\[0\] is a function/);
  });

  it('shows other threads the main one, which they can join for a while', async () => {
    const { error, ...told } = (await started('joinMain').result) as { error: unknown };
    const nativeId = linux ? process.pid : undefined;
    expect(told).toEqual({ nativeIds: [nativeId, nativeId], alive: true, joined: [false, false, 'enough'] });
    expect(error).toBeInstanceOf(InvalidStateError);
    expect(error).toMatchObject({
      message: expect.stringContaining('ends with the process'),
      primitive: 'MainThread',
    });
  });

  it('lets a thread that it started live on after its own function', async () => {
    const go = new Event();
    const done = new Event();
    const thread = started('startAnother', go, done);
    const name = await thread.result;
    expect(await thread.join()).toBe(true);
    expect(enumerate().map((each) => each.name)).toContain(name);
    const other = enumerate().find((each) => each.name === name) as Thread;
    go.set();
    expect(await done.wait({ timeout: 10_000 })).toBe(true);
    expect(await other.join({ timeout: 10_000 })).toBe(true);
  });

  it('is not waited for by the process where it is a daemon, and is where it is not', async () => {
    const index = new URL('../index.ts', import.meta.url).href;
    const run = async (daemon: boolean) => {
      const program = `import { Thread } from ${JSON.stringify(index)};
        const target = async () => {
          const { setTimeout: sleep } = await import('node:timers/promises');
          await sleep(300);
          console.log('thread done');
        };
        new Thread({ target, daemon: ${daemon} }).start();
        console.log('main done');`;
      const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', program]);
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      child.stderr.on('data', (chunk) => {
        output += chunk;
      });
      const [code] = await once(child, 'close');
      return { code, output };
    };
    expect(await run(true)).toEqual({ code: 0, output: 'main done\n' });
    expect(await run(false)).toEqual({ code: 0, output: 'main done\nthread done\n' });
  });
});

describe('Thread: options of Node', () => {
  it('starts in a program that is given as text, with options that only a whole process can have', async () => {
    const index = new URL('../index.ts', import.meta.url).href;
    const program = `import { Thread } from ${JSON.stringify(index)};
      const thread = new Thread({ target: () => process.execArgv });
      thread.start();
      console.log(JSON.stringify(await thread.result));`;
    const ofTheProcess = ['--max-old-space-size=200', '--title=text'];
    const options = [...process.execArgv, ...ofTheProcess, '--no-deprecation', '--input-type=module'];
    const { stdout } = await promisify(execFile)(process.execPath, [...options, '-e', program]);
    const given: string[] = JSON.parse(stdout);
    expect(given).toEqual(expect.arrayContaining(['--conditions=@heddle/source', '--no-deprecation']));
    for (const option of ofTheProcess) expect(given).not.toContain(option);
  });
});

describe('Thread: warnings', () => {
  it('prints those of a thread whose function is over at once, also where its starter blocks for it', async () => {
    const index = new URL('../index.ts', import.meta.url).href;
    const program = `import { Thread } from ${JSON.stringify(index)};
      const target = (text) => process.emitWarning(text);
      const threads = ['joined', 'blocked for'].map((text) => new Thread({ target, args: [text] }));
      threads[0].start();
      await threads[0].join();
      threads[1].start();
      threads[1].joinSync();`;
    const options = [...process.execArgv, '--input-type=module'];
    const { stderr } = await promisify(execFile)(process.execPath, [...options, '-e', program]);
    expect(stderr).toContain('Warning: joined');
    expect(stderr).toContain('Warning: blocked for');
  });
});

describe('Thread: robust locks', () => {
  it('frees what a thread held when it ended, and says so to the next', async () => {
    const lock = new Lock({ robust: true });
    const target = (theirs: Lock) => theirs.acquireSync();
    const thread = new Thread({ target, args: [lock] });
    thread.start();
    expect(await thread.result).toBe(true);
    const lease = await lock.acquire();
    expect(lease.abandoned).toBe(true);
    await lease.release();
    expect(lock.acquireSync()).toBe(true);
  });
});
