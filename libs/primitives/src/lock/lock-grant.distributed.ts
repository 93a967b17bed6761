/**
 * What a session was granted of a lock: the lock itself, under one of its lives, with a block of tokens. Holds here follow
 * each other on it without asking Redis, a token each, and so long as others' turn does not come.
 */
import { now } from '../deadline.ts';
import type { SessionCore } from '../session/core.ts';
import { type Claim, HeldLease } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { TokenBlock } from '../session/tokens.ts';
import type { Target } from '../session/waits-and-holds.ts';
import { HoldLimit } from './hold-limit.distributed.ts';
import type { LockCalls } from './lock-calls.distributed.ts';

/** What one waiter wants of the lease; `again`: one that is to be the handle of its hold, as it was before. */
export interface Wish {
  readonly claim: Claim;
  readonly maxHold: number | undefined;
  readonly again?: HeldLease;
}

/** Where grants of one lock come from, and who is told what becomes of their holds. */
export interface GrantSource {
  readonly core: SessionCore;
  readonly target: Target;
  readonly calls: LockCalls;
  /** Called where the lease that is out is released. */
  readonly released: (lease: HeldLease) => Promise<void>;
  /** Called where its `maxHold` is over: it is lost by then. */
  readonly overdue: (grant: LockGrant) => void;
}

export class LockGrant {
  readonly life: Incarnation;
  /** The first and the last of its tokens. */
  readonly first: number;
  readonly last: number;
  readonly #source: GrantSource;
  #nextToken: number;
  /** Whether replicas have it, where they are to. */
  #confirmed: Promise<void> | undefined;
  #lease: HeldLease | undefined;
  /** How long that may be out. */
  #limit: HoldLimit | undefined;

  constructor(source: GrantSource, life: Incarnation, { first, last }: TokenBlock) {
    this.#source = source;
    this.life = life;
    this.first = first;
    this.last = last;
    this.#nextToken = first;
    this.#confirm();
  }

  /** The lease that was made last. */
  get lease(): HeldLease | undefined {
    return this.#lease;
  }

  /** Whether one more may hold it before it goes back. */
  get lasts(): boolean {
    const next = this.#nextToken;
    return next <= this.last && next - this.first < this.#source.core.options.localTurns && this.life.valid;
  }

  /** The next hold: its lease, new or of before. */
  hold({ claim, maxHold, again }: Wish): HeldLease {
    const { core, target, calls, released, overdue } = this.#source;
    const token = this.#nextToken;
    const handedOver = token > this.first;
    const until = maxHold === undefined ? Number.POSITIVE_INFINITY : now() + maxHold;
    again?.resume(token, this.life, until, claim.asked, handedOver);
    const lease = again ?? new HeldLease(claim, token, this.life, released, until, handedOver);
    this.#nextToken += 1;
    if (this.#confirmed === undefined) this.#confirm();
    lease.confirmBy(this.#confirmed);
    lease.onOver(core.deadlocks.holds(lease, target, ''));
    this.#lease = lease;
    if (maxHold !== undefined)
      this.#limit = new HoldLimit(lease, maxHold, calls, this.first, () => overdue(this));
    return lease;
  }

  /** No hold is limited any more. False where the limit came first: the keeper has ended the grant in Redis, or is about to. */
  unlimit(): boolean {
    return this.#limit?.cancel() ?? true;
  }

  /** Told to whoever was granted, if anybody was; whoever comes after has it asked anew. */
  #confirm(): void {
    const asked = this.#source.calls.confirm(this.first);
    if (asked === undefined) return;
    this.#confirmed = asked;
    asked.catch(() => {
      this.#confirmed = undefined;
    });
  }
}
