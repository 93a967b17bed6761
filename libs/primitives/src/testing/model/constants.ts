/** Constants of the sources as scenarios want them: so small that a few threads come to what they are there for. */
import type { Change } from './sources.ts';

/** One lost race is enough to have the next hold, or the next permits, reserved. */
export const impatient: readonly Change[] = [
  {
    file: 'shared-memory/patient-wish.ts',
    from: 'const PATIENCE = { async: 3, sync: 32 };',
    to: 'const PATIENCE = { async: 1, sync: 1 };',
  },
];

/** Blocking waiters look once before they sleep. Elsewhere they do not, as on a machine with one processor. */
export const looking: readonly Change[] = [
  {
    file: 'shared-memory/spin.ts',
    from: 'const PAUSES = availableParallelism() > 1 ? 2000 : 0;',
    to: 'const PAUSES = 1;',
  },
];

/** One that was too late once has the next item, or the next room, kept for it. */
export const impatientAtQueues: readonly Change[] = [
  { file: 'queue/bell.ts', from: 'const PATIENCE = 3;', to: 'const PATIENCE = 1;' },
];

/** A barrier remembers two broken rounds. */
export const fewNotes: readonly Change[] = [
  { file: 'barrier/broken-rounds.ts', from: 'const REMEMBERED = 32n;', to: 'const REMEMBERED = 2n;' },
];

/**
 * The mutex as one step, which comes as soon as it is free. That it is one is shown by scenarios of its own; where it is
 * taken as given, what stands on it can be explored whole.
 */
export const mutexGiven: readonly Change[] = [
  {
    file: 'shared-memory/mutex.ts',
    from: 'if (compareExchange(this.#words, this.#index, 0, this.#mine) !== 0) this.#wait();',
    to: 'Atomics.acquire(this.#words, this.#index, this.#mine);',
  },
  {
    file: 'shared-memory/mutex.ts',
    from: 'if (compareExchange(this.#words, this.#index, this.#mine, 0) === this.#mine) return;',
    to: 'Atomics.store(this.#words, this.#index, 0); return;',
  },
];

/** The same for a lock that is blocked for without time-outs. */
export const lockGiven: readonly Change[] = [
  {
    file: 'lock/lock.local.ts',
    from: 'let taken = this.#take(0);',
    to: 'let taken = Atomics.acquire(this.#words, STATE, GENERATION | HELD);',
  },
  {
    file: 'lock/lock.local.ts',
    from: 'this.#token(this.#take(0) || this.#block(Deadline.never))',
    to: 'this.#token(Atomics.acquire(this.#words, STATE, GENERATION | HELD))',
  },
];

/** The same for the gate of a read-write lock. */
export const gateGiven: readonly Change[] = [
  {
    file: 'lock/lock.local.ts',
    from: 'return (this.#take(0) || this.#block(deadline)) !== 0;',
    to: 'Atomics.acquire(this.#words, STATE, GENERATION | HELD); return true;',
  },
];

/** Of who arrives at a barrier it is noted that somebody did: so it is one state whoever of several alike has come. */
export const anonymous: readonly Change[] = [
  {
    file: 'barrier/rounds.ts',
    from: 'arrivalOf(this.round, threadId));',
    to: 'arrivalOf(this.round, 0));',
  },
];
