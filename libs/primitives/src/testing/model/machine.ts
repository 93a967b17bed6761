/**
 * What a step of a run does to a state: an operation on memory, sleep and waking, the history of a thread. It looks
 * whether threads are where they must not be, and whether what the search takes for granted about a cell is so.
 */
import type { Actor } from './actor.ts';
import { type LoopEvent, NATIVE } from './desk.ts';
import type { Node } from './history.ts';
import type { PlainCells } from './plain-cells.ts';
import type { Scenario } from './scenario.ts';
import { HELD, HOLDER, type Layout, type Operation, type Outcome } from './simulated-memory.ts';
import { couldGoOn, gapOf, type Move, type State, type ThreadState } from './state.ts';
import { type Step, traceOf } from './trace.ts';
import { Traffic } from './traffic.ts';
import { type Fault, Violation } from './violation.ts';

/** Thrown where threads that run one program wrote something that tells them apart. */
export const TOLD_APART = Symbol('told apart');
/** Thrown where a cell was found that threads write without atomic operations. */
export const PLAINLY_WRITTEN = Symbol('plainly written');
/** Thrown where a thread touches a cell of which it was thought that it did not. */
export const MINDED = Symbol('minded');
/** The number of a thread that is one of several alike: it must not come to stand in memory. */
export const ANYBODY = 765_432;

/** Whether a value names the thread that writes it: its number, one more, its native id, or an ident of its own. */
function isPersonal(written: number | bigint): boolean {
  const value = Number(written);
  const near = value - ANYBODY;
  return near === 1 || near === 2 || near === NATIVE || Math.floor(value / 2 ** 32) === ANYBODY + 2;
}

export class Machine {
  /** By thread; those that run one program share one, unless they can be told apart. */
  actors: readonly Actor[] = [];
  /** The steps that have led here. */
  trail: Step[] = [];
  readonly traffic = new Traffic();
  readonly #scenario: Scenario<unknown>;
  readonly #layout: Layout;
  readonly #plain: PlainCells | undefined;
  /** The words of locks of which bit 0 says that they are held. */
  readonly #locks: readonly number[];
  /** Words of locks that are taken as given. */
  readonly #acquired = new Set<number>();
  /** Words of locks that are also looked at, or changed, by who does not hold them. */
  readonly #lookedAt = new Set<number>();

  constructor(
    scenario: Scenario<unknown>,
    layout: Layout,
    locks: readonly number[],
    plain: PlainCells | undefined,
  ) {
    this.#scenario = scenario;
    this.#layout = layout;
    this.#locks = locks;
    this.#plain = plain;
  }

  /** Makes all operations that nobody else minds. */
  settle(state: State): void {
    for (let thread = this.#unminded(state); thread !== undefined; thread = this.#unminded(state)) {
      this.trail.push({ thread, node: (state.threads[thread] as ThreadState).node, what: 'operation' });
      this.#operate(state, thread, 'in time');
    }
  }

  /** A thread whose next operation nobody else minds. */
  #unminded(state: State): number | undefined {
    const { threads } = state;
    for (const [thread, { node, status }] of threads.entries()) {
      const { next } = gapOf(node);
      if (status !== 'ready' || !('operation' in next)) continue;
      if (next.operation.kind === 'alive' && (this.#scenario.mayEnd ?? []).length === 0) return thread;
      if (this.traffic.free(thread, next.operation, this.#heldBy(state, thread))) return thread;
      if (this.#ownsWord(state, thread, next.operation)) return thread;
    }
    return undefined;
  }

  /**
   * Whether it is the word of a lock that is taken as given, and the thread has it: until it gives it back nobody else can
   * do anything with that word, if all they ever do is to take it.
   */
  #ownsWord({ holders }: State, thread: number, { kind, cell }: Operation): boolean {
    if (!this.#acquired.has(cell) || this.#lookedAt.has(cell) || kind === 'acquire') return false;
    return holders[this.#locks.indexOf(cell)] === thread;
  }

  make(state: State, move: Move): void {
    const { thread, kind } = move;
    const at = state.threads[thread] as ThreadState;
    const awaitsLoop = 'idle' in gapOf(at.node).next;
    switch (kind) {
      case 'operation':
        if (at.status === 'woken') this.#resume(state, thread);
        else this.#operate(state, thread, 'in time');
        return;
      case 'late':
        this.#operate(state, thread, 'late');
        return;
      case 'end':
        state.oneEnded = true;
        state.sleepers = state.sleepers.filter((each) => each.thread !== thread);
        this.#set(state, thread, { status: 'ended', notified: [] });
        return;
      case 'event':
        this.#deliver(state, thread, move.event);
        return;
      case 'slice':
        state.slices += 1;
        break;
      case 'look':
        this.#set(state, thread, { looks: at.looks + 1 });
        break;
      default:
    }
    if (awaitsLoop) this.#deliver(state, thread, { type: 'look', id: 0 });
    else {
      state.sleepers = state.sleepers.filter((each) => each.thread !== thread || each.entry !== undefined);
      this.#go(state, thread, { outcome: 'timed-out' });
    }
  }

  /** One that was woken goes on, with the operation that follows. */
  #resume(state: State, thread: number): void {
    this.#go(state, thread, { outcome: 'ok' });
    const { node } = state.threads[thread] as ThreadState;
    const { next } = gapOf(node);
    if (!('operation' in next) || next.operation.kind === 'clock' || !couldGoOn(state, node)) return;
    this.trail.push({ thread, node: (state.threads[thread] as ThreadState).node, what: 'operation' });
    this.#operate(state, thread, 'in time');
  }

  #deliver(state: State, thread: number, event: LoopEvent): void {
    const { notified } = state.threads[thread] as ThreadState;
    if (event.type === 'entry') {
      this.#set(state, thread, { notified: notified.filter((id) => id !== event.id) });
    }
    this.#go(state, thread, { event });
  }

  #operate(state: State, thread: number, time: string): void {
    const { node } = state.threads[thread] as ThreadState;
    const { next, leaves } = gapOf(node);
    if (!('operation' in next)) throw new Error('a thread that does nothing was to go on');
    this.#leave(state, leaves);
    const outcome = this.#perform(state, thread, next.operation, time);
    const step = this.trail.at(-1);
    if (step !== undefined) step.outcome = outcome;
    if (outcome !== 'asleep') this.#go(state, thread, { outcome });
  }

  #perform(state: State, thread: number, operation: Operation, time: string): Outcome {
    const { kind, cell, operand, more } = operation;
    if (kind === 'clock') return time;
    if (isPersonal(operation.operand)) throw TOLD_APART;
    if (this.traffic.minded(thread, operation, this.#heldBy(state, thread))) throw MINDED;
    if (kind === 'alive') return state.threads[Number(operand)]?.status !== 'ended';
    if (kind === 'notify') return this.#notify(state, cell, Number(operand));
    if (kind === 'acquire') this.#acquired.add(cell);
    else if (this.#locks.includes(cell) && state.holders[this.#locks.indexOf(cell)] !== thread) {
      const known = this.#lookedAt.has(cell);
      this.#lookedAt.add(cell);
      if (!known && this.#acquired.has(cell)) throw MINDED;
    }
    const outcome = state.memory.perform(operation);
    const lock = this.#locks.indexOf(cell);
    if (lock >= 0) {
      const holds = ((state.memory.words[cell] ?? 0) & HELD) !== 0;
      if (!holds) state.holders = state.holders.with(lock, undefined);
      else if (state.holders[lock] === undefined || this.#takesOver(operation, outcome)) {
        state.holders = state.holders.with(lock, thread);
      }
    }
    if (outcome === 'asleep' || outcome === 'entered') {
      if (outcome === 'asleep') this.#set(state, thread, { status: 'asleep' });
      const entry = outcome === 'asleep' ? undefined : more;
      state.sleepers = [...state.sleepers, { cell, thread, entry }];
    }
    return outcome;
  }

  /** Of a mutex of a queue, where the word of a lock was changed from held to held. */
  #takesOver({ kind, operand, expected }: Operation, outcome: Outcome): boolean {
    if (this.#plain === undefined || kind !== 'compareExchange' || outcome !== expected) return false;
    return Number(operand) >> HOLDER !== Number(expected) >> HOLDER;
  }

  /** The locks that a thread holds, a bit for each. */
  #heldBy({ holders }: State, thread: number): number {
    return holders.reduce<number>((held, holder, lock) => (holder === thread ? held | (1 << lock) : held), 0);
  }

  /** First come, first woken, as the specification has it. */
  #notify(state: State, cell: number, count: number): number {
    const woken = state.sleepers.filter((sleeper) => sleeper.cell === cell).slice(0, count);
    state.sleepers = state.sleepers.filter((sleeper) => !woken.includes(sleeper));
    for (const { thread, entry } of woken) {
      const { notified } = state.threads[thread] as ThreadState;
      this.#set(
        state,
        thread,
        entry === undefined ? { status: 'woken' } : { notified: [...notified, entry] },
      );
    }
    return woken.length;
  }

  #go(state: State, thread: number, step: { outcome: Outcome } | { event: LoopEvent }): void {
    const actor = this.actors[thread] as Actor;
    const node = actor.after((state.threads[thread] as ThreadState).node, state.memory, step);
    this.#set(state, thread, { status: 'ready' });
    this.arrive(state, thread, node);
  }

  /** A thread has come there. */
  arrive(state: State, thread: number, node: Node): void {
    if (this.#plain?.news) throw PLAINLY_WRITTEN;
    this.#set(state, thread, { node });
    const { writes, enters, leaves, next } = gapOf(node);
    const held = this.#heldBy(state, thread);
    for (const [cell, value] of writes) {
      state.memory.words[cell] = value;
      if (isPersonal(value)) throw TOLD_APART;
      if (this.traffic.writtenBy(thread, cell, held)) throw MINDED;
    }
    for (const place of enters) {
      state.inside.set(place, (state.inside.get(place) ?? 0) + 1);
      this.#checkInside(state, place);
    }
    if (!('idle' in next)) return;
    this.#leave(state, leaves);
    const { finished: done, failure } = next.idle;
    if (done && failure !== undefined) {
      throw this.violation('exception', `thread ${thread} ended with ${messageOf(failure)}`);
    }
  }

  #leave(state: State, places: readonly string[]): void {
    for (const place of places) state.inside.set(place, (state.inside.get(place) ?? 0) - 1);
  }

  #checkInside({ inside }: State, place: string): void {
    const { most = {}, apart = [] } = this.#scenario;
    const count = inside.get(place) ?? 0;
    if (count > (most[place] ?? 1)) {
      throw this.violation('two inside', `${count} threads are inside "${place}" at once`);
    }
    for (const pair of apart) {
      if (pair.includes(place) && pair.every((each) => (inside.get(each) ?? 0) > 0)) {
        throw this.violation('two inside', `threads are inside "${pair.join('" and "')}" at once`);
      }
    }
  }

  #set(state: State, thread: number, change: Partial<ThreadState>): void {
    state.threads[thread] = { ...(state.threads[thread] as ThreadState), ...change };
  }

  violation(fault: Fault, what: string): Violation {
    return new Violation(fault, what, traceOf(this.trail, this.actors, this.#layout));
  }
}

/** For people: what was thrown, and where. */
export function messageOf(error: unknown): string {
  const { name, message, stack } = error as Error;
  const where = /at (?:\S+ \()?([\w/.-]+\.ts:\d+)/.exec(stack ?? '')?.[1];
  return name === undefined
    ? String(error)
    : `${name}: ${message}${where === undefined ? '' : ` (${where})`}`;
}
