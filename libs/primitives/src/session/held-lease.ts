/**
 * A lease of the distributed scope: as long as the session's sign of life lasts, and not past `maxHold`. While a
 * condition waits its hold is given up, and it is not valid; after that it is the handle of the new one.
 */

import { now } from '../deadline.ts';
import { LeaseLostError, NotReplicatedError, SessionClosedError } from '../errors.ts';
import type { LogicalThread } from '../identity.ts';
import type { Lease } from '../lock/lock.ts';
import { onAbort } from '../on-abort.ts';
import { type EndEvent, tell } from './diagnostics.ts';
import { Unconfirmed } from './durability.ts';
import type { Dependent, Incarnation } from './incarnation.ts';
import { nameOf } from './keys.ts';
import { wasLostThere } from './losses.ts';

/** Who asked for what, and when. */
export interface Claim {
  readonly kind: string;
  readonly name: string;
  /** The session's id. */
  readonly session: string;
  readonly owner: LogicalThread;
  /** Monotonic ms. */
  readonly asked: number;
}

export class HeldLease implements Lease, Dependent {
  readonly #claim: Claim;
  readonly #end: (lease: HeldLease) => Promise<void>;
  #confirmed: Promise<void> | undefined;
  #since = 0;
  #token: number;
  #incarnation: Incarnation;
  #until: number;
  #suspended = false;
  #givenUp = false;
  #told: (() => void) | undefined;
  #controller: AbortController | undefined;
  #lost: LeaseLostError | undefined;
  /** That it was lost before, as its release found out. */
  #found: LeaseLostError | undefined;
  #over = false;
  /** Of a re-entrant lock: the acquisitions that it goes on for. */
  levels: readonly { readonly owner: LogicalThread; readonly valid: boolean }[] | undefined;

  /**
   * @param end gives back what is held, in the primitive's own way
   * @param until monotonic ms at which `maxHold` ends it
   * @param handedOver whether it came from another of the same session
   */
  constructor(
    claim: Claim,
    token: number,
    incarnation: Incarnation,
    end: (lease: HeldLease) => Promise<void>,
    until = Number.POSITIVE_INFINITY,
    handedOver = false,
  ) {
    this.#claim = claim;
    this.#end = end;
    this.#token = token;
    this.#incarnation = incarnation;
    this.#until = until;
    this.#granted(claim.asked, handedOver);
    incarnation.attach(this);
  }

  /** Whose it is: the logical thread that acquired it. */
  get owner(): LogicalThread {
    return this.#claim.owner;
  }

  get token(): number {
    return this.#token;
  }

  /** Settles once replicas have the grant it is of, where the session wants that. */
  get confirmed(): Promise<void> | undefined {
    return this.#confirmed;
  }

  confirmBy(confirmed: Promise<void> | undefined): void {
    this.#confirmed = confirmed;
    confirmed?.catch(() => {}); // Told to whoever was granted.
  }

  /** The life it is held under. */
  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  /** Monotonic ms at which `maxHold` ends it. */
  get until(): number {
    return this.#until;
  }

  get signal(): AbortSignal {
    this.#look();
    this.#controller ??= new AbortController();
    if (this.#lost !== undefined && !this.#controller.signal.aborted) this.#controller.abort(this.#lost);
    return this.#controller.signal;
  }

  get valid(): boolean {
    const held = !this.#over && !this.#suspended && this.#lost === undefined;
    return held && this.incarnation.valid && now() < this.#until;
  }

  /** A session's locks go to nobody half changed without a new token: there is nothing more to tell. */
  get abandoned(): boolean {
    return false;
  }

  /** Released, or ended in another way; not lost. */
  get over(): boolean {
    return this.#over;
  }

  /** Its hold is given up for a while. */
  get suspended(): boolean {
    return this.#suspended;
  }

  /** Released while its hold was given up: there is nobody to end the next one. */
  get givenUp(): boolean {
    return this.#givenUp;
  }

  get lost(): LeaseLostError | undefined {
    return this.#lost;
  }

  /** Calls `fn`, if there is one, once the hold it has now is over, in whatever way. */
  onOver(fn: (() => void) | undefined): void {
    if (this.#over || this.#lost !== undefined) fn?.();
    else this.#told = fn;
  }

  /** Ends it without asking anybody: another call has released it. */
  conclude(): void {
    if (!this.#over && this.#lost === undefined && !this.#suspended) tell('release', () => this.#ended());
    this.#over = true;
    this.incarnation.detach(this);
    this.#told?.();
  }

  /** Gives its hold up for a while, as far as its owner is concerned. */
  suspend(): void {
    this.incarnation.detach(this);
    this.#suspended = true;
    this.#givenUp = false;
    tell('release', () => this.#ended());
    this.#told?.();
  }

  /** It is the handle of this hold from here on. */
  resume(token: number, incarnation: Incarnation, until: number, asked: number, handedOver: boolean): void {
    this.#token = token;
    this.#incarnation = incarnation;
    this.#until = until;
    this.#suspended = false;
    this.#found = undefined; // That was of the hold it gave up.
    this.#granted(asked, handedOver);
    incarnation.attach(this);
  }

  /** It ended against its holder's will. */
  lose(reason: string): void {
    if (this.#over || this.#lost !== undefined) return;
    this.#suspended = false;
    this.incarnation.detach(this);
    this.#told?.();
    const { kind, name } = this.#claim;
    this.#lost = new LeaseLostError(
      `the lease of ${kind} ${name} was lost: ${reason}; stop, and trust only what its token ${this.token} guards`,
      { primitive: name },
    );
    tell('lost', () => ({ ...this.#ended(), reason }));
    this.#controller?.abort(this.#lost);
  }

  /** What is told of one that was lost in Redis before it could be given back; `life` is that it was held under. */
  lostThere(life: Incarnation): LeaseLostError | undefined {
    if (!wasLostThere(life.ended)) return undefined;
    const { kind, name } = this.#claim;
    return this.#find(`${kind} ${name} was lost before it was released: ${life.ended}`);
  }

  /** What is told of one that Redis did not have any more when it was given back. */
  notHeldThere(): LeaseLostError {
    const { kind, name } = this.#claim;
    return this.#find(`${kind} ${name} was not held any more when it was released`);
  }

  #find(what: string): LeaseLostError {
    const { name: primitive } = this.#claim;
    this.#found = new LeaseLostError(`${what}; trust only what its token ${this.token} guards`, {
      primitive,
    });
    return this.#found;
  }

  /** What is told where it was given up before it was had. */
  gone(): LeaseLostError {
    const { kind, name } = this.#claim;
    return new LeaseLostError(
      `${kind} ${name} was released, or its session closed, while replicas were asked to confirm its grant`,
      { primitive: name },
    );
  }

  /** What is told where replicas do not have it. */
  notReplicated(cause: unknown): NotReplicatedError {
    const { kind, name } = this.#claim;
    const why = cause instanceof Error ? cause.message : String(cause);
    return new NotReplicatedError(
      `${kind} ${name} was granted, and given back: ${why}; look after the replicas (INFO replication), or ask durability for fewer`,
      { primitive: name, cause },
    );
  }

  release(): Promise<void> {
    this.#look();
    const lost = this.#lost ?? this.#found;
    if (lost !== undefined) return Promise.reject(lost);
    this.#givenUp ||= this.#suspended;
    if (this.#over || this.#suspended) return Promise.resolve();
    this.conclude();
    return this.#end(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** An end that the event loop slept through is told before anybody looks. */
  #look(): void {
    if (this.#over || this.#suspended) return;
    if (!this.incarnation.lives) this.lose(this.incarnation.ended ?? 'its session ended');
    else if (now() >= this.#until) this.lose('it was held for longer than its maxHold');
  }

  #granted(asked: number, handedOver: boolean): void {
    this.#since = now();
    const { kind, name, session } = this.#claim;
    const waited = this.#since - asked;
    const event = () => ({ kind, name, session, token: this.#token, waited, handedOver });
    tell('grant', event);
    if (handedOver) tell('hand-over', event);
  }

  #ended(): EndEvent {
    const { kind, name, session } = this.#claim;
    return { kind, name, session, token: this.#token, held: now() - this.#since };
  }
}

/** The lease once it is known to outlive a fail-over; given back, with `NotReplicatedError`, where it is not. */
export async function confirmed(
  lease: HeldLease | null,
  signal: AbortSignal | undefined,
): Promise<HeldLease | null> {
  if (lease?.confirmed === undefined) return lease;
  const { promise, reject } = Promise.withResolvers<never>();
  const stopHearing = signal && onAbort(signal, () => reject(signal.reason));
  try {
    await Promise.race([lease.confirmed, promise]);
  } catch (error) {
    // Ended by another handle, by its `maxHold` or with the session: then Redis does not have it, and that is why.
    if (error instanceof Unconfirmed && lease.over) throw lease.gone();
    if (error instanceof Unconfirmed && lease.lost !== undefined) throw lease.lost;
    // Lost meanwhile, or Redis is away, or takes no writes: then it is given back when it does, or ends with the session.
    await lease.release().catch(() => {});
    throw error instanceof Unconfirmed ? lease.notReplicated(error) : error;
  } finally {
    stopHearing?.();
  }
  // Another handle may have released it, or the session been closed, before whoever asked ever had it.
  if (lease.over) throw lease.gone();
  return lease;
}

/** What is told where the session is closed. */
export function closedError(what: string): SessionClosedError {
  return new SessionClosedError(`${what}: the session is closed; connect() a new one`, {
    primitive: nameOf(what),
  });
}
