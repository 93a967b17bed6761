/** What a simulated thread has done and what it does next, as a graph: a node for each history that is told apart. */
import type { LoopEvent } from './desk.ts';
import type { Operation, Outcome } from './simulated-memory.ts';

/** How a node is reached from the one before. */
export interface Edge {
  readonly key: string;
  readonly outcome?: Outcome;
  readonly event?: LoopEvent;
  /** What the thread may see from here on of memory that is read without atomic operations. */
  readonly plain?: readonly (readonly [cell: number, value: number])[] | undefined;
}

/** What a thread does next: an operation, or nothing before an event comes. */
export type Next = { readonly operation: Operation } | { readonly idle: Idle };

export interface Idle {
  readonly finished: boolean;
  readonly failure: unknown;
  readonly result: unknown;
  readonly timers: readonly number[];
  /** Whether the clock of the slices is running. */
  readonly looks: boolean;
}

/** What happens between two steps. */
export interface Gap {
  readonly next: Next;
  readonly enters: readonly string[];
  readonly leaves: readonly string[];
  /** Cells written without atomic operations, and what to. */
  readonly writes: readonly (readonly [number, number])[];
  /** A bit for each lock that the thread holds then. */
  readonly held: number;
  /** Of a thread that has ended for good: what it gave. However it came there, nothing more can come of it. */
  readonly ending: string | undefined;
}

/** A thread after some history of its own. */
export class Node {
  readonly id: number;
  readonly parent: Node | undefined;
  readonly edge: Edge;
  readonly children = new Map<string, Node>();
  gap: Gap | undefined;
  /** What the thread knows there, where that was written down. */
  known: string | undefined;
  /** One that was known before, from which the same follows. */
  same: Node | undefined;

  constructor(id: number, parent: Node | undefined, edge: Edge) {
    this.id = id;
    this.parent = parent;
    this.edge = edge;
  }
}
