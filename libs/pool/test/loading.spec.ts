/** Task modules with which a host can do nothing. */
import { BrokenExecutorError, InvalidStateError, WorkerHost } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
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
