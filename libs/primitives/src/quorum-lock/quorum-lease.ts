/** The lease of a quorum lock: good for as long as a majority of its servers' leases are. */
import { LeaseLostError } from '../errors.ts';
import type { Lease } from '../lock/lock.ts';

export class QuorumLease implements Lease {
  readonly token: number;
  readonly #name: string;
  readonly #majority: number;
  readonly #votes: Set<Lease>;
  readonly #ended: () => void;
  readonly #controller = new AbortController();
  #over = false;
  /** The loss that its release has told of, as the next one will. */
  #told: LeaseLostError | undefined;

  /** @param ended called once, when it is released or lost */
  constructor(name: string, token: number, majority: number, votes: Iterable<Lease>, ended: () => void) {
    this.token = token;
    this.#name = name;
    this.#majority = majority;
    this.#votes = new Set(votes);
    this.#ended = ended;
    for (const vote of this.#votes) this.#watch(vote);
  }

  get valid(): boolean {
    let valid = 0;
    for (const vote of this.#votes) if (vote.valid) valid += 1;
    return !this.#over && valid >= this.#majority;
  }

  get signal(): AbortSignal {
    this.#look(); // An end that the event loop slept through is told before anybody looks.
    return this.#controller.signal;
  }

  /** What it guards goes to nobody half changed without a new token: there is nothing more to tell. */
  get abandoned(): boolean {
    return false;
  }

  /** Released or lost. */
  get over(): boolean {
    return this.#over || this.#controller.signal.aborted;
  }

  /** A server that granted late: released with the others. */
  add(vote: Lease): void {
    this.#look();
    if (this.over) return void vote.release().catch(() => {});
    this.#votes.add(vote);
    this.#watch(vote);
  }

  #watch(vote: Lease): void {
    vote.signal.addEventListener('abort', () => this.#look(), { once: true });
  }

  /** Gives it back everywhere; settles when a majority has it back. Those that are away have it until its time ends. */
  async release(): Promise<void> {
    if (this.#told !== undefined) throw this.#told;
    if (this.#over) return;
    this.#look();
    if (this.#controller.signal.aborted) throw this.#controller.signal.reason;
    this.#over = true;
    this.#ended();
    const given = await settledBy(
      [...this.#votes].map((vote) => vote.release()),
      this.#majority,
    );
    if (given >= this.#majority) return;
    this.#told = this.#lost('it was not held by a majority any more when it was released');
    throw this.#told;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #look(): void {
    let good = 0;
    for (const vote of this.#votes) if (!vote.signal.aborted) good += 1;
    // Where looking has found an end out, that has been here before.
    if (good >= this.#majority || this.over) return;
    this.#controller.abort(
      this.#lost(`${good} servers have it still, fewer than the ${this.#majority} of a majority`),
    );
    this.#ended();
    for (const vote of this.#votes) if (!vote.signal.aborted) vote.release().catch(() => {});
  }

  #lost(why: string): LeaseLostError {
    return new LeaseLostError(
      `the lease of quorum-lock ${this.#name} was lost: ${why}; stop, and trust only what its token ${this.token} guards`,
      { primitive: this.#name },
    );
  }
}

/** Waits until so many are fulfilled, or can't be any more; how many are by then. */
export function settledBy(promises: readonly Promise<unknown>[], enough: number): Promise<number> {
  return new Promise((resolve) => {
    let fulfilled = 0;
    let open = promises.length;
    const settled = (by: number) => {
      fulfilled += by;
      open -= 1;
      if (fulfilled >= enough || fulfilled + open < enough) resolve(fulfilled);
    };
    if (open < enough) resolve(0);
    for (const promise of promises)
      promise.then(
        () => settled(1),
        () => settled(0),
      );
  });
}
