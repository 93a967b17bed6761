/**
 * The event in the distributed scope: a flag in Redis with a version, and one registration for all waiters of a
 * session. `wait` registers and then looks, so that no `set` in between is missed; `set` publishes once for each
 * waiting session.
 */

import { checkWait, type WaitOptions } from '../options.ts';
import { CallEnded } from '../session/calls.ts';
import type { Seat, SessionCore } from '../session/core.ts';
import { Foothold } from '../session/foothold.ts';
import { closedError } from '../session/held-lease.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { checkName } from '../session/keys.ts';
import type { Partition } from '../session/partition.ts';
import { Waiters } from '../session/waiters.ts';
import { eventParts } from './event.scripts.ts';
import type { AnyEvent } from './event.ts';

/** An event by name, in Redis: one `set` lets every waiter of the fleet go. Made by `session.event(name)`. */
export class DistributedEvent implements AnyEvent {
  readonly name: string;
  readonly #core: SessionCore;

  constructor(core: SessionCore, name: string) {
    this.name = checkName(name, 'event: name');
    this.#core = core;
  }

  async isSet(): Promise<boolean> {
    return this.#look(undefined);
  }

  async set(): Promise<void> {
    let [answer] = await this.#command('event.set', [this.name, 1]);
    while (answer === 'more')
      [answer] = await this.#command('event.set', [this.name, 0], { repeatable: true });
  }

  async clear(): Promise<void> {
    await this.#command('event.clear', []);
  }

  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, 'event.wait');
    this.#core.assertOpen(`event ${this.name}`);
    if (timeout === 0) return this.#look(signal);
    return this.#core
      .seat('event', this.name, () => new EventSeat(this.#core, this.name))
      .wait(timeout, signal);
  }

  async #look(signal: AbortSignal | undefined): Promise<boolean> {
    const [answer] = await this.#command('event.is-set', [], { repeatable: true, signal });
    return answer === 'yes';
  }

  /** What changes the flag is not repeated under another life: by then others may have changed it again. */
  #command(
    operation: string,
    args: readonly (string | number)[],
    how: { repeatable?: boolean; signal?: AbortSignal | undefined } = {},
  ) {
    const keys = this.#core.keyspace.of(
      'event',
      this.name,
      operation === 'event.set' ? eventParts : ['state'],
    );
    return this.#core.command(`event ${this.name}`, this.name, operation, keys, args, how);
  }
}

/** One waiter; `since` is the version it saw at first: one raised later counts, even if it is down again. */
interface EventWait {
  since: string;
  asking: boolean;
  /** A message came, or may have been lost, while a reply was on its way: what that says may be out of date. */
  doubt: boolean;
}

/** A session's one registration at an event. */
class EventSeat implements Seat {
  readonly #core: SessionCore;
  readonly #name: string;
  readonly #partition: Partition;
  readonly #keys: readonly string[];
  readonly #line = new Waiters<boolean, EventWait>();
  readonly #foothold: Foothold;
  #asking = 0;

  constructor(core: SessionCore, name: string) {
    this.#core = core;
    this.#name = name;
    this.#partition = core.partitionOf(name);
    this.#foothold = new Foothold(this.#partition, () => {
      if (!this.#core.closed) queueMicrotask(() => this.askAgain());
    });
    this.#keys = core.keyspace.of('event', name, eventParts);
  }

  async wait(timeout: number | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    const wait: EventWait = { since: '', asking: false, doubt: false };
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
    this.#line.rejectAll(() => closedError(`event ${this.#name}`));
  }

  #ask(wait: EventWait): void {
    if (this.#line.get(wait) === undefined) return;
    if (wait.asking) {
      wait.doubt = true;
      return;
    }
    wait.asking = true;
    wait.doubt = false;
    this.#asking += 1;
    this.#foothold
      .under()
      .then((life) => life.call('event.wait', [...this.#keys, this.#holds(life)], [this.#name, wait.since]))
      .then(
        ([state, version = '0']) => {
          this.#asking -= 1;
          wait.asking = false;
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

  /** Nobody here waits any more: the registration ends. */
  #leave(): Promise<void> | undefined {
    if (this.#line.size > 0 || this.#asking > 0) return undefined;
    const life = this.#foothold.life;
    this.#tidy();
    if (life === undefined || life.ended !== undefined) return undefined;
    const [, waiters] = this.#keys;
    return life.call('event.leave', [waiters as string, this.#holds(life)], [this.#name]).then(
      () => undefined,
      () => undefined,
    );
  }

  /** `set` took the registration; what lists it beside the session goes with the next call, whatever that is. */
  #tidyRecord(): void {
    if (this.#line.size > 0 || this.#asking > 0) return;
    const [, waiters] = this.#keys;
    const life = this.#foothold.life;
    if (life !== undefined) {
      life.later({
        operation: 'event.leave',
        keys: [waiters as string, this.#holds(life)],
        args: [this.#name],
      });
    }
    this.#tidy();
  }

  #holds(life: Incarnation): string {
    return this.#core.keyspace.ofSession(this.#partition.index, life.id).holds;
  }

  #tidy(): void {
    this.#foothold.leave();
    this.#core.leave('event', this.#name, this);
  }
}
