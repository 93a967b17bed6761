/** A task of this process's threads: what travels with it, and what becomes of it. */
import { Deadline, fromPortable, show, toPortable, typeError } from '@heddle/primitives/internal';
import { captureContext } from '../context/context-var.ts';
import { captureTrace } from '../context/trace-context.ts';
import { type Future, type FutureSource, makeFuture, settling } from '../future/future.ts';
import { callUser, reportException } from '../future/report-exception.ts';
import { PooledTask } from '../threads/pooled-task.ts';
import { attach, share } from '../threads/sharing.ts';
import type { ThreadPool } from '../threads/thread-pool.ts';
import type { Call } from './executor.ts';
import type { TaskLog, ThreadPoolOptions } from './thread-pool.options.ts';

let submitted = 0;

/** One task, as this process holds it: its Future on one side, a task of the pool on the other. */
export class LocalTask extends PooledTask implements FutureSource {
  readonly future: Future<unknown>;
  private readonly pool: ThreadPool;
  private readonly onLog: ((entry: TaskLog) => void) | undefined;

  constructor(pool: ThreadPool, call: Call, parcel: Parcel, defaults: ThreadPoolOptions) {
    const { options, chunk } = call;
    const timeout = options.timeout ?? defaults.taskTimeout;
    const { args, transfer, context, trace } = parcel;
    const { ttl, retries = defaults.retries ?? 0 } = options;
    const plain = (timeout ?? context ?? trace ?? ttl) === undefined && !chunk;
    submitted += 1;
    super(call.task, submitted, args, {
      extra: plain
        ? undefined
        : {
            attempt: 1,
            context,
            chunk,
            again: chunk && retries > 0 && transfer === undefined,
            timed: timeout !== undefined,
            timeout,
            trace,
            ends: ttl === undefined ? undefined : Deadline.after(ttl).at,
          },
      transfer,
      priority: options.priority,
      timeout,
      retries,
      backoff: options.backoff,
    });
    this.pool = pool;
    this.onLog = defaults.onLog;
    this.future = makeFuture<unknown>(this);
  }

  get id(): string {
    return `local:${this.jobId}`;
  }

  async accepted(): Promise<void> {}

  async cancel(): Promise<boolean> {
    return this.pool.cancel(this);
  }

  async abort(reason: unknown): Promise<void> {
    this.pool.abort(this, reason);
  }

  isRunning(): boolean {
    return this.pool.isRunning(this);
  }

  settled(ok: boolean, value: unknown): void {
    let decoded: unknown;
    try {
      decoded = fromPortable(value, { attach });
    } catch (error) {
      return this.failed(error as Error);
    }
    if (ok) settling().result(this.future, decoded);
    else settling().error(this.future, decoded as Error);
  }

  failed(error: Error): void {
    settling().error(this.future, error);
  }

  retried(): void {
    settling().pending(this.future);
  }

  progressed(value: unknown): void {
    settling().progress(this.future, fromPortable(value, { attach }));
  }

  logged(line: string, context: Record<string, unknown> | undefined): undefined {
    const entry = {
      job: this.id,
      task: this.name,
      attempt: this.extra?.attempt ?? 1,
      line,
      context: context ?? {},
    };
    callUser(this.onLog ?? printLine, reportException, entry);
  }
}

function printLine({ job, task, attempt, line }: TaskLog): void {
  console.log(`[${job} ${task} #${attempt}] ${line}`);
}

/** What travels with a task, as it was at the call. */
export interface Parcel {
  readonly args: unknown;
  readonly transfer: readonly object[] | undefined;
  readonly context: unknown;
  readonly trace: Readonly<Record<string, string>> | undefined;
}

/** @throws NotCloneableError, TypeError for what can't go to another thread; nothing is taken from the caller then. */
export function pack({ args, options }: Call): Parcel {
  const captured = captureContext();
  const context = captured === undefined ? undefined : toPortable(captured, 'context', { share });
  const [own, transfer] = ownArguments(args, options.transfer);
  return { args: own, transfer, context, trace: captureTrace() };
}

/** The arguments as they are now; what is to be transferred is taken from the caller at once. */
function ownArguments(
  args: readonly unknown[],
  transfer: readonly object[] | undefined,
): [args: unknown, transfer: readonly object[] | undefined] {
  if (transfer === undefined || transfer.length === 0)
    return [toPortable(args, 'args', { share }), undefined];
  checkTransfer(transfer);
  const portable = toPortable(args, 'args', { share, transfer: new Set(transfer) });
  try {
    const taken = structuredClone({ portable, transfer }, { transfer: transfer as ArrayBuffer[] });
    return [taken.portable, taken.transfer];
  } catch (error) {
    throw typeError(`transfer: not all of it can be transferred: ${(error as Error).message}`);
  }
}

function checkTransfer(transfer: readonly unknown[]): void {
  for (const [at, each] of transfer.entries()) {
    if (each === null || typeof each !== 'object')
      throw typeError(`transfer[${at}] must be a transferable object, not ${show(each)}`);
    if (transfer.indexOf(each) < at) throw typeError(`transfer[${at}] stands there twice`);
    if (each instanceof ArrayBuffer && each.detached)
      throw typeError(`transfer[${at}] was transferred before, and nothing is left of it`);
  }
}
