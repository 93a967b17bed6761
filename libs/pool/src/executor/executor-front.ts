/** What all executors have in common: the public face, over a core that differs. */
import { checkKnown, show, typeError } from '@heddle/primitives/internal';
import type { Future } from '../future/future.ts';
import { checkFlag, checkSubmitOptions } from './check-options.ts';
import type {
  AnyTasks,
  Executor,
  ExecutorCore,
  MapOptions,
  ScheduledTask,
  ScheduleOptions,
  ShutdownOptions,
  SubmitOptions,
  TaskArgs,
  TaskInput,
  TaskName,
  TaskResult,
} from './executor.ts';
import { MapRun } from './map-run.ts';

export class ExecutorFront<T = AnyTasks> implements Executor<T> {
  readonly #core: ExecutorCore;
  readonly #options: SubmitOptions;

  constructor(core: ExecutorCore, options: SubmitOptions) {
    this.#core = core;
    this.#options = options;
  }

  submit<K extends TaskName<T>>(task: K, ...args: TaskArgs<T, K>): Future<TaskResult<T, K>> {
    checkTaskName(task, 'submit');
    const call = { task, args: args as readonly unknown[], options: this.#options, chunk: false };
    // The module's type says what the task of that name gives.
    return this.#core.submit(call) as Future<TaskResult<T, K>>;
  }

  with(options: SubmitOptions): Executor<T> {
    return new ExecutorFront<T>(this.#core, this.optionsWith(options));
  }

  /** Its own, but for those that are given. */
  protected optionsWith(options: SubmitOptions): SubmitOptions {
    const checked = Object.entries(checkSubmitOptions(options, 'Executor.with'));
    return { ...this.#options, ...Object.fromEntries(checked.filter(([, value]) => value !== undefined)) };
  }

  map<K extends TaskName<T>>(
    task: K,
    inputs: Iterable<TaskInput<T, K>> | AsyncIterable<TaskInput<T, K>>,
    options?: MapOptions,
  ): AsyncIterableIterator<TaskResult<T, K>> & AsyncDisposable {
    checkTaskName(task, 'map');
    this.#core.assertOpen(); // also where there is nothing to submit, or not yet
    return new MapRun<TaskResult<T, K>>(this.#core, task, inputs, this.#options, options);
  }

  async schedule<K extends TaskName<T>>(
    task: K,
    args: TaskArgs<T, K>,
    options: ScheduleOptions = {},
  ): Promise<ScheduledTask> {
    checkTaskName(task, 'schedule');
    if (!Array.isArray(args))
      throw typeError(`schedule: args must be an array of arguments, not ${show(args)}`);
    this.#core.assertOpen(); // also where there is nothing to submit, or not yet
    this.#options.signal?.throwIfAborted();
    return this.#core.schedule({ task, args, options: this.#options, chunk: false }, options);
  }

  async shutdown(options?: ShutdownOptions): Promise<void> {
    const { wait = true, cancelFutures = false } = checkKnown(options, ['wait', 'cancelFutures'], 'shutdown');
    checkFlag(wait, 'shutdown: wait');
    checkFlag(cancelFutures, 'shutdown: cancelFutures');
    this.#tellReaders();
    const ended = this.#core.shutdown({ wait, cancelFutures });
    this.#tellReaders();
    await ended;
  }

  #tellReaders(): void {
    for (const tell of [...this.#core.readers]) tell();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }
}

function checkTaskName(task: unknown, where: string): void {
  if (typeof task !== 'string')
    throw typeError(`${where}: task must be the name of a task, not ${show(task)}`);
}
