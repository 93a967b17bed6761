/** Forked processes that do what they are told, and are gone afterwards. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Deed, Deeds } from './party.process.ts';

export class Forked {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #asked = 0;

  constructor() {
    this.#child = fork(new URL('./party.process.ts', import.meta.url), {
      serialization: 'advanced',
      execArgv: [...process.execArgv, '--expose-gc'],
    });
    this.#child.on('message', ({ id, result, error }: { id: number; result: unknown; error?: string }) => {
      const answer = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) answer?.resolve(result);
      else answer?.reject(new Error(error));
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the process ended'));
    });
  }

  do<D extends Deed>(deed: D, ...args: Parameters<Deeds[D]>): Promise<Awaited<ReturnType<Deeds[D]>>> {
    this.#asked += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#pending.set(this.#asked, answer);
    this.#child.send({ id: this.#asked, deed, args });
    return answer.promise as never;
  }

  /** SIGKILL, and wait for its end. */
  async kill(): Promise<void> {
    for (const { promise } of this.#pending.values()) promise.catch(() => {});
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}

/** Runs `use` with so many processes. */
export async function withProcesses<T>(count: number, use: (processes: Forked[]) => Promise<T>): Promise<T> {
  const processes = Array.from({ length: count }, () => new Forked());
  try {
    return await use(processes);
  } finally {
    await Promise.all(processes.map((each) => each.kill()));
  }
}
