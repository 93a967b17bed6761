/** The host's part in what tasks submit by `currentJob().executor()`: submits it, and passes on what comes of it, as text. */
import { CancelledError } from '@heddle/primitives';
import { decodeText, encodeText } from '@heddle/primitives/internal';
import { limit } from '../executor/limits.ts';
import { aborted } from '../future/cancelled.ts';
import { settling } from '../future/future.ts';
import type { ChildCall, ChildForm, ChildNews } from '../threads/session-protocol.ts';
import type { HostTask } from './host-task.ts';
import { type JobPayload, queueAddress } from './job-form.ts';
import type { SessionParts } from './session-parts.ts';
import type { Submission } from './submission.ts';
import { Submitter } from './submitter.ts';

export class ChildJobs {
  readonly #parts: SessionParts;
  /** By queue. */
  readonly #submitters = new Map<string, Submitter>();
  /** By parent, those that are not done, under their numbers. */
  readonly #families = new Map<HostTask, Map<number, Submission>>();

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  hear(parent: HostTask, queue: string, call: ChildCall): void {
    if ('submit' in call) return this.#submit(parent, call.submit.queue ?? queue, call.child, call.submit);
    const submission = this.#families.get(parent)?.get(call.child);
    if (submission === undefined) return;
    if ('abort' in call) void submission.future.abort(decodeText(call.abort)).catch(() => {});
    else if ('leave' in call) leave(submission, decodeText(call.leave));
    else void this.#cancel(parent, call.child, submission);
  }

  /** The job runs here no more. Its children go on, unless it was given up. */
  over(parent: HostTask): void {
    const family = this.#families.get(parent);
    this.#families.delete(parent);
    if (family === undefined || parent.givenUp === undefined) return;
    const error = new CancelledError('the job that submitted the task was given up', {
      cause: parent.givenUp,
    });
    for (const submission of family.values()) leave(submission, error);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#submitters.values()].map((submitter) => submitter.leave()));
  }

  #submit(parent: HostTask, queue: string, child: number, { name, data, opts, ttl, id }: ChildForm): void {
    const tell = (news: ChildNews) => parent.thread?.tellOfChild(news);
    const heard = (what: 'running' | 'progress', text: string) =>
      tell(what === 'running' ? { child, what } : { child, what, text });
    let submission: Submission;
    try {
      const again = parent.job.attemptsStarted > 1;
      const job = { name, data: data as JobPayload, opts };
      submission = this.#submitter(queue).submit(job, ttl, { id, again, heard });
    } catch (error) {
      return tell({ child, what: 'error', text: textOf(error) });
    }
    const family = this.#families.get(parent) ?? new Map<number, Submission>();
    this.#families.set(parent, family.set(child, submission));
    void submission.accepted().then(
      () => tell({ child, accepted: submission.id }),
      () => {}, // its end tells
    );
    const { future } = submission;
    limit(future, name, { ttl }, (reason) => void submission.end(reason));
    settling().whenDone(future, () => {
      family.delete(child);
      const outcome = settling().outcome(future);
      if (outcome?.ok === true) tell({ child, what: 'ok', text: outcome.value as string });
      else tell({ child, what: future.cancelled() ? 'cancelled' : 'error', text: textOf(outcome?.error) });
    });
  }

  async #cancel(parent: HostTask, child: number, { future }: Submission): Promise<void> {
    const cancelled = await future.cancel().catch(() => false);
    parent.thread?.tellOfChild({ child, cancelled });
  }

  #submitter(queue: string): Submitter {
    let submitter = this.#submitters.get(queue);
    if (submitter === undefined) {
      const address = queueAddress(this.#parts.namespace, queue, 'currentJob().executor');
      submitter = new Submitter(this.#parts, address, queue, { raw: true });
      this.#submitters.set(queue, submitter);
    }
    return submitter;
  }
}

/** Its Future ends, and its job, where that is not another's that goes on without it. */
function leave(submission: Submission, reason: unknown): void {
  settling().cancelled(submission.future, aborted(reason));
  void submission.end(reason);
}

function textOf(error: unknown): string {
  return encodeText(error, 'error', { lenient: true });
}
