/** Task modules with which a host can do nothing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BrokenExecutorError, InvalidStateError, ThreadPoolExecutor, WorkerHost } from '@heddle/pool';
import { describe, expect, it, onTestFinished } from 'vitest';
import { jobBench } from './bench.ts';

const bench = jobBench(new URL('./tasks.ts', import.meta.url));

const hostOf = (module: string) =>
  new WorkerHost('work', { session: bench.session, tasks: new URL(module, import.meta.url), threads: 2 });

describe('WorkerHost.start', () => {
  it.each([
    ['waits for ever', './hangs.ts'],
    ['does not end', './loops.ts'],
  ])('ends with the host where the module %s as it is loaded', async (_, module) => {
    const host = hostOf(module);
    const started = host.start();
    started.catch(() => {});
    await host.close({ gracePeriod: 60_000 });
    await expect(started).rejects.toThrow(InvalidStateError);
    await expect(started).rejects.toThrow(/closed before its task module was loaded/);
  });

  it('refuses a module without a task, before it takes a job', async () => {
    const host = hostOf('./no-tasks.ts');
    const started = host.start();
    await expect(started).rejects.toThrow(BrokenExecutorError);
    await expect(started).rejects.toThrow(/no-tasks\.ts exports no function/);
    await host.close();
  });
});

describe('a pool whose module can not be parsed', () => {
  /** What it says of a module of these lines, and where that lies. */
  async function toldOf(
    name: string,
    lines: readonly string[],
  ): Promise<{ error: Error | null; file: string }> {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-loading-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, name);
    writeFileSync(file, lines.join('\n'));
    await using pool = new ThreadPoolExecutor(pathToFileURL(file), { maxWorkers: 1 });
    return { error: await pool.submit('any').exception(), file };
  }

  it('says what names the line, where the error does not', async () => {
    const { error, file } = await toldOf('tasks.mjs', ['export const a = 1;', 'export const b = 2 3;']);
    expect(error?.message).toContain(
      `Unexpected number; Node tells no line of it here: \`node ${file}\` does`,
    );
  });

  it.each([
    ['tasks.mts', 'export const b: = 3;'],
    ['tasks.cjs', 'module.exports = { a( };'],
    ['tasks.mjs', 'JSON.parse("2 3");'],
  ])('leaves it at that where it does: %s of %s', async (name, line) => {
    const { error, file } = await toldOf(name, ['// the first line', line]);
    expect(error?.message).not.toMatch(/no line/);
    expect(error).toHaveProperty('cause.stack', expect.stringContaining(`${file}:2`));
  });
});
