/**
 * A session's watch over those who follow it in the ring: one that is not renewed in time is swept at its end.
 *
 * | one who follows | then |
 * |---|---|
 * | is named by a tick, or by a message | a timer runs for the ms that it has left |
 * | is not named by a later tick: it was renewed, or others stand before it | no timer, unless it was to be watched on |
 * | has its end come | it is swept |
 * | is swept | the next is looked for at once, out of turn, since that one may be dead too |
 * | turns out to live | a timer runs again |
 * | can't be swept | it is left to the next tick, and looked past where no tick would name anybody behind it |
 */
import { LONGEST_TIMER, now } from '../deadline.ts';
import type { Swept } from './sweep.ts';

/** How many a tick names at most. */
export const AT_ONCE = 16;

export class RingWatch {
  readonly #own: string;
  readonly #sweepDead: (id: string) => Promise<Swept | undefined>;
  readonly #look: (past?: string) => Promise<void>;
  /** When sweeps begin, and until when (monotonic ms) a tick that does not name them changes nothing. */
  readonly #watched = new Map<string, { readonly timer: NodeJS.Timeout; readonly until: number }>();
  /** The last whom a tick named, where it named as many as it may. */
  #last: string | undefined;
  readonly #sweeping = new Set<string>();
  #over = false;

  /**
   * @param own the incarnation that watches
   * @param sweepDead sweeps one whose end has come; `undefined` where Redis is away
   * @param look has a tick name anew who follows, or who follows `past`, which can't be swept
   */
  constructor(
    own: string,
    sweepDead: (id: string) => Promise<Swept | undefined>,
    look: (past?: string) => Promise<void>,
  ) {
    this.#own = own;
    this.#sweepDead = sweepDead;
    this.#look = look;
  }

  /**
   * Another is swept when its time comes, in ms, unless a later tick shows it renewed, or others that are to be watched and
   * not this one.
   *
   * @param keep ms in which it is watched also where a tick does not name it
   */
  watch(id: string, remaining: number, keep = 0): void {
    if (id === this.#own || this.#over || this.#sweeping.has(id)) return;
    const before = this.#watched.get(id);
    clearTimeout(before?.timer);
    const timer = setTimeout(() => void this.#sweep(id), Math.min(remaining + 1, LONGEST_TIMER));
    this.#watched.set(id, { timer, until: Math.max(now() + keep, before?.until ?? 0) });
  }

  /**
   * A tick that was sent at that moment named these, by their ids and the ms they have left.
   *
   * @param further whether it was asked for those who follow one of them, which are watched as well
   */
  named(those: readonly unknown[], sent: number, further: boolean): void {
    if (!further) this.#unwatch(sent); // But for those whom we were told of since.
    this.#last = those.length < 2 * AT_ONCE ? undefined : String(those.at(-2));
    for (let at = 0; at < those.length; at += 2) this.watch(String(those[at]), Number(those[at + 1]));
  }

  /** Watches nobody any more. */
  end(): void {
    this.#over = true;
    this.#unwatch(Number.POSITIVE_INFINITY);
  }

  #unwatch(before: number): void {
    for (const [id, { timer, until }] of this.#watched) {
      if (until >= before) continue;
      clearTimeout(timer);
      this.#watched.delete(id);
    }
  }

  async #sweep(id: string): Promise<void> {
    const { until = 0 } = this.#watched.get(id) ?? {};
    this.#watched.delete(id);
    this.#sweeping.add(id);
    const swept = await this.#sweepDead(id).finally(() => this.#sweeping.delete(id));
    if (this.#over) return;
    if (swept?.state === 'alive') return this.watch(id, swept.remaining, Math.max(0, until - now()));
    if (swept?.state === 'swept') await this.#look();
    else if (swept?.state === 'kept' && id === this.#last) await this.#look(id);
  }
}
