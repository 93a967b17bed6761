/**
 * The submitter's desk: puts jobs in the queue, those of one tick together, and ends their Futures when news of them
 * come, or it has asked for what they did not tell.
 */
import { InvalidStateError, SessionClosedError } from '@heddle/primitives';
import { Deadline, encodeText } from '@heddle/primitives/internal';
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
import { JobQueue, type NewJob } from './job-queue.ts';
import { OpenSubmissions } from './open-submissions.ts';
import { OutcomePoll } from './outcome-poll.ts';
import { asking } from './refusal.ts';
import type { SessionParts } from './session-parts.ts';
import { Submission, type SubmissionDesk } from './submission.ts';

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
  /** Whether results are given as the texts they are. */
  readonly raw: boolean;
  /** Called where the session closes. */
  readonly readers = new Set<() => void>();
  private readonly queue: JobQueue;
  private readonly open = new OpenSubmissions();
  private readonly poll: OutcomePoll;
  private unfinished = 0;
  private closing = false;
  private readonly whenIdle: (() => void)[] = [];
  private readonly undo: (() => void)[] = [];
  private readonly dispatch: Dispatch;
  private readonly dying: DyingKeys;

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
    this.poll = new OutcomePoll(this.queue, this.open);
    this.dispatch = new Dispatch(parts, this.queue, admission, {
      arrived: (submission, id) => this.arrived(submission, id),
      refused: (batch, error) => this.refused(batch, error),
      // What comes from threads comes in a message each, those of a turn before the next immediate.
      soon: raw ? setImmediate : queueMicrotask,
    });
    const inbox = JobInbox.of(parts);
    inbox.news.add(this);
    this.undo.push(
      () => inbox.news.delete(this),
      () => this.poll.stop(),
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
    const id = `${this.parts.id}-s-${numbered.toString(36)}`; // no job has such a one: `unschedule` ends either
    const template = { name, data, opts };
    await asking(this.parts, 'the schedule', () => this.queue.bull.upsertJobScheduler(id, repeat, template));
    return { id, cancel: () => asking(this.parts, 'to end the schedule', () => this.queue.endSchedule(id)) };
  }

  /** Ends what was scheduled under this id, here or elsewhere; false: there was nothing. */
  async unschedule(id: string): Promise<boolean> {
    this.assertOpen();
    const end = async () => (await this.queue.endSchedule(id)) || this.queue.cancel(id);
    return asking(this.parts, 'to end the schedule', end);
  }

  /** A job that is in the queue already. */
  follow(id: string): Submission {
    this.assertOpen();
    const [first] = this.open.of(id);
    const submission = new Submission(this, id, undefined);
    this.track(submission);
    if (first === undefined || first.state === 'accepted') void this.poll.ask([submission]);
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
      if (submission.state !== 'held') await getsThere(submission);
      if (!submission.joined) await this.tellToEnd(submission, reason);
    });
  }

  abort(submission: Submission, reason: unknown): Promise<void> {
    return this.dying.while(submission.key, () => this.tellToEnd(submission, reason));
  }

  async cancel(submission: Submission): Promise<boolean> {
    if (this.dispatch.takeBack(submission)) return true;
    if (!(await getsThere(submission))) return false;
    return asking(this.parts, 'to cancel the job', () => this.queue.cancel(submission.id));
  }

  /** Never rejects. */
  private async tellToEnd(submission: Submission, reason: unknown): Promise<void> {
    if (this.dispatch.takeBack(submission) || !(await getsThere(submission))) return;
    try {
      const text = encodeText(reason, 'reason', { lenient: true });
      await asking(this.parts, 'to abort the job', () => this.queue.abort(submission.id, text));
    } catch (error) {
      if (!this.parts.closed()) reportException(error);
    }
  }

  unfinishedFutures(): Future<unknown>[] {
    return [...this.open].map((submission) => submission.future);
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
    for (const { future } of [...this.open]) settling().error(future, leftOpen()); // their clocks end with that
    for (const undo of this.undo.splice(0)) undo();
    await this.queue.close();
  }

  read([id, what, text]: JobNews): void {
    const submissions = this.open.of(id);
    if (submissions.length === 0) return;
    this.dispatch.lookForRoom();
    if (what === 'fetch') this.fetch(submissions);
    else for (const submission of submissions) if (!submission.missing) submission.tell(what, text);
  }

  private fetch(submissions: readonly Submission[]): void {
    for (const submission of submissions) submission.announced = true;
    void this.poll.ask(submissions);
  }

  /** @throws SessionClosedError, InvalidStateError after `close`. */
  assertOpen(): void {
    if (this.parts.closed())
      throw new SessionClosedError('submit: the session is closed; connect() a new one');
    if (this.closing) throw new InvalidStateError('the executor has been shut down and takes no new tasks');
  }

  private track(submission: Submission): void {
    this.unfinished += 1;
    this.open.add(submission);
    settling().whenDone(submission.future, () => {
      this.open.remove(submission);
      this.unfinished -= 1;
      if (this.unfinished === 0) for (const wake of this.whenIdle.splice(0)) wake();
    });
  }

  private arrived(submission: Submission, id: string): void {
    if (id === submission.id || submission.future.done()) return submission.accept(id);
    this.open.remove(submission);
    submission.accept(id);
    this.open.add(submission);
    void this.poll.ask([submission]);
  }

  private refused(batch: readonly Submission[], error: Error): void {
    for (const submission of batch) {
      submission.refuse(error);
      settleFailure(submission.future, asFailure(error));
    }
  }

  askAgain(): void {
    this.poll.askAll();
  }

  sessionClosed(): void {
    const error = leftOpen();
    for (const submission of [...this.open]) {
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

/** False: Redis has refused it, or the session was closed before it was there; its Future has told. */
function getsThere(submission: Submission): Promise<boolean> {
  return submission.accepted().then(
    () => true,
    () => false,
  );
}
