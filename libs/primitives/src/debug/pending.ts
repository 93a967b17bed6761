/** Waits that go on, looked at again and again: what a condition takes back can close a circle, and a holder can end. */
import { circleOf, deadlockError } from './cycle.ts';
import { tellHoldersGone } from './holds-left.ts';
import type { Ledger, LockName, PlacedClaim } from './ledger.ts';

/** How often, in ms. */
export const LOOK = 500;

/** With the ledger: strikes a wait that is in a circle, and throws. */
export function refuseCircle(ledger: Ledger, wait: PlacedClaim): void {
  const circle = circleOf(ledger, wait);
  if (circle === undefined) return;
  ledger.strike(wait);
  throw deadlockError(circle);
}

/** Another look at a wait that goes on. Throws where it would never end. */
export function look(ledger: Ledger, lock: LockName, wait: PlacedClaim | undefined): void {
  tellHoldersGone(ledger, lock);
  if (wait !== undefined) ledger.exclusive(() => refuseCircle(ledger, wait));
}

/** An asynchronous wait that goes on. */
interface Waiting {
  readonly ledger: Ledger;
  readonly lock: LockName;
  /** Where it can be in a circle. */
  readonly wait: PlacedClaim | undefined;
  /** Ends it with that reason. */
  end(reason: unknown): void;
}

/** This thread's asynchronous waits. */
class Pending {
  readonly #all = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  add(waiting: Waiting): void {
    this.#all.add(waiting);
    this.#timer ??= setInterval(() => this.#look(), LOOK).unref();
  }

  delete(waiting: Waiting): void {
    this.#all.delete(waiting);
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    for (const { ledger, lock, wait, end } of this.#all) {
      try {
        look(ledger, lock, wait);
      } catch (error) {
        end(error);
      }
    }
  }
}

export const pending: Pending = new Pending();
