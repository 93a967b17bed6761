/** One task in a pool's hands. */
import type { TaskExtra } from './protocol.ts';
import type { ChildCall, ChildNews, SessionCall, SessionNews } from './session-protocol.ts';

/** How long to wait before a failed task is run again: that many ms, or each time twice as long. */
export type Backoff =
  | number
  | {
      readonly type: 'fixed' | 'exponential';
      /** Milliseconds (the first time). */
      readonly delay: number;
      /** 0 to 1: which part of the delay is random (default 0). */
      readonly jitter?: number | undefined;
    };

/**
 * Where it is: `delayed` → `waiting` in the pool → `sent` to a thread (which may have begun it: the claim words tell) → `gone`.
 * A task that its host has not submitted yet, because it waits for what the task is to hold, is `gone` too.
 * A task taken back from a thread, or one whose thread crashed and that is to be run again, is `waiting` once more.
 */
export type Place = 'delayed' | 'waiting' | 'sent' | 'gone';

/** What a task's keeper asks of the thread that the task was sent to. */
export interface SentTo {
  /** How many of its tasks were given up and have not ended. */
  hanging: number;
  revoke(task: PooledTask): boolean;
  isRunning(task: PooledTask): boolean;
  /** What its host's session has to say to a task. */
  tell(news: SessionNews): void;
  tellOfChild(news: ChildNews): void;
}

export abstract class PooledTask {
  readonly name: string;
  /** For the thread: a number stands for `local:<number>`. */
  readonly jobId: number | string;
  /** In the pool's codec. */
  args: unknown;
  extra: TaskExtra | undefined;
  /** Objects in `args` to be transferred. */
  transfer: readonly object[] | undefined;
  /** Lower first, as in BullMQ; first in, first out among equals. */
  readonly priority: number;
  /** Milliseconds that one attempt may take; `undefined`: for ever. */
  readonly timeout: number | undefined;
  /** How often it may still be run again, after an error or a crash of its thread. */
  retriesLeft: number;
  readonly backoff: Backoff;

  // The pool's own notes.
  place: Place = 'waiting';
  thread: SentTo | undefined;
  slot = -1;
  sentAs = 0;
  /** Its outcome is wanted by nobody any more: it was aborted, or has timed out. */
  abandoned = false;
  /** It was abandoned, and its time to end has passed, too. */
  overdue = false;
  stopClock: (() => void) | undefined;
  /** It waits for its children, and its thread runs another task in its place. */
  lends = false;

  constructor(
    name: string,
    jobId: number | string,
    args: unknown,
    options: {
      readonly extra?: TaskExtra | undefined;
      readonly transfer?: readonly object[] | undefined;
      readonly priority?: number | undefined;
      readonly timeout?: number | undefined;
      readonly retries?: number | undefined;
      readonly backoff?: Backoff | undefined;
    },
  ) {
    this.name = name;
    this.jobId = jobId;
    this.args = args;
    this.extra = options.extra;
    this.transfer = options.transfer;
    this.priority = options.priority ?? 0;
    this.timeout = options.timeout;
    this.retriesLeft = options.retries ?? 0;
    this.backoff = options.backoff ?? 0;
  }

  /** Makes it ready to be run once more; gives back how many ms to wait before. */
  prepareRetry(): number {
    this.retriesLeft -= 1;
    const before = this.nextAttempt();
    if (typeof this.backoff === 'number') return this.backoff;
    const { type, delay, jitter = 0 } = this.backoff;
    const full = type === 'fixed' ? delay : delay * 2 ** (before - 1);
    return full * (1 - jitter * Math.random());
  }

  /** It may have run before; gives back the number of the attempt that was. */
  nextAttempt(): number {
    const extra = this.extra ?? { attempt: 1, context: undefined, chunk: false, timed: false };
    const again = extra.again === true && this.retriesLeft > 0;
    this.extra = { ...extra, attempt: extra.attempt + 1, again };
    return extra.attempt;
  }

  /** The thread's outcome, in the pool's codec. */
  abstract settled(ok: boolean, value: unknown): void;
  /** It has no outcome and will have none: its thread crashed, it took too long, the pool is broken. */
  abstract failed(error: Error): void;
  /** The pool has nothing to do with it any more: it was taken back, or no thread runs it any longer. */
  released(): void {}
  /** The task calls its host's session. */
  asked(_call: SessionCall): void {}
  /** The task submits a job, or has something to do with one that it has submitted. */
  askedOfChild(_call: ChildCall): void {}
  /** The task has lent its place, or has it back. */
  lent(_place: boolean): void {}
  /** Its thread ended under it by the fault of another task. True: it sees to itself; else the pool begins it again. */
  displaced(): boolean {
    return false;
  }
  /** What the task told of itself while it ran. */
  abstract progressed(value: unknown): void;
  /** It goes back to the queue, to be run once more. */
  abstract retried(): void;
  /** Gives what settles once the line is where it is to be, where that takes its time. Never rejects. */
  abstract logged(line: string, context: Record<string, unknown> | undefined): Promise<unknown> | undefined;
}
