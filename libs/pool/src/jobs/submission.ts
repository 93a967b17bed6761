/**
 * One job, as its submitter holds it: what is asked of its Future is passed on to the desk, what is told of the job to the
 * Future.
 */
import { Deadline, decodeText, now } from '@heddle/primitives/internal';
import { settleFailure } from '../future/failure.ts';
import { type Future, type FutureSource, makeFuture, settling } from '../future/future.ts';
import type { JobNews } from './job-form.ts';
import type { NewJob } from './job-queue.ts';

/** What the desk does for its submissions. */
export interface SubmissionDesk {
  /** Whether results are given as the texts they are. */
  readonly raw: boolean;
  cancel(submission: Submission): Promise<boolean>;
  abort(submission: Submission, reason: unknown): Promise<void>;
  /** Its own limits end it: another's job, which it has joined, goes on. */
  end(submission: Submission, reason: unknown): Promise<void>;
}

export class Submission implements FutureSource {
  readonly future: Future<unknown>;
  /** What is to be put in the queue; `undefined`: it is there, put by somebody else. */
  job: NewJob | undefined;
  /** The id it goes by: another's, where that has the same deduplication key. */
  id: string;
  /** `held`: not sent yet; `sent`: on its way; `accepted`: in Redis; `refused`: it will never be there. */
  state: 'held' | 'sent' | 'accepted' | 'refused';
  /** Its deduplication key. */
  readonly key: string | undefined;
  /** Somebody else's job: its news go there, so its outcome has to be asked for. */
  foreign: boolean;
  /** When its time to live ends. */
  readonly life: Deadline;
  /** Monotonic ms. */
  readonly since = now();
  /** Hears of what comes of it before it is done. */
  readonly heard: ((what: 'running' | 'progress', text: string) => void) | undefined;
  private readonly desk: SubmissionDesk;
  /** Made for who asks, which few do. */
  private arrival: PromiseWithResolvers<void> | undefined;
  private refusal: Error | undefined;

  constructor(
    desk: SubmissionDesk,
    id: string,
    job: NewJob | undefined,
    life = Deadline.never,
    heard?: Submission['heard'],
  ) {
    this.heard = heard;
    this.life = life;
    this.desk = desk;
    this.id = id;
    this.job = job;
    this.key = job?.opts.deduplication?.id;
    this.foreign = job === undefined;
    this.state = job === undefined ? 'accepted' : 'held';
    this.future = makeFuture<unknown>(this);
  }

  /** Whether another job of its key was looked for. */
  looked = false;
  /** Redis has said that there is no such job. */
  missing = false;
  /** It has an outcome, which is to be fetched from Redis. */
  announced = false;
  /** What it submitted is another's job: its own limits are not that one's. */
  joined = false;

  accept(id: string): void {
    this.joined ||= this.job !== undefined && id !== this.id;
    this.foreign ||= id !== this.id;
    this.id = id;
    this.state = 'accepted';
    this.job = undefined;
    this.arrival?.resolve();
  }

  refuse(error: Error): void {
    if (this.state === 'accepted') return;
    this.state = 'refused';
    this.refusal = error;
    this.arrival?.reject(error);
  }

  accepted(): Promise<void> {
    if (this.arrival === undefined) {
      this.arrival = Promise.withResolvers();
      this.arrival.promise.catch(() => {}); // told by the Future too
      if (this.state === 'accepted') this.arrival.resolve();
      else if (this.state === 'refused') this.arrival.reject(this.refusal);
    }
    return this.arrival.promise;
  }

  /** What has become of the job. */
  tell(what: JobNews[1], text: string): void {
    const { future, heard } = this;
    if (what === 'running' || what === 'progress') heard?.(what, text);
    if (what === 'running') return settling().running(future);
    if (what === 'pending') return settling().pending(future);
    try {
      if (what === 'ok') settling().result(future, this.desk.raw ? text : decodeText(text));
      else if (what === 'error' || what === 'cancelled')
        settleFailure(future, { what, error: decodeText(text) as Error });
      else if (heard === undefined) settling().progress(future, decodeText(text));
    } catch (error) {
      settling().error(future, error as Error);
    }
  }

  cancel(): Promise<boolean> {
    return this.desk.cancel(this);
  }

  abort(reason: unknown): Promise<void> {
    return this.desk.abort(this, reason);
  }

  end(reason: unknown): Promise<void> {
    return this.desk.end(this, reason);
  }
}
