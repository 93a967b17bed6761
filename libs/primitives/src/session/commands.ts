/** Calls that wait for nothing and belong to no hold: each ends in time, and says how it ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Deadline } from '../deadline.ts';
import { HeddleError, OutcomeUnknownError, RedisRefusedError, RedisUnreachableError } from '../errors.ts';
import { CallEnded } from './calls.ts';
import { closedError } from './held-lease.ts';
import { nameOf } from './keys.ts';
import type { Partition } from './partition.ts';
import { Patience, type Terms } from './patience.ts';
import { refused, saidForGood } from './refused.ts';
import type { Answer } from './run-operations.ts';

/** What commands need of their session. */
export interface CommandHost {
  readonly connectTimeout: number;
  readonly closed: boolean;
  /** Where Redis is, for messages. */
  readonly where: string;
  readonly denied: RedisRefusedError | undefined;
  partitionOf(name: string): Partition;
  /** Tells of what no call can be told of. */
  failed(error: Error): void;
}

/** Ms that one who aborts waits to see what was granted gone. */
const GRACE = 250;

export interface CommandTerms {
  /** It only looks: an unknown outcome is simply asked for once more, and the session's end ends it. */
  readonly looks?: boolean | undefined;
  /** It changes something, and twice is no more than once: it too is asked for once more. */
  readonly repeatable?: boolean | undefined;
  /** It goes on with one of before that met its bound: also while the session closes (see `seeThrough`). */
  readonly goesOn?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Commands {
  readonly #host: CommandHost;
  readonly #patience: Patience;

  constructor(host: CommandHost) {
    this.#host = host;
    this.#patience = new Patience(host.connectTimeout);
  }

  /** Runs an operation under whatever life the session has. */
  async run(
    what: string,
    name: string,
    invocation: { operation: string; keys: readonly string[]; args: readonly (string | number)[] },
    { looks = false, repeatable = looks, goesOn = false, signal }: CommandTerms = {},
  ): Promise<Answer> {
    const deadline = Deadline.after(this.#host.connectTimeout);
    for (;;) {
      const { closed } = this.#host;
      if (closed && !goesOn) throw closedError(what);
      const partition = this.#host.partitionOf(name);
      if (closed && partition.free === undefined) throw closedError(what); // No other life will come.
      const life = partition.free ?? (await this.patiently(what, partition.inTurn(), { signal, deadline }));
      try {
        return await this.#patience.wait(life.run(invocation), {
          deadline,
          late: () => {
            const unsent = life.calls.withdraw(invocation);
            return unsent || repeatable ? this.unreachable(what) : unknownOutcome(what, 'in time');
          },
          closed: looks ? () => closedError(what) : undefined,
          signal,
        });
      } catch (error) {
        if (!(error instanceof CallEnded)) throw error;
        const again = repeatable && (looks || !this.#host.closed);
        if (error.sent && !again) throw unknownOutcome(what, 'before the session ended', error);
      }
    }
  }

  /**
   * For what must not hang where Redis is away: rejects with `RedisUnreachableError` after `connectTimeout` ms, and at
   * once where the signal or the session ends.
   */
  patiently<T>(
    what: string,
    work: Promise<T>,
    { signal, deadline }: Pick<Terms, 'signal' | 'deadline'> = {},
  ): Promise<T> {
    return this.#patience.wait(work, {
      late: () => this.unreachable(what),
      closed: () => closedError(what),
      signal,
      ...(deadline && { deadline }),
    });
  }

  /**
   * A try without waiting, patiently: `work` is told where nobody waits for it any more, and what it gets all the same
   * is released; one who aborts sees that, within reason.
   */
  async attempt<L extends { release(): Promise<void> }>(
    what: string,
    signal: AbortSignal | undefined,
    work: (gone: AbortSignal) => Promise<L | null>,
  ): Promise<L | null> {
    const gone = new AbortController();
    const trying = work(gone.signal);
    try {
      return await this.patiently(what, trying, { signal });
    } catch (error) {
      gone.abort();
      const over = trying.then(
        (late) => late?.release().catch((failure: Error) => this.#host.failed(failure)),
        () => {},
      );
      if (signal?.aborted) await Promise.race([over, sleep(GRACE, undefined, { ref: false })]);
      throw error;
    }
  }

  /** A look at Redis that belongs to no life: it ends in time, and is told of as all else is. */
  async look<T>(what: string, ask: () => Promise<T>): Promise<T> {
    if (this.#host.closed) throw closedError(what);
    return this.patiently(what, ask()).catch((error: unknown) => {
      if (error instanceof HeddleError) throw error;
      const said = saidForGood(error);
      throw said === undefined ? this.unreachable(what) : refused(what, said, { cause: error });
    });
  }

  /** Living sessions of the namespace, as they describe themselves: every session has a life in the first partition. */
  async members(partition: Partition, key: string): Promise<{ id: string; about: string }[]> {
    const what = 'members()';
    const asked = () => partition.asNobody([{ operation: 'session.members', keys: [key], args: [] }]);
    const [reply = []] = await this.look(what, asked);
    if (reply[0] === 'error') throw refused(what, String(reply[1]));
    const found: { id: string; about: string }[] = [];
    for (let at = 0; at + 1 < reply.length; at += 2) {
      found.push({ id: (reply[at] ?? '').replace(/-\d+$/, ''), about: reply[at + 1] ?? '' });
    }
    return found;
  }

  /** What is told where Redis does not answer, or will not. */
  unreachable(what: string): HeddleError {
    const { where, connectTimeout } = this.#host;
    const refusal = this.#host.denied ?? this.#host.partitionOf(nameOf(what) ?? '').refusal;
    if (refusal !== undefined)
      return new RedisRefusedError(`${what}: ${refusal.message}`, {
        primitive: nameOf(what),
        cause: refusal,
      });
    return new RedisUnreachableError(
      `${what}: Redis at ${where} has not answered for ${connectTimeout} ms; check that it runs and can be reached`,
      { primitive: nameOf(what) },
    );
  }

  /** The session closes. */
  close(): void {
    this.#patience.close();
  }
}

function unknownOutcome(what: string, when: string, cause?: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(
    `${what}: Redis did not answer ${when}; whether it took effect is not known: look, and do it again if it did not`,
    { primitive: nameOf(what), cause },
  );
}
