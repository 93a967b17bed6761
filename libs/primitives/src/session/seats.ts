/** The seats of a session: its parts at those primitives that somebody of it uses just now. */
import type { Incarnation } from './incarnation.ts';

/** A primitive's part in a session, that others' scripts send messages to. */
export interface Seat {
  /** A message for it, in parts, to the life we live now: of what was asked under that, since a message follows its question. */
  told(incarnation: Incarnation, parts: readonly string[]): void;
  /** Messages may have been lost: ask again for whatever is waited for. */
  askAgain(): void;
  /** Whether a message may come for one who waits here. */
  readonly waited: boolean;
  /** The session closes: settle every waiter with `SessionClosedError`. */
  closed(): void;
}

/** Under which a session knows its seat at a primitive. */
export function seatKey(kind: string, name: string): string {
  return `${kind}\n${name}`;
}

export class Seats {
  readonly #seats = new Map<string, Seat>();

  /** The seat under that key (`seatKey`), which messages come to from here on; one may have been left before. */
  take<S extends Seat>(key: string, make: () => S): S {
    let seat = this.#seats.get(key);
    if (seat === undefined) {
      seat = make();
      this.#seats.set(key, seat);
    }
    return seat as S;
  }

  /**
   * A handle's way to its seat. One that nobody uses is not kept here; where the handle made it, it is there for the next
   * use, which need make none.
   */
  way<S extends Seat>(kind: string, name: string, make: () => S): () => S {
    const key = seatKey(kind, name);
    let own: S | undefined;
    const used = () => {
      own ??= make();
      return own;
    };
    return () => this.take(key, used);
  }

  /** The seat under that key, if anybody sits there. */
  get(key: string): Seat | undefined {
    return this.#seats.get(key);
  }

  leave(key: string, seat: Seat): void {
    if (this.#seats.get(key) === seat) this.#seats.delete(key);
  }

  /** Whether a message may come for anybody. */
  get waited(): boolean {
    for (const seat of this.#seats.values()) if (seat.waited) return true;
    return false;
  }

  askAgain(): void {
    for (const seat of [...this.#seats.values()]) seat.askAgain();
  }

  close(): void {
    for (const seat of [...this.#seats.values()]) seat.closed();
    this.#seats.clear();
  }
}
