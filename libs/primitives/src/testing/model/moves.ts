/** What can happen next in a state: whoever can make a step, and what of time, aborts and ends a scenario allows. */
import type { Scenario } from './scenario.ts';
import { couldGoOn, finished, gapOf, type Move, type State } from './state.ts';

/** Time-outs of scenarios are shorter, in ms; slices are longer. */
const SHORTEST_SLICE = 50;

/** All of them. Where none is `required`, nothing more has to happen. */
export function movesFrom(state: State, scenario: Scenario<unknown>): Move[] {
  const { needsTime = false, slices = 0, mayEnd = [] } = scenario;
  const moves: Move[] = [];
  const maySlice = state.slices < slices;
  for (const [thread, { node, status, notified }] of state.threads.entries()) {
    const next = gapOf(node).next;
    if (status === 'ended') continue;
    if (status === 'woken') moves.push({ thread, kind: 'operation', required: true });
    else if (status === 'asleep' && 'operation' in next) {
      if (next.operation.more < SHORTEST_SLICE) moves.push({ thread, kind: 'time-out', required: needsTime });
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
