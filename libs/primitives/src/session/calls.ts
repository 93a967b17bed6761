/**
 * The calls of one incarnation to one partition: what one turn of the event loop asks goes as one script call, calls go
 * in order, and one whose answer was cut off is sent again under its old number, so that it takes effect once.
 */
import { RedisRefusedError } from '../errors.ts';
import type { Reply } from './lua.ts';
import { isShortage, nameIn, refused, SHORTAGE_RETRY, saidForGood } from './refused.ts';
import { type Answer, type Envelope, type Invocation, isAnswer } from './run-operations.ts';

/** The incarnation ended before the call was answered. */
export class CallEnded extends Error {
  /** Whether it may have taken effect: only what was sent can have. */
  readonly sent: boolean;
  constructor(sent: boolean) {
    super('the session ended before Redis answered');
    this.name = 'CallEnded';
    this.sent = sent;
  }
}

/** For what the end of a life makes void: there is no answer then. */
export function unlessEnded(error: unknown): undefined {
  if (!(error instanceof CallEnded)) throw error;
}

/**
 * A quarter of the operations that wait go in one script call, within these bounds: several calls let this process make
 * ready the next while Redis works on the last. Fewer go where their arguments are this long (in characters).
 */
const SMALL_BATCH = 24;
const LARGEST_BATCH = 64;
const LONGEST_BATCH = 2 ** 20;
/** A reply that was read stays in Redis until its slot is used again, unless it is longer, or its slot rarely used. */
const KEPT_REPLY = 1024;
const KEPT_SLOTS = 4;
/** Ms before a call that met a passing fault of the server is sent again. */
const RETRY_AFTER = 50;

interface Call {
  readonly invocation: Invocation;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

interface Batch {
  readonly seq: number;
  /** Where Redis keeps its reply: the lowest that no unanswered batch has. */
  readonly slot: number;
  readonly calls: readonly Call[];
  /** What it tells of replies that were read. */
  read: string;
  /** On its way, as far as we know. */
  sent: boolean;
  attempts: number;
}

/** How a batch is put on the wire. */
export type Send = (invocations: readonly Invocation[], envelope: Envelope) => Promise<Reply>;

/** The connection's two states that matter here. */
export interface Wire {
  readonly up: boolean;
}

export class Calls {
  readonly #caller: Pick<Envelope, 'caller' | 'calls'>;
  readonly #send: Send;
  readonly #wire: Wire;
  /** Whether the incarnation still lives; looked at before any reply is acted on. */
  readonly #lives: () => boolean;
  /** Called where Redis says that the incarnation is gone. */
  readonly #gone: () => void;
  #waiting: Call[] = [];
  readonly #slots: boolean[] = [];
  /** Replies that need not be kept any more, as the next call says. */
  #read = '';
  /** In order of their numbers. */
  readonly #unanswered: Batch[] = [];
  #epoch = 1;
  #lastSeq = 0;
  #flushing = false;
  /** When what nobody waits for goes by itself. */
  #latest: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    caller: Pick<Envelope, 'caller' | 'calls'>,
    send: Send,
    wire: Wire,
    lives: () => boolean,
    gone: () => void,
  ) {
    this.#caller = caller;
    this.#send = send;
    this.#wire = wire;
    this.#lives = lives;
    this.#gone = gone;
  }

  /** Sends an operation with whatever else this turn asks. Rejects with `CallEnded` where the incarnation ends first. */
  call(invocation: Invocation): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new CallEnded(false));
      this.#waiting.push({ invocation, resolve, reject });
      this.#flushSoon();
    });
  }

  /**
   * Sends an operation that nobody waits for along with the next one that somebody does; by itself where there is none
   * for `within` ms, if that is given. Where Redis takes no writes it goes with a later one, unless `refused` says what
   * is to be done then.
   */
  later(
    invocation: Invocation,
    within?: number,
    refused = () => this.later(invocation, SHORTAGE_RETRY),
  ): void {
    if (this.#ended) return;
    const reject = (error: Error) => {
      if (isShortage(error)) refused();
    };
    this.#waiting.push({ invocation, resolve: () => {}, reject });
    if (within !== undefined) this.#latest ??= setTimeout(() => this.#flush(), within).unref();
  }

  /** Takes back what was not sent yet: true where it never will be. Its promise stays unsettled. */
  withdraw(invocation: Invocation): boolean {
    const at = this.#waiting.findIndex((call) => call.invocation === invocation);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0;
  }

  /** The connection is there (again): first what was cut off, in order, then what has waited. */
  connected(): void {
    for (const batch of [...this.#unanswered]) if (!batch.sent) this.#transmit(batch);
    this.#flush();
  }

  /** Ends every call: nobody will be answered any more, and nothing waits or is sent again from here on. */
  end(): void {
    this.#ended = true;
    const unanswered = this.#unanswered.splice(0);
    const waiting = this.#waiting.splice(0);
    for (const batch of unanswered) for (const call of batch.calls) call.reject(new CallEnded(true));
    for (const call of waiting) call.reject(new CallEnded(false));
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    // After the microtasks at hand: all that the last replies set going is in one batch.
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** What waits goes out, unless something before it has to be sent again first: order is part of what calls mean. */
  #flush(): void {
    clearTimeout(this.#latest);
    this.#latest = undefined;
    if (this.#unanswered.some(({ sent }) => !sent)) return;
    while (this.#waiting.length > 0 && this.#wire.up) {
      this.#lastSeq += 1;
      const size = batchSize(this.#waiting);
      const calls = size === this.#waiting.length ? this.#waiting : this.#waiting.slice(0, size);
      this.#waiting = calls === this.#waiting ? [] : this.#waiting.slice(size);
      const batch: Batch = {
        seq: this.#lastSeq,
        slot: this.#takeSlot(),
        calls,
        read: '',
        sent: false,
        attempts: 0,
      };
      this.#unanswered.push(batch);
      this.#transmit(batch);
    }
  }

  #transmit(batch: Batch): void {
    batch.sent = true;
    batch.attempts += 1;
    const epoch = this.#epoch;
    // Where the one before is refused or repeated for a while, this one must not overtake it.
    const before = this.#unanswered[this.#unanswered.indexOf(batch) - 1];
    const invocations = batch.calls.map(({ invocation }) => invocation);
    const { seq, slot } = batch;
    batch.read += this.#read;
    this.#read = '';
    this.#send(invocations, { ...this.#caller, epoch, seq, slot, before, read: batch.read }).then(
      (reply) => this.#answered(batch, reply),
      (error: unknown) => this.#failed(batch, epoch, error),
    );
  }

  #answered(batch: Batch, reply: Reply): void {
    if (!this.#lives()) return;
    if (Array.isArray(reply) && reply[0] === 'no session') {
      // Sent once, and refused: it took no effect, and may be asked for again under the next life.
      if (batch.attempts === 1) this.#reject(batch, new CallEnded(false));
      return this.#gone();
    }
    if (Array.isArray(reply) && reply[0] === 'stale') return this.#again(batch, this.#epoch);
    this.#forget(batch);
    const answers = Array.isArray(reply) && reply[0] === 'ok' ? reply : [];
    this.#mayForget(batch, answers);
    batch.calls.forEach((call, at) => {
      const answer = answers[at + 1];
      if (!isAnswer(answer)) {
        call.reject(
          new RedisRefusedError(
            `Redis answered ${call.invocation.operation} out of form: ${JSON.stringify(answer)}; is it Redis?`,
            { primitive: nameIn(call.invocation.keys) },
          ),
        );
      } else if (answer[0] === 'error') {
        const { operation, keys } = call.invocation;
        call.reject(refused(operation, String(answer[1]), { primitive: nameIn(keys) }));
      } else {
        call.resolve(answer);
      }
    });
  }

  #failed(batch: Batch, epoch: number, error: unknown): void {
    const said = saidForGood(error);
    if (said === undefined) return this.#again(batch, epoch);
    this.#forget(batch);
    for (const { invocation, reject } of batch.calls)
      reject(refused(invocation.operation, said, { primitive: nameIn(invocation.keys), cause: error }));
  }

  #reject(batch: Batch, error: Error): void {
    this.#forget(batch);
    for (const call of batch.calls) call.reject(error);
  }

  /** Unanswered: under a new epoch from here on, so that a late copy of the old one is refused. */
  #again(batch: Batch, epoch: number): void {
    batch.sent = false;
    if (epoch === this.#epoch) this.#epoch += 1;
    setTimeout(() => this.#wire.up && this.connected(), RETRY_AFTER).unref();
  }

  #forget(batch: Batch): void {
    const at = this.#unanswered.indexOf(batch);
    if (at >= 0) this.#unanswered.splice(at, 1);
    this.#slots[batch.slot] = false;
  }

  #takeSlot(): number {
    const free = this.#slots.indexOf(false);
    const slot = free < 0 ? this.#slots.length : free;
    this.#slots[slot] = true;
    return slot;
  }

  /** A few short replies may stay in Redis; of others it is told with the next call that they were read. */
  #mayForget({ slot }: Batch, answers: readonly Reply[]): void {
    const long = answers.some(
      (answer) =>
        Array.isArray(answer) && answer.some((part) => typeof part === 'string' && part.length > KEPT_REPLY),
    );
    if (slot >= KEPT_SLOTS || long) this.#read += `${slot} `;
  }
}

/** How many of those that wait go in one call: no script is to hold up others for long. */
function batchSize(waiting: readonly Call[]): number {
  const most = Math.min(LARGEST_BATCH, Math.max(SMALL_BATCH, Math.ceil(waiting.length / 4)));
  let length = 0;
  for (const [at, { invocation }] of waiting.entries()) {
    for (const arg of invocation.args) if (typeof arg === 'string') length += arg.length;
    if (at > 0 && (at === most || length > LONGEST_BATCH)) return at;
  }
  return waiting.length;
}
