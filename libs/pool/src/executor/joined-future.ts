/** The Future of a submission that is another's task, by its deduplication key: it ends as that one does. */
import { CancelledError } from '@heddle/primitives';
import { type Future, type FutureSource, makeFuture, settling } from '../future/future.ts';

class Joined implements FutureSource {
  private readonly other: Future<unknown>;

  constructor(other: Future<unknown>) {
    this.other = other;
  }

  get id(): string {
    return this.other.id;
  }

  accepted(): Promise<void> {
    return this.other.accepted;
  }

  cancel(): Promise<boolean> {
    return this.other.cancel();
  }

  async abort(reason: unknown): Promise<void> {
    await this.other.abort(reason);
  }

  isRunning(): boolean {
    return this.other.running();
  }
}

/** A Future like `other`, which may have limits of its own: where it ends by them, the other goes on. */
export function join(other: Future<unknown>): Future<unknown> {
  const future = makeFuture<unknown>(new Joined(other));
  const unheard = settling().heard(other, (value) => settling().progress(future, value));
  const left = settling().whenDone(other, () => endAs(future, other));
  settling().whenDone(future, () => {
    unheard();
    left();
  });
  return future;
}

function endAs(future: Future<unknown>, other: Future<unknown>): void {
  const outcome = settling().outcome(other);
  if (outcome?.ok === true) settling().result(future, outcome.value);
  else if (outcome?.error instanceof CancelledError && other.cancelled())
    settling().cancelled(future, outcome.error);
  else if (outcome !== undefined) settling().error(future, outcome.error);
}
