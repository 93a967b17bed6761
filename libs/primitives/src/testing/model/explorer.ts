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
import { Actor } from './actor.ts';
import { itemWords, lockWords } from './known-words.ts';
import { ANYBODY, Machine, MINDED, messageOf, PLAINLY_WRITTEN, TOLD_APART } from './machine.ts';
import { movesFrom } from './moves.ts';
import { PlainCells } from './plain-cells.ts';
import type { Scenario, Scenarios } from './scenario.ts';
import { Seen } from './seen.ts';
import type { Cells, Layout } from './simulated-memory.ts';
import { type Change, Sources } from './sources.ts';
import { inspector, layOut } from './stage.ts';
import {
  copyOf,
  gapOf,
  looksOf,
  type Move,
  mayLook,
  type State,
  type ThreadState,
  unfinished,
} from './state.ts';

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

class Explorer {
  readonly #scenario: Scenario<unknown>;
  readonly #layout: Layout;
  readonly #sources: Sources;
  readonly #forgetsNothing: boolean;
  readonly #where: { readonly file: string; readonly name: string };
  readonly #plain: PlainCells | undefined;
  readonly #machine: Machine;
  /** The words of locks of which bit 0 says that they are held. */
  readonly #locks: readonly number[];
  readonly #initial: Int32Array;
  readonly #inspect: (memory: Cells, results: readonly unknown[]) => void;
  #seen = new Seen();
  readonly #inspected = new Set<string>();
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
    this.#locks = lockWords(this.#layout);
    const items = itemWords(this.#layout);
    if (items.length > 0) {
      this.#plain = new PlainCells((cell) => items.some(([from, to]) => cell >= from && cell < to));
    }
    this.#machine = new Machine(scenario, this.#layout, this.#locks, this.#plain);
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
    const runs = [...new Set(this.#machine.actors)].reduce((sum, actor) => sum + actor.runs, 0);
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
    this.#machine.actors = cast;
    if (this.#plain !== undefined) this.#plain.news = false;
  }

  #search(): void {
    this.#seen = new Seen();
    this.#machine.trail = [];
    this.#steps = 0;
    this.#ends = 0;
    const memory = this.#layout.initial();
    const threads = this.#machine.actors.map(
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
    for (const [thread, actor] of this.#machine.actors.entries()) {
      actor.know(actor.root, memory);
      this.#machine.arrive(state, thread, actor.root);
    }
    this.#machine.settle(state);
    this.#visit(state);
  }

  #visit(state: State): void {
    const key = this.#keyOf(state);
    if (!this.#seen.add(key)) return;
    if (this.#seen.size > MOST_STATES)
      throw new Error(`more than ${MOST_STATES} states; make the scenario smaller`);
    const { last } = state;
    const moves = movesFrom(state, this.#scenario);
    if (!moves.some(({ required }) => required)) {
      if (unfinished(state).length === 0) this.#atTheEnd(state);
      else moves.push(...this.#whenStuck(state));
    }
    // The same thread goes on first: traces with few changes between threads are easier to read.
    moves.sort((a, b) => Number(b.thread === last) - Number(a.thread === last));
    const depth = this.#machine.trail.length;
    for (const move of moves) {
      const next = copyOf(state);
      next.last = move.thread;
      this.#steps += 1;
      this.#machine.trail.push({
        thread: move.thread,
        node: (state.threads[move.thread] as ThreadState).node,
        what: move.kind,
      });
      this.#machine.make(next, move);
      this.#machine.settle(next);
      this.#visit(next);
      this.#machine.trail.length = depth;
    }
  }

  /** Memory where it is not as at first; the rest in full. */
  #keyOf({ memory, threads, sleepers, slices, oneEnded }: State): string {
    let key = `${slices}${oneEnded}`;
    const { words } = memory;
    for (const cell of this.#machine.traffic.written) {
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
      const actor = this.#machine.actors[thread];
      if (this.#machine.actors.indexOf(actor as Actor) !== thread) continue;
      const alike = ofThreads.filter((_, other) => this.#machine.actors[other] === actor);
      key += alike.length === 1 ? part : alike.sort().join('');
    }
    return key;
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
      throw this.#machine.violation('wrong at the end', `${messageOf(error)} (${JSON.stringify(results)})`);
    }
  }

  /** Nothing goes on, but not all have ended. Where a thread was terminated, the ends of slices are the remedy. */
  #whenStuck(state: State): Move[] {
    const asleep = unfinished(state);
    const waiting = asleep.filter((thread) => mayLook(state, thread));
    const names = asleep.map((thread) => `thread ${thread}`).join(' and ');
    const lookers = waiting.filter((thread) => (state.threads[thread] as ThreadState).looks < MOST_LOOKS);
    if (!state.oneEnded) {
      const rescued = this.#wouldBeRescued(state);
      throw this.#machine.violation(
        rescued ? 'lost wake-up' : 'deadlock',
        `${names} would sleep for ever${rescued ? ', though a look at the word would have shown that there is no need to' : ''}`,
      );
    }
    if (lookers.length === 0)
      throw this.#machine.violation('deadlock', `${names} sleep on, however often they look`);
    const least = Math.min(...lookers.map((thread) => (state.threads[thread] as ThreadState).looks));
    return lookers
      .filter((thread) => (state.threads[thread] as ThreadState).looks === least)
      .map((thread) => ({ thread, kind: 'look', required: true }));
  }

  /** Whether anybody gets further by looking at the word. */
  #wouldBeRescued(state: State): boolean {
    const before = unfinished(state).length;
    let now = copyOf(state);
    const trail = this.#machine.trail.length;
    try {
      for (let round = 0; round < 200 && unfinished(now).length === before; round += 1) {
        const move = movesFrom(now, this.#scenario).find(({ required }) => required);
        const thread =
          unfinished(now)
            .filter((each) => mayLook(now, each))
            .sort((a, b) => looksOf(now, a) - looksOf(now, b))[0] ?? 0;
        if (move === undefined && looksOf(now, thread) >= MOST_LOOKS) return false;
        const at = (now.threads[thread] as ThreadState).node;
        this.#machine.trail.push({ thread, node: at, what: 'look' });
        this.#machine.make(now, move ?? { thread, kind: 'look', required: true });
        now = copyOf(now);
      }
      return unfinished(now).length < before;
    } catch (error) {
      if (error === MINDED || error === TOLD_APART || error === PLAINLY_WRITTEN) throw error;
      return false;
    } finally {
      this.#machine.trail.length = trail;
    }
  }
}
