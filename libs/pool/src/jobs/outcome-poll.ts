/**
 * News of jobs are hints: what is missed is asked for, by a slow tick, and whenever somebody has reason to. Those of whom no
 * news come here are looked after more often: jobs of others that somebody follows.
 */
import { OutcomeUnknownError } from '@heddle/primitives';
import { now } from '@heddle/primitives/internal';
import { asFailure, settleFailure } from '../future/failure.ts';
import type { Fetched, JobQueue } from './job-queue.ts';
import { isMark } from './large-texts.ts';
import type { OpenSubmissions } from './open-submissions.ts';
import { asRefusal, isRefused } from './refusal.ts';
import type { Submission } from './submission.ts';

/** Jobs of others are looked after so often, in ms; one's own, of which news should come, every tenth time. */
const LOOK_EVERY = 500;
const OWN_EVERY = 10;
/** How many jobs are asked after at most in one slow look, and how long they must have been silent for it. */
const LOOK_AT = 500;
const SILENT = 4000;
/** A job that somebody follows may be on its way to Redis: for so long, in ms, it is looked for, and this often. */
const ON_ITS_WAY = 400;
const LOOK_AGAIN = 100;

export class OutcomePoll {
  readonly #queue: JobQueue;
  readonly #open: OpenSubmissions;
  readonly #timer: NodeJS.Timeout;
  #looks = 0;
  /** Whose results are being fetched piece by piece, and when that is done. */
  readonly #bringing = new Set<Submission>();
  #brought: Promise<void> = Promise.resolve();

  constructor(queue: JobQueue, open: OpenSubmissions) {
    this.#queue = queue;
    this.#open = open;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY).unref();
  }

  /** Asks no more by itself. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Asks for what has become of all that is in Redis. */
  askAll(): void {
    void this.ask([...this.#open.accepted()]);
  }

  /** Asks for what has become of these. Where Redis is away, the next look asks again. */
  async ask(submissions: readonly Submission[]): Promise<void> {
    try {
      const fetched = await this.#queue.fetch(submissions.map((submission) => submission.id));
      for (const [n, submission] of submissions.entries()) {
        const one = fetched[n];
        submission.announced ||= one?.state === 'ok';
        if (one?.state === 'ok' && isMark(one.text)) void this.#fetchLarge(submission, one.text);
        else this.#settle(submission, one);
      }
    } catch (error) {
      this.#missed(submissions, error);
    }
  }

  /** Of those of whom no news come here nothing would ever be heard. Where Redis is away, the next look asks again. */
  #missed(submissions: readonly Submission[], error: unknown): void {
    if (!isRefused(error)) return;
    const failure = asFailure(asRefusal(error, 'to look after the job') as Error);
    for (const { foreign, announced, future } of submissions)
      if (foreign || announced) settleFailure(future, failure);
  }

  #look(): void {
    this.#looks += 1;
    const own = this.#looks % OWN_EVERY === 0;
    const before = now() - SILENT;
    const some: Submission[] = [];
    for (const submission of this.#open.accepted()) {
      if (submission.foreign || (own && submission.since < before)) some.push(submission);
      if (some.length === LOOK_AT) break;
    }
    // Those that were asked after go to the end of the line.
    for (const submission of some) {
      this.#open.remove(submission);
      this.#open.add(submission);
    }
    if (some.length > 0) void this.ask(some);
  }

  /** One after the other: each may be large. */
  async #fetchLarge(submission: Submission, mark: string): Promise<void> {
    if (this.#bringing.has(submission)) return;
    this.#bringing.add(submission);
    const before = this.#brought;
    const bring = async () => {
      await before;
      if (submission.future.done()) return;
      try {
        submission.tell('ok', await this.#queue.result(submission.id, mark));
      } catch (error) {
        if (error instanceof OutcomeUnknownError) settleFailure(submission.future, asFailure(error));
        else this.#missed([submission], error);
      }
    };
    this.#brought = bring().finally(() => this.#bringing.delete(submission));
    await this.#brought;
  }

  #settle(submission: Submission, fetched: Fetched | undefined): void {
    submission.missing = fetched?.state === 'missing'; // what is told of its id then is another queue's
    if (fetched?.state === 'ok') submission.tell('ok', fetched.text);
    else if (fetched?.state === 'missing' && submission.foreign && now() - submission.since < ON_ITS_WAY)
      setTimeout(() => submission.future.done() || void this.ask([submission]), LOOK_AGAIN);
    else if (fetched?.state === 'failed' || fetched?.state === 'missing')
      settleFailure(submission.future, fetched.failure);
    else if (fetched !== undefined) submission.tell(fetched.running ? 'running' : 'pending', '');
  }
}
