/** Crews of real worker threads for specs: each runs one export of a module, and none outlives its test. */
import { Worker } from 'node:worker_threads';

export interface CrewThread<T> extends AsyncDisposable {
  /** What the function gave; rejects where it threw or the thread ended before. */
  readonly result: Promise<T>;
  terminate(): Promise<unknown>;
}

/** The exports of a module that a crew can run. */
type Tasks = Record<string, (...args: never[]) => unknown>;

/** Threads that run functions of the module at `url`, typed by `typeof import(…)`. */
export class Crew<M extends object> implements AsyncDisposable {
  readonly #url: URL;
  readonly #threads: CrewThread<unknown>[] = [];

  constructor(url: URL) {
    this.#url = url;
  }

  /** Starts a thread on one of the module's functions. */
  run<K extends keyof M & string>(
    task: K,
    ...args: M[K] extends (...args: infer A) => unknown ? A : never
  ): CrewThread<M[K] extends (...args: never[]) => infer R ? Awaited<R> : never> {
    const worker = new Worker(new URL('./thread-entry.ts', import.meta.url), {
      workerData: { url: this.#url.href, task, args },
    });
    const number = worker.threadId;
    const result = new Promise<unknown>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => {
        reject(new Error(`thread ${number} ended with ${code} and no result`));
      });
    });
    result.catch(() => {});
    const terminate = () => worker.terminate();
    const thread = { result, terminate, [Symbol.asyncDispose]: async () => void (await terminate()) };
    this.#threads.push(thread);
    return thread as never;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }
}

/** In the thread: the module's function of that name. */
export async function taskOf(url: string, task: string): Promise<(...args: unknown[]) => unknown> {
  const tasks = (await import(url)) as Tasks;
  return tasks[task] as (...args: unknown[]) => unknown;
}
