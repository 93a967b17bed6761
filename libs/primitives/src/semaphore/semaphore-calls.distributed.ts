/** What a session asks Redis about one semaphore: the calls, and what the answers mean. */
import { ConfigMismatchError, RedisRefusedError, rangeError } from '../errors.ts';
import { unlessEnded } from '../session/calls.ts';
import type { SessionCore } from '../session/core.ts';
import type { Incarnation } from '../session/incarnation.ts';
import { nameOf } from '../session/keys.ts';
import type { Answer } from '../session/run-operations.ts';
import { parseBlock, type TokenBlock } from '../session/tokens.ts';
import { semaphoreParts } from './semaphore.scripts.ts';

/** Permits that a semaphore can have, by its shape or raised: as many as one of this process. */
export const MOST_PERMITS = 2 ** 29 - 1;

/** What must be the same for all who name a semaphore. */
export interface SemaphoreShape {
  readonly permits: number;
  readonly bounded: boolean;
}

/** What is asked for, under which name. */
export interface Wish {
  readonly id: string;
  readonly permits: number;
  readonly shape: SemaphoreShape;
}

type Words = readonly (string | number)[];

export type Acquired =
  | { readonly is: 'granted'; readonly block: TokenBlock }
  | { readonly is: 'queued' | 'busy' | 'more' };

export class SemaphoreCalls {
  readonly #core: SessionCore;
  readonly #kind: string;
  readonly #name: string;
  readonly #what: string;
  readonly #keys: readonly string[];

  constructor(core: SessionCore, kind: string, name: string) {
    this.#core = core;
    this.#kind = kind;
    this.#name = name;
    this.#what = `${kind} ${name}`;
    this.#keys = core.keyspace.of(kind, name, semaphoreParts);
  }

  /** @param wait whether to stand in line where it is not free */
  async acquire(life: Incarnation, { id, permits, shape }: Wish, wait: boolean): Promise<Acquired> {
    const words = [id, permits, wait ? 1 : 0, shapeText(shape), shape.permits];
    const answer = await this.#call(life, 'semaphore.acquire', words);
    const [is, first, last, more] = answer;
    const block = is === 'granted' ? parseBlock(first, last) : undefined;
    if (more === 'more') void this.#advance(life);
    if (block !== undefined) return { is: 'granted', block };
    if (is === 'queued' || is === 'busy' || is === 'more') return { is };
    this.#refuse(answer, shape, permits);
    const said = JSON.stringify([is, first, last]);
    throw new RedisRefusedError(`Redis answered a semaphore operation out of form: ${said}; is it Redis?`);
  }

  /** Gives back so many permits of each hold, by its name; raises the limit by the rest. Says whether all were held. */
  async release(life: Incarnation, shape: SemaphoreShape, pairs: Words, raise: number): Promise<boolean> {
    const words = [shapeText(shape), shape.permits, raise, ...pairs];
    const answer = await this.#call(life, 'semaphore.release', words);
    if (answer.at(-1) === 'more')
      await this.#goOn(
        life,
        pairs.filter((_, at) => at % 2 === 0),
      );
    this.#refuse(answer, shape, 0);
    return answer[0] !== 'gone';
  }

  /** Leaves the line, by and by where Redis takes no writes. Gives the tokens where it was granted meanwhile: it is held then. */
  async cancel(life: Incarnation, id: string): Promise<TokenBlock | undefined> {
    const keys = [...this.#keys, life.holds];
    const [was, first, last] = await life.giveBack('semaphore.cancel', keys, [this.#name, this.#kind, id]);
    if (was === 'more') await this.#goOn(life, [id]);
    return was === 'granted' ? parseBlock(first, last) : undefined;
  }

  async value(shape: SemaphoreShape): Promise<number> {
    const words = [this.#kind, shapeText(shape), shape.permits];
    const keys = this.#core.keyspace.of(this.#kind, this.#name, ['state', 'holders']);
    const terms = { looks: true } as const;
    const answer = await this.#core.command(this.#what, this.#name, 'semaphore.value', keys, words, terms);
    this.#refuse(answer, shape, 0);
    return Number(answer[1]);
  }

  /** Whether replicas have the grant of a hold, by its name and first token, where they are to. */
  confirm(life: Incarnation, id: string, first: number): Promise<void> | undefined {
    const holders = this.#keys[semaphoreParts.indexOf('holders')] ?? '';
    const { sessions } = this.#core.partitionOf(this.#name).site;
    return this.#core.confirmer?.confirm(sessions, {
      command: ['hget', holders, `${life.id}#${id}`],
      // `permits first last`
      shows: (had) => typeof had === 'string' && had.split(' ')[1] === String(first),
    });
  }

  /** Goes on with a hand-over that met its bound. */
  #advance(life: Incarnation): Promise<unknown> {
    const args = [this.#name, this.#kind];
    return this.#core.seeThrough(life.giveBackAll('semaphore.advance', this.#keys, args).catch(unlessEnded));
  }

  /** The same, for what was given up under these names, which is listed until then. */
  async #goOn(life: Incarnation, ids: Words): Promise<void> {
    await this.#advance(life);
    const keys = [...this.#keys, life.holds];
    for (const id of ids)
      life.later({ operation: 'semaphore.cancel', keys, args: [this.#name, this.#kind, id] }, 0);
  }

  #call(life: Incarnation, operation: string, words: Words): Promise<Answer> {
    return life.call(operation, [...this.#keys, life.holds], [this.#name, this.#kind, ...words]);
  }

  #refuse([tag, value]: Answer, shape: SemaphoreShape, permits: number): void {
    if (tag === 'too many') throw tooMany(this.#what, permits, Number(value));
    if (tag === 'full')
      throw rangeError(
        `${this.#what} can't have more than ${MOST_PERMITS} permits; only what was held was given back`,
      );
    if (tag !== 'mismatch') return;
    const [permitsText = '', bounded] = (value ?? '').split(' ');
    throw mismatch(this.#what, { permits: Number(permitsText), bounded: bounded === 'bounded' }, shape);
  }
}

export function shapeText({ permits, bounded }: SemaphoreShape): string {
  return bounded ? `${permits} bounded` : String(permits);
}

/** The error of a shape that is not the one the name has. */
export function mismatch(
  what: string,
  existing: SemaphoreShape,
  requested: SemaphoreShape,
): ConfigMismatchError {
  return new ConfigMismatchError(
    `${what} exists with ${shapeText(existing)} permits; ${shapeText(requested)} were named: use one shape for one name`,
    { existing, requested },
    { primitive: nameOf(what) },
  );
}

/** The error of a wish that can never be granted. */
export function tooMany(what: string, permits: number, limit: number): RangeError {
  return rangeError(
    `semaphore.acquire: permits must be at most ${limit}, all that ${what} has, not ${permits}: more are never free`,
  );
}
