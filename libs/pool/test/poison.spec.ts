/** A job that ends every host that begins it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { deadLetters, ThreadCrashedError } from '@heddle/pool';
import { expect, it, onTestFinished } from 'vitest';
import { jobBench } from './bench.ts';
import type * as tasks from './poison-tasks.ts';
import { until } from './until.ts';

const TASKS = new URL('./poison-tasks.ts', import.meta.url);
const bench = jobBench<typeof tasks>(TASKS);

it('is given to another host as often as maxStalls says, and fails then; a job behind it is done', {
  timeout: 120_000,
}, async () => {
  const maxStalls = 2;
  const key = `${bench.namespace}:runs`;
  const pool = bench.executor({ retries: 5 });
  const poison = pool.submit('endHost', [bench.url, key]);
  await poison.accepted;
  const behind = pool.submit('echo', 7);
  for (let begun = 0; begun <= maxStalls; begun += 1) {
    expect(await hostUntilItEnds({ maxStalls, threads: 1 })).toBe('SIGKILL');
    expect(await bench.plain.get(key)).toBe(String(begun + 1));
    expect(poison.done()).toBe(false);
  }
  await bench.host({ maxStalls, threads: 1 });
  const error = await poison.exception();
  expect(error).toBeInstanceOf(ThreadCrashedError);
  expect(error?.message).toMatch(/hosts that ran the job ended under it, again and again/);
  expect(await behind).toBe(7);
  expect(await bench.plain.get(key)).toBe(String(maxStalls + 1));
  await until(async () => expect(await bench.unfinished()).toBe(0));
  const [letter] = await deadLetters(bench.session, 'work');
  expect(letter).toMatchObject({ id: poison.id, error: expect.any(ThreadCrashedError) });
});

/** Runs a host in a process of its own; gives the signal that has ended it. */
async function hostUntilItEnds(options: object): Promise<unknown> {
  const script = new URL('./host-process.ts', import.meta.url);
  const terms = JSON.stringify({ module: TASKS.href, ...options });
  const child = fork(script, [bench.url, bench.namespace, 'work', terms]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const [, signal] = await once(child, 'exit');
  return signal;
}
