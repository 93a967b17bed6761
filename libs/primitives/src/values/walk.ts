/** What both walks over a value share: where they are, and how they refuse. */
import { NotCloneableError } from '../errors.ts';
import { refusal } from './kinds.ts';

/**
 * Objects within one another that travel at most; errors, by their causes, half as many. Whoever reads them may have less of
 * a stack than whoever wrote them: Node's own reader gave up at 1,600 in a main thread, where a worker could send more.
 */
export const DEEPEST = 1000;

/** One step into a value: an index, a key, or the text to show as it is. */
export type Step = number | string | { readonly shown: string };

export interface WalkOptions {
  /**
   * Asked about each object that has no way to travel of its own: a handle to send in its place, or `undefined`.
   * It may throw an error of its own.
   */
  readonly share?: ((object: object) => unknown) | undefined;
  /**
   * Puts a `NotCloneableError` in the place of whatever can't travel, instead of throwing it. For errors on their
   * way out of a task: what can be told of them must arrive.
   */
  readonly lenient?: boolean | undefined;
  /** What it travels by, whose label errors give. */
  readonly primitive?: { readonly label: string } | undefined;
}

export abstract class Walk {
  /** The steps from the root to where the walk is; only the first `depth` of them count. */
  protected readonly path: Step[] = [];
  protected readonly where: string;
  protected readonly options: WalkOptions;

  constructor(where: string, options: WalkOptions) {
    this.where = where;
    this.options = options;
  }

  /** Runs the walk; a value nested deeper than the stack is refused like any other that can't travel. */
  protected guarded<T>(walk: () => T): T {
    try {
      return walk();
    } catch (error) {
      if (!(error instanceof RangeError) || !error.message.includes('call stack')) throw error;
      throw this.tooDeep();
    }
  }

  /** Why what is nested so deeply may not travel. */
  protected tooDeep(): NotCloneableError {
    const why = `is nested too deeply to travel: ${DEEPEST} objects within one another do, errors ${DEEPEST / 2}`;
    return this.cannotTravel(this.where, `${why}; flatten it, a long chain into an array`);
  }

  /** Why `value` may not travel, with the path to it. */
  protected refuse(value: unknown, depth: number): NotCloneableError {
    const path = showPath(this.where, this.path.slice(0, depth));
    return this.cannotTravel(path, refusal(value));
  }

  private cannotTravel(path: string, why: string): NotCloneableError {
    const primitive = this.options.primitive?.label;
    const by = primitive === undefined ? '' : `${primitive}: `;
    return new NotCloneableError(`${by}${path} ${why}`, path, { primitive });
  }
}

/** `args[0].items[3]["a key"]` */
export function showPath(where: string, steps: readonly Step[]): string {
  return steps.reduce<string>((path, step) => path + showStep(step), where);
}

function showStep(step: Step): string {
  if (typeof step === 'number') return `[${step}]`;
  if (typeof step !== 'string') return step.shown;
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
}

/** The step to a Map's value, by its key where that can be shown. */
export function mapStep(key: unknown, index: number): Step {
  const plain = key === null || ['string', 'number', 'boolean'].includes(typeof key);
  return { shown: plain ? `.get(${JSON.stringify(key)})` : `.values()[${index}]` };
}
