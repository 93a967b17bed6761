/** The job around the caller, inside a task. */
import { readFileSync } from 'node:fs';
import { HeddleError, InvalidStateError, type Lease } from '@heddle/primitives';
import { currentLogicalThread, now } from '@heddle/primitives/internal';
import type { Children } from '../executor/children.ts';
import type { AnyTasks, Executor } from '../executor/executor.ts';
import { type JobSession, SessionOfJob } from './job-session.ts';
import type { TaskExtra } from './protocol.ts';
import type { SessionLine } from './session-line.ts';

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
  /** The name of the machine that runs it. */
  readonly host: string;
  /** The name of the thread that runs it. */
  readonly thread: string;
  /**
   * Milliseconds left to it, by its `timeout` and its `ttl`; `Infinity` where it has neither. What it submits has no
   * more than that either.
   */
  remaining(): number;
  /** Sends a value to `future.progress`. @throws NotCloneableError */
  progress(value: unknown): void;
  /** Writes a line to the job's log, with its id, attempt and context. */
  log(line: string): void;
  /**
   * The host's Session, for distributed primitives inside the task, while the job runs: what it acquires is given back
   * when the job is over. @throws HeddleError in a ThreadPoolExecutor, which has none.
   */
  session(): JobSession;
  /** What the job holds while it runs, where it was submitted `with({ holding })`. */
  readonly lease: Lease | undefined;
  /**
   * Submits jobs on behalf of this one, its children, to its own queue or another. While it waits for their Futures it does
   * without its place: its thread runs other jobs meanwhile, so that no number of jobs that wait for children keeps those
   * from being run. Children go before what waits in the queue, since they end what has begun. Where the job is run again
   * because its host ended, what it submits in the same order finds the children there are. When it is aborted, they are.
   * @throws HeddleError in a ThreadPoolExecutor, which has none.
   */
  executor<T = AnyTasks>(queue?: string): Executor<T>;
}

/** What a running job does through its thread. */
export interface JobPort {
  progress(slot: number, value: unknown): void;
  log(slot: number, line: string): void;
  /** To the host's session, where there is one. */
  readonly line: SessionLine | undefined;
  /** What the job in this slot submits, where there is a host. */
  children(slot: number, job: RunningJob, failures: number): Children | undefined;
}

export class RunningJob implements CurrentJob {
  readonly id: string;
  readonly task: string;
  readonly attempt: number;
  readonly host: string;
  readonly thread: string;
  readonly lease: Lease | undefined;
  /** When its time is over, on the monotonic clock. */
  readonly ends: number;
  #ended = false;
  #session: SessionOfJob | undefined;
  #children: Children | undefined;
  readonly #failures: number;
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
    extra: Pick<TaskExtra, 'holding' | 'timeout' | 'ends' | 'failures'> = {},
  ) {
    const { holding, timeout, ends = Number.POSITIVE_INFINITY } = extra;
    this.ends = timeout === undefined ? ends : Math.min(ends, now() + timeout);
    this.id = id;
    this.task = task;
    this.attempt = attempt;
    this.host = place.host;
    this.thread = place.thread;
    this.#slot = slot;
    this.#port = port;
    this.#failures = extra.failures ?? 0;
    this.lease = holding && this.#open().hold(holding.terms, holding.names);
  }

  /** Its task has returned: what still runs on its behalf is stray. */
  get ended(): boolean {
    return this.#ended;
  }

  end(): void {
    this.#ended = true;
    this.#session?.end();
    this.#children?.end();
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
    this.#children?.abort(reason);
  }

  /** Bound, like `log` and `session`: `const { progress, log } = currentJob()` is how tasks like to write it. */
  get progress(): (value: unknown) => void {
    return (value) => {
      if (!this.ended) this.#port.progress(this.#slot, value);
    };
  }

  get remaining(): () => number {
    return () => Math.max(0, this.ends - now());
  }

  get log(): (line: string) => void {
    return (line) => {
      if (!this.ended) this.#port.log(this.#slot, String(line));
    };
  }

  get session(): () => JobSession {
    // Its handles are not of the classes that the type names, but do all that those show.
    return () => this.#open() as unknown as JobSession;
  }

  get executor(): <T>(queue?: string) => Executor<T> {
    return (queue) => {
      this.#children ??= this.#port.children(this.#slot, this, this.#failures);
      if (this.#children === undefined) {
        throw new HeddleError(
          'currentJob().executor(): a ThreadPoolExecutor has none to lend; run the task on a WorkerHost, or make one in the task',
          'ERR_HEDDLE_NO_EXECUTOR',
        );
      }
      if (this.#ended) this.#children.end();
      return this.#children.executor(queue);
    };
  }

  #open(): SessionOfJob {
    if (this.#session !== undefined) return this.#session;
    const { line } = this.#port;
    if (line === undefined) {
      throw new HeddleError(
        'currentJob().session(): a ThreadPoolExecutor has no session to lend; run the task on a WorkerHost, or connect() one in the initializer',
        'ERR_HEDDLE_NO_SESSION',
      );
    }
    this.#session = new SessionOfJob(line, this.#slot);
    if (this.#ended) this.#session.end();
    return this.#session;
  }
}

/** The job around the caller, where there is one. */
export function jobAround(): RunningJob | undefined {
  return currentLogicalThread().job as RunningJob | undefined; // only pools' threads set it
}

/** A time to live, cut to what is left to a job: left out, that around the caller. */
export function withinJob(ttl: number | undefined, job = jobAround()): number | undefined {
  const left = job?.remaining() ?? Number.POSITIVE_INFINITY;
  return left === Number.POSITIVE_INFINITY ? ttl : Math.min(left, ttl ?? left);
}

/** Under which a pool's thread says which copy of this package it is of. */
const COPY = Symbol.for('heddle.pool.copy');

/** For a pool's thread: what it runs may have loaded another copy of this package, and is to be told so. */
export function nameCopy(): void {
  Reflect.set(globalThis, COPY, import.meta.url);
}

/** A copy of this package as people know it: `0.1.0 at file:///…`. Any copy's files lie two folders below its package.json. */
function copyAt(url: string): string {
  try {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', url), 'utf8'));
    return `${version} at ${url}`;
  } catch {
    return `of unknown version at ${url}`; // bundled, or laid out as no copy is today
  }
}

/**
 * The job that the caller runs in.
 * @throws InvalidStateError outside a task, and of another copy of this package than the one that runs it.
 */
export function currentJob(): CurrentJob {
  const job = jobAround();
  if (job === undefined) throw new InvalidStateError(`currentJob(): ${whyNoJob()}`);
  return job;
}

function whyNoJob(): string {
  const running: unknown = Reflect.get(globalThis, COPY);
  return running === undefined || running === import.meta.url
    ? 'there is no job here; it is for code that an executor runs as a task'
    : `this is another copy of @heddle/pool (${copyAt(import.meta.url)}) than the one that runs the task (${copyAt(String(running))}), and knows of no job; have both find the same`;
}
