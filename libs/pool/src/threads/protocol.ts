/**
 * What a pool and its threads say to each other. What one tick brings goes in one message each way: a flat array,
 * because that is clearly cheaper to clone than an object, or an array, a task.
 */
import type { MessagePort } from 'node:worker_threads';
import type { OutputStream } from './output.ts';
import type {
  ChildCall,
  ChildNews,
  Holding,
  SessionCall,
  SessionIdentity,
  SessionNews,
} from './session-protocol.ts';

/** How values are written: as portable values between threads, as text where Redis is at the other end. */
export type Codec = 'portable' | 'text';

/** What a thread is told when it starts. */
export interface Boot {
  readonly port: MessagePort;
  readonly claims: SharedArrayBuffer;
  readonly bell: SharedArrayBuffer;
  readonly module: string;
  readonly codec: Codec;
  readonly name: string;
  /** Tasks at once in this thread; more than one helps only those that wait. */
  readonly concurrency: number;
  readonly initializer: string | undefined;
  /** Portable. */
  readonly initargs: unknown;
  /** Which machine this is, for `currentJob().host`. */
  readonly host: string;
  /** The host's session, where tasks may use it. */
  readonly session: SessionIdentity | undefined;
  /** What it tells of while its tasks run goes through this flow. */
  readonly flow: SharedArrayBuffer;
  /** What it prints is told of, rather than printed. */
  readonly tellsOutput: boolean;
}

/**
 * `slot, task, id, extra, count` of each task, and so many arguments: those that need no decoding stand in the batch
 * itself, since an array for each task costs more than all else in it. `WHOLE`: one entry follows, all arguments encoded.
 */
export const TASK_HEAD = 5;
export const WHOLE = -1;

/** What most tasks don't have. */
export interface TaskExtra {
  readonly attempt: number;
  /** Propagating context variables, in the pool's codec. */
  readonly context: unknown;
  /** `args` is one array of inputs; the task is called with each. */
  readonly chunk: boolean;
  /** Of a chunk: where it fails in this attempt, another comes. */
  readonly again?: boolean | undefined;
  /** Tell when it begins: somebody counts its time. */
  readonly timed: boolean;
  readonly holding?: Holding | undefined;
  /** Milliseconds that this attempt may run, from its beginning. */
  readonly timeout?: number | undefined;
  /** When its time to live ends, on the monotonic clock of the process. */
  readonly ends?: number | undefined;
  /** How often it has failed before. */
  readonly failures?: number | undefined;
  readonly trace?: Readonly<Record<string, string>> | undefined;
}

/** Pool to thread, beside batches of tasks. */
export type Order =
  | { readonly abort: number; readonly reason: unknown }
  | { readonly close: true }
  /** Say that your event loop turns. */
  | { readonly ping: true }
  | { readonly session: SessionNews }
  | { readonly news: ChildNews };

/** `slot, status, value` of each outcome; one last entry: how many milliseconds the thread was busy with them. */
export const OUTCOME_STRIDE = 3;

export const OK = 0;
export const FAILED = 1;
/** Taken back before it began. */
export const PASSED_OVER = 2;
/** Not an outcome yet: a timed task begins. */
export const BEGUN = 3;

/** What a thread did when it could not start; `start`: it ended without saying. */
export type Stage = 'import' | 'initializer' | 'start';

/** Thread to pool, beside batches of outcomes. Errors are portable in either codec. */
export type Notice =
  | { readonly ready: readonly string[] }
  | { readonly broken: unknown; readonly stage: Exclude<Stage, 'start'> }
  | { readonly progress: number; readonly value: unknown }
  | { readonly log: number; readonly line: string; readonly context: unknown }
  /** A task's call of the host's session, by its slot. */
  | { readonly ask: number; readonly call: SessionCall }
  /** A task has something to say of jobs that it submits, or has submitted. */
  | { readonly parent: number; readonly calls: readonly ChildCall[] }
  /** A task waits for its children and does without its place, or wants it back. */
  | { readonly lends: number; readonly place: boolean }
  | { readonly pong: true }
  | Printed
  | { readonly stray: unknown };

/** What was printed, and on behalf of which job. It may have ended, and its slot be another's. */
export interface Printed {
  readonly printed: string;
  readonly stream: OutputStream;
  readonly by: { readonly job: string; readonly task: string; readonly attempt: number } | undefined;
  readonly context: unknown;
}

/** A chunk's outcome: the results up to the first error, and that error. */
export interface ChunkOutcome {
  readonly values: readonly unknown[];
  readonly error?: Error;
}
