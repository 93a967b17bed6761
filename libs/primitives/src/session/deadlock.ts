/**
 * Deadlocks between sessions. A wait that lasts asks who holds what it is for, and their sessions what the logical
 * threads that hold it wait for themselves, and so on. Where that comes home to the wait, the circle is looked at a
 * second time: only if every wait and every token in it is the same did all of it stand still at once, and the youngest
 * wait in it, by Redis's time of joining, gives up. (The wait-for graph of Coffman, Elphick and Shoshani, "System
 * Deadlocks", 1971, found without a place that knows all of it, as in Chandy, Misra and Haas, "Distributed Deadlock
 * Detection", 1983. They send a probe along; here the waiter asks and puts the answers together, since of a semaphore's
 * holders any few may be enough.)
 */
import { hostname } from 'node:os';
import { now } from '../deadline.ts';
import { DeadlockError } from '../errors.ts';
import { isWithin, type LogicalThread } from '../identity.ts';
import { type Circle, circleThrough, type Standing, type Wanted } from './circle.ts';
import { tell } from './diagnostics.ts';
import type { Incarnation } from './incarnation.ts';
import type { Keyspace } from './keys.ts';
import type { Partition } from './partition.ts';

/** What this needs of its session. */
export interface DeadlockHost {
  readonly id: string;
  readonly keyspace: Keyspace;
  readonly closed: boolean;
  partition(index: number): Partition;
}

/** Something that is waited for: `permits` of it. `form`: how it is kept in Redis. */
export interface Target {
  readonly kind: string;
  readonly name: string;
  readonly form: 'lock' | 'permits';
  readonly permits: number;
}

interface Wait {
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

/** Ms between two looks at a wait that goes on. */
const LOOK_AGAIN = 500;
/** Ms that a holder has to answer; one that does not is taken to be at work. */
const ANSWER_WITHIN = 250;
/** Waits one look goes through at most. */
const MOST_STEPS = 256;
/** Characters of a logical thread's name that go along. */
const LONGEST_LABEL = 100;

export class Deadlocks {
  readonly #host: DeadlockHost;
  readonly #after: number;
  /** In the order in which they began. */
  readonly #waits = new Map<string, Wait>();
  readonly #waitsOf = new Map<number, Set<Wait>>();
  /** How many holds a logical thread has: who has none is in no circle. */
  readonly #holdsOf = new Map<number, number>();
  readonly #holds = new Map<string, Hold>();
  readonly #questions = new Map<string, (answer: Standing | undefined, from: string) => void>();
  #begun = 0;
  #asked = 0;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;

  /** @param after ms that a wait lasts before it is looked at; `Infinity`: never */
  constructor(host: DeadlockHost, after: number) {
    this.#host = host;
    this.#after = after;
  }

  /**
   * A wait begins; gives back what ends it, or `undefined` where it is of no concern. `fail` is called at most once, where
   * it is the one to give up.
   */
  waits(
    owner: LogicalThread,
    target: Target,
    fail?: (error: DeadlockError) => void,
  ): (() => void) | undefined {
    if (!owner.explicit || this.#after === Number.POSITIVE_INFINITY) return undefined;
    const since = now();
    this.#begun += 1;
    const id = String(this.#begun);
    const wait: Wait = {
      id,
      owner,
      target,
      since,
      fail,
      joined: fail === undefined ? 0 : undefined,
      nextLook: since + this.#after,
      looking: false,
    };
    this.#waits.set(id, wait);
    const own = this.#waitsOf.get(owner.ident) ?? new Set();
    this.#waitsOf.set(owner.ident, own.add(wait));
    this.#schedule(since + this.#after);
    return () => {
      this.#waits.delete(id);
      own.delete(wait);
      if (own.size === 0) this.#waitsOf.delete(owner.ident);
    };
  }

  /** A hold begins, `id` being its number where a name can have several; gives back what ends it, as `waits` does. */
  holds(hold: Hold, { kind, name }: Pick<Target, 'kind' | 'name'>, id: string): (() => void) | undefined {
    const { owner } = hold;
    if (!owner.explicit) return undefined;
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

  /**
   * The error of one who waits for what it holds itself; `undefined` where it does not.
   *
   * @param held whether it holds, where that is not known by the name alone
   * @param remedy what to do about it
   */
  ownCircle(
    owner: LogicalThread,
    { kind, name }: Pick<Target, 'kind' | 'name'>,
    held = () => outlasts(this.#holds.get(`${kind}\n${name}\n`), owner),
    remedy = 'use an rlock where code re-enters',
  ): DeadlockError | undefined {
    if (!owner.explicit || !this.#holdsOf.has(owner.ident) || !held()) return undefined;
    const me = this.#label(owner.name);
    return new DeadlockError(
      `${kind} ${name}: ${me} holds it already and would wait for itself for ever; ${remedy}`,
      [{ waiter: me, waitsFor: `${kind} ${name}`, heldBy: me }],
      { primitive: name },
    );
  }

  /** A message: a question to us, or the answer to one of ours. Throws for what is neither. */
  told(life: Incarnation, [what, from = '', question = '', ...rest]: readonly string[]): void {
    if (!/^[0-9a-f]{24}-\d{1,15}$/.test(from) || !/^\d{1,15}$/.test(question))
      throw new TypeError('no message of ours');
    if (what === 'ask' && rest.length === 3) {
      const [kind = '', name = '', id = ''] = rest;
      const text = JSON.stringify(this.#standing(kind, name, id) ?? null);
      void life.call('deadlock.tell', [], [from, question, id, text]).catch(() => {});
    } else if (what === 'tell' && rest.length === 2) {
      const [id = '', text = ''] = rest;
      this.#questions.get(question)?.(parseStanding(text), `${from}#${id}`);
    } else {
      throw new TypeError('no message of ours');
    }
  }

  /** The session closes. */
  close(): void {
    clearTimeout(this.#timer);
    this.#waits.clear();
    this.#questions.clear();
  }

  /** One timer for all waits: it comes when the oldest that is not looked at yet is due. */
  #schedule(due: number): void {
    if (this.#timer !== undefined && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    const look = () => {
      this.#timer = undefined;
      this.#look();
    };
    this.#timer = setTimeout(look, Math.max(1, Math.ceil(due - now()))).unref();
  }

  #look(): void {
    if (this.#host.closed) return;
    let next = Number.POSITIVE_INFINITY;
    const time = now();
    for (const wait of this.#waits.values()) {
      if (wait.nextLook > time) {
        next = Math.min(next, wait.nextLook);
        if (wait.since + this.#after > time) break; // All behind it began later still.
        continue;
      }
      wait.nextLook = time + LOOK_AGAIN;
      next = Math.min(next, wait.nextLook);
      if (wait.fail === undefined || wait.looking || !this.#holdsOf.has(wait.owner.ident)) continue;
      if (!this.#isOnly(wait)) continue;
      wait.looking = true;
      const { kind, name } = wait.target;
      tell('probe', () => ({ kind, name, session: this.#host.id }));
      this.#lookAt(wait)
        .catch(() => {}) // The session was lost, or Redis is away: the next look will tell.
        .finally(() => {
          wait.looking = false;
        });
    }
    if (next !== Number.POSITIVE_INFINITY) this.#schedule(next);
  }

  async #lookAt(wait: Wait): Promise<void> {
    const first = await this.#circle(wait);
    if (first === undefined || !this.#isYoungest(wait, first)) return;
    const second = await this.#circle(wait);
    if (second?.signature !== first.signature || !this.#waits.has(wait.id) || !this.#isOnly(wait)) return;
    const { kind, name } = wait.target;
    const steps = second.edges.map(
      ({ waiter, waitsFor, heldBy }) => `${waiter} waits for ${waitsFor}, held by ${heldBy}`,
    );
    const remedy =
      steps.length === 1
        ? 'it holds what it waits for itself: release that first, or ask for all of it at once'
        : 'take them in one order, as acquireAll does';
    wait.fail?.(
      new DeadlockError(
        `${kind} ${name}: a circle of waits, of which this one is the youngest: ${steps.join('; ')}; ${remedy}`,
        second.edges,
        { primitive: name },
      ),
    );
  }

  #isYoungest(wait: Wait, { members }: Circle): boolean {
    const mine = { joined: wait.joined ?? Number.POSITIVE_INFINITY, id: `${this.#host.id}/${wait.id}` };
    return members.every(({ joined, id }) => {
      if (id === mine.id) return true;
      // One that has not looked for itself yet is younger than all who have; it will.
      if (joined === undefined) return false;
      return joined < mine.joined || (joined === mine.joined && id < mine.id);
    });
  }

  /** What is in the way of a wait, and what in theirs, as far as it goes; the circle that leads back, if there is one. */
  async #circle(start: Wait): Promise<Circle | undefined> {
    const wanted = new Map<string, Wanted>();
    const todo: Standing[] = [this.#standingOf(start)];
    for (let steps = 0; todo.length > 0; steps += 1) {
      const standing = todo.pop() as Standing;
      if (standing.wait === null || wanted.has(standing.thread)) continue;
      if (steps === MOST_STEPS) return undefined;
      const found = await this.#ask(start, standing);
      wanted.set(standing.thread, found);
      for (const { by } of found.holders) if (by !== undefined) todo.push(by);
    }
    // By now the start may know when it began.
    return circleThrough(this.#standingOf(start), wanted);
  }

  async #ask(start: Wait, standing: Standing): Promise<Wanted> {
    const { kind, name, form, permits } = standing.wait as Target;
    const { keyspace } = this.#host;
    const index = keyspace.partitionOf(name);
    const [state = '', holders = ''] = keyspace.of(kind, name, [
      'state',
      form === 'lock' ? 'state' : 'holders',
    ]);
    const life = await this.#host.partition(index).incarnation();
    this.#asked += 1;
    const question = String(this.#asked);
    const answers = new Map<string, Standing | undefined>();
    let arrived = () => {};
    this.#questions.set(question, (answer, from) => {
      answers.set(from, answer);
      arrived();
    });
    try {
      const sent = now();
      const [is, time, free, ...parts] = await life.call(
        'deadlock.ask',
        [state, holders],
        [kind, name, question],
      );
      if (is !== 'held') return { standing, permits, free: permits, holders: [] };
      // Told to all alike from here on: known to within half the time of the way there and back.
      if (standing.wait?.id === start.id)
        start.joined ??= Math.round(Number(time) - ((sent + now()) / 2 - start.since) * 1000);
      const expected = parts.length / 3;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ANSWER_WITHIN);
        arrived = () => {
          if (answers.size < expected) return;
          clearTimeout(timer);
          resolve();
        };
        arrived();
      });
      const found = Array.from({ length: expected }, (_, at) => ({
        permits: Number(parts[3 * at + 2]),
        by: answers.get(`${parts[3 * at]}#${parts[3 * at + 1]}`),
      }));
      return { standing, permits, free: Number(free), holders: found };
    } finally {
      this.#questions.delete(question);
    }
  }

  /** Who of ours has that hold, and what it waits for. */
  #standing(kind: string, name: string, id: string): Standing | undefined {
    const hold = this.#holds.get(`${kind}\n${name}\n${id}`);
    if (hold === undefined) return undefined;
    const [wait] = this.#waitsOf.get(hold.owner.ident) ?? [];
    const { token } = hold;
    if (wait !== undefined && this.#isOnly(wait) && outlasts(hold, wait.owner))
      return { ...this.#standingOf(wait), token };
    const { thread, label } = this.#at(hold.owner);
    // A body that goes on beside what else the thread waits for is not that wait.
    return { thread: `${thread} at work`, label, token, wait: null };
  }

  /** One who waits for several things at once may be let go by any of them, for all that is known here. */
  #isOnly(wait: Wait): boolean {
    return this.#waitsOf.get(wait.owner.ident)?.size === 1;
  }

  #standingOf({ id, owner, target, joined }: Wait): Standing {
    return { ...this.#at(owner), token: 0, wait: { ...target, id, joined } };
  }

  #at({ ident, name }: LogicalThread): { thread: string; label: string } {
    return { thread: `${this.#host.id}/${ident}`, label: this.#label(name) };
  }

  #label(name: string): string {
    return `${name.slice(0, LONGEST_LABEL)} (session ${this.#host.id}, ${hostname()})`;
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

/** An answer, as others may have spoiled it. */
function parseStanding(text: string): Standing | undefined {
  try {
    const said = JSON.parse(text) as Partial<Standing> | null;
    const { thread, label, token, wait } = said ?? {};
    if (typeof thread !== 'string' || typeof label !== 'string' || typeof token !== 'number')
      return undefined;
    if (wait === null) return { thread, label, token, wait };
    const { kind, name, form, permits, id, joined } = wait ?? {};
    const texts = [kind, name, id].every((value) => typeof value === 'string');
    if (!texts || (form !== 'lock' && form !== 'permits') || !Number.isSafeInteger(permits)) return undefined;
    if (joined !== undefined && !Number.isFinite(joined)) return undefined;
    return { thread, label, token, wait: wait as NonNullable<Standing['wait']> };
  } catch {
    return undefined;
  }
}
