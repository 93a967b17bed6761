/** Real processes for specs: forked, told what to do, killed, stopped and continued; ended with the test. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import type { Deed, Deeds } from './process-entry.ts';

/** A forked process that does what `process-entry.ts` can. */
export interface Forked {
  readonly pid: number;
  do<D extends Deed>(deed: D, ...args: Parameters<Deeds[D]>): Promise<Awaited<ReturnType<Deeds[D]>>>;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, and wait for its end. */
  kill(): Promise<void>;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** Forks a process; it is killed at the end of the test. */
export async function forked(): Promise<Forked> {
  const entry = new URL(
    import.meta.url.endsWith('.ts') ? './process-entry.ts' : './process-entry.js',
    import.meta.url,
  );
  const child: ChildProcess = fork(entry, { serialization: 'advanced' });
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  let asked = 0;
  const ended = once(child, 'exit').then(() => {
    for (const { reject } of pending.values()) reject(new Error('the process ended'));
  });
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  onTestFinished(kill);
  await once(child, 'message');
  child.on('message', ({ id, result, error }: Answer) => {
    const answer = pending.get(id ?? 0);
    pending.delete(id ?? 0);
    if (error) answer?.reject(Object.assign(new Error(error.message), { code: error.code }));
    else answer?.resolve(result);
  });
  return {
    pid: child.pid as number,
    do: (deed, ...args) => {
      asked += 1;
      const answer = Promise.withResolvers<unknown>();
      answer.promise.catch(() => {});
      pending.set(asked, answer);
      child.send({ id: asked, deed, args });
      return answer.promise as never;
    },
    signal: (signal) => void child.kill(signal),
    kill,
  };
}
