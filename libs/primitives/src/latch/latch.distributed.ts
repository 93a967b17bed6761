/** The latch in the distributed scope: a count in Redis; who waits for its end waits as at an event's flag. */
import { ConfigMismatchError } from '../errors.ts';
import { FlagSeat } from '../event/flag-seat.distributed.ts';
import { checkCount, checkWait, type WaitOptions } from '../options.ts';
import type { CommandTerms } from '../session/commands.ts';
import type { SessionCore } from '../session/core.ts';
import { checkName } from '../session/keys.ts';
import type { Answer } from '../session/run-operations.ts';
import { seatKey } from '../session/seats.ts';
import { latchParts } from './latch.scripts.ts';
import type { AnyCountDownLatch } from './latch.ts';

/** A count-down latch by name, in Redis. Made by `session.countDownLatch(name, count)`. */
export class DistributedCountDownLatch implements AnyCountDownLatch {
  /** The name it was asked for by. */
  readonly name: string;
  readonly #core: SessionCore;
  readonly #count: number;

  /** @internal Use `session.countDownLatch`. */
  constructor(core: SessionCore, name: string, count: number) {
    this.name = checkName(name, 'countDownLatch: name');
    this.#count = checkCount(count, 'countDownLatch: count', { min: 0 });
    this.#core = core;
  }

  async countDown(n = 1): Promise<void> {
    checkCount(n, 'countDownLatch.countDown(n): n');
    await this.#core.seeThrough(this.#countDown(n));
  }

  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = checkWait(options, 'countDownLatch.wait');
    this.#core.assertOpen(`latch ${this.name}`);
    if (timeout === 0) return (await this.#left(signal)) === 0;
    const refuse = (answer: Answer, [count]: readonly (string | number)[]) =>
      this.#refuse(answer, Number(count));
    return this.#core.seats
      .take(seatKey('latch', this.name), () => new FlagSeat(this.#core, 'latch', this.name, refuse))
      .wait([this.#count], timeout, signal);
  }

  async count(): Promise<number> {
    return this.#left();
  }

  async #countDown(n: number): Promise<void> {
    const count = (by: number, terms?: CommandTerms) =>
      this.#command('count-down', latchParts, [this.name, this.#count, by], terms);
    let [is] = await count(n);
    while (is === 'more') [is] = await count(0, { repeatable: true, goesOn: true });
  }

  async #left(signal?: AbortSignal): Promise<number> {
    return Number((await this.#command('count', ['state'], [this.#count], { looks: true, signal }))[1]);
  }

  async #command(
    operation: string,
    parts: readonly string[],
    args: readonly (string | number)[],
    terms?: CommandTerms,
  ): Promise<Answer> {
    const keys = this.#core.keyspace.of('latch', this.name, parts);
    const what = `latch ${this.name}`;
    return this.#refuse(
      await this.#core.command(what, this.name, `latch.${operation}`, keys, args, terms),
      this.#count,
    );
  }

  #refuse(answer: Answer, requested: number): Answer {
    if (answer[0] !== 'mismatch') return answer;
    const existing = Number(answer[1]);
    throw new ConfigMismatchError(
      `latch ${this.name} exists with a count of ${existing}; ${requested} was named: use one count for one name`,
      { existing: { count: existing }, requested: { count: requested } },
      { primitive: this.name },
    );
  }
}
