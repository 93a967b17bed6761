/**
 * The submitter's desk: puts jobs in the queue, those of one tick together, and ends their Futures when news of them
 * come. News are hints: what is missed is asked for, after each reconnect and by a slow tick.
 */
import {
  CancelledError,
  InvalidStateError,
  OutcomeUnknownError,
  QueueFullError,
  SessionClosedError,
} from '@heddle/primitives';
import { Deadline, decodeText, encodeText } from '@heddle/primitives/internal';
import type { ScheduledTask } from '../executor/executor.ts';
import { type Future, settling } from '../future/future.ts';
import { reportException } from '../future/report-exception.ts';
import { type Admission, Pause } from './admission.ts';
import { checkCron } from './cron.ts';
import { announceQueue } from './fleet.ts';
import type { JobNews, QueueAddress } from './job-form.ts';
import { JobInbox, type NewsReader } from './job-inbox.ts';
import { type Fetched, JobQueue, type NewJob } from './job-queue.ts';
import { isMark, LARGEST_IN_JOB } from './large-texts.ts';
import type { SessionParts } from './session-parts.ts';
import { Submission, type SubmissionDesk } from './submission.ts';

/** Jobs of others are looked after so often, in ms; one's own, of which news should come, every tenth time. */
const LOOK_EVERY = 500;
const OWN_EVERY = 10;
/** How many jobs are asked after at most in one slow look, and how long they must have been silent for it. */
const LOOK_AT = 500;
const SILENT = 4000;
/** Waits between attempts to put jobs in the queue while Redis is away, in ms. */
const RETRY_FIRST = 100;
const RETRY_LAST = 2000;

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
  private readonly queue: JobQueue;
  private readonly open = new Map<string, Submission | Set<Submission>>();
  private held: Submission[] = [];
  private unfinished = 0;
  private closing = false;
  private readonly whenIdle: (() => void)[] = [];
  private readonly undo: (() => void)[] = [];
  private looks = 0;
  /** Whose results are being fetched piece by piece, and when that is done. */
  private readonly bringing = new Set<Submission>();
  private brought: Promise<void> = Promise.resolve();

  private readonly admission: Admission | undefined;
  private readonly pause = new Pause();
  private admitting = false;

  /** Whether results are given as the texts they are. */
  private readonly raw: boolean;

  constructor(
    parts: SessionParts,
    address: QueueAddress,
    name: string,
    { admission, raw = false }: { readonly admission?: Admission | undefined; readonly raw?: boolean } = {},
  ) {
    this.parts = parts;
    this.admission = admission;
    this.raw = raw;
    this.queue = new JobQueue(parts, address, () => {}); // a broken connection is not news: it comes back, or the session ends
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
    this.held.push(submission);
    // What comes from threads comes in a message each, those of a turn before the next immediate.
    if (this.held.length === 1) (this.raw ? setImmediate : queueMicrotask)(() => this.sendHeld());
    return submission;
  }

  /** Has Redis make such a job again and again. @throws RangeError for a pattern that is none; as `submit` */
  async repeat(
    repeat: { readonly every?: number; readonly pattern?: string; readonly startDate: number },
    { name, data, opts }: Omit<NewJob, 'opts'> & { readonly opts: Omit<NewJob['opts'], 'jobId'> },
  ): Promise<ScheduledTask> {
    this.assertOpen();
    if (repeat.pattern !== undefined) checkCron(repeat.pattern, repeat.startDate);
    numbered += 1;
    const id = `${this.parts.id}-s${numbered.toString(36)}`;
    await this.queue.bull.upsertJobScheduler(id, repeat, { name, data, opts });
    return { id, cancel: () => this.queue.bull.removeJobScheduler(id) };
  }

  /** Ends what was scheduled under this id, here or elsewhere; false: there was nothing. */
  async unschedule(id: string): Promise<boolean> {
    this.assertOpen();
    return (await this.queue.bull.removeJobScheduler(id)) || this.queue.cancel(id);
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
  async end(submission: Submission, reason: unknown): Promise<void> {
    if (submission.state !== 'held') await submission.accepted().catch(() => {});
    if (!submission.joined) await this.abort(submission, reason);
  }

  async cancel(submission: Submission): Promise<boolean> {
    if (this.takeBack(submission)) return true;
    await submission.accepted();
    return this.queue.cancel(submission.id);
  }

  async abort(submission: Submission, reason: unknown): Promise<void> {
    if (this.takeBack(submission)) return;
    try {
      await submission.accepted();
      await this.queue.abort(submission.id, encodeText(reason, 'reason', { lenient: true }));
    } catch (error) {
      if (!this.parts.closed()) reportException(error);
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

  read([id, what, text]: JobNews): boolean {
    const some = this.open.get(id);
    if (some === undefined) return false;
    this.pause.cut();
    const submissions = some instanceof Set ? [...some] : [some];
    if (what === 'fetch') void this.fetch(submissions);
    else for (const submission of submissions) this.tell(submission, what, text);
    return true;
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

  /** It has not left yet, and will not. */
  private takeBack(submission: Submission): boolean {
    if (submission.state !== 'held') return submission.state === 'refused';
    this.held.splice(this.held.indexOf(submission), 1);
    submission.refuse(new CancelledError('the task was cancelled before it was sent'));
    return true;
  }

  private sendHeld(): void {
    if (this.admission !== undefined) return void this.admit(this.admission);
    const batch = this.held;
    this.held = [];
    if (batch.length > 0) void this.send(batch);
  }

  /** Sends what is held, in order, as there is room for it. */
  private async admit({ maxPending, whenFull }: Admission): Promise<void> {
    if (this.admitting) return;
    this.admitting = true;
    while (this.held.length > 0 && !this.parts.closed()) {
      const room = await this.queue.room(this.held.length, maxPending).catch(() => undefined);
      const batch = this.held.splice(0, room?.granted ?? 0);
      if (whenFull === 'refuse' && room !== undefined) {
        const full = `the queue has ${maxPending} jobs that wait to be begun, and takes no more; submit later, or let submit wait`;
        this.refused(this.held.splice(0), new QueueFullError(full));
      }
      if (batch.length > 0) await this.send(batch);
      room?.put();
      if (batch.length === 0 && this.held.length > 0) await this.pause.take();
    }
    this.admitting = false;
  }

  /** A repeated attempt puts no job in twice: they go by their ids. */
  private async send(batch: readonly Submission[]): Promise<void> {
    for (const submission of batch) submission.state = 'sent';
    // Of those that go in front of all others the last comes first.
    const line = batch.some(({ job }) => job?.opts.lifo === true) ? batch.toReversed() : batch;
    const large = new Set(
      line.filter(({ job }) => job !== undefined && job.data.args.length > LARGEST_IN_JOB),
    );
    let loaded = [...large];
    let ids: string[] = [];
    const mortal = batch.some(({ life }) => life !== Deadline.never);
    const failure = await this.insist(async () => {
      for (const submission of loaded) submission.job = await this.queue.lighten(submission.job as NewJob);
      loaded = [];
      if (mortal) await this.parts.clock.keep();
      ids = await this.queue.add(line.map((submission) => this.dated(submission)));
    });
    if (failure !== undefined) {
      for (const { id } of large) this.queue.dropArguments(id).catch(() => {}); // they expire
      return this.refused(batch, failure);
    }
    const places = line.map((submission, n) => [submission, ids[n] ?? submission.id] as const);
    for (const [submission, id] of places) if (!large.has(submission)) this.arrived(submission, id);
    for (const [submission, id] of places)
      if (large.has(submission)) await this.settleArguments(submission, id);
  }

  /** What lies beside a job that is in Redis stays with it; what was brought for one that was there already goes. */
  private async settleArguments(submission: Submission, id: string): Promise<void> {
    const own = submission.id;
    const failure = await this.insist(() =>
      own === id ? this.queue.keepArguments(own) : this.queue.dropArguments(own),
    );
    if (failure !== undefined && !this.parts.closed()) reportException(failure); // it is there for a while at least
    this.arrived(submission, id);
  }

  /** Does `work` again while Redis is away; gives why it can't be done, if so. */
  private async insist(work: () => Promise<void>): Promise<Error | undefined> {
    for (let pause = RETRY_FIRST; ; pause = Math.min(pause * 2, RETRY_LAST)) {
      try {
        await work();
        return undefined;
      } catch (error) {
        if (this.parts.closed()) return leftOpen();
        if (isRefusal(error)) return error as Error;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** The job, with the end of its life on Redis's clock. */
  private dated({ job, life }: Submission): NewJob {
    const known = job as NewJob; // what was submitted here
    if (life === Deadline.never) return known;
    return { ...known, data: { ...known.data, until: this.parts.clock.now() + life.remaining() } };
  }

  private arrived(submission: Submission, id: string): void {
    if (id === submission.id || submission.future.done()) return submission.accept(submission.id);
    this.unlist(submission);
    submission.accept(id);
    this.enlist(submission);
    void this.fetch([submission]);
  }

  private refused(batch: readonly Submission[], error: Error): void {
    for (const submission of batch) {
      submission.refuse(error);
      settleError(submission.future, error);
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
    const before = Date.now() - SILENT;
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
        if (error instanceof OutcomeUnknownError) settleError(submission.future, error);
      }
    };
    this.brought = bring().finally(() => this.bringing.delete(submission));
    await this.brought;
  }

  private tell({ future, heard }: Submission, what: JobNews[1], text: string): void {
    if (what === 'running' || what === 'progress') heard?.(what, text);
    if (what === 'running') return settling().running(future);
    try {
      if (what === 'ok') settling().result(future, this.raw ? text : decodeText(text));
      else if (what === 'error') settleError(future, decodeText(text) as Error);
      else if (heard === undefined) settling().progress(future, decodeText(text));
    } catch (error) {
      settling().error(future, error as Error);
    }
  }

  private settle(submission: Submission, fetched: Fetched | undefined): void {
    if (fetched?.state === 'ok') this.tell(submission, 'ok', fetched.text);
    else if (fetched?.state === 'error') settleError(submission.future, fetched.error);
    else if (fetched?.running === true) this.tell(submission, 'running', '');
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
    this.pause.cut();
    for (const undo of this.undo.splice(0)) undo();
  }
}

function leftOpen(): SessionClosedError {
  return new SessionClosedError('the session was closed before the task was done; it goes on without it');
}

/** Redis has said no, or the job is such that it can't be put there: trying again would not help. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  if (error.name !== 'ReplyError')
    return !/connection|closed|ECONN|EPIPE|writeable|timed out/i.test(error.message);
  return !/^(LOADING|READONLY|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|BUSY|UNKILLABLE)/.test(error.message);
}

function settleError(future: Future<unknown>, error: Error): void {
  if (error instanceof CancelledError) settling().cancelled(future, error);
  else settling().error(future, error);
}
