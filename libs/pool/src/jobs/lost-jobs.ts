/**
 * Jobs that a host has in hand and Redis has as its no more. BullMQ says so at each step that fails for it, by the words
 * of its scripts: it is told once, for people.
 */
import { LeaseLostError } from '@heddle/primitives';

/** The codes of BullMQ's scripts: no such job, its lock is gone, it is not in that state, its lock is another's. */
const CODES: ReadonlySet<unknown> = new Set([-1, -2, -3, -6]);
const GONE = -1;
const WHICH = /^(?:Missing (?:key|lock)|Lock mismatch) for job (.+?)\. |^Job (.+) is not in the /s;
/** What its Worker says beside its event `lockRenewalFailed`. */
const NOT_RENEWED = /^could not renew lock for job /;
/** Ids that are remembered at most. */
const MOST = 1000;

export class LostJobs {
  readonly #queue: string;
  readonly #stallTimeout: number;
  readonly #tell: (error: Error) => void;
  /** Those that were told of, and not fetched anew. */
  readonly #told = new Set<string>();

  constructor(queue: string, stallTimeout: number, tell: (error: Error) => void) {
    this.#queue = queue;
    this.#stallTimeout = stallTimeout;
    this.#tell = tell;
  }

  /** It has been fetched, anew perhaps. */
  fetched(id: string): void {
    this.#told.delete(id);
  }

  /** Tells of any error: of one that says that a job is lost, in our words. */
  hear(error: Error): void {
    if (NOT_RENEWED.test(error.message)) return; // `lose` is called
    const code = 'code' in error && CODES.has(error.code) ? error.code : undefined;
    const [, one, other] = (code !== undefined && WHICH.exec(error.message)) || [];
    const id = one ?? other;
    if (id === undefined) this.#tell(error);
    else this.lose(id, { there: code !== GONE, cause: error });
  }

  /** @param there whether Redis has the job, as another's or to be begun again. */
  lose(id: string, { there, cause }: { readonly there: boolean; readonly cause?: Error }): void {
    if (this.#told.has(id)) return;
    this.#told.add(id);
    for (const oldest of this.#told) if (this.#told.size > MOST) this.#told.delete(oldest);
    const why = there
      ? `was given to another host, or is to begin anew, since Redis heard nothing of this one for longer than its stallTimeout (${this.#stallTimeout} ms): it stood still, or was cut off`
      : 'is not in Redis any more: it was removed, or Redis lost its data';
    this.#tell(
      new LeaseLostError(
        `job ${id} of queue ${this.#queue} ${why}; what this attempt of it gives does not count`,
        { cause },
      ),
    );
  }
}
