/**
 * The barrier in the distributed scope. Its table of filling, acting, draining and broken stands in Redis, one
 * transition a script; here is what one session does about its own parties.
 */
import {
  checkCount,
  checkFunction,
  checkKnown,
  checkTimeout,
  checkWait,
  type WaitOptions,
} from '../options.ts';
import type { CommandTerms } from '../session/commands.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import type { Answer } from '../session/run-operations.ts';
import { seatKey } from '../session/seats.ts';
import { mismatch } from './barrier.errors.ts';
import { barrierParts } from './barrier.scripts.ts';
import type { AnyBarrier, BarrierOptions } from './barrier.ts';
import { BarrierSeat } from './barrier-seat.distributed.ts';

/** A barrier by name, in Redis: parts the phases of work that many processes do. Made by `session.barrier(name, parties)`. */
export class DistributedBarrier implements AnyBarrier {
  /** The name it was asked for by. */
  readonly name: string;
  readonly parties: number;
  readonly #core: SessionCore;
  readonly #action: (() => unknown) | undefined;
  readonly #timeout: number | undefined;

  constructor(core: SessionCore, name: string, parties: number, options?: BarrierOptions) {
    this.name = checkName(name, 'barrier: name');
    this.parties = checkCount(parties, 'barrier: parties');
    const { action, timeout } = checkKnown(options, ['action', 'timeout'], 'barrier');
    if (action !== undefined && action !== null) checkFunction(action, 'barrier: action');
    this.#action = action ?? undefined;
    this.#timeout = checkTimeout(timeout, 'barrier');
    this.#core = core;
  }

  async wait(options?: WaitOptions): Promise<number> {
    const { timeout, signal } = checkWait(options, 'barrier.wait');
    this.#core.assertOpen(`barrier ${this.name}`);
    const seat = this.#core.seats.take(
      seatKey('barrier', this.name),
      () => new BarrierSeat(this.#core, this.name),
    );
    // An explicit `Infinity` waits for ever, whatever the barrier's own time-out.
    const patience = options?.timeout === undefined ? this.#timeout : timeout;
    return seat.wait(this.parties, this.#action, patience, signal);
  }

  async reset(): Promise<void> {
    await this.#core.seeThrough(this.#break(0));
  }

  async abort(): Promise<void> {
    await this.#core.seeThrough(this.#break(1));
  }

  async waiting(): Promise<number> {
    return Number((await this.#look())[1]);
  }

  async broken(): Promise<boolean> {
    return (await this.#look())[2] === '1';
  }

  async #look(): Promise<Answer> {
    const keys = this.#core.keyspace.of('barrier', this.name, ['state', 'arrivals']);
    return this.#refused(await this.#command('barrier.look', keys, [this.parties], { looks: true }));
  }

  async #break(stays: 0 | 1): Promise<void> {
    const keys = this.#core.keyspace.of('barrier', this.name, barrierParts);
    const args = [this.name, this.parties, stays];
    let is: string | undefined;
    for (let goesOn = false; is === undefined || is === 'again'; goesOn = true)
      [is] = this.#refused(await this.#command('barrier.break', keys, args, { goesOn }));
    while (is === 'more')
      [is] = await this.#command('barrier.advance', keys, [this.name], { repeatable: true, goesOn: true });
  }

  #command(
    operation: string,
    keys: readonly string[],
    args: readonly (string | number)[],
    terms: CommandTerms,
  ): Promise<Answer> {
    return this.#core.command(`barrier ${this.name}`, this.name, operation, keys, args, terms);
  }

  #refused(answer: Answer): Answer {
    if (answer[0] === 'mismatch') throw mismatch(this.name, Number(answer[1]), this.parties);
    return answer;
  }
}
