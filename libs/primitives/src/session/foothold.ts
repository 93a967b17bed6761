/** The life that a seat stands under: the one it has while that lasts, and then the next. */
import type { Dependent, Incarnation } from './incarnation.ts';
import type { Partition } from './partition.ts';

export class Foothold implements Dependent {
  readonly #partition: Partition;
  readonly #ended: () => void;
  #life: Incarnation | undefined;

  /** @param ended called once at the end of each life that was stood under, unless it was left before */
  constructor(partition: Partition, ended: () => void) {
    this.#partition = partition;
    this.#ended = ended;
  }

  /** The life stood under last, ended or not. */
  get life(): Incarnation | undefined {
    return this.#life;
  }

  /** A life to ask under, if there is one and it is kept. */
  stand(): Incarnation | undefined {
    if (this.#life !== undefined && this.#life.ended === undefined) return this.#life;
    const life = this.#partition.kept;
    return life && this.#standUnder(life);
  }

  /** A life to ask under: the one there is, or the next once it is opened and kept. */
  async under(): Promise<Incarnation> {
    return this.stand() ?? this.#standUnder(await this.#partition.guardedLife());
  }

  /** Nothing stands under it any more: its end need not be told. */
  leave(): void {
    this.#life?.detach(this);
    this.#life = undefined;
  }

  /** The life stood under has ended. */
  lose(): void {
    this.#ended();
  }

  #standUnder(life: Incarnation): Incarnation {
    if (this.#life === life) return life;
    this.leave();
    this.#life = life;
    life.attach(this);
    return life;
  }
}
