/**
 * The cyclic barrier between threads: a generation barrier, whose whole state is one 64-bit word. How rounds fill, end and
 * break is `rounds.ts`; here is what a party does with one: arrive, wait, and run the action if it came last.
 */
import { Deadline } from '../deadline.ts';
import { typeError } from '../errors.ts';
import {
  type BlockingOptions,
  checkBlocking,
  checkCount,
  checkFunction,
  checkKnown,
  checkTimeout,
  checkWait,
  type WaitOptions,
} from '../options.ts';
import { FIRST_OWN_TRAIT, MEMORY, Memory } from '../shared-memory/memory.ts';
import { type HearsThreadEnds, THREAD_ENDED } from '../thread/thread-end.ts';
import type { AnyBarrier, BarrierOptions } from './barrier.ts';
import { Arrival, MOST_PARTIES, makeBarrierMemory, Rounds } from './rounds.ts';

/** In the memory's traits: made with an action, so that every handle has to say its own. */
const WITH_ACTION = FIRST_OWN_TRAIT;

type Action = () => unknown;

/** `threading.Barrier` between the threads of one process. */
export class Barrier implements AnyBarrier, HearsThreadEnds {
  /** @internal */
  readonly [MEMORY]: Memory;
  readonly parties: number;
  readonly #rounds: Rounds;
  readonly #action: Action | undefined;
  readonly #timeout: number | undefined;

  /** For `parties`, 1 to 1,048,575. A promise that the action gives is awaited, save in `waitSync`, which refuses it. */
  constructor(parties: number, options?: BarrierOptions);
  /** @internal The barrier that this memory is, with the action of this side. */
  constructor(memory: Memory, options: BarrierOptions);
  constructor(parties: number | Memory, options?: BarrierOptions) {
    const { action, timeout } = checkKnown(options, ['action', 'timeout'], 'new Barrier');
    if (action !== undefined && action !== null) checkFunction(action, 'Barrier: action');
    const limit = checkTimeout(timeout, 'new Barrier');
    this.#action = action ?? undefined;
    const memory =
      parties instanceof Memory ? checkAttached(parties, action) : makeMemory(parties, this.#action, limit);
    this[MEMORY] = memory;
    this.#rounds = new Rounds(memory, this.#action !== undefined);
    this.parties = this.#rounds.parties;
    this.#timeout = timeout === undefined ? this.#rounds.timeout : limit;
  }

  wait(options?: WaitOptions): Promise<number> {
    try {
      const { timeout, signal } = checkWait(options, 'Barrier.wait');
      const deadline = Deadline.after(options?.timeout === undefined ? this.#timeout : timeout);
      const arrival = new Arrival(this.#rounds);
      const waiting = this.#rounds.wait(arrival, deadline, signal);
      return waiting === undefined
        ? Promise.resolve(this.#leave(arrival))
        : waiting.then(() => this.#leave(arrival));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `wait`, blocking the thread. The last to arrive runs its action here, which must not be asynchronous. */
  waitSync(options?: BlockingOptions): number {
    const timeout = checkBlocking(options, 'Barrier.waitSync');
    const deadline = Deadline.after(options?.timeout === undefined ? this.#timeout : timeout);
    const arrival = new Arrival(this.#rounds);
    this.#rounds.waitSync(arrival, deadline);
    if (arrival.last) this.#actSync(arrival);
    return arrival.index;
  }

  reset(): void {
    this.#rounds.reset();
  }

  abort(): void {
    this.#rounds.abort();
  }

  waiting(): number {
    return this.#rounds.waiting;
  }

  broken(): boolean {
    return this.#rounds.broken;
  }

  /** @internal Breaks the round that a party waits in whose thread has ended: it will not leave. */
  [THREAD_ENDED](thread: number): void {
    this.#rounds.breakFor(thread);
  }

  #leave(arrival: Arrival): number | Promise<number> {
    return arrival.last ? this.#act(arrival) : arrival.index;
  }

  /** The round is over before this returns, unless the action gives a promise. */
  #act(arrival: Arrival): number | Promise<number> {
    const pending = this.#run(arrival);
    if (pending !== undefined) return this.#finish(arrival, pending);
    this.#rounds.complete(arrival.round);
    return arrival.index;
  }

  async #finish(arrival: Arrival, pending: PromiseLike<unknown>): Promise<number> {
    try {
      await pending;
    } catch (error) {
      this.#rounds.break(arrival.round);
      throw error;
    }
    this.#rounds.complete(arrival.round);
    return arrival.index;
  }

  #actSync(arrival: Arrival): void {
    const pending = this.#run(arrival);
    if (pending !== undefined) {
      pending.then(undefined, () => {});
      this.#rounds.break(arrival.round);
      throw typeError('Barrier.waitSync: a blocked thread cannot await its asynchronous action; use wait()');
    }
    this.#rounds.complete(arrival.round);
  }

  /** Runs the action; gives what is still to be waited for. */
  #run(arrival: Arrival): PromiseLike<unknown> | undefined {
    try {
      const given = this.#action?.() as PromiseLike<unknown> | null | undefined;
      return typeof given?.then === 'function' ? given : undefined;
    } catch (error) {
      this.#rounds.break(arrival.round);
      throw error;
    }
  }
}

/** Whether attaching this needs to say which action its side has. */
export function needsAction(primitive: { readonly [MEMORY]: Memory }): boolean {
  const { kind, traits } = primitive[MEMORY];
  return kind === 'Barrier' && (traits & WITH_ACTION) !== 0;
}

function makeMemory(parties: number, action: Action | undefined, timeout: number | undefined): Memory {
  checkCount(parties, 'new Barrier(parties): parties', { max: MOST_PARTIES });
  return makeBarrierMemory(parties, timeout, action === undefined ? 0 : WITH_ACTION);
}

function checkAttached(memory: Memory, action: unknown): Memory {
  if ((memory.traits & WITH_ACTION) !== 0 && action === undefined) {
    throw typeError(
      `attach: ${memory.label} was made with an action, and functions do not travel; say attach(handle, { action }) or { action: null }`,
    );
  }
  return memory;
}
