/** What a host tells of its jobs: to their submitters how far they are and how they have ended, to its owner what they log. */
import { encodeText } from '@heddle/primitives/internal';
import type { Job } from 'bullmq';
import type { Failure } from '../future/failure.ts';
import { callUser } from '../future/report-exception.ts';
import { corkForTurn } from './cork.ts';
import type { WorkerHostOptions } from './host-options.ts';
import { type HostTask, wholeError } from './host-task.ts';
import { LARGEST_NEWS, readPayload, unpackFailure } from './job-form.ts';
import { argumentsKey, isMark, keptFor } from './large-texts.ts';
import type { Outbox } from './outbox.ts';
import type { SessionParts } from './session-parts.ts';

/** So many jobs that end in one turn are few. */
const FEW = 2;

/** Whom it tells. */
export interface NewsDesk {
  readonly options: WorkerHostOptions;
  readonly parts: SessionParts;
  readonly outbox: Outbox;
  report(error: Error): void;
}

export class HostNews {
  /** Jobs that have ended well, and attempts that have failed. */
  completed = 0;
  failed = 0;
  readonly #desk: NewsDesk;
  readonly #toKey: (part: string) => string;
  /** Jobs that have ended in this turn. */
  #ended = 0;
  /** Of jobs that end, whether their submitters have been told. */
  readonly #told = new WeakMap<Job, Promise<boolean>>();

  /** @param toKey the key in Redis of a job, or of another part of the queue */
  constructor(desk: NewsDesk, toKey: (part: string) => string) {
    this.#desk = desk;
    this.#toKey = toKey;
  }

  running({ job, payload }: HostTask): void {
    this.#desk.outbox.post(payload.from, job.id ?? '', 'running', '');
  }

  progressed({ job, payload }: HostTask, text: string): void {
    this.#desk.outbox.post(payload.from, job.id ?? '', 'progress', text);
  }

  logged(task: HostTask, line: string, context: Record<string, unknown>): Promise<unknown> {
    const told = task.job.log(line).catch((error: Error) => this.#desk.report(error));
    const attempt = task.extra?.attempt ?? 1;
    const { onLog } = this.#desk.options;
    const entry = { job: task.job.id ?? '', task: task.name, attempt, line, context };
    if (onLog !== undefined) callUser(onLog, (error) => this.#desk.report(error as Error), entry);
    return told;
  }

  /** It goes back to the queue. */
  pending(job: Job): void {
    const payload = readPayload(job.data);
    if (payload !== undefined) this.#desk.outbox.post(payload.from, job.id ?? '', 'pending', '');
  }

  /** A job is about to end: how many do in one turn is counted. */
  endsNow(): void {
    this.#ended += 1;
    corkForTurn(this.#desk.parts.redis, this.#forgetEnded);
  }

  readonly #forgetEnded = () => {
    this.#ended = 0;
  };

  /**
   * One that ends with few others is told of in the same breath: nobody has to be woken for Redis's answer to the one and
   * to the other. Where many end, it is cheaper to tell of them at once when Redis has answered. It counts from here on:
   * whoever hears of it may look. Gives what undoes that, where Redis does not take the end.
   */
  ending(job: Job, text: string): (() => void) | undefined {
    const payload = readPayload(job.data);
    const { parts, outbox } = this.#desk;
    if (payload === undefined || this.#ended > FEW || isMark(text) || text.length > LARGEST_NEWS)
      return undefined;
    if ('nodes' in parts.redis) return undefined; // A session's channel lies in another shard than its jobs.
    this.#told.set(job, outbox.tellEnded(payload.from, job.id ?? '', this.#toKey(job.id ?? '')));
    this.completed += 1;
    return () => {
      this.#told.delete(job);
      this.completed -= 1;
    };
  }

  /** Redis has it as done, with that result. */
  done(job: Job, text: string): void {
    const told = this.#told.get(job);
    if (told === undefined) this.completed += 1;
    this.#tell(job, 'ok', text, told);
  }

  /** Redis has that attempt as failed. Of one that was not the last, only that it is over is news. */
  broke(job: Job | undefined, error: Error): void {
    this.failed += 1;
    if (job === undefined) return;
    if (job.finishedOn === undefined || job.finishedOn === null) return this.pending(job);
    const failure = unpackFailure(wholeError(error), error.message);
    if (failure.what === 'cancelled') {
      // Whoever has it run once more does not mean to have it aborted.
      const key = this.#toKey(job.id ?? '');
      this.#desk.parts.redis.hdel(key, 'aborted').catch((error: Error) => this.#desk.report(error));
    }
    this.#tell(job, failure.what, encodeText(failure.error, 'error', { lenient: true }));
  }

  #tell(job: Job, what: 'ok' | Failure['what'], text: string, told?: Promise<boolean>): void {
    const payload = readPayload(job.data);
    if (payload === undefined) return;
    const post = () =>
      this.#desk.outbox.post(payload.from, job.id ?? '', isMark(text) ? 'fetch' : what, text);
    if (told === undefined) post();
    else void told.then((done) => done || post());
    if (!isMark(payload.args)) return;
    // One that has failed may be replayed.
    const key = argumentsKey(this.#toKey(job.id ?? ''));
    const { redis } = this.#desk.parts;
    const done = what === 'ok' ? redis.unlink(key) : redis.pexpire(key, keptFor(job.opts.removeOnFail));
    done.catch((error: Error) => this.#desk.report(error));
  }
}
