/** A state of the search: what is in memory, how far each thread has come, who sleeps and who holds; and what can be told of it. */
import type { LoopEvent } from './desk.ts';
import type { Node } from './history.ts';
import { type Cells, HELD } from './simulated-memory.ts';

export interface Sleeper {
  readonly cell: number;
  readonly thread: number;
  /** Of an asynchronous waiter. */
  readonly entry: number | undefined;
}

export interface ThreadState {
  readonly node: Node;
  readonly status: 'ready' | 'asleep' | 'woken' | 'ended';
  /** Its entries that a wake-up has reached, and its event loop has not dealt with. */
  readonly notified: readonly number[];
  readonly looks: number;
}

export interface State {
  readonly memory: Cells;
  readonly threads: ThreadState[];
  sleepers: readonly Sleeper[];
  /** How many are inside of each place. */
  readonly inside: Map<string, number>;
  slices: number;
  oneEnded: boolean;
  /** Who holds the locks, by their number. */
  holders: readonly (number | undefined)[];
  /** Who made the last step: not a part of what the state is. */
  last: number;
}

export type Move = {
  readonly thread: number;
  readonly required: boolean;
} & (
  | { readonly kind: 'operation' | 'late' | 'time-out' | 'slice' | 'look' | 'end' }
  | { readonly kind: 'event'; readonly event: LoopEvent }
);

export function copyOf(state: State): State {
  const { memory, threads, inside } = state;
  return { ...state, memory: memory.copy(), threads: [...threads], inside: new Map(inside) };
}

export function gapOf({ gap }: Node): NonNullable<Node['gap']> {
  if (gap === undefined) throw new Error('a thread is where nobody knows what it does');
  return gap;
}

/** Whether a thread that is not asleep can make its next operation. */
export function couldGoOn({ memory }: State, node: Node): boolean {
  const { next } = gapOf(node);
  if (!('operation' in next)) return false;
  return next.operation.kind !== 'acquire' || (Number(memory.read(next.operation)) & HELD) === 0;
}

/** Whether a thread sleeps, or its event loop does: the end of a slice may help it. */
export function mayLook({ threads }: State, thread: number): boolean {
  const { node, status } = threads[thread] as ThreadState;
  return status === 'asleep' || 'idle' in gapOf(node).next;
}

export function finished(node: Node): boolean {
  const { next } = gapOf(node);
  return 'idle' in next && next.idle.finished;
}

/** Threads that have not done all they are to do. */
export function unfinished({ threads }: State): number[] {
  return [...threads.keys()].filter((thread) => {
    const { node, status } = threads[thread] as ThreadState;
    return status !== 'ended' && !finished(node);
  });
}

export function looksOf({ threads }: State, thread: number): number {
  return threads[thread]?.looks ?? 0;
}
