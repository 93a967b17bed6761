import type { Cells } from './simulated-memory.ts';

/**
 * The cells that may be read without atomic operations: those that are written that way, or always under one lock; found
 * out by running, with the locks that were held whenever they were written. A thread sees what was written under a lock
 * once it has that lock too; and what is handed over from one lock to another once it has a lock, and anew with each
 * operation of its own while it does.
 */
export class PlainCells {
  readonly #guards = new Map<number, number>();
  /** Whether one was found, or one found to be less guarded, since this was last set. */
  news = false;
  readonly #handedOver: (cell: number) => boolean;

  /** `handedOver`: whether a cell is also read by who holds another lock than who wrote it. */
  constructor(handedOver: (cell: number) => boolean) {
    this.#handedOver = handedOver;
  }

  /** What a thread sees of them. */
  seen(shadow: Int32Array): string {
    return [...this.#guards.keys()].map((cell) => `${cell}:${shadow[cell]}`).join();
  }

  note(cell: number, held: number): void {
    const known = this.#guards.get(cell);
    const guards = held & (known ?? -1);
    if (guards === known) return;
    this.#guards.set(cell, guards);
    this.news = true;
  }

  /** What a thread sees that has just taken these locks. */
  under(locks: number, memory: Cells): [number, number][] {
    return this.#pick((guards, cell) => (guards & locks) !== 0 || this.#handedOver(cell), memory);
  }

  /** What a thread sees that holds these locks and makes an operation. */
  beside(locks: number, memory: Cells): [number, number][] {
    return this.#pick((guards, cell) => (guards & locks) === 0 && this.#handedOver(cell), memory);
  }

  #pick(wanted: (guards: number, cell: number) => boolean, { words }: Cells): [number, number][] {
    const seen: [number, number][] = [];
    for (const [cell, guards] of this.#guards) {
      if (wanted(guards, cell)) seen.push([cell, words[cell] as number]);
    }
    return seen;
  }
}
