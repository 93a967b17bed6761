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

/** `undefined` where it is linearizable; otherwise the operations that no order could place, in words. */
export function violation<S>(model: Model<S>, operations: readonly Operation[]): string | undefined {
  const ordered = [...operations].sort((a, b) => a.start - b.start);
  const remaining = new Set(ordered.map((_, at) => at));
  const seen = new Set<string>();
  const trail: { readonly at: number; readonly before: S }[] = [];
  let state = model.initial;
  let deepest = 0;
  let stuckAt: readonly number[] = [...remaining];
  let candidates = next(ordered, remaining);
  for (;;) {
    // What is unknown may never have happened: once all that is known is placed, all is well.
    if (![...remaining].some((at) => ordered[at]?.end !== Number.POSITIVE_INFINITY)) return undefined;
    let moved = false;
    while (candidates.length > 0) {
      const at = candidates.shift() as number;
      const after = model.step(state, ordered[at] as Operation);
      if (after === undefined) continue;
      remaining.delete(at);
      const configuration = `${remaining.size}|${firstOf(remaining)}|${holes(ordered, remaining)}|${model.key(after)}`;
      if (seen.has(configuration)) {
        remaining.add(at);
        continue;
      }
      seen.add(configuration);
      trail.push({ at, before: state });
      state = after;
      moved = true;
      break;
    }
    if (moved) {
      if (trail.length > deepest) {
        deepest = trail.length;
        stuckAt = next(ordered, remaining);
      }
      candidates = next(ordered, remaining);
      continue;
    }
    const back = trail.pop();
    if (back === undefined) {
      const lost = stuckAt.map((at) => JSON.stringify(ordered[at]));
      return `after ${deepest} of ${ordered.length} operations none of these fits:\n${lost.join('\n')}`;
    }
    remaining.add(back.at);
    state = back.before;
    candidates = next(ordered, remaining).filter((at) => at > back.at);
  }
}

/** Those that may be next: all that began before the first of those left had ended; in the order of their beginning. */
function next(ordered: readonly Operation[], remaining: ReadonlySet<number>): number[] {
  let firstEnd = Number.POSITIVE_INFINITY;
  const found: number[] = [];
  for (const at of [...remaining].sort((a, b) => a - b)) {
    const { start, end } = ordered[at] as Operation;
    if (start > firstEnd) break;
    found.push(at);
    firstEnd = Math.min(firstEnd, end);
  }
  return found.filter((at) => (ordered[at] as Operation).start <= firstEnd);
}

function firstOf(remaining: ReadonlySet<number>): number {
  let first = Number.POSITIVE_INFINITY;
  for (const at of remaining) first = Math.min(first, at);
  return first;
}

/** Which of those from the first one left on are placed already. */
function holes(ordered: readonly Operation[], remaining: ReadonlySet<number>): string {
  const first = firstOf(remaining);
  const placed: number[] = [];
  let left = remaining.size;
  for (let at = first; at < ordered.length && left > 0; at += 1) {
    if (remaining.has(at)) left -= 1;
    else placed.push(at - first);
  }
  return placed.join();
}
