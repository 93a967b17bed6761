/** The way of jobs into the queue: those of one tick together, as there is room for them, again while Redis is away. */
import { CancelledError, QueueFullError, SessionClosedError } from '@heddle/primitives';
import { Deadline } from '@heddle/primitives/internal';
import { isOutOfReach } from '@heddle/primitives/internal-session';
import { reportException } from '../future/report-exception.ts';
import { type Admission, Pause } from './admission.ts';
import type { JobQueue, NewJob } from './job-queue.ts';
import { LARGEST_IN_JOB } from './large-texts.ts';
import { asRefusal, isRefused } from './refusal.ts';
import type { SessionParts } from './session-parts.ts';
import type { Submission } from './submission.ts';
import { Trouble } from './trouble.ts';

/** Waits between attempts to put jobs in the queue while Redis is away, in ms. */
const RETRY_FIRST = 100;
const RETRY_LAST = 2000;
/** From such a wait on it is told why, where Redis is there and does not take them: a fail-over may be over before. */
const TOLD_FROM = 800;

const NO_ROOM: { readonly granted: number; put(): void } = { granted: 0, put: () => {} };

/** What becomes of what it sends. */
export interface DispatchDesk {
  /** It is in Redis, under this id: another's, where that has the same deduplication key. */
  arrived(submission: Submission, id: string): void;
  refused(batch: readonly Submission[], error: Error): void;
  /** When a tick is over. */
  soon(send: () => void): void;
}

export class Dispatch {
  private readonly parts: SessionParts;
  private readonly queue: JobQueue;
  private readonly admission: Admission | undefined;
  private readonly desk: DispatchDesk;
  private readonly pause = new Pause();
  private held: Submission[] = [];
  private admitting = false;

  constructor(parts: SessionParts, queue: JobQueue, admission: Admission | undefined, desk: DispatchDesk) {
    this.parts = parts;
    this.queue = queue;
    this.admission = admission;
    this.desk = desk;
  }

  /** Takes it; it goes with all others of its tick. */
  hold(submission: Submission): void {
    if (submission.state !== 'held') return; // it was taken back before
    this.held.push(submission);
    if (this.held.length === 1) this.desk.soon(() => this.sendHeld());
  }

  /** Some job has ended: there may be room for another. */
  lookForRoom(): void {
    this.pause.cut();
  }

  /** It has not left yet, and will not. */
  takeBack(submission: Submission): boolean {
    if (submission.state !== 'held') return submission.state === 'refused';
    const at = this.held.indexOf(submission);
    if (at >= 0) this.held.splice(at, 1);
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
      let room = NO_ROOM;
      const failure = await this.insist(async () => {
        room = await this.queue.room(this.held.length, maxPending);
      });
      if (failure !== undefined) {
        this.desk.refused(this.held.splice(0), failure);
        break;
      }
      const batch = this.held.splice(0, room.granted);
      const over = [...this.held];
      if (batch.length > 0) await this.send(batch);
      room.put();
      await this.join(over);
      if (whenFull === 'refuse') this.refuse(over, maxPending);
      if (batch.length === 0 && this.held.length > 0) await this.pause.take();
    }
    this.admitting = false;
  }

  /** Those whose deduplication key another job has are that job's, and need no room. Each is looked for once. */
  private async join(over: readonly Submission[]): Promise<void> {
    const keyed = over.filter(({ key, looked }) => key !== undefined && !looked);
    if (keyed.length === 0) return;
    let ids: (string | null)[] = [];
    const failure = await this.insist(async () => {
      ids = await this.queue.haveKeys(keyed.map(({ key = '' }) => key));
    });
    if (failure !== undefined) {
      this.desk.refused(
        keyed.filter(({ state }) => state === 'held'),
        failure,
      );
    }
    for (const [n, submission] of keyed.entries()) {
      const id = ids[n];
      submission.looked = true;
      if (submission.state === 'held' && typeof id === 'string') this.desk.arrived(submission, id);
    }
    this.held = this.held.filter(({ state }) => state === 'held');
  }

  private refuse(over: readonly Submission[], maxPending: number): void {
    const full = `the queue has ${maxPending} jobs that wait to be begun, and takes no more; submit later, or let submit wait`;
    const refused = over.filter(
      ({ state, key, looked }) => state === 'held' && (key === undefined || looked),
    );
    if (refused.length > 0) this.desk.refused(refused, new QueueFullError(full));
    this.held = this.held.filter(({ state }) => state === 'held');
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
      return this.desk.refused(batch, failure);
    }
    const places = line.map((submission, n) => [submission, ids[n] ?? submission.id] as const);
    for (const [submission, id] of places) if (!large.has(submission)) this.desk.arrived(submission, id);
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
    this.desk.arrived(submission, id);
  }

  /** Does `work` again while Redis is away; gives why it can't be done, if so. */
  private async insist(work: () => Promise<void>): Promise<Error | undefined> {
    for (let pause = RETRY_FIRST; ; pause = Math.min(pause * 2, RETRY_LAST)) {
      try {
        await work();
        return undefined;
      } catch (error) {
        if (this.parts.closed()) return leftOpen();
        if (isRefusal(error)) return asRefusal(error, 'the job') as Error;
        if (pause >= TOLD_FROM && !isOutOfReach(error)) tellOf(this.parts, error as Error);
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
}

/** What is told where the session ends first. */
export function leftOpen(): SessionClosedError {
  return new SessionClosedError('the session was closed before the task was done; it goes on without it');
}

/** Redis has said no, or the job is such that it can't be put there: trying again would not help. */
function isRefusal(error: unknown): boolean {
  return isRefused(error) || (!isReply(error) && !isOutOfReach(error));
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

const troubles = new WeakMap<SessionParts, Trouble>();

/** The session tells why its jobs wait, for all its executors. */
function tellOf(parts: SessionParts, error: Error): void {
  const what = 'jobs that wait to be put there';
  const trouble = troubles.get(parts) ?? new Trouble(parts, what, (told) => parts.failed(told));
  troubles.set(parts, trouble);
  trouble.hear(error);
}
