/** What the model explores: some primitives, a few threads that use them, and what must hold. */
import type { Change } from './sources.ts';

/** What a thread of a scenario says to the model. It costs no step, and happens together with the step beside it. */
export interface Witness {
  /** From the step before this on the thread is inside the place of that name; until the next step after `leave`. */
  enter(place: string): void;
  leave(place: string): void;
  /** `enter` and `leave` at once: inside from the step before this to the one after it. */
  pass(place: string): void;
  /** Fails the run where `condition` does not hold. */
  expect(condition: boolean, what: string): void;
}

export interface Scenario<P = never> {
  /** Makes what the threads share. Anything with shared memory inside. */
  readonly make: () => P;
  /** One program a thread. An async one has an event loop; what it gives is for `after`. */
  readonly threads: readonly ((shared: P, witness: Witness) => unknown)[];
  /** Looks at the end of every run: throws where something is not as it should be. */
  readonly after?: (shared: P, results: readonly unknown[]) => void;
  /** How many threads may be inside a place at once, where that is more than one. */
  readonly most?: Readonly<Record<string, number>>;
  /** Places nobody may be inside of at the same time, beside each with itself. */
  readonly apart?: readonly (readonly [string, string])[];
  /** Threads of which one may be terminated while it waits: also woken, and before it ran. */
  readonly mayEnd?: readonly number[];
  /** Ends of slices that may come at any time in one run, beside those that come when nothing else does. */
  readonly slices?: number;
  /** The time-outs, aborts and timers must come for the run to end: else it has to end also where none comes. */
  readonly needsTime?: boolean;
  /** Constants of the sources, made small. */
  readonly changes?: readonly Change[];
  /** Only explored with HEDDLE_MODEL=long. */
  readonly long?: boolean;
}

/** Scenarios by what they show. */
export type Scenarios = Readonly<Record<string, Scenario>>;

/** Types one scenario by what its `make` gives. */
export function scenario<P>(given: Scenario<P>): Scenario {
  return given as unknown as Scenario;
}

/** Throws where `condition` does not hold. */
export function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
