/**
 * All interleavings of a scenario, each state once: a depth-first search over who makes the next step. A state is the
 * shared memory, the history of each thread (a node of its tree), who sleeps on which word in which order, and whom a
 * wake-up has reached. Nothing is left out: whoever can make a step makes it in some run.
 *
 * | a step | when |
 * |---|---|
 * | one atomic operation, with what the thread does up to the next | always |
 * | a time-out, an abort, a timer | at any time, or never: a run must end without them, unless it says `needsTime` |
 * | the end of a slice | only after a thread was terminated, when nothing else can be done; as often as `slices` says at any time |
 * | a thread is terminated, with whatever wake-up has reached it | once, while it waits, of those in `mayEnd` |
 *
 * Three things are left out because they change nothing. An operation on a cell that no other thread minds (one that none
 * writes, that none but this thread touches, or that all touch under one lock which this thread holds) is made at once,
 * whoever else could go first; which cells these are is found out by trying, and the search begins again where it proves
 * wrong. Where two threads run one program, it is one state whichever of them has come how far; unless what they write
 * tells them apart. And histories that leave a thread knowing the same (`local-state.ts`) are one from there on; each run
 * past such a place looks whether it goes on as the first one did.
 *
 * A scenario may take a lock as given: taking it is one step, which comes when it is free, and its word is its holder's
 * alone until it gives it back. Waiting for a lock is what multiplies states; that the lock is one is shown apart.
 *
 * So where all that is left to do is to sleep until a slice ends, and no thread was terminated, a wake-up was lost.
 */
import { AREA, PUT_MUTEX, TAKE_MUTEX, TAKEN_WORDS } from '../../queue/queue-words.ts';
import { FIRST, KINDS } from '../../shared-memory/memory.ts';
import { Actor, type Node, PlainCells } from './actor.ts';
import { type LoopEvent, NATIVE } from './desk.ts';
import type { Scenario, Scenarios } from './scenario.ts';
import { Seen } from './seen.ts';
import { type Cells, HELD, type Layout, type Operation, type Outcome } from './simulated-memory.ts';
import { type Change, Sources } from './sources.ts';
import { inspector, layOut } from './stage.ts';
import {
  copyOf,
  couldGoOn,
  finished,
  gapOf,
  looksOf,
  type Move,
  mayLook,
  type State,
  type ThreadState,
} from './state.ts';
import { type Step, traceOf } from './trace.ts';
import { Traffic } from './traffic.ts';
import { type Fault, Violation } from './violation.ts';

/** What was explored. */
export interface Explored {
  /** Different states. */
  readonly states: number;
  /** Steps from one state to another. */
  readonly steps: number;
  /** Different states in which all threads had ended. */
  readonly ends: number;
  /** What those come to: what is in memory, and what the threads gave. */
  readonly results: ReadonlySet<string>;
  /** How often a program was run. */
  readonly runs: number;
  readonly ms: number;
}

/** Time-outs of scenarios are shorter, in ms; slices are longer. */
const SHORTEST_SLICE = 50;
/** From which bit on it says by whom, if it is that of a queue. */
const HOLDER = 2;
/** Ends of slices a thread may need once another was terminated: the heir of a reservation is passed over after two. */
const MOST_LOOKS = 5;
const MOST_STATES = 30_000_000;

/**
 * Explores one scenario of a file, with some changes of the sources. Throws a `Violation` where there is one.
 *
 * @param forgetsNothing whether threads of different histories are always told apart, also where they know the same
 */
export function explore(
  file: string,
  scenarios: Scenarios,
  name: string,
  changes: readonly Change[] = [],
  { forgetsNothing = false } = {},
): Explored {
  const scenario = scenarios[name];
  if (scenario === undefined) throw new Error(`${file} has no scenario "${name}"`);
  const sources = new Sources([...(scenario.changes ?? []), ...changes]);
  const explorer = new Explorer(
    scenario as unknown as Scenario<unknown>,
    `testing/model/${file}`,
    name,
    sources,
    forgetsNothing,
  );
  const explored = explorer.explore();
  sources.checkUsed();
  return explored;
}

/** Thrown where threads that run one program wrote something that tells them apart. */
const TOLD_APART = Symbol('told apart');
/** Thrown where a cell was found that threads write without atomic operations. */
const PLAINLY_WRITTEN = Symbol('plainly written');
/** Thrown where a thread touches a cell of which it was thought that it did not. */
const MINDED = Symbol('minded');
/** The number of a thread that is one of several alike: it must not come to stand in memory. */
const ANYBODY = 765_432;

/** Whether a value names the thread that writes it: its number, one more, its native id, or an ident of its own. */
function isPersonal(written: number | bigint): boolean {
  const value = Number(written);
  const near = value - ANYBODY;
  return near === 1 || near === 2 || near === NATIVE || Math.floor(value / 2 ** 32) === ANYBODY + 2;
}

class Explorer {
  readonly #scenario: Scenario<unknown>;
  readonly #layout: Layout;
  readonly #sources: Sources;
  readonly #forgetsNothing: boolean;
  readonly #where: { readonly file: string; readonly name: string };
  #plain: PlainCells | undefined;
  /** The words of locks of which bit 0 says that they are held. */
  readonly #locks: readonly number[];
  /** By thread; those that run one program share one, unless they can be told apart. */
  #actors: readonly Actor[] = [];
  readonly #traffic = new Traffic();
  readonly #initial: Int32Array;
  readonly #inspect: (memory: Cells, results: readonly unknown[]) => void;
  /** Words of locks that are taken as given. */
  readonly #acquired = new Set<number>();
  /** Words of locks that are also looked at, or changed, by who does not hold them. */
  readonly #lookedAt = new Set<number>();
  #seen = new Seen();
  readonly #inspected = new Set<string>();
  #trail: Step[] = [];
  #steps = 0;
  #ends = 0;

  constructor(
    scenario: Scenario<unknown>,
    file: string,
    name: string,
    sources: Sources,
    forgetsNothing: boolean,
  ) {
    this.#scenario = scenario;
    this.#forgetsNothing = forgetsNothing;
    this.#layout = layOut(sources, file, name);
    this.#initial = this.#layout.initial().words;
    const ofKinds = (kinds: readonly number[]) =>
      this.#layout.parts.filter(({ first }) => first.length > FIRST && kinds.includes((first[0] ?? 0) & 255));
    const queues = [KINDS.Queue, KINDS.LifoQueue, KINDS.PriorityQueue, KINDS.SimpleQueue];
    const areas = ofKinds(queues).flatMap(({ base, first }) => [
      [base + AREA, base + first.length] as const,
      [base + TAKEN_WORDS, base + TAKEN_WORDS + 1] as const,
    ]);
    if (areas.length > 0) {
      this.#plain = new PlainCells((cell) => areas.some(([from, to]) => cell >= from && cell < to));
    }
    this.#locks = [
      ...ofKinds([KINDS.Lock, KINDS.RLock, KINDS.ReadWriteLock]).map(({ base }) => base + FIRST),
      ...ofKinds(queues).flatMap(({ base }) => [base + PUT_MUTEX, base + TAKE_MUTEX]),
    ];
    this.#sources = sources;
    this.#where = { file, name };
    this.#inspect = inspector(sources, file, name, this.#layout);
  }

  explore(): Explored {
    const begun = performance.now();
    // The mutexes of a queue name their holder, which tells threads apart only where one may end.
    let alike = this.#plain === undefined || (this.#scenario.mayEnd ?? []).length === 0;
    this.#cast(alike);
    for (;;) {
      try {
        this.#search();
        break;
      } catch (error) {
        if (error === MINDED) continue;
        if (error === TOLD_APART) alike = false;
        else if (error !== PLAINLY_WRITTEN) throw error;
        this.#cast(alike);
      }
    }
    const runs = [...new Set(this.#actors)].reduce((sum, actor) => sum + actor.runs, 0);
    return {
      states: this.#seen.size,
      steps: this.#steps,
      ends: this.#ends,
      results: this.#inspected,
      runs,
      ms: performance.now() - begun,
    };
  }

  #cast(alike: boolean): void {
    const { threads, mayEnd = [] } = this.#scenario;
    const cast: Actor[] = [];
    for (const [index, program] of threads.entries()) {
      const same = threads.findIndex(
        (each, at) => each === program && mayEnd.includes(at) === mayEnd.includes(index),
      );
      const several = alike && threads.some((each, at) => each === program && at !== index);
      const number = several ? ANYBODY : index;
      const known = alike ? cast[same] : undefined;
      cast.push(
        known ??
          new Actor(
            index,
            number,
            this.#sources,
            this.#where,
            this.#layout,
            this.#locks,
            this.#plain,
            this.#forgetsNothing,
          ),
      );
    }
    this.#actors = cast;
    if (this.#plain !== undefined) this.#plain.news = false;
  }

  #search(): void {
    this.#seen = new Seen();
    this.#trail = [];
    this.#steps = 0;
    this.#ends = 0;
    const memory = this.#layout.initial();
    const threads = this.#actors.map(
      ({ root }) => ({ node: root, status: 'ready', notified: [], looks: 0 }) as const,
    );
    const state: State = {
      memory,
      threads: [...threads],
      sleepers: [],
      inside: new Map(),
      slices: 0,
      oneEnded: false,
      holders: this.#locks.map(() => undefined),
      last: -1,
    };
    for (const [thread, actor] of this.#actors.entries()) {
      actor.know(actor.root, memory);
      this.#arrive(state, thread, actor.root);
    }
    this.#settle(state);
    this.#visit(state);
  }

  #visit(state: State): void {
    const key = this.#keyOf(state);
    if (!this.#seen.add(key)) return;
    if (this.#seen.size > MOST_STATES)
      throw new Error(`more than ${MOST_STATES} states; make the scenario smaller`);
    const { last } = state;
    const moves = this.#moves(state);
    if (!moves.some(({ required }) => required)) {
      if (this.#unfinished(state).length === 0) this.#atTheEnd(state);
      else moves.push(...this.#whenStuck(state));
    }
    // The same thread goes on first: traces with few changes between threads are easier to read.
    moves.sort((a, b) => Number(b.thread === last) - Number(a.thread === last));
    const depth = this.#trail.length;
    for (const move of moves) {
      const next = copyOf(state);
      next.last = move.thread;
      this.#steps += 1;
      this.#trail.push({
        thread: move.thread,
        node: (state.threads[move.thread] as ThreadState).node,
        what: move.kind,
      });
      this.#make(next, move);
      this.#settle(next);
      this.#visit(next);
      this.#trail.length = depth;
    }
  }

  /** Memory where it is not as at first; the rest in full. */
  #keyOf({ memory, threads, sleepers, slices, oneEnded }: State): string {
    let key = `${slices}${oneEnded}`;
    const { words } = memory;
    for (const cell of this.#traffic.written) {
      if (words[cell] !== this.#initial[cell]) key += `,${cell}:${words[cell]}`;
    }
    const ofThreads = threads.map(({ node, status, notified, looks }, thread) => {
      let part = `;${gapOf(node).ending ?? node.id}${status[0]}${notified}l${looks}`;
      const places = new Map<number, number>();
      for (const { cell, thread: sleeper, entry } of sleepers) {
        const place = places.get(cell) ?? 0;
        places.set(cell, place + 1);
        if (sleeper === thread) part += `/${cell}.${place}.${entry ?? ''}`;
      }
      return part;
    });
    for (const [thread, part] of ofThreads.entries()) {
      // Those who share an actor are written in one order, whoever is who.
      const actor = this.#actors[thread];
      if (this.#actors.indexOf(actor as Actor) !== thread) continue;
      const alike = ofThreads.filter((_, other) => this.#actors[other] === actor);
      key += alike.length === 1 ? part : alike.sort().join('');
    }
    return key;
  }

  #moves(state: State): Move[] {
    const { needsTime = false, slices = 0, mayEnd = [] } = this.#scenario;
    const moves: Move[] = [];
    const maySlice = state.slices < slices;
    for (const [thread, { node, status, notified }] of state.threads.entries()) {
      const next = gapOf(node).next;
      if (status === 'ended') continue;
      if (status === 'woken') moves.push({ thread, kind: 'operation', required: true });
      else if (status === 'asleep' && 'operation' in next) {
        if (next.operation.more < SHORTEST_SLICE)
          moves.push({ thread, kind: 'time-out', required: needsTime });
        else if (maySlice) moves.push({ thread, kind: 'slice', required: false });
      } else if ('operation' in next) {
        if (!couldGoOn(state, node)) continue;
        moves.push({ thread, kind: 'operation', required: true });
        if (next.operation.kind === 'clock') moves.push({ thread, kind: 'late', required: false });
      } else {
        for (const id of notified)
          moves.push({ thread, kind: 'event', event: { type: 'entry', id }, required: true });
        for (const id of next.idle.timers) {
          moves.push({ thread, kind: 'event', event: { type: 'timer', id }, required: needsTime });
        }
        if (next.idle.looks && maySlice) moves.push({ thread, kind: 'slice', required: false });
      }
      const waits = status === 'woken' || status === 'asleep' || 'idle' in next;
      if (mayEnd.includes(thread) && waits && !state.oneEnded && !finished(node)) {
        moves.push({ thread, kind: 'end', required: false });
      }
    }
    return moves;
  }

  /** Makes all operations that nobody else minds. */
  #settle(state: State): void {
    for (let thread = this.#unminded(state); thread !== undefined; thread = this.#unminded(state)) {
      this.#trail.push({ thread, node: (state.threads[thread] as ThreadState).node, what: 'operation' });
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
      if (this.#traffic.free(thread, next.operation, this.#heldBy(state, thread))) return thread;
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

  /** Threads that have not done all they are to do. */
  #unfinished({ threads }: State): number[] {
    return [...threads.keys()].filter((thread) => {
      const { node, status } = threads[thread] as ThreadState;
      return status !== 'ended' && !finished(node);
    });
  }

  #atTheEnd(state: State): void {
    this.#ends += 1;
    const results = state.threads.map(({ node, status }) => {
      const { next } = gapOf(node);
      return status === 'ended' || !('idle' in next) ? undefined : next.idle.result;
    });
    const key = `${state.memory.words.join()} ${JSON.stringify(results)}`;
    if (this.#inspected.has(key)) return;
    this.#inspected.add(key);
    try {
      this.#inspect(state.memory, results);
    } catch (error) {
      throw this.#violation('wrong at the end', `${messageOf(error)} (${JSON.stringify(results)})`);
    }
  }

  /** Nothing goes on, but not all have ended. Where a thread was terminated, the ends of slices are the remedy. */
  #whenStuck(state: State): Move[] {
    const asleep = this.#unfinished(state);
    const waiting = asleep.filter((thread) => mayLook(state, thread));
    const names = asleep.map((thread) => `thread ${thread}`).join(' and ');
    const lookers = waiting.filter((thread) => (state.threads[thread] as ThreadState).looks < MOST_LOOKS);
    if (!state.oneEnded) {
      const rescued = this.#wouldBeRescued(state);
      throw this.#violation(
        rescued ? 'lost wake-up' : 'deadlock',
        `${names} would sleep for ever${rescued ? ', though a look at the word would have shown that there is no need to' : ''}`,
      );
    }
    if (lookers.length === 0) throw this.#violation('deadlock', `${names} sleep on, however often they look`);
    const least = Math.min(...lookers.map((thread) => (state.threads[thread] as ThreadState).looks));
    return lookers
      .filter((thread) => (state.threads[thread] as ThreadState).looks === least)
      .map((thread) => ({ thread, kind: 'look', required: true }));
  }

  /** Whether anybody gets further by looking at the word. */
  #wouldBeRescued(state: State): boolean {
    const before = this.#unfinished(state).length;
    let now = copyOf(state);
    const trail = this.#trail.length;
    try {
      for (let round = 0; round < 200 && this.#unfinished(now).length === before; round += 1) {
        const move = this.#moves(now).find(({ required }) => required);
        const thread =
          this.#unfinished(now)
            .filter((each) => mayLook(now, each))
            .sort((a, b) => looksOf(now, a) - looksOf(now, b))[0] ?? 0;
        if (move === undefined && looksOf(now, thread) >= MOST_LOOKS) return false;
        const at = (now.threads[thread] as ThreadState).node;
        this.#trail.push({ thread, node: at, what: 'look' });
        this.#make(now, move ?? { thread, kind: 'look', required: true });
        now = copyOf(now);
      }
      return this.#unfinished(now).length < before;
    } catch (error) {
      if (error === MINDED || error === TOLD_APART || error === PLAINLY_WRITTEN) throw error;
      return false;
    } finally {
      this.#trail.length = trail;
    }
  }

  #make(state: State, move: Move): void {
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
    this.#trail.push({ thread, node: (state.threads[thread] as ThreadState).node, what: 'operation' });
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
    const step = this.#trail.at(-1);
    if (step !== undefined) step.outcome = outcome;
    if (outcome !== 'asleep') this.#go(state, thread, { outcome });
  }

  #perform(state: State, thread: number, operation: Operation, time: string): Outcome {
    const { kind, cell, operand, more } = operation;
    if (kind === 'clock') return time;
    if (isPersonal(operation.operand)) throw TOLD_APART;
    if (this.#traffic.minded(thread, operation, this.#heldBy(state, thread))) throw MINDED;
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
    const actor = this.#actors[thread] as Actor;
    const node = actor.after((state.threads[thread] as ThreadState).node, state.memory, step);
    this.#set(state, thread, { status: 'ready' });
    this.#arrive(state, thread, node);
  }

  #arrive(state: State, thread: number, node: Node): void {
    if (this.#plain?.news) throw PLAINLY_WRITTEN;
    this.#set(state, thread, { node });
    const { writes, enters, leaves, next } = gapOf(node);
    const held = this.#heldBy(state, thread);
    for (const [cell, value] of writes) {
      state.memory.words[cell] = value;
      if (isPersonal(value)) throw TOLD_APART;
      if (this.#traffic.writtenBy(thread, cell, held)) throw MINDED;
    }
    for (const place of enters) {
      state.inside.set(place, (state.inside.get(place) ?? 0) + 1);
      this.#checkInside(state, place);
    }
    if (!('idle' in next)) return;
    this.#leave(state, leaves);
    const { finished: done, failure } = next.idle;
    if (done && failure !== undefined) {
      throw this.#violation('exception', `thread ${thread} ended with ${messageOf(failure)}`);
    }
  }

  #leave(state: State, places: readonly string[]): void {
    for (const place of places) state.inside.set(place, (state.inside.get(place) ?? 0) - 1);
  }

  #checkInside({ inside }: State, place: string): void {
    const { most = {}, apart = [] } = this.#scenario;
    const count = inside.get(place) ?? 0;
    if (count > (most[place] ?? 1)) {
      throw this.#violation('two inside', `${count} threads are inside "${place}" at once`);
    }
    for (const pair of apart) {
      if (pair.includes(place) && pair.every((each) => (inside.get(each) ?? 0) > 0)) {
        throw this.#violation('two inside', `threads are inside "${pair.join('" and "')}" at once`);
      }
    }
  }

  #set(state: State, thread: number, change: Partial<ThreadState>): void {
    state.threads[thread] = { ...(state.threads[thread] as ThreadState), ...change };
  }

  #violation(fault: Fault, what: string): Violation {
    return new Violation(fault, what, traceOf(this.#trail, this.#actors, this.#layout));
  }
}

function messageOf(error: unknown): string {
  const { name, message, stack } = error as Error;
  const where = /at (?:\S+ \()?([\w/.-]+\.ts:\d+)/.exec(stack ?? '')?.[1];
  return name === undefined
    ? String(error)
    : `${name}: ${message}${where === undefined ? '' : ` (${where})`}`;
}
