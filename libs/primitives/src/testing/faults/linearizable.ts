/**
 * Whether a history could have been one of operations that took effect one at a time, each between its beginning and its
 * end (Herlihy and Wing, "Linearizability", 1990). The search is that of Wing and Gong, "Testing and Verifying Concurrent
 * Objects", 1993, with Lowe's memory of configurations seen ("Testing for Linearizability", 2017).
 */
import type { Operation } from './history.ts';

/** A sequential object: its states, and what an operation makes of one. */
export interface Model<S> {
  readonly initial: S;
  /** The next state; `undefined` where the operation can't have had that result in this one. */
  step(state: S, operation: Operation): S | undefined;
  /** The same for the same states. */
  key(state: S): string;
}

/** Configurations looked at, at most: beyond that a history is not held to be linearizable. */
const MOST = 1_000_000;

/** A step of the search: an operation that is known to have ended, or the next of those like it that nobody knows of. */
type Move = { readonly known: number } | { readonly like: number };

interface Step<S> {
  readonly move: Move;
  readonly before: S;
  /** What was not tried in its stead. */
  readonly rest: Move[];
  readonly farthest: number;
}

/** `undefined` where it is linearizable; otherwise the operations that no order could place, in words. */
export function violation<S>(model: Model<S>, operations: readonly Operation[]): string | undefined {
  const search = new Search(model, operations);
  return search.run();
}

class Search<S> {
  readonly #model: Model<S>;
  /** In the order of their beginning. */
  readonly #known: readonly Operation[];
  /**
   * Those of unknown outcome, by what they would do, each kind in the order of its beginning: the first of a kind can
   * stand for any other, since it may take effect wherever that may.
   */
  readonly #unknown: readonly (readonly Operation[])[];
  readonly #used: number[];
  /** Not placed yet: a list through the known ones, from -1 to their number. */
  readonly #after: number[];
  readonly #before: number[];
  readonly #seen = new Set<string>();
  readonly #trail: Step<S>[] = [];
  #state: S;
  /** The last of the known that is placed. */
  #farthest = -1;

  constructor(model: Model<S>, operations: readonly Operation[]) {
    const ordered = [...operations].sort((a, b) => a.start - b.start);
    const isKnown = ({ end }: Operation) => end !== Number.POSITIVE_INFINITY;
    this.#model = model;
    this.#state = model.initial;
    this.#known = ordered.filter(isKnown);
    const kind = ({ op, arg }: Operation) => (op === 'get' ? op : `${op} ${arg}`);
    this.#unknown = [
      ...Map.groupBy(
        ordered.filter((one) => !isKnown(one)),
        kind,
      ).values(),
    ];
    this.#used = this.#unknown.map(() => 0);
    this.#after = this.#known.map((_, at) => at + 1);
    this.#before = this.#known.map((_, at) => at - 1);
    this.#after[-1] = 0;
    this.#before[this.#known.length] = this.#known.length - 1;
  }

  run(): string | undefined {
    let deepest = -1;
    let stuck: readonly Move[] = [];
    let candidates = this.#next();
    // What is unknown may never have happened: once all that is known is placed, all is well.
    while (this.#first < this.#known.length) {
      if (this.#trail.length > deepest) {
        deepest = this.#trail.length;
        stuck = candidates;
      }
      if (this.#advance(candidates)) {
        candidates = this.#next();
        continue;
      }
      const back = this.#trail.pop();
      if (back === undefined || this.#seen.size > MOST) {
        const lost = stuck.map((move) => JSON.stringify(this.#operation(move)));
        return `after ${deepest} of ${this.#known.length} operations none of these fits:\n${lost.join('\n')}`;
      }
      this.#takeBack(back);
      candidates = back.rest;
    }
    return undefined;
  }

  get #first(): number {
    return this.#after[-1] as number;
  }

  #operation(move: Move): Operation {
    if ('known' in move) return this.#known[move.known] as Operation;
    return this.#unknown[move.like]?.[this.#used[move.like] as number] as Operation;
  }

  /** Places the first that fits and leads to where the search has not been. */
  #advance(candidates: readonly Move[]): boolean {
    for (const [at, move] of candidates.entries()) {
      const before = this.#state;
      const after = this.#model.step(before, this.#operation(move));
      if (after === undefined) continue;
      // What changes nothing may as well never have happened.
      if ('like' in move && this.#model.key(after) === this.#model.key(before)) continue;
      const step = { move, before, rest: candidates.slice(at + 1), farthest: this.#farthest };
      this.#place(move);
      this.#state = after;
      const configuration = this.#configuration();
      if (this.#seen.has(configuration)) {
        this.#takeBack(step);
        continue;
      }
      this.#seen.add(configuration);
      this.#trail.push(step);
      return true;
    }
    return false;
  }

  #place(move: Move): void {
    if ('like' in move) {
      this.#used[move.like] = (this.#used[move.like] as number) + 1;
      return;
    }
    const [before, after] = [this.#before[move.known] as number, this.#after[move.known] as number];
    this.#after[before] = after;
    this.#before[after] = before;
    this.#farthest = Math.max(this.#farthest, move.known);
  }

  /** The last one placed comes out first. */
  #takeBack({ move, before: state, farthest }: Step<S>): void {
    this.#state = state;
    this.#farthest = farthest;
    if ('like' in move) {
      this.#used[move.like] = (this.#used[move.like] as number) - 1;
      return;
    }
    this.#after[this.#before[move.known] as number] = move.known;
    this.#before[this.#after[move.known] as number] = move.known;
  }

  /** Those that may be next: all that began before the first of those left had ended; the unknown last. */
  #next(): Move[] {
    const found: number[] = [];
    let firstEnd = Number.POSITIVE_INFINITY;
    for (let at = this.#first; at < this.#known.length; at = this.#after[at] as number) {
      const { start, end } = this.#known[at] as Operation;
      if (start > firstEnd) break;
      found.push(at);
      firstEnd = Math.min(firstEnd, end);
    }
    const moves: Move[] = found
      .filter((at) => (this.#known[at] as Operation).start <= firstEnd)
      .map((known) => ({ known }));
    for (const [like, all] of this.#unknown.entries()) {
      const one = all[this.#used[like] as number];
      if (one !== undefined && one.start <= firstEnd) moves.push({ like });
    }
    return moves;
  }

  /** What is placed, and the state that this led to. */
  #configuration(): string {
    const left: number[] = [];
    for (let at = this.#first; at <= this.#farthest; at = this.#after[at] as number) left.push(at);
    return `${this.#farthest}|${left.join()}|${this.#used.join()}|${this.#model.key(this.#state)}`;
  }
}
