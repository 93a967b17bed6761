/**
 * The event in the distributed scope: a flag in Redis with a version, and one registration for all waiters of a
 * session. `wait` registers and then looks, so that no `set` in between is missed; `set` publishes once for each
 * waiting session.
 */

import { checkWait, type WaitOptions } from '../options.ts';
import type { CommandTerms } from '../session/commands.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import { seatKey } from '../session/seats.ts';
import { eventParts } from './event.scripts.ts';
import type { AnyEvent } from './event.ts';
import { FlagSeat } from './flag-seat.distributed.ts';

/** An event by name, in Redis: one `set` lets every waiter of the fleet go. Made by `session.event(name)`. */
export class DistributedEvent implements AnyEvent {
  /** The name it was asked for by. */
  readonly name: string;
  readonly #core: SessionCore;

  constructor(core: SessionCore, name: string) {
    this.name = checkName(name, 'event: name');
    this.#core = core;
  }

  async isSet(): Promise<boolean> {
    return this.#look(undefined);
  }

  set(): Promise<void> {
    return this.#core.seeThrough(this.#set());
  }

  async clear(): Promise<void> {
    await this.#command('event.clear', []);
  }

  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, 'event.wait');
    this.#core.assertOpen(`event ${this.name}`);
    if (timeout === 0) return this.#look(signal);
    return this.#core.seats
      .take(seatKey('event', this.name), () => new FlagSeat(this.#core, 'event', this.name))
      .wait([], timeout, signal);
  }

  async #set(): Promise<void> {
    let [answer] = await this.#command('event.set', [this.name, 1]);
    while (answer === 'more')
      [answer] = await this.#command('event.set', [this.name, 0], { repeatable: true, goesOn: true });
  }

  async #look(signal: AbortSignal | undefined): Promise<boolean> {
    const [answer] = await this.#command('event.is-set', [], { looks: true, signal });
    return answer === 'yes';
  }

  /** What changes the flag is not repeated under another life: by then others may have changed it again. */
  #command(operation: string, args: readonly (string | number)[], how: CommandTerms = {}) {
    const keys = this.#core.keyspace.of(
      'event',
      this.name,
      operation === 'event.set' ? eventParts : ['state'],
    );
    return this.#core.command(`event ${this.name}`, this.name, operation, keys, args, how);
  }
}
