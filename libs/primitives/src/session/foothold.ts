/** The life that a seat stands under: the one it has while that lasts, and then the next. */
import { CallEnded } from './calls.ts';
import type { Dependent, Incarnation } from './incarnation.ts';
import type { Partition } from './partition.ts';

/** Where lives are had from. */
type Lives = Pick<Partition, 'free' | 'inTurn' | 'guard'>;

export class Foothold implements Dependent {
  readonly #partition: Lives;
  readonly #ended: () => void;
  #life: Incarnation | undefined;
  #relenting: PromiseWithResolvers<void> | undefined;

  /** @param ended called once at the end of each life that was stood under, unless it was left before */
  constructor(partition: Lives, ended: () => void) {
    this.#partition = partition;
    this.#ended = ended;
  }

  /** The life stood under last, ended or not. */
  get life(): Incarnation | undefined {
    return this.#life;
  }

  /** A life to ask under, if there is one and it is our turn. */
  stand(): Incarnation | undefined {
    if (this.#life !== undefined && this.#life.ended === undefined) return this.#life;
    const life = this.#partition.free;
    return life && this.#standUnder(life);
  }

  /** A life to ask under: the one there is, or the next once it is opened, in turn. */
  async under(): Promise<Incarnation> {
    return this.stand() ?? this.#standUnder(await this.#partition.inTurn());
  }

  /** The same, and `ask` with it: at once where there is one, so that what is asked in turn is sent in turn. */
  ask<T>(ask: (life: Incarnation) => Promise<T>): Promise<T> {
    const life = this.stand();
    return life === undefined ? this.under().then(ask) : ask(life);
  }

  /** Until when no lease is handed out, if there is anything to wait for: the keeper has yet to begin. */
  get guarding(): Promise<void> | undefined {
    return this.#partition.guard();
  }

  /**
   * What Redis answered under the present life, once the keeper watches over what it may have granted; at once where that
   * is not `wanted` any more, which whoever gives up tells by `relent`.
   */
  watched<T>(answer: Promise<T>, wanted: () => boolean): Promise<T> {
    if (this.guarding === undefined) return answer;
    const life = this.#life;
    return answer.then(async (got) => {
      while (this.guarding !== undefined && wanted()) {
        this.#relenting ??= Promise.withResolvers();
        await Promise.race([this.guarding, this.#relenting.promise]);
      }
      if (life?.ended !== undefined) throw new CallEnded(true);
      return got;
    });
  }

  /** Somebody gave up what they waited for. */
  relent(): void {
    this.#relenting?.resolve();
    this.#relenting = undefined;
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
    void this.#partition.guard();
    return life;
  }
}
