/** Several holds as one lease: what `acquireAll` gives. */
import { LeaseLostError } from '../errors.ts';
import type { Lease } from './lock.ts';

const DONE: Promise<void> = Promise.resolve();

export class JoinedLease implements Lease {
  readonly #leases: readonly Lease[];
  #signal: AbortSignal | undefined;
  #released = false;
  /** What the release was told: the next one is told it again. */
  #lost: LeaseLostError | undefined;

  /** `leases` in the order they were taken in. */
  constructor(leases: readonly Lease[]) {
    this.#leases = leases;
  }

  /** What it is made of. */
  get leases(): readonly Lease[] {
    return this.#leases;
  }

  /** The largest of theirs: it rises, as each of theirs does, from one grant of the same locks to the next. */
  get token(): number {
    return this.#leases.reduce((most, { token }) => Math.max(most, token), 0);
  }

  /** Aborts when the first of them is lost. */
  get signal(): AbortSignal {
    const signals = this.#leases.map(({ signal }) => signal); // each looks whether its lease is lost
    this.#signal ??= AbortSignal.any(signals);
    return this.#signal;
  }

  /** Whether all of them are. */
  get valid(): boolean {
    return !this.#released && this.#leases.every(({ valid }) => valid);
  }

  /** Whether any of them is. */
  get abandoned(): boolean {
    return this.#leases.some(({ abandoned }) => abandoned);
  }

  /** Releases all of them, the last taken first. Rejects, once all are released, with what the first failure was. */
  release(): Promise<void> {
    if (this.#released) return this.#lost === undefined ? DONE : Promise.reject(this.#lost);
    this.#released = true;
    return releaseAll(this.#leases).catch((error: unknown) => {
      if (error instanceof LeaseLostError) this.#lost = error;
      throw error;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** One after the other in this order, for one lease: all of them, or none. */
export async function takeInOrder<L>(
  locks: readonly L[],
  take: (lock: L) => Promise<Lease | null>,
): Promise<Lease | null> {
  const leases: Lease[] = [];
  try {
    for (const lock of locks) {
      const lease = await take(lock);
      if (lease === null) break;
      leases.push(lease);
    }
  } catch (error) {
    await giveBack(leases);
    throw error;
  }
  if (leases.length === locks.length) return new JoinedLease(leases);
  await giveBack(leases);
  return null;
}

/** For one who does not get them all: what was lost meanwhile is nobody's loss. */
export async function giveBack(leases: readonly Lease[]): Promise<void> {
  await releaseAll(leases).catch((error: unknown) => {
    if (!(error instanceof LeaseLostError)) throw error;
  });
}

/** All at once, not one after the other: each release is under way before the first has settled. */
export async function releaseAll(leases: readonly Lease[]): Promise<void> {
  const ends = await Promise.allSettled([...leases].reverse().map((lease) => lease.release()));
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
