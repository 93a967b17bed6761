/** The life that a seat stands under: the one it has while that lasts, and then the next. */
import type { Incarnation } from './incarnation.ts';
import type { Partition } from './partition.ts';

export class Foothold {
  readonly #partition: Partition;
  readonly #ended: () => void;
  #life: Incarnation | undefined;
  #forget: () => void = () => {};

  /** @param ended called once at the end of each life that was stood under, unless it was left before */
  constructor(partition: Partition, ended: () => void) {
    this.#partition = partition;
    this.#ended = ended;
  }

  /** The life stood under last, ended or not. */
  get life(): Incarnation | undefined {
    return this.#life;
  }

  /** A life to ask under: the one there is, or the next once it is opened and kept. */
  async under(): Promise<Incarnation> {
    if (this.#life !== undefined && this.#life.ended === undefined) return this.#life;
    const life = await this.#partition.guardedLife();
    if (this.#life === life) return life;
    this.leave();
    this.#life = life;
    this.#forget = life.onEnd(() => this.#ended());
    return life;
  }

  /** Nothing stands under it any more: its end need not be told. */
  leave(): void {
    this.#forget();
    this.#forget = () => {};
    this.#life = undefined;
  }
}
