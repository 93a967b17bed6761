/** A thread's end of the line to its host's session: calls go out under a number, answers and news come in. */
import { fromPortable, onAbort, toPortable } from '@heddle/primitives/internal';
import type { LentLease } from './lent-lease.ts';
import type { LeaseTerms, SessionCall, SessionIdentity, SessionNews } from './session-protocol.ts';

/** A call without its number. */
export type Asked = Omit<Extract<SessionCall, { n: number }>, 'n'>;

/** What came of a call: its value, with the terms of a lease where it gave one. */
export interface Answered {
  readonly value: unknown;
  readonly terms: LeaseTerms | undefined;
}

interface Pending {
  readonly resolve: (answer: Answered) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  /** Runs where the call was made: see `AsyncLocalStorage.bind`. */
  readonly action: (() => unknown) | undefined;
  readonly slot: number;
  readonly stopListening: (() => void) | undefined;
}

/** A call under way, for who has to give it up. */
export interface CallUnderWay {
  readonly answer: Promise<Answered>;
  giveUp(reason: Error): void;
}

export class SessionLine {
  readonly identity: SessionIdentity;
  readonly leases = new Map<number, LentLease>();
  readonly #send: (slot: number, call: SessionCall) => void;
  readonly #pending = new Map<number, Pending>();
  #last = 0;

  constructor(identity: SessionIdentity, send: (slot: number, call: SessionCall) => void) {
    this.identity = identity;
    this.#send = send;
  }

  /** Sends a call on behalf of the job in `slot`. Aborted by `signal`, it rejects once nothing is left of it. */
  ask(slot: number, asked: Asked, signal?: AbortSignal, action?: () => unknown): CallUnderWay {
    this.#last += 1;
    const n = this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<Answered>();
    const stopListening = signal && onAbort(signal, () => this.#send(slot, { abort: n }));
    this.#pending.set(n, { resolve, reject, signal, action, slot, stopListening });
    this.#send(slot, { ...asked, n });
    const giveUp = (reason: Error) => this.#take(n)?.reject(reason);
    return { answer: promise, giveUp };
  }

  /** What the host said, on behalf of whatever job. */
  hear(news: SessionNews): void {
    if ('run' in news) void this.#run(news.run);
    else if ('lost' in news) this.leases.get(news.lost)?.lose(fromPortable(news.error) as Error);
    else if ('over' in news) this.leases.get(news.over)?.conclude();
    else if ('anew' in news) this.leases.get(news.anew.lease)?.resume(news.anew);
    else this.#answered(news);
  }

  #answered(news: Extract<SessionNews, { n: number }>): void {
    const pending = this.#take(news.n);
    if (pending === undefined) return;
    if (news.ok) pending.resolve({ value: fromPortable(news.value), terms: news.terms });
    else pending.reject(news.aborted ? pending.signal?.reason : fromPortable(news.error));
  }

  #take(n: number): Pending | undefined {
    const pending = this.#pending.get(n);
    this.#pending.delete(n);
    pending?.stopListening?.();
    return pending;
  }

  async #run(n: number): Promise<void> {
    const { action, slot } = this.#pending.get(n) ?? {};
    if (action === undefined || slot === undefined) return;
    try {
      await action();
      this.#send(slot, { ran: n });
    } catch (error) {
      this.#send(slot, { ran: n, error: toPortable(error, 'error', { lenient: true }) });
    }
  }
}
