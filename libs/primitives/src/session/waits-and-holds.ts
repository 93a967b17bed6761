/** What the logical threads of one session wait for and hold: what it can tell others who ask. */
import { hostname } from 'node:os';
import type { DeadlockError } from '../errors.ts';
import { isWithin, type LogicalThread } from '../identity.ts';
import type { Standing } from './circle.ts';

/** Something that is waited for: `permits` of it. `form`: how it is kept in Redis. */
export interface Target {
  readonly kind: string;
  readonly name: string;
  readonly form: 'lock' | 'permits';
  readonly permits: number;
}

/** A wait of ours. */
export interface OwnWait {
  readonly id: string;
  readonly owner: LogicalThread;
  readonly target: Target;
  readonly since: number;
  /** `undefined` where it can't give up. */
  readonly fail: ((error: DeadlockError) => void) | undefined;
  /** µs of Redis's time at which it began; known once it has asked. One that can't give up is older than all. */
  joined: number | undefined;
  nextLook: number;
  looking: boolean;
}

/** A lease, as far as this is concerned. */
export interface Hold {
  /** Who acquired it. */
  readonly owner: LogicalThread;
  readonly token: number;
  readonly valid: boolean;
  /** Of a re-entrant lock: the acquisitions that it goes on for. */
  readonly levels?: readonly Pick<Hold, 'owner' | 'valid'>[] | undefined;
}

/** Characters of a logical thread's name that go along. */
const LONGEST_LABEL = 100;

export class WaitsAndHolds {
  readonly #session: string;
  /** In the order in which they began. */
  readonly #waits = new Map<string, OwnWait>();
  readonly #waitsOf = new Map<number, Set<OwnWait>>();
  readonly #holds = new Map<string, Hold>();
  /** How many holds a logical thread has: who has none is in no circle. */
  readonly #holdsOf = new Map<number, number>();
  #begun = 0;

  constructor(session: string) {
    this.#session = session;
  }

  /** The waits that go on, the oldest first. */
  get waits(): Iterable<OwnWait> {
    return this.#waits.values();
  }

  /** A wait begins, which is first looked at at `nextLook`; gives back what ends it. */
  beginWait(
    owner: LogicalThread,
    target: Target,
    fail: OwnWait['fail'],
    since: number,
    nextLook: number,
  ): () => void {
    this.#begun += 1;
    const id = String(this.#begun);
    const joined = fail === undefined ? 0 : undefined;
    const wait: OwnWait = { id, owner, target, since, fail, joined, nextLook, looking: false };
    this.#waits.set(id, wait);
    const own = this.#waitsOf.get(owner.ident) ?? new Set();
    this.#waitsOf.set(owner.ident, own.add(wait));
    return () => {
      this.#waits.delete(id);
      own.delete(wait);
      if (own.size === 0) this.#waitsOf.delete(owner.ident);
    };
  }

  /** A hold begins; gives back what ends it. See `Deadlocks.holds`. */
  beginHold(hold: Hold, { kind, name }: Pick<Target, 'kind' | 'name'>, id: string): () => void {
    const { owner } = hold;
    const key = `${kind}\n${name}\n${id}`;
    this.#holds.set(key, hold);
    this.#holdsOf.set(owner.ident, (this.#holdsOf.get(owner.ident) ?? 0) + 1);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (this.#holds.get(key) === hold) this.#holds.delete(key);
      const left = (this.#holdsOf.get(owner.ident) ?? 1) - 1;
      if (left > 0) this.#holdsOf.set(owner.ident, left);
      else this.#holdsOf.delete(owner.ident);
    };
  }

  /** Whether a wait goes on, and is all that its logical thread waits for: of several, any may let that go. */
  isOnly({ id, owner }: OwnWait): boolean {
    return this.#waits.has(id) && this.#waitsOf.get(owner.ident)?.size === 1;
  }

  /** Whether that logical thread holds anything. */
  isHolder(owner: LogicalThread): boolean {
    return this.#holdsOf.has(owner.ident);
  }

  hold(kind: string, name: string, id: string): Hold | undefined {
    return this.#holds.get(`${kind}\n${name}\n${id}`);
  }

  /** Who of ours has that hold, and what it waits for. */
  holderOf(kind: string, name: string, id: string): Standing | undefined {
    const hold = this.hold(kind, name, id);
    if (hold === undefined) return undefined;
    const [wait] = this.#waitsOf.get(hold.owner.ident) ?? [];
    const { token } = hold;
    if (wait !== undefined && this.isOnly(wait) && outlasts(hold, wait.owner))
      return { ...this.standingOf(wait), token };
    const { thread, label } = this.#at(hold.owner);
    // A body that goes on beside what else the thread waits for is not that wait.
    return { thread: `${thread} at work`, label, token, wait: null };
  }

  standingOf({ id, owner, target, joined }: OwnWait): Standing {
    return { ...this.#at(owner), token: 0, wait: { ...target, id, joined } };
  }

  /** A logical thread in words. */
  label(name: string): string {
    return `${name.slice(0, LONGEST_LABEL)} (session ${this.#session}, ${hostname()})`;
  }

  /** The session closes. */
  close(): void {
    this.#waits.clear();
  }

  #at({ ident, name }: LogicalThread): { thread: string; label: string } {
    return { thread: `${this.#session}/${ident}`, label: this.label(name) };
  }
}

/**
 * Whether a hold goes on for as long as one waits: it is of the same logical thread, and not of the body of a `with` that
 * the wait is outside of, as one that runs side by side with it.
 */
export function outlasts(hold: Hold | undefined, waiter: LogicalThread): boolean {
  if (hold?.owner.ident !== waiter.ident) return false;
  const { levels = [hold] } = hold;
  return levels.some((level) => {
    const { within } = level.owner;
    const ofBody = within !== undefined && (within.lease === undefined || within.lease === level);
    return !ofBody || isWithin(waiter, level);
  });
}
