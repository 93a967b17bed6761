/** What a submitter has submitted, or follows, and has no outcome of: by job, of which there may be several. */
import type { Submission } from './submission.ts';

export class OpenSubmissions {
  // A Set is larger than what it would hold: most ids are one submission's.
  readonly #byId = new Map<string, Submission | Set<Submission>>();

  add(submission: Submission): void {
    const same = this.#byId.get(submission.id);
    if (same instanceof Set) same.add(submission);
    else this.#byId.set(submission.id, same === undefined ? submission : new Set([same, submission]));
  }

  /** To be called before its id changes. */
  remove(submission: Submission): void {
    const same = this.#byId.get(submission.id);
    if (same instanceof Set) same.delete(submission);
    if (same === submission || (same instanceof Set && same.size === 0)) this.#byId.delete(submission.id);
  }

  of(id: string): readonly Submission[] {
    const some = this.#byId.get(id);
    if (some === undefined) return NONE;
    return some instanceof Set ? [...some] : [some];
  }

  *[Symbol.iterator](): Generator<Submission> {
    for (const some of this.#byId.values()) {
      if (some instanceof Set) yield* some;
      else yield some;
    }
  }

  /** Those whose jobs are in Redis. */
  *accepted(): Generator<Submission> {
    for (const submission of this) if (submission.state === 'accepted') yield submission;
  }
}

const NONE: readonly Submission[] = [];
