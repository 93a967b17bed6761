/**
 * Which threads read and write which cells, and under which locks, as far as has been seen: so which operations no
 * other thread minds, whenever they come.
 */
import type { Operation } from './simulated-memory.ts';

const MAY_BE_FREE = ['load', 'store', 'exchange', 'compareExchange', 'add'] as const;

export class Traffic {
  /** By cell: a bit for each thread. */
  readonly #readers = new Map<number, number>();
  readonly #writers = new Map<number, number>();
  /** By cell: a bit for each lock that was held at every access so far, and at every one that wrote. */
  readonly #guards = new Map<number, number>();
  readonly #writeGuards = new Map<number, number>();
  /** Cells on which an operation was made at once: because others let it alone, or because of a lock. */
  readonly #taken = new Set<number>();
  readonly #takenUnderLock = new Set<number>();

  /** Cells that anybody writes. */
  get written(): Iterable<number> {
    return this.#writers.keys();
  }

  /** Whether, by all that has been seen, the operation can come at any time for all that others do. */
  free(thread: number, operation: Operation, locks: number): boolean {
    const { kind } = operation;
    if (!(MAY_BE_FREE as readonly string[]).includes(kind)) return false;
    const cells = cellsOf(operation);
    const others = ~(1 << thread);
    const apart = cells.every((cell) => {
      if (((this.#writers.get(cell) ?? 0) & others) !== 0) return false;
      return kind === 'load' || ((this.#readers.get(cell) ?? 0) & others) === 0;
    });
    // Who holds a lock without which nobody writes reads what it would at any other time.
    const guards = kind === 'load' ? this.#writeGuards : this.#guards;
    const guarded = cells.every((cell) => ((guards.get(cell) ?? -1) & locks) !== 0);
    if (!apart && !guarded) return false;
    for (const cell of cells) (apart ? this.#taken : this.#takenUnderLock).add(cell);
    return true;
  }

  /** Notes an operation that is made now, with these locks held: true where it proves wrong what `free` said before. */
  minded(thread: number, operation: Operation, locks: number): boolean {
    const { kind } = operation;
    if (kind === 'clock' || kind === 'alive') return false;
    const reads = kind === 'load' || kind === 'wait' || kind === 'waitAsync';
    let news = false;
    for (const cell of cellsOf(operation)) {
      news ||= this.#narrow(this.#guards, cell, locks);
      if (!reads) news ||= this.#narrow(this.#writeGuards, cell, locks);
      const table = reads ? this.#readers : this.#writers;
      const known = table.get(cell) ?? 0;
      if ((known & (1 << thread)) !== 0) continue;
      table.set(cell, known | (1 << thread));
      const others = ((this.#readers.get(cell) ?? 0) | (this.#writers.get(cell) ?? 0)) & ~(1 << thread);
      news ||= others !== 0 && this.#taken.has(cell);
    }
    return news;
  }

  /** Notes under which locks an access is made: true where fewer are left, and that matters. */
  #narrow(table: Map<number, number>, cell: number, locks: number): boolean {
    const guards = table.get(cell) ?? -1;
    if ((guards & locks) === guards) return false;
    table.set(cell, guards & locks);
    // The first access only says which locks there may be.
    return (guards !== -1 || locks === 0) && this.#takenUnderLock.has(cell);
  }

  /** The same for a cell written without an atomic operation. */
  writtenBy(thread: number, cell: number, locks: number): boolean {
    return this.minded(thread, { kind: 'store', cell, wide: false, operand: 0, expected: 0, more: 0 }, locks);
  }
}

function cellsOf({ cell, wide }: Operation): number[] {
  return wide ? [cell, cell + 1] : [cell];
}
