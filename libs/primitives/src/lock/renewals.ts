/** What a condition's wait makes of a hold: it is given back and taken again, with a new token, and its leases speak for it. */

/** A hold that was given back for a while. */
export interface SuspendedHold {
  /** Takes the lock again: the hold's leases are good once more. `then` is called in the step in which they are. */
  resume<T>(then: () => T): Promise<T>;
  /** The same, blocking. */
  resumeSync(): void;
  /** Whether all of its leases were released meanwhile: nobody would end what `resume` has begun. */
  readonly released: boolean;
  /** Ends what `resume` has begun. */
  end(): void;
}

/** What has become of a hold: its token now, 0 meanwhile; and whether its lease was released meanwhile. */
export interface Renewal {
  readonly granted: number;
  now: number;
  released: boolean;
}

/** Holds of this thread at one lock that a condition's wait gave back, by the token each was granted with, and by that of now. */
export class Renewals {
  readonly #byGrant = new Map<number, Renewal>();
  readonly #byNow = new Map<number, Renewal>();

  get size(): number {
    return this.#byGrant.size;
  }

  of(granted: number): Renewal | undefined {
    return this.#byGrant.get(granted);
  }

  add(granted: number): Renewal {
    const renewal: Renewal = { granted, now: 0, released: false };
    this.#byGrant.set(granted, renewal);
    return renewal;
  }

  renew(renewal: Renewal, token: number): void {
    renewal.now = token;
    this.#byNow.set(token, renewal);
  }

  /** The token that the hold with this one was granted with. */
  grantedAs(token: number): number {
    return this.#byNow.get(token)?.granted ?? token;
  }

  /** The hold with this token has ended. */
  delete(token: number): void {
    this.#byGrant.delete(this.grantedAs(token));
    this.#byNow.delete(token);
  }
}
