/**
 * The parties that one session has at a barrier: each arrives under a number, and its outcome is kept in Redis for that
 * number until it has been read, so that a message is a hint, and to ask again is not to arrive again.
 *
 * | a party hears, by reply or message | then |
 * |---|---|
 * | `waiting` | it stands there until a message comes, or it asks again; an impatient one leaves |
 * | `act` | it is the last: it runs its action and says how that went, and hears an index or `broken` |
 * | an index | the round has tripped |
 * | `broken` | so is the barrier, as where its life ended while it stood there |
 *
 * To leave is to break the barrier, unless the round ended just then.
 */
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { Foothold } from '../session/foothold.ts';
import { closedError } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { Partition } from '../session/partition.ts';
import { askLater, isShortage } from '../session/refused.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { Waiters } from '../session/waiters.ts';
import { brokenBarrier, mismatch } from './barrier.errors.ts';
import { barrierParts } from './barrier.scripts.ts';

type Action = (() => unknown) | undefined;

/** One party: who it is, and what it would do as the last to arrive. */
interface Party {
  readonly id: string;
  readonly parties: number;
  readonly action: Action;
  life?: Incarnation;
  /** It stands at the barrier, as far as we know. */
  arrived: boolean;
  /** It asks again soon. */
  later: boolean;
  asking: boolean;
  doubt: boolean;
  /** It was told to run the action; once is enough. */
  acting: boolean;
  /** Its time-out is 0: it arrives, and leaves at once unless that completes the round. */
  readonly impatient: boolean;
  /** What its action threw: told to this party as it is, to the others as a broken barrier. */
  failure?: { readonly error: unknown };
}

export class BarrierSeat implements Seat {
  readonly #core: SessionCore;
  readonly #name: string;
  readonly #partition: Partition;
  readonly #keys: readonly string[];
  readonly #line = new Waiters<number, Party>();
  readonly #parties = new Map<string, Party>();
  readonly #foothold: Foothold;
  #busy = 0;

  constructor(core: SessionCore, name: string) {
    this.#core = core;
    this.#name = name;
    this.#partition = core.partitionOf(name);
    this.#foothold = new Foothold(this.#partition, () => {
      if (!this.#core.closed) queueMicrotask(() => this.askAgain());
    });
    this.#keys = core.keyspace.of('barrier', name, barrierParts);
  }

  async wait(
    parties: number,
    action: Action,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const party: Party = {
      id: this.#core.nextWait(),
      parties,
      action,
      arrived: false,
      later: false,
      asking: false,
      doubt: false,
      acting: false,
      impatient: timeout === 0,
    };
    this.#parties.set(party.id, party);
    const index = this.#line.add(party, {
      timeout: party.impatient ? this.#core.connectTimeout : timeout,
      signal,
      onTimeout: party.impatient ? this.#core.unreachable(`barrier ${this.#name}`) : this.#tooLate(timeout),
      gaveUp: () => this.#gaveUp(party),
    });
    this.#ask(party);
    try {
      return await index;
    } finally {
      this.#parties.delete(party.id);
      this.#tidy();
    }
  }

  told(_life: Incarnation, [id = '', outcome = '']: readonly string[]): void {
    if (!/^(act|broken|\d{1,16})$/.test(outcome)) throw new TypeError('no message of ours');
    const party = this.#parties.get(id);
    if (party !== undefined) this.#settle(party, outcome);
  }

  get waited(): boolean {
    return this.#line.size > 0;
  }

  askAgain(): void {
    for (const { what: party } of [...this.#line]) {
      if (party.asking) party.doubt = true;
      else this.#ask(party);
    }
  }

  closed(): void {
    this.#line.rejectAll(() => closedError(`barrier ${this.#name}`));
  }

  /** Arrives, or asks again what has become of the round. */
  #ask(party: Party): void {
    if (this.#line.get(party) === undefined || party.asking) return;
    party.asking = true;
    party.doubt = false;
    this.#arrive(party)
      .then((outcome) => {
        party.asking = false;
        party.arrived = true;
        this.#settle(party, outcome);
      })
      .catch((error: unknown) => {
        party.asking = false;
        // Who stands there is not the worse for it that Redis takes no writes.
        if (party.arrived && isShortage(error)) askLater(party, () => this.#ask(party));
        else this.#line.get(party)?.reject(error);
      });
  }

  async #arrive(party: Party): Promise<string> {
    const life = this.#foothold.stand() ?? (await this.#foothold.under());
    if (this.#line.get(party) === undefined) return 'gone';
    // One that stood at the barrier under a life that ended has died there, as far as the others can tell.
    if (party.life !== undefined && party.life !== life) return 'broken';
    party.life = life;
    for (;;) {
      const args = [this.#name, party.id, party.parties, party.action ? 1 : 0];
      const answer = await life
        .call('barrier.wait', [...this.#keys, life.holds], args)
        .catch((error: unknown) => {
          if (error instanceof CallEnded) return ['broken'];
          throw error;
        });
      if (answer[0] === 'mismatch') throw mismatch(this.#name, Number(answer[1]), party.parties);
      if (answer[0] !== 'more') return answer[0] ?? '';
      // It has left meanwhile: to ask again would be to arrive again.
      if (this.#line.get(party) === undefined) return 'gone';
    }
  }

  #settle(party: Party, outcome: string): void {
    const waiter = this.#line.get(party);
    if (waiter === undefined) return;
    if (outcome === 'act') return this.#act(party);
    if (outcome === 'waiting' && party.impatient) return this.#leaveAtOnce(party);
    if (outcome === 'waiting') return party.doubt ? this.#ask(party) : this.#line.decide(party);
    this.#forget(party);
    if (party.failure !== undefined) waiter.reject(party.failure.error);
    else if (/^\d+$/.test(outcome)) waiter.resolve(Number(outcome));
    else
      waiter.reject(
        brokenBarrier(
          this.#name,
          'a party timed out, aborted or died, its action threw, or it was reset or aborted',
        ),
      );
  }

  /** The last of a round: its action runs before anyone is let go. */
  #act(party: Party): void {
    const { life, action } = party;
    if (party.acting || life === undefined) return;
    party.acting = true;
    this.#busy += 1;
    void (async () => {
      let well: 0 | 1 = 1;
      try {
        await action?.();
      } catch (error) {
        well = 0;
        party.failure = { error };
      }
      const [is] = await life.giveBack('barrier.acted', this.#keys, [this.#name, party.id, well]);
      if (is === 'more') await this.#advance(life);
      if (well === 0) this.#settle(party, 'broken');
    })()
      .catch((error: unknown) => {
        // Where the life ended that breaks the barrier, and this party hears of it.
        if (!(error instanceof CallEnded)) this.#line.get(party)?.reject(error);
      })
      .finally(() => {
        this.#busy -= 1;
        this.#tidy();
      });
  }

  #leaveAtOnce(party: Party): void {
    const settle = (index?: number) => {
      const waiter = this.#line.get(party);
      if (index === undefined) waiter?.reject(this.#tooLate(0));
      else waiter?.resolve(index);
    };
    void (this.#gaveUp(party) ?? Promise.resolve(undefined)).then(settle, () => settle());
  }

  #tooLate(timeout: number | undefined): Error {
    return brokenBarrier(this.#name, `a party waited longer than its time-out of ${timeout} ms`);
  }

  /**
   * A time-out or an abort breaks the barrier, unless the round ended just then: one whose time is up has its index, one
   * that was aborted was counted, and is told of its abort all the same.
   */
  #gaveUp(party: Party): Promise<number | undefined> | undefined {
    if (party.life?.ended !== undefined) return undefined;
    this.#busy += 1;
    const args = [this.#name, party.id, party.action ? 1 : 0];
    return (async () => {
      // It gave up before it arrived: that breaks the barrier too, since it will not come.
      if (party.life === undefined) {
        await this.#breakFor(party);
        return undefined;
      }
      const { life } = party;
      const [is] = await life.giveBackAll('barrier.leave', [...this.#keys, life.holds], args);
      this.#forget(party);
      return /^\d+$/.test(is ?? '') ? Number(is) : undefined;
    })()
      .catch(() => undefined)
      .finally(() => {
        this.#busy -= 1;
        this.#tidy();
      });
  }

  async #breakFor(party: Party): Promise<void> {
    const life = this.#foothold.stand() ?? (await this.#foothold.under());
    const args = [this.#name, party.parties, 1];
    let is: string | undefined;
    do {
      [is] = await life.giveBack('barrier.break', this.#keys, args);
    } while (is === 'again');
    if (is === 'more') await this.#advance(life);
  }

  /** Goes on with a round that met its bound. */
  #advance(life: Incarnation): Promise<unknown> {
    return this.#core.seeThrough(life.giveBackAll('barrier.advance', this.#keys, [this.#name]));
  }

  /** The outcome was read: what keeps it goes with the next call, whatever that is. */
  #forget(party: Party): void {
    const { life } = party;
    if (life === undefined) return;
    const [, arrivals = '', outcomes = ''] = this.#keys;
    life.later({
      operation: 'barrier.forget',
      keys: [arrivals, outcomes, life.holds],
      args: [this.#name, party.id, party.action ? 1 : 0],
    });
  }

  #tidy(): void {
    if (this.#line.size > 0 || this.#busy > 0) return;
    this.#foothold.leave();
    this.#core.seats.leave(seatKey('barrier', this.#name), this);
  }
}
