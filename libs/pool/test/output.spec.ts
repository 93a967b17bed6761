/** What tasks print, where a host is to have it. */
import type { TaskOutput } from '@heddle/pool';
import { describe, expect, it } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './output-tasks.ts';
import { until } from './until.ts';

const bench = jobBench<typeof tasks>(new URL('./output-tasks.ts', import.meta.url));

async function listening(options = {}) {
  const heard: TaskOutput[] = [];
  const host = await bench.host({
    threads: 1,
    stallTimeout: 60_000,
    onOutput: (entry) => heard.push(entry),
    ...options,
  });
  const of = (job: string | undefined) => heard.filter((entry) => entry.job === job);
  return { host, heard, of };
}

describe('WorkerHost, onOutput', () => {
  it('has what each job prints in lines of its own, with the job, its streams and its context', async () => {
    const logged: string[] = [];
    const { of } = await listening({
      concurrency: 2,
      onLog: ({ line }: { line: string }) => logged.push(line),
    });
    const executor = bench.executor();
    const [a, b] = [executor.submit('speak', 'a'), executor.submit('speak', 'b')];
    await Promise.all([a, b]);
    for (const [name, future] of [
      ['a', a],
      ['b', b],
    ] as const) {
      const said = of(future.id);
      expect(said.map(({ stream, text }) => [stream, text])).toEqual([
        ['stdout', `${name} begins`],
        ['stderr', 'to stderr'],
        ['stdout', `${name} goes on ü`],
        ['stdout', 'two\nlines'],
        ['stdout', 'within'],
        ['stdout', 'and is cut'],
      ]);
      expect(said[0]).toMatchObject({ task: 'speak', attempt: 1, context: {} });
      expect(said[4]?.context).toEqual({ runId: 'r1' });
      expect(said[5]?.context).toEqual({ runId: 'r2' });
    }
    expect(of(undefined)).toMatchObject([{ stream: 'stdout', text: 'loaded', task: undefined }]);
    expect(logged.sort()).toEqual(['a logs', 'b logs']);
  });

  it('knows whose it is also when the job is over, and what a thread said before it ended', async () => {
    const { of } = await listening();
    const executor = bench.executor({ retries: 0 });
    const late = executor.submit('late');
    await late;
    await until(() => expect(of(late.id)).toMatchObject([{ text: 'later', task: 'late' }]));
    const exits = executor.submit('printAndExit');
    expect(await exits.exception()).toMatchObject({ name: 'ThreadCrashedError' });
    expect(of(exits.id)).toMatchObject([{ text: 'last words' }]);
  });

  it('loses nothing of what is printed faster than it is heard, and keeps the order', async () => {
    const { of } = await listening();
    const future = bench.executor().submit('chatter', 5000);
    await future;
    await until(() => expect(of(future.id).length).toBe(5000));
    expect(of(future.id).map(({ text }) => Number(text))).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    const exits = bench.executor({ retries: 0 }).submit('written');
    expect(await exits).toEqual([true, 'told']);
  });

  it('is not drowned by a task that prints without end: that goes as slowly as it is heard, and can be aborted', async () => {
    let count = 0;
    const host = await bench.host({
      threads: 1,
      stallTimeout: 60_000,
      onOutput: ({ job }) => {
        if (job !== undefined) count += 1;
      },
    });
    const future = bench.executor({ retries: 0 }).submit('babble');
    await until(() => expect(count).toBeGreaterThan(100));
    const before = process.memoryUsage().rss;
    await until(() => expect(count).toBeGreaterThan(5000)); // 500 MB
    expect(process.memoryUsage().rss - before).toBeLessThan(350 * 2 ** 20);
    expect(await future.abort()).toBe(true);
    await until(() => expect(host.status().busy).toBe(0));
    expect(await bench.executor().submit('written')).toEqual([true, 'told']);
  });

  it('nor by one that logs without end, as slowly as Redis takes it, nor by one that tells of progress', async () => {
    let count = 0;
    const host = await bench.host({ threads: 1, stallTimeout: 60_000, onLog: () => (count += 1) });
    const before = process.memoryUsage().rss;
    const future = bench.executor({ retries: 0 }).submit('babbleToLog');
    await until(() => expect(count).toBeGreaterThan(20_000));
    expect(await future.abort()).toBe(true);
    const telling = bench.executor({ retries: 0 }).submit('babbleProgress');
    for await (const _ of telling.progress) {
      count += 1;
      if (count > 50_000) break;
    }
    expect(await telling.abort()).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(350 * 2 ** 20);
    await until(() => expect(host.status().busy).toBe(0));
  });
});
