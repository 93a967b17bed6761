/** One job in a host's hands: a task of its thread pool on one side, a BullMQ job on the other. */
import {
  BrokenExecutorError,
  CancelledError,
  HeddleError,
  type Lease,
  TimeoutError,
  UnknownTaskError,
} from '@heddle/primitives';
import { decodeText, now } from '@heddle/primitives/internal';
import { type Job, UnrecoverableError } from 'bullmq';
import { PooledTask } from '../threads/pooled-task.ts';
import type { TaskExtra } from '../threads/protocol.ts';
import { type ChildCall, type HandleForm, heldAs, type SessionCall } from '../threads/session-protocol.ts';
import { checkSize, type JobPayload, LARGEST_INSIDE, packError, packThrown } from './job-form.ts';
import { Lending } from './lending.ts';
import type { SessionParts } from './session-parts.ts';

/** How a job leaves the host. */
export type Ending =
  | { readonly how: 'ok'; readonly text: string }
  | { readonly how: 'error'; readonly error: Error }
  /** Back to the queue, with its attempt not counted. */
  | { readonly how: 'returned' };

/** What a job tells its host while it is there. */
export interface HostDesk {
  progressed(task: HostTask, text: string): void;
  /** Settles once the line stands in Redis, or could not be told. */
  logged(task: HostTask, line: string, context: Record<string, unknown>): Promise<unknown>;
  /** The task submits a job, or has something to do with one that it has submitted. */
  askedOfChild(task: HostTask, call: ChildCall): void;
  /** The task does without its place, or has it back. */
  lent(task: HostTask, place: boolean): void;
  /** The pool is broken: this host can run nothing. */
  broken(error: BrokenExecutorError): void;
}

export class HostTask extends PooledTask {
  readonly job: Job;
  readonly payload: JobPayload;
  readonly since = now();
  /** It was running when the host looked at it; the submitter has been told so. */
  seen = false;
  told = false;
  /** How it leaves the host is decided. */
  over = false;
  readonly ending: Promise<Ending>;
  private readonly desk: HostDesk;
  private readonly end: (ending: Ending) => void;
  private goesBack = false;
  /** It is about to do without its place. */
  parting: NodeJS.Immediate | undefined;
  /** It was aborted, or was too late. */
  givenUp: Error | undefined;
  private readonly parts: SessionParts;
  private lending: Lending | undefined;
  /** It lost what it was to hold while it ran: it fails with this once no thread runs it any more. */
  private doom: Error | undefined;
  private cleared: Promise<void> | undefined;

  constructor(job: Job, payload: JobPayload, desk: HostDesk, parts: SessionParts, ends: number | undefined) {
    super(job.name, job.id ?? '', payload.args, {
      extra: extraOf(job, payload, ends),
      timeout: payload.timeout,
    });
    this.job = job;
    this.payload = payload;
    this.desk = desk;
    this.parts = parts;
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ending = promise;
    this.end = (ending) => {
      this.over = true;
      resolve(ending);
    };
  }

  /** From now on, once no thread runs it any more, it goes back to the queue, whatever it may have ended with. */
  giveBack(): void {
    this.goesBack = true;
    if (this.place === 'gone') this.end({ how: 'returned' });
  }

  settled(ok: boolean, value: unknown): void {
    const text = value as string;
    try {
      if (ok) checkSize(text, 'the result');
      else checkSize(text, 'the error', LARGEST_INSIDE);
      if (ok) this.end({ how: 'ok', text });
      else this.end({ how: 'error', error: thrownFailure(decodeText(text) as Error, text) });
    } catch (error) {
      this.failed(error as Error);
    }
  }

  failed(error: Error): void {
    if (error instanceof BrokenExecutorError) {
      this.giveBack();
      this.desk.broken(error);
      return;
    }
    if (error instanceof CancelledError || error instanceof TimeoutError) this.givenUp = error;
    this.end({ how: 'error', error: bullFailure(error) });
  }

  override released(): void {
    this.cleared = this.lending?.end();
    if (this.goesBack) this.end({ how: 'returned' });
    else if (this.doom !== undefined) this.end({ how: 'error', error: bullFailure(this.doom) });
  }

  /** What it held is given back once this resolves, unless a thread runs it still: then as soon as none does. */
  async clear(): Promise<void> {
    if (this.place !== 'sent') this.released();
    await this.cleared;
  }

  override asked(call: SessionCall): void {
    this.lend().hear(call);
  }

  override askedOfChild(call: ChildCall): void {
    this.desk.askedOfChild(this, call);
  }

  override lent(place: boolean): void {
    this.desk.lent(this, place);
  }

  /** It did nothing to end its thread: it goes back to the queue, to be run again, and finds its children there. */
  override displaced(): boolean {
    this.goesBack = true;
    return true;
  }

  /** It holds this while it runs. */
  hold(lease: Lease, form: HandleForm): void {
    const terms = this.lend().lend(lease, [form]);
    this.extra = { ...(this.extra ?? FIRST), holding: { terms, names: [heldAs(form)] } };
  }

  /** From now on, once no thread runs it any more, it fails with this, whatever it may have ended with. */
  fail(error: Error): void {
    this.doom = error;
  }

  private lend(): Lending {
    this.lending ??= new Lending(this.parts, (news) => this.thread?.tell(news));
    return this.lending;
  }

  retried(): void {}

  progressed(value: unknown): void {
    this.desk.progressed(this, value as string);
  }

  logged(line: string, context: Record<string, unknown> | undefined): Promise<unknown> {
    return this.desk.logged(this, line, context ?? {});
  }
}

/** What a job has that nothing is said of. */
const FIRST: TaskExtra = { attempt: 1, context: undefined, chunk: false, timed: false };

/** An object for each costs more than all else that a thread is sent: most have none. */
function extraOf(job: Job, payload: JobPayload, ends: number | undefined): TaskExtra | undefined {
  const { context, timeout, trace, chunk = false, before = 0 } = payload;
  const attempt = Math.max(1, job.attemptsStarted);
  const given = [context, timeout, trace, ends].some((each) => each !== undefined);
  if (!given && !chunk && attempt === 1 && before === 0) return undefined; // nor has it failed
  const timed = timeout !== undefined;
  const again = chunk && job.attemptsMade + 1 < (job.opts.attempts ?? 1); // as BullMQ decides it
  return { attempt, context, chunk, again, timed, timeout, ends, trace, failures: before + job.attemptsMade };
}

/** Errors of ours of which another attempt would not be rid. */
function isFinal(error: Error): boolean {
  const final = [CancelledError, TimeoutError, UnknownTaskError].some((kind) => error instanceof kind);
  return final || isMalformed(error) || ('code' in error && error.code === 'ERR_HEDDLE_TOO_LARGE');
}

function isMalformed(error: Error): boolean {
  return error instanceof HeddleError && error.code === 'ERR_HEDDLE_MALFORMED_VALUE';
}

const wholeErrors = new WeakMap<Error, string>();

/** The error that BullMQ is given for it: its message and stack readable there, the whole of it within. */
export function bullFailure(error: Error): Error {
  return failureOf(error, isFinal(error), packError(error));
}

/** Of what the task threw: also a TimeoutError of a lock, or a CancelledError of another task, may not come again. */
function thrownFailure(error: Error, text: string): Error {
  return failureOf(error, isMalformed(error), packThrown(error, text));
}

function failureOf(error: Error, final: boolean, stack: string): Error {
  const message = `${error.name}: ${error.message}`; // a name alone may be a word of BullMQ's, which it heeds
  const failure = final ? new UnrecoverableError(message) : new Error(message);
  failure.stack = stack;
  wholeErrors.set(failure, stack);
  return failure;
}

/** The stack that was made for it above, where one was. */
export function wholeError(failure: Error): string | undefined {
  return wholeErrors.get(failure);
}
