/**
 * The submitter's desk: puts jobs in the queue, those of one tick together, and ends their Futures when news of them
 * come. News are hints: what is missed is asked for, after each reconnect and by a slow tick.
 */
import { HeddleError, InvalidStateError, OutcomeUnknownError, SessionClosedError } from '@heddle/primitives';
import { Deadline, decodeText, encodeText, now } from '@heddle/primitives/internal';
import type { ScheduledTask } from '../executor/executor.ts';
import { asFailure, settleFailure } from '../future/failure.ts';
import { type Future, settling } from '../future/future.ts';
import { reportException } from '../future/report-exception.ts';
import type { Admission } from './admission.ts';
import { type CronTerms, checkCron } from './cron.ts';
import { Dispatch, leftOpen } from './dispatch.ts';
import { DyingKeys } from './dying-keys.ts';
import { announceQueue } from './fleet.ts';
import type { JobNews, QueueAddress } from './job-form.ts';
import { JobInbox, type NewsReader } from './job-inbox.ts';
import { type Fetched, JobQueue, type NewJob } from './job-queue.ts';
import { isMark } from './large-texts.ts';
import { asRefusal, refusing } from './refusal.ts';
import type { SessionParts } from './session-parts.ts';
import { Submission, type SubmissionDesk } from './submission.ts';

/** Jobs of others are looked after so often, in ms; one's own, of which news should come, every tenth time. */
const LOOK_EVERY = 500;
const OWN_EVERY = 10;
/** How many jobs are asked after at most in one slow look, and how long they must have been silent for it. */
const LOOK_AT = 500;
const SILENT = 4000;
/** A job that somebody follows may be on its way to Redis: for so long, in ms, it is looked for, and this often. */
const ON_ITS_WAY = 400;
const LOOK_AGAIN = 100;

/** What a job that a task submits has beside others. */
export interface ChildTerms {
  readonly id: string;
  /** It may have been submitted before. */
  readonly again: boolean;
  readonly heard: Submission['heard'];
}

let numbered = 0;

export class Submitter implements NewsReader, SubmissionDesk {
  readonly parts: SessionParts;
  /** Called where the session closes. */
  readonly readers = new Set<() => void>();
  private readonly queue: JobQueue;
  private readonly open = new Map<string, Submission | Set<Submission>>();
  private unfinished = 0;
  private closing = false;
  private readonly whenIdle: (() => void)[] = [];
  private readonly undo: (() => void)[] = [];
  private looks = 0;
  /** Whose results are being fetched piece by piece, and when that is done. */
  private readonly bringing = new Set<Submission>();
  private brought: Promise<void> = Promise.resolve();
  private readonly dispatch: Dispatch;
  private readonly dying: DyingKeys;
  /** Whether results are given as the texts they are. */
  private readonly raw: boolean;

  constructor(
    parts: SessionParts,
    address: QueueAddress,
    name: string,
    { admission, raw = false }: { readonly admission?: Admission | undefined; readonly raw?: boolean } = {},
  ) {
    this.parts = parts;
    this.dying = DyingKeys.of(parts, name);
    this.raw = raw;
    this.queue = new JobQueue(parts, address, () => {}); // a broken connection is not news: it comes back, or the session ends
    this.dispatch = new Dispatch(parts, this.queue, admission, {
      arrived: (submission, id) => this.arrived(submission, id),
      refused: (batch, error) => this.refused(batch, error),
      // What comes from threads comes in a message each, those of a turn before the next immediate.
      soon: raw ? setImmediate : queueMicrotask,
    });
    const inbox = JobInbox.of(parts);
    inbox.news.add(this);
    const look = setInterval(() => this.look(), LOOK_EVERY);
    look.unref();
    this.undo.push(
      () => inbox.news.delete(this),
      () => clearInterval(look),
    );
    announceQueue(parts, name).catch(() => {}); // only a listing
  }

  get bull(): JobQueue['bull'] {
    return this.queue.bull;
  }

  /** Takes a job; it goes to Redis with all others of this tick. @throws InvalidStateError, SessionClosedError */
  submit(
    job: Omit<NewJob, 'opts'> & { readonly opts: Omit<NewJob['opts'], 'jobId'> },
    ttl?: number | undefined,
    child?: ChildTerms,
  ): Submission {
    this.assertOpen();
    numbered += 1;
    const id = child?.id ?? `${this.parts.id}-${numbered.toString(36)}`;
    const whole = { ...job, opts: { ...job.opts, jobId: id } };
    const submission = new Submission(this, id, whole, Deadline.after(ttl), child?.heard);
    // One that may be there already has another to tell of it.
    submission.foreign = child?.again ?? false;
    this.track(submission);
    this.dying.whenFree(submission.key, () => this.dispatch.hold(submission));
    return submission;
  }

  /** Has Redis make such a job again and again. @throws RangeError for a pattern that is none; as `submit` */
  async repeat(
    repeat: { readonly every: number; readonly startDate: number } | CronTerms,
    { name, data, opts }: Omit<NewJob, 'opts'> & { readonly opts: Omit<NewJob['opts'], 'jobId'> },
  ): Promise<ScheduledTask> {
    this.assertOpen();
    if ('pattern' in repeat) checkCron(repeat);
    numbered += 1;
    const id = `${this.parts.id}-s${numbered.toString(36)}`;
    const template = { name, data, opts };
    await this.ask('the schedule', () => this.queue.bull.upsertJobScheduler(id, repeat, template));
    return { id, cancel: () => this.ask('to end the schedule', () => this.queue.endSchedule(id)) };
  }

  /** Ends what was scheduled under this id, here or elsewhere; false: there was nothing. */
  async unschedule(id: string): Promise<boolean> {
    this.assertOpen();
    const end = async () => (await this.queue.endSchedule(id)) || this.queue.cancel(id);
    return this.ask('to end the schedule', end);
  }

  /** A job that is in the queue already. */
  follow(id: string): Submission {
    this.assertOpen();
    const own = this.open.get(id);
    const first = own instanceof Set ? own.values().next().value : own;
    const submission = new Submission(this, id, undefined);
    this.track(submission);
    if (first === undefined || first.state === 'accepted') void this.fetch([submission]);
    else void this.followOnceThere(submission, first);
    return submission;
  }

  /** One of ours that has not arrived yet. */
  private async followOnceThere(submission: Submission, first: Submission): Promise<void> {
    submission.state = 'sent';
    try {
      await first.accepted();
      this.arrived(submission, first.id);
    } catch (error) {
      this.refused([submission], error as Error);
    }
  }

  /** Its time is over, or its signal has aborted: it ends, and with it the job, where that is its own. */
  end(submission: Submission, reason: unknown): Promise<void> {
    return this.dying.while(submission.key, async () => {
      if (submission.state !== 'held') await submission.accepted().catch(() => {});
      if (!submission.joined) await this.tellToEnd(submission, reason);
    });
  }

  abort(submission: Submission, reason: unknown): Promise<void> {
    return this.dying.while(submission.key, () => this.tellToEnd(submission, reason));
  }

  async cancel(submission: Submission): Promise<boolean> {
    if (this.dispatch.takeBack(submission)) return true;
    await submission.accepted();
    return this.ask('to cancel the job', () => this.queue.cancel(submission.id));
  }

  /**
   * What `work` gives, as long as the session is open. What its connection says when that is closed is told as that; and where
   * Redis is away then, nothing may be said of it any more: BullMQ waits for a connection that nobody makes.
   */
  private async ask<R>(what: string, work: () => Promise<R>): Promise<R> {
    const over = () => new SessionClosedError(`${what}: the session is closed; connect() a new one`);
    if (this.parts.closed()) throw over();
    const closed = Promise.withResolvers<never>();
    const forget = this.parts.onClose(() => closed.reject(over()));
    try {
      return await Promise.race([refusing(what, work), closed.promise]);
    } catch (error) {
      throw this.parts.closed() && !(error instanceof HeddleError) ? over() : error;
    } finally {
      forget();
    }
  }

  /** Never rejects. */
  private async tellToEnd(submission: Submission, reason: unknown): Promise<void> {
    if (this.dispatch.takeBack(submission)) return;
    try {
      await submission.accepted();
      await this.queue.abort(submission.id, encodeText(reason, 'reason', { lenient: true }));
    } catch (error) {
      if (!this.parts.closed()) reportException(asRefusal(error, 'to abort the job'));
    }
  }

  unfinishedFutures(): Future<unknown>[] {
    return [...this.submissions()].map((submission) => submission.future);
  }

  /** Refuses new jobs; resolves when all Futures are done and the queue's handle is closed. */
  async close(): Promise<void> {
    this.closing = true;
    if (this.unfinished > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
    for (const undo of this.undo.splice(0)) undo();
    await this.queue.close();
  }

  /** Ends what it does here, whatever is open: nobody waits for it any more. */
  async leave(): Promise<void> {
    this.closing = true;
    for (const undo of this.undo.splice(0)) undo();
    await this.queue.close();
  }

  read([id, what, text]: JobNews): void {
    const some = this.open.get(id);
    if (some === undefined) return;
    this.dispatch.lookForRoom();
    const submissions = some instanceof Set ? [...some] : [some];
    if (what === 'fetch') void this.fetch(submissions);
    else for (const submission of submissions) if (!submission.missing) this.tell(submission, what, text);
  }

  /** @throws SessionClosedError, InvalidStateError after `close`. */
  assertOpen(): void {
    if (this.parts.closed())
      throw new SessionClosedError('submit: the session is closed; connect() a new one');
    if (this.closing) throw new InvalidStateError('the executor has been shut down and takes no new tasks');
  }

  private track(submission: Submission): void {
    this.unfinished += 1;
    this.enlist(submission);
    settling().whenDone(submission.future, () => {
      this.unlist(submission);
      this.unfinished -= 1;
      if (this.unfinished === 0) for (const wake of this.whenIdle.splice(0)) wake();
    });
  }

  private enlist(submission: Submission): void {
    const same = this.open.get(submission.id);
    if (same instanceof Set) same.add(submission);
    // A Set is larger than what it would hold: most ids are one submission's.
    else this.open.set(submission.id, same === undefined ? submission : new Set([same, submission]));
  }

  private unlist(submission: Submission): void {
    const same = this.open.get(submission.id);
    if (same instanceof Set) same.delete(submission);
    if (same === submission || (same instanceof Set && same.size === 0)) this.open.delete(submission.id);
  }

  private arrived(submission: Submission, id: string): void {
    if (id === submission.id || submission.future.done()) return submission.accept(id);
    this.unlist(submission);
    submission.accept(id);
    this.enlist(submission);
    void this.fetch([submission]);
  }

  private refused(batch: readonly Submission[], error: Error): void {
    for (const submission of batch) {
      submission.refuse(error);
      settleFailure(submission.future, asFailure(error));
    }
  }

  private *submissions(): Generator<Submission> {
    for (const some of this.open.values()) {
      if (some instanceof Set) yield* some;
      else yield some;
    }
  }

  private *accepted(): Generator<Submission> {
    for (const submission of this.submissions()) if (submission.state === 'accepted') yield submission;
  }

  private look(): void {
    this.looks += 1;
    const own = this.looks % OWN_EVERY === 0;
    const before = now() - SILENT;
    const some: Submission[] = [];
    for (const submission of this.accepted()) {
      if (submission.foreign || (own && submission.since < before)) some.push(submission);
      if (some.length === LOOK_AT) break;
    }
    // Those that were asked after go to the end of the line.
    for (const submission of some) {
      this.unlist(submission);
      this.enlist(submission);
    }
    if (some.length > 0) void this.fetch(some);
  }

  private async fetch(submissions: readonly Submission[]): Promise<void> {
    try {
      const fetched = await this.queue.fetch(submissions.map((submission) => submission.id));
      for (const [n, submission] of submissions.entries()) {
        const one = fetched[n];
        if (one?.state === 'ok' && isMark(one.text)) void this.fetchLarge(submission, one.text);
        else this.settle(submission, one);
      }
    } catch {
      // Redis is away: the next look asks again.
    }
  }

  /** One after the other: each may be large. */
  private async fetchLarge(submission: Submission, mark: string): Promise<void> {
    if (this.bringing.has(submission)) return;
    this.bringing.add(submission);
    const before = this.brought;
    const bring = async () => {
      await before;
      if (submission.future.done()) return;
      try {
        this.tell(submission, 'ok', await this.queue.result(submission.id, mark));
      } catch (error) {
        if (error instanceof OutcomeUnknownError) settleFailure(submission.future, asFailure(error));
      }
    };
    this.brought = bring().finally(() => this.bringing.delete(submission));
    await this.brought;
  }

  private tell({ future, heard }: Submission, what: JobNews[1], text: string): void {
    if (what === 'running' || what === 'progress') heard?.(what, text);
    if (what === 'running') return settling().running(future);
    if (what === 'pending') return settling().pending(future);
    try {
      if (what === 'ok') settling().result(future, this.raw ? text : decodeText(text));
      else if (what === 'error' || what === 'cancelled')
        settleFailure(future, { what, error: decodeText(text) as Error });
      else if (heard === undefined) settling().progress(future, decodeText(text));
    } catch (error) {
      settling().error(future, error as Error);
    }
  }

  private settle(submission: Submission, fetched: Fetched | undefined): void {
    submission.missing = fetched?.state === 'missing'; // what is told of its id then is another queue's
    if (fetched?.state === 'ok') this.tell(submission, 'ok', fetched.text);
    else if (fetched?.state === 'missing' && submission.foreign && now() - submission.since < ON_ITS_WAY)
      setTimeout(() => submission.future.done() || void this.fetch([submission]), LOOK_AGAIN);
    else if (fetched?.state === 'failed' || fetched?.state === 'missing')
      settleFailure(submission.future, fetched.failure);
    else if (fetched !== undefined) this.tell(submission, fetched.running ? 'running' : 'pending', '');
  }

  askAgain(): void {
    void this.fetch([...this.accepted()]);
  }

  sessionClosed(): void {
    const error = leftOpen();
    for (const submission of [...this.submissions()]) {
      submission.refuse(error);
      settling().error(submission.future, error);
    }
    this.dispatch.lookForRoom();
    for (const undo of this.undo.splice(0)) undo();
    // Not before it counts as closed, which it is about to.
    queueMicrotask(() => {
      for (const tell of [...this.readers]) tell();
    });
  }
}
