/** What travels to the tasks of a pool of threads and back: arguments, results, errors, signals, context, progress. */
import { Lock, NotCloneableError, TimeoutError } from '@heddle/primitives';
import { describe, expect, it } from 'vitest';
import { requestId, secret } from './context.ts';
import { poolBench, words } from './pool-bench.ts';

const pool = poolBench();

describe('a ThreadPoolExecutor', () => {
  it('keeps an error: class, name, message, stack, cause and own fields', async () => {
    const error = (await pool().submit('fail', 'oh').exception()) as RangeError & {
      details: object;
      code: string;
    };
    expect(error).toBeInstanceOf(RangeError);
    expect([error.name, error.message, error.code]).toEqual(['OurError', 'oh', 'E_OURS']);
    expect(error.stack).toContain('tasks.ts');
    expect(error.details).toEqual({ n: 1, when: new Date(0) });
    expect(error.cause).toBeInstanceOf(TimeoutError);
  });

  it('brings a signal that has aborted as one that has, with its reason', async () => {
    const executor = pool({ maxWorkers: 1 });
    await executor.submit('noop');
    const stop = new AbortController();
    expect(await executor.submit('seen', stop.signal)).toEqual([[false, undefined]]);
    stop.abort(new RangeError('enough'));
    const before = AbortSignal.abort('before');
    const error = expect.objectContaining({ name: 'RangeError', message: 'enough' });
    for (let round = 0; round < 2; round += 1)
      expect(await executor.submit('seen', before, stop.signal)).toEqual([
        [true, 'before'],
        [true, error],
      ]);
    const back = (await executor.submit('echo', [before, before])) as AbortSignal[];
    expect(back.every((signal) => signal === before)).toBe(true);
  });

  it('delivers an error whose fields cannot travel, with what can', async () => {
    const error = await pool().submit('failWithBaggage').exception();
    expect(error).toMatchObject({ message: 'kept', socket: expect.any(NotCloneableError) });
  });

  it('makes an error of what is thrown and is none', async () => {
    expect(await pool().submit('throwString').exception()).toMatchObject({ cause: 'just text' });
    expect(await pool().submit('rejectUndefined').exception()).toBeInstanceOf(Error);
    const results = pool().map('throwBare', [1, 2] as never, { chunksize: 2 });
    await expect(results.next()).rejects.toThrow(/no Error: \[object\]/);
  });

  it('fails a task whose result throws when it is looked at, and the thread goes on', async () => {
    const executor = pool({ maxWorkers: 1 });
    const bad = executor.submit('giveBadThen');
    const behind = executor.submit('square', 2);
    await expect(bad).rejects.toThrow('no then');
    expect(await behind).toBe(4);
  });

  it('refuses arguments that cannot travel at the call, and results by failing their task', async () => {
    const executor = pool();
    const bad = { items: [1, 2, 3, { fn: () => 1 }] };
    expect(() => executor.submit('echo', bad)).toThrow(
      expect.objectContaining({ path: 'args[0].items[3].fn' }),
    );
    const error = await executor.submit('giveFunction').exception();
    expect(error).toBeInstanceOf(NotCloneableError);
    expect(error).toMatchObject({ path: 'result.items[0].fn' });
  });

  it('copies arguments at the call, moves what is to be transferred, shares shared memory', async () => {
    const executor = pool();
    const list = [1];
    const echoed = executor.submit('echo', list);
    list.push(2);
    expect(await echoed).toEqual([1]);
    const bytes = new Uint8Array([1, 2, 3]);
    const moved = executor.with({ transfer: [bytes.buffer] }).submit('echo', { bytes });
    expect(bytes.byteLength).toBe(0);
    expect(await moved).toEqual({ bytes: new Uint8Array([1, 2, 3]) });
    const memory = words();
    await executor.submit('markRun', memory, 2);
    expect(memory[2]).toBe(1);
  });

  it('shares local primitives, wherever in the arguments they stand', async () => {
    const executor = pool();
    const lock = new Lock();
    const memory = words();
    const plain = { turns: 2000, where: [{ lock }] };
    await Promise.all([1, 2, 3, 4].map(() => executor.submit('countUnder', plain, memory)));
    expect(memory[0]).toBe(8000);
  });

  it('gives tasks logical threads of their own, and the ThreadLocal values of their thread', async () => {
    const executor = pool({ maxWorkers: 1 });
    const seen = [await executor.submit('remember', 'a'), await executor.submit('remember', 'b')];
    expect(seen.map(({ before }) => before)).toEqual([undefined, 'a']);
    expect(seen[0]?.ident).not.toBe(seen[1]?.ident);
  });

  it('brings propagating context variables to the task, through its awaits, and no others', async () => {
    const lines: unknown[] = [];
    const executor = pool({ onLog: (entry) => lines.push([entry.line, entry.context]) });
    const [seen, later] = requestId.run('r1', () =>
      secret.run('s', () => [executor.submit('context'), executor.submit('contextLater')]),
    );
    expect(await seen).toEqual({ requestId: 'r1', secret: undefined });
    expect(await later).toBe('r1');
    expect(await executor.submit('contextLater')).toBe('none');
    expect(lines).toEqual([
      ['looking', { requestId: 'r1' }],
      ['looking', {}],
    ]);
  });

  it('passes progress on while the task runs', async () => {
    const future = pool().submit('report', 3);
    const steps: unknown[] = [];
    for await (const step of future.progress) steps.push(step);
    expect(steps).toEqual([{ step: 1 }, { step: 2 }, { step: 3 }]);
    expect(await future).toBe('done');
  });
});
