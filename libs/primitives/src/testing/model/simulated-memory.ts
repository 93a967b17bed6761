/** The memory that simulated threads share, and what each atomic operation does to it, as ECMAScript says. */

/** In the word of a lock. */
export const HELD = 1;
/** From which bit on it says by whom, if it is that of a queue. */
export const HOLDER = 2;

/** What an operation gives. */
export type Outcome = number | bigint | string | boolean | undefined;

/** One atomic operation, or one look at the clock or at whether a thread lives: a step of a thread. */
export interface Operation {
  readonly kind:
    | 'load'
    | 'store'
    | 'exchange'
    | 'compareExchange'
    | 'acquire'
    | 'add'
    | 'notify'
    | 'wait'
    | 'waitAsync'
    | 'clock'
    | 'alive';
  /** Which 32-bit cell of all shared memory; of a wide operation the lower of two. */
  readonly cell: number;
  readonly wide: boolean;
  /** What is stored, exchanged or added; how many are notified; the number of the thread asked for. */
  readonly operand: number | bigint;
  /** What must stand there. */
  readonly expected: number | bigint;
  /** Of a `wait`: for how long, in ms. Of a `waitAsync`: the number of its entry in its thread. */
  readonly more: number;
}

/** All shared memory, by 32-bit cells, at one moment. */
export class Cells {
  readonly words: Int32Array;
  readonly #wide: BigInt64Array;

  constructor(cells: number) {
    this.words = new Int32Array(2 * Math.ceil(cells / 2));
    this.#wide = new BigInt64Array(this.words.buffer);
  }

  copy(): Cells {
    const copy = new Cells(this.words.length);
    copy.words.set(this.words);
    return copy;
  }

  read({ cell, wide }: Operation): number | bigint {
    return (wide ? this.#wide[cell / 2] : this.words[cell]) as number | bigint;
  }

  write({ cell, wide }: Operation, value: number | bigint): void {
    if (wide) this.#wide[cell / 2] = value as bigint;
    else this.words[cell] = value as number;
  }

  /**
   * Does what an operation does to memory. Of an `acquire`, which waits until bit 0 is clear and then adds, it says
   * `held` where that is not so yet. Of a `wait` it says `asleep` where the value is right, of a `waitAsync`
   * `entered`; who sleeps, and who is woken by a `notify`, is known elsewhere.
   */
  perform(operation: Operation): Outcome {
    const { kind, operand, expected } = operation;
    switch (kind) {
      case 'load':
        return this.read(operation);
      case 'store':
        this.write(operation, operand);
        return operand;
      case 'exchange':
      case 'add': {
        const seen = this.read(operation);
        this.write(operation, kind === 'exchange' ? operand : sum(seen, operand));
        return seen;
      }
      case 'compareExchange': {
        const seen = this.read(operation);
        if (seen === expected) this.write(operation, operand);
        return seen;
      }
      case 'acquire': {
        const seen = this.read(operation);
        if ((Number(seen) & HELD) !== 0) return 'held';
        this.write(operation, sum(seen, operand));
        return sum(seen, operand);
      }
      case 'wait':
        return this.read(operation) === expected ? 'asleep' : 'not-equal';
      case 'waitAsync':
        return this.read(operation) === expected ? 'entered' : 'not-equal';
      default:
        return undefined;
    }
  }
}

function sum(a: number | bigint, b: number | bigint): number | bigint {
  return typeof a === 'bigint' ? a + (b as bigint) : (a + (b as number)) | 0;
}

/** What the primitives of a scenario were given for their memory, as they left it once made. */
export class Layout {
  readonly #parts: { readonly base: number; readonly first: Int32Array; name: string }[] = [];
  cells = 0;

  add(buffer: SharedArrayBuffer, name: string): void {
    this.#parts.push({ base: this.cells, first: new Int32Array(buffer).slice(), name });
    this.cells += 2 * Math.ceil(buffer.byteLength / 8);
  }

  get parts(): readonly { readonly base: number; readonly first: Int32Array; readonly name: string }[] {
    return this.#parts;
  }

  /** Memory as it is at first. */
  initial(): Cells {
    const cells = new Cells(this.cells);
    for (const { base, first } of this.#parts) cells.words.set(first, base);
    return cells;
  }

  /** For people: `lock[4]`. */
  nameOf(cell: number): string {
    const part = this.#parts.findLast(({ base }) => base <= cell);
    return part === undefined ? String(cell) : `${part.name}[${cell - part.base}]`;
  }
}
