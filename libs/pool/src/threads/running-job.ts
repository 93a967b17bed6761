/** The job around the caller, inside a task. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { HeddleError, InvalidStateError } from '@heddle/primitives';
import type { Session } from '@heddle/primitives/distributed';

/** What a task can know of, and say about, the job it runs. */
export interface CurrentJob {
  /** The id of the job: `future.id` on the submitter's side. The same in every attempt. */
  readonly id: string;
  /** The name of the task: the export that was called. */
  readonly task: string;
  /** 1 the first time. Above 1 the task may have run before, wholly or in part: execution is at least once. */
  readonly attempt: number;
  /** Aborts on `future.abort()`, on a time-out and when the host shuts down: end soon, or the thread is ended. */
  readonly signal: AbortSignal;
  /** The name of the host that runs it, and of the thread in it. */
  readonly host: string;
  readonly thread: string;
  /** Sends a value to `future.progress`. @throws NotCloneableError */
  progress(value: unknown): void;
  /** Writes a line to the job's log, with its id, attempt and context. */
  log(line: string): void;
  /** The host's Session, for distributed primitives inside the task. */
  session(): Session;
}

/** What a running job does through its thread. */
export interface JobPort {
  progress(slot: number, value: unknown): void;
  log(slot: number, line: string): void;
}

export class RunningJob implements CurrentJob {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly host: string;
  readonly thread: string;
  /** Its task has returned: what still runs on its behalf is stray. */
  ended = false;
  readonly #slot: number;
  readonly #port: JobPort;
  #controller: AbortController | undefined;

  constructor(
    id: string,
    task: string,
    attempt: number,
    place: { host: string; thread: string },
    slot: number,
    port: JobPort,
  ) {
    this.id = id;
    this.task = task;
    this.attempt = attempt;
    this.host = place.host;
    this.thread = place.thread;
    this.#slot = slot;
    this.#port = port;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }

  /** Bound, like `log` and `session`: `const { progress, log } = currentJob()` is how tasks like to write it. */
  get progress(): (value: unknown) => void {
    return (value) => {
      if (!this.ended) this.#port.progress(this.#slot, value);
    };
  }

  get log(): (line: string) => void {
    return (line) => {
      if (!this.ended) this.#port.log(this.#slot, String(line));
    };
  }

  session(): Session {
    throw new HeddleError(
      "currentJob().session(): the host's session does not reach its threads in this version; connect() one in the task module's initializer and close it when the process exits",
      'ERR_HEDDLE_NOT_BUILT',
    );
  }
}

export const jobs = new AsyncLocalStorage<RunningJob>();

/**
 * The job that the caller runs in.
 * @throws InvalidStateError outside a task.
 */
export function currentJob(): CurrentJob {
  const job = jobs.getStore();
  if (job === undefined) {
    throw new InvalidStateError(
      'currentJob(): there is no job here; it is for code that an executor runs as a task',
    );
  }
  return job;
}
