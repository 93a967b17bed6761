/**
 * What a task submits through its host: `currentJob().executor()`. The thread encodes arguments and decodes outcomes; the
 * host's main thread passes texts on. As long as the task waits for one of its children, it lends its place.
 */
import { createHash } from 'node:crypto';
import { CancelledError, HeddleError, InvalidStateError, SessionClosedError } from '@heddle/primitives';
import { decodeText, encodeText, onAbort } from '@heddle/primitives/internal';
import { aborted, cancelledUnbegun } from '../future/cancelled.ts';
import { asFailure, type Failure, settleFailure } from '../future/failure.ts';
import { type Future, type FutureSource, makeFuture, settling } from '../future/future.ts';
import { checkName } from '../primitive-name.ts';
import type { ChildCall, ChildNews } from '../threads/session-protocol.ts';
import { type CallJob, jobOfCall, KEEP } from './call-job.ts';
import { checkSubmitOptions } from './check-options.ts';
import type { Call, Executor, ExecutorCore, Reader, ScheduledTask } from './executor.ts';
import { ExecutorFront } from './executor-front.ts';

/** What the thread does for the children of one of its jobs. */
export interface Household {
  /** A number for the next child of this family. */
  number(family: Children): number;
  forget(child: number): void;
  tell(calls: readonly ChildCall[]): void;
  /** The job does without its place, or has it back. */
  lend(place: boolean): void;
  /** A time to live, cut to what is left to the job. */
  withinJob(ttl: number | undefined): number | undefined;
}

/** All children of one job. */
export class Children {
  readonly #household: Household;
  readonly #session: string;
  readonly #parent: string;
  readonly #living = new Map<number, Child>();
  readonly #awaited = new Set<Child>();
  /** Of all its executors. */
  readonly readers = new Set<Reader>();
  #born = 0;
  #over: Error | undefined;
  /** What is to be told with the end of this turn, in one message: siblings go to Redis together. */
  #unsaid: ChildCall[] = [];

  /** @param parent the job's id, and how often it has failed: children of an attempt are not those of the next */
  constructor(parent: string, session: string, household: Household) {
    this.#parent = parent;
    this.#session = session;
    this.#household = household;
  }

  executor<T>(queue: string | undefined): Executor<T> {
    if (queue !== undefined) checkName(queue, 'currentJob().executor: queue');
    return new ChildExecutor<T>(this, queue);
  }

  /** @throws SessionClosedError once the job is over. */
  assertOpen(): void {
    if (this.#over !== undefined) throw this.#over;
  }

  submit(call: Call, queue: string | undefined): Child {
    this.assertOpen();
    const job = jobOfCall(call, this.#session, KEEP);
    const number = this.#household.number(this);
    this.#born += 1;
    const id = `${this.#parent}.${this.#born}.${digest(job)}`.replaceAll(':', '_'); // BullMQ takes no colons
    const child = new Child(number, id, this);
    this.#living.set(number, child);
    const ttl = this.#household.withinJob(call.options.ttl);
    const { name, data, opts } = inFront(job, queue);
    this.#say({ child: number, submit: { name, data, opts, queue, ttl, id } });
    const { signal } = call.options;
    if (signal !== undefined) child.heed(signal);
    return child;
  }

  ask(call: ChildCall): void {
    if (this.#over === undefined) this.#say(call);
  }

  #say(call: ChildCall): void {
    this.#unsaid.push(call);
    if (this.#unsaid.length === 1) queueMicrotask(() => this.#speak());
  }

  #speak(): void {
    if (this.#unsaid.length > 0) this.#household.tell(this.#unsaid);
    this.#unsaid = [];
  }

  hear(news: ChildNews): void {
    this.#living.get(news.child)?.hear(news);
  }

  awaits(child: Child): void {
    if (!this.#living.has(child.number)) return;
    this.#awaited.add(child);
    if (this.#awaited.size === 1) this.#household.lend(true);
  }

  done(child: Child): void {
    this.#living.delete(child.number);
    this.#household.forget(child.number);
    child.unheed();
    child.over();
    if (this.#awaited.delete(child) && this.#awaited.size === 0) this.#household.lend(false);
  }

  /** The job is aborted, and so are its children, by the host: what it waits for here is over. */
  abort(reason: unknown): void {
    this.#leave(new CancelledError('the job that submitted the task was aborted', { cause: reason }));
  }

  /** The job is over: its children go on without it. */
  end(): void {
    this.#over = new SessionClosedError(
      'the job that submitted the task is over; executor.future(id) finds the task elsewhere',
    );
    this.#leave(this.#over);
    this.#speak();
  }

  #leave(error: Error): void {
    for (const child of [...this.#living.values()]) child.end(error);
    for (const tell of [...this.readers]) tell(error);
  }
}

/** One job that a task has submitted. */
class Child implements FutureSource {
  readonly number: number;
  readonly future: Future<unknown>;
  readonly #family: Children;
  readonly #arrival = Promise.withResolvers<void>();
  /** Takes its listener off the signal it was submitted with. */
  unheed: () => void = () => {};
  /** Called once it is done. */
  over: () => void = () => {};
  #id: string;
  #cancelling: PromiseWithResolvers<boolean> | undefined;

  constructor(number: number, id: string, family: Children) {
    this.number = number;
    this.#id = id;
    this.#family = family;
    this.#arrival.promise.catch(() => {}); // told by the Future too
    this.future = makeFuture<unknown>(this);
  }

  get id(): string {
    return this.#id;
  }

  accepted(): Promise<void> {
    return this.#arrival.promise;
  }

  awaited(): void {
    this.#family.awaits(this);
  }

  async cancel(): Promise<boolean> {
    if (this.#cancelling === undefined) {
      this.#cancelling = Promise.withResolvers();
      this.#family.ask({ child: this.number, cancel: true });
    }
    const cancelled = await this.#cancelling.promise;
    this.#cancelling = undefined;
    if (cancelled) this.end(cancelledUnbegun());
    return cancelled;
  }

  async abort(reason: unknown): Promise<void> {
    this.#family.ask({ child: this.number, abort: encodeText(reason, 'reason', { lenient: true }) });
    this.#arrival.reject(aborted(reason));
    this.#done();
  }

  heed(signal: AbortSignal): void {
    const abort = () => {
      if (this.future.done()) return;
      const reason = encodeText(signal.reason, 'reason', { lenient: true });
      this.#family.ask({ child: this.number, leave: reason });
      this.end(aborted(signal.reason));
    };
    if (signal.aborted) return abort();
    this.unheed = onAbort(signal, abort);
  }

  hear(news: ChildNews): void {
    if ('accepted' in news) {
      this.#id = news.accepted;
      this.#arrival.resolve();
    } else if ('cancelled' in news) this.#cancelling?.resolve(news.cancelled);
    else if (news.what === 'running') settling().running(this.future);
    else this.#told(news.what, news.text);
  }

  /** It has no outcome here. */
  end(error: Error): void {
    this.#fail(asFailure(error));
  }

  #fail(failure: Failure): void {
    this.#arrival.reject(failure.error);
    settleFailure(this.future, failure);
    this.#done();
  }

  /** What its host still has to say of it is heard by nobody: also not whether it could be cancelled. */
  #done(): void {
    this.#cancelling?.resolve(false);
    this.#family.done(this);
  }

  #told(what: 'ok' | 'error' | 'cancelled' | 'progress', text: string): void {
    try {
      const value = decodeText(text);
      if (what === 'error' || what === 'cancelled') return this.#fail({ what, error: value as Error });
      if (what === 'progress') return settling().progress(this.future, value);
      this.#arrival.resolve();
      settling().result(this.future, value);
      this.#done();
    } catch (error) {
      this.end(error as Error);
    }
  }
}

class ChildExecutor<T> extends ExecutorFront<T> {
  constructor(family: Children, queue: string | undefined) {
    super(new ChildCore(family, queue), {});
  }
}

/** Those of one of its executors. */
class ChildReaders extends Set<Reader> {
  readonly #family: Children;

  constructor(family: Children) {
    super();
    this.#family = family;
  }

  override add(reader: Reader): this {
    this.#family.readers.add(reader);
    return super.add(reader);
  }

  override delete(reader: Reader): boolean {
    this.#family.readers.delete(reader);
    return super.delete(reader);
  }
}

class ChildCore implements ExecutorCore {
  readonly parallelism = 16;
  readonly readers: Set<Reader>;
  readonly #family: Children;
  readonly #queue: string | undefined;
  readonly #open = new Set<Future<unknown>>();
  #closed = false;

  constructor(family: Children, queue: string | undefined) {
    this.#family = family;
    this.#queue = queue;
    this.readers = new ChildReaders(family);
  }

  assertOpen(): void {
    this.#family.assertOpen();
    if (this.#closed) throw new InvalidStateError('the executor has been shut down and takes no new tasks');
  }

  submit(call: Call): Future<unknown> {
    this.assertOpen();
    checkSubmitOptions(call.options, 'submit');
    const child = this.#family.submit(call, this.#queue);
    const { future } = child;
    child.over = () => this.#open.delete(future);
    if (!future.done()) this.#open.add(future);
    return future;
  }

  async schedule(): Promise<ScheduledTask> {
    throw new HeddleError(
      "currentJob().executor(): a task's children are not scheduled; make a DistributedExecutor for that, or use with({ delay })",
      'ERR_HEDDLE_NOT_SUPPORTED',
    );
  }

  async shutdown({ wait, cancelFutures }: { wait: boolean; cancelFutures: boolean }): Promise<void> {
    this.#closed = true;
    const open = [...this.#open].filter((future) => !future.done());
    if (cancelFutures) await Promise.all(open.map((future) => future.cancel()));
    if (wait) await Promise.allSettled(open);
  }
}

/** In front of the queue, where it is the parent's own and no order was asked for. */
function inFront(job: CallJob, queue: string | undefined): CallJob {
  const { priority, delay } = job.opts;
  if (queue !== undefined || priority !== undefined || delay !== undefined) return job;
  return { ...job, opts: { ...job.opts, lifo: true } };
}

function digest({ name, data }: CallJob): string {
  return createHash('sha1').update(`${name} ${data.args}`).digest('base64url').slice(0, 12);
}
