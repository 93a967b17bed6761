/**
 * A session's one registration at a flag that goes up: an event's, or a latch's that has been counted down. Whoever
 * waits registers and then looks, so that nothing in between is missed.
 */
import { CallEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import { Foothold } from '../session/foothold.ts';
import { closedError } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import type { Partition } from '../session/partition.ts';
import { isShortage, SHORTAGE_RETRY } from '../session/refused.ts';
import type { Answer, Invocation } from '../session/run-operations.ts';
import { type Seat, seatKey } from '../session/seats.ts';
import { Waiters } from '../session/waiters.ts';
import { eventParts } from './event.scripts.ts';

/** One waiter; `since` is the version it saw at first: one raised later counts, even if it is down again. */
interface FlagWait {
  /** What its kind's `wait` takes beside the name and `since`. */
  readonly args: readonly (string | number)[];
  since: string;
  asking: boolean;
  /** A message came, or may have been lost, while a reply was on its way: what that says may be out of date. */
  doubt: boolean;
}

export class FlagSeat implements Seat {
  readonly #core: SessionCore;
  readonly #kind: 'event' | 'latch';
  readonly #name: string;
  readonly #partition: Partition;
  readonly #keys: readonly string[];
  readonly #line = new Waiters<boolean, FlagWait>();
  readonly #foothold: Foothold;
  readonly #refuse: (answer: Answer, args: readonly (string | number)[]) => void;
  #asking = 0;

  /** @param refuse throws for an answer that is an error of its kind */
  constructor(
    core: SessionCore,
    kind: 'event' | 'latch',
    name: string,
    refuse: (answer: Answer, args: readonly (string | number)[]) => void = () => {},
  ) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#refuse = refuse;
    this.#partition = core.partitionOf(name);
    this.#foothold = new Foothold(this.#partition, () => {
      if (!this.#core.closed) queueMicrotask(() => this.askAgain());
    });
    this.#keys = core.keyspace.of(kind, name, eventParts);
  }

  async wait(
    args: readonly (string | number)[],
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const wait: FlagWait = { args, since: '', asking: false, doubt: false };
    const done = this.#line.add(wait, { timeout, signal, onTimeout: false, gaveUp: () => this.#leave() });
    this.#ask(wait);
    return done;
  }

  /** The flag went up to `version`: all who saw an older one go, the others look again. */
  told(_life: Incarnation, [version = '']: readonly string[]): void {
    if (!/^\d{1,16}$/.test(version)) throw new TypeError('no message of ours');
    for (const waiter of [...this.#line]) {
      const { since } = waiter.what;
      if (since !== '' && Number(version) > Number(since)) waiter.resolve(true);
      else this.#ask(waiter.what);
    }
    this.#tidyRecord();
  }

  get waited(): boolean {
    return this.#line.size > 0;
  }

  askAgain(): void {
    for (const { what } of [...this.#line]) this.#ask(what);
  }

  closed(): void {
    this.#line.rejectAll(() => closedError(`${this.#kind} ${this.#name}`));
  }

  #ask(wait: FlagWait): void {
    if (this.#line.get(wait) === undefined) return;
    if (wait.asking) {
      wait.doubt = true;
      return;
    }
    wait.asking = true;
    wait.doubt = false;
    this.#asking += 1;
    this.#foothold
      .ask((life) =>
        life.call(`${this.#kind}.wait`, [...this.#keys, life.holds], [this.#name, wait.since, ...wait.args]),
      )
      .then(
        (answer) => {
          const [state, version = '0'] = answer;
          this.#asking -= 1;
          wait.asking = false;
          this.#check(wait, answer);
          if (wait.since === '') wait.since = version;
          if (state === 'set') this.#line.get(wait)?.resolve(true);
          else if (wait.doubt) this.#ask(wait);
          else this.#line.decide(wait);
          if (this.#line.size === 0) void this.#leave();
        },
        (error: unknown) => {
          this.#asking -= 1;
          wait.asking = false;
          if (error instanceof CallEnded) this.#ask(wait);
          else this.#line.get(wait)?.reject(error);
          if (this.#line.size === 0) void this.#leave();
        },
      );
  }

  #check(wait: FlagWait, answer: Answer): void {
    try {
      this.#refuse(answer, wait.args);
    } catch (error) {
      this.#line.get(wait)?.reject(error);
    }
  }

  /** Nobody here waits any more: the registration ends. */
  #leave(): Promise<void> | undefined {
    if (this.#line.size > 0 || this.#asking > 0) return undefined;
    const life = this.#foothold.life;
    this.#tidy();
    if (life === undefined || life.ended !== undefined) return undefined;
    return life.run(this.#leaving(life)).then(
      () => undefined,
      (error: unknown) => (isShortage(error) ? this.#leaveLater(life) : undefined),
    );
  }

  #leaving(life: Incarnation): Invocation {
    const [, waiters] = this.#keys;
    const keys = [waiters as string, life.holds];
    return { operation: 'event.leave', keys, args: [this.#name, this.#kind] };
  }

  /** Redis took no leave: once it does, unless somebody of this session has registered again by then. */
  #leaveLater(life: Incarnation): void {
    const leave = () => {
      if (this.#core.seats.get(seatKey(this.#kind, this.#name)) !== undefined) return;
      life.later(this.#leaving(life), 0, () => this.#leaveLater(life));
    };
    setTimeout(leave, SHORTAGE_RETRY).unref();
  }

  /** `set` took the registration; what lists it beside the session goes with the next call, whatever that is. */
  #tidyRecord(): void {
    if (this.#line.size > 0 || this.#asking > 0) return;
    const life = this.#foothold.life;
    life?.later(this.#leaving(life), undefined, () => this.#leaveLater(life));
    this.#tidy();
  }

  #tidy(): void {
    this.#foothold.leave();
    this.#core.seats.leave(seatKey(this.#kind, this.#name), this);
  }
}
