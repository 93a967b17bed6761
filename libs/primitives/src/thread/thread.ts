/** The contract of a thread, and what it is made of. Other scopes have executors. */
import type { BlockingOptions, WaitOptions } from '../options.ts';

/** What a thread is made of. */
export interface ThreadOptions<Result = unknown> {
  /**
   * The URL of a module, whose `export` is called; or a function that closes over nothing: its source is what runs in
   * the thread, and what it imports must be bare (found from the working directory) or absolute.
   */
  readonly target?: URL | string | ((...args: never[]) => Result | PromiseLike<Result>) | undefined;
  /** Which export of the module; its default unless given. */
  readonly export?: string | undefined;
  /** Copied to the thread; local primitives in them arrive as the same primitives. */
  readonly args?: readonly unknown[] | undefined;
  /** `Thread-` and a number unless given. */
  readonly name?: string | undefined;
  /** The process does not wait for a daemon. As its starter unless given. */
  readonly daemon?: boolean | undefined;
}

/** A thread, whoever has started it. */
export interface AnyThread<Result = unknown> {
  /** A label; several may bear the same. */
  readonly name: string;
  /** The process does not wait for it. */
  readonly daemon: boolean;
  /** Unique in the process; `undefined` before the start. */
  readonly ident: number | undefined;
  /** The operating system's number of it, on Linux, once it runs. */
  readonly nativeId: number | undefined;
  /**
   * What its function gives, or the error it ends with: `ThreadCrashedError` out of memory, and after `process.exit`
   * unless that is of 0, which gives `undefined`. Left alone it raises
   * nothing: the hook has told. Of a thread that was started elsewhere it never settles. To await a daemon's does not
   * keep the process alive, since nobody can see who awaits a property: `join` it first, which does.
   */
  readonly result: Promise<Result>;
  /** The error that ended it, once it has ended with one. */
  readonly error: unknown;
  /** Whether it has been started and has not ended. */
  isAlive(): boolean;
  /**
   * Waits until it has ended, however: true; false where `timeout` ms passed first. Throws `InvalidStateError` before
   * it is started, and in the thread itself, which would wait for ever. The main thread's end is the process's, which
   * nobody sees: from other threads it is joined with a `timeout`, to false, or with a `signal`.
   */
  join(options?: WaitOptions): Promise<boolean>;
  /** `join`, blocking the calling thread. */
  joinSync(options?: BlockingOptions): boolean;
}
