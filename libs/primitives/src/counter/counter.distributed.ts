/** The counter in the distributed scope: one number in Redis, changed by scripts. */
import { rangeError } from '../errors.ts';
import { checkCount } from '../options.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import { refused } from '../session/refused.ts';
import type { Answer } from '../session/run-operations.ts';
import type { AnyCounter } from './counter.ts';

/**
 * A counter by name, in Redis; 0 until somebody adds. Made by `session.counter(name)`. It outlives every session, for a
 * day after its last use. A change whose answer never came is an `OutcomeUnknownError`, and is not made twice.
 */
export class DistributedCounter implements AnyCounter {
  /** The name it was asked for by. */
  readonly name: string;
  readonly #core: SessionCore;

  /** @internal Use `session.counter`. */
  constructor(core: SessionCore, name: string) {
    this.name = checkName(name, 'counter: name');
    this.#core = core;
  }

  async add(n = 1): Promise<number> {
    checkWhole(n, 'counter.add(n): n');
    const [is, value] = await this.#command('add', [n]);
    if (is === 'value') return Number(value);
    if (is !== 'out of range')
      throw refused('counter.add', `an answer out of form, ${is}`, { primitive: this.name });
    throw rangeError(`counter ${this.name} is ${value}; with ${n} more it would leave the safe integers`);
  }

  async value(): Promise<number> {
    return Number((await this.#command('value', [], true))[1]);
  }

  async compareAndSet(expected: number, next: number): Promise<boolean> {
    checkWhole(expected, 'counter.compareAndSet(expected, next): expected');
    checkWhole(next, 'counter.compareAndSet(expected, next): next');
    const [is] = await this.#command('compare-and-set', [expected, next]);
    return is === 'yes';
  }

  #command(operation: string, args: readonly number[], looks = false): Promise<Answer> {
    const keys = this.#core.keyspace.of('counter', this.name, ['value']);
    const what = `counter ${this.name}`;
    const texts = args.map((n) => (n === 0 ? '0' : String(n)));
    return this.#core.command(what, this.name, `counter.${operation}`, keys, texts, { looks });
  }
}

function checkWhole(value: unknown, what: string): number {
  return checkCount(value, what, { min: Number.MIN_SAFE_INTEGER });
}
