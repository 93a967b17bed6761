/**
 * Deadlocks between sessions. A wait that lasts asks who holds what it is for, and their sessions what the logical
 * threads that hold it wait for themselves, and so on. Where that comes home to the wait, the circle is looked at a
 * second time: only if every wait and every token in it is the same did all of it stand still at once, and the youngest
 * wait in it, by Redis's time of joining, gives up. (The wait-for graph of Coffman, Elphick and Shoshani, "System
 * Deadlocks", 1971, found without a place that knows all of it, as in Chandy, Misra and Haas, "Distributed Deadlock
 * Detection", 1983. They send a probe along; here the waiter asks and puts the answers together, since of a semaphore's
 * holders any few may be enough.)
 */
import { now } from '../deadline.ts';
import { DeadlockError } from '../errors.ts';
import type { LogicalThread } from '../identity.ts';
import { type Circle, circleThrough, type Standing, type Wanted } from './circle.ts';
import { tell } from './diagnostics.ts';
import type { Incarnation } from './incarnation.ts';
import { type AskingHost, Questions } from './questions.ts';
import { type Hold, type OwnWait, outlasts, type Target, WaitsAndHolds } from './waits-and-holds.ts';

/** What this needs of its session. */
export interface DeadlockHost extends AskingHost {
  readonly id: string;
  readonly closed: boolean;
}

/** Ms between two looks at a wait that goes on. */
const LOOK_AGAIN = 500;
/** Waits one look goes through at most. */
const MOST_STEPS = 256;

export class Deadlocks {
  readonly #host: DeadlockHost;
  readonly #after: number;
  readonly #own: WaitsAndHolds;
  readonly #questions: Questions;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;

  /** @param after ms that a wait lasts before it is looked at; `Infinity`: never */
  constructor(host: DeadlockHost, after: number) {
    this.#host = host;
    this.#after = after;
    this.#own = new WaitsAndHolds(host.id);
    this.#questions = new Questions(host, this.#own);
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
    const due = since + this.#after;
    const over = this.#own.beginWait(owner, target, fail, since, due);
    this.#schedule(due);
    return over;
  }

  /** A hold begins, `id` being its number where a name can have several; gives back what ends it, as `waits` does. */
  holds(hold: Hold, of: Pick<Target, 'kind' | 'name'>, id: string): (() => void) | undefined {
    return hold.owner.explicit ? this.#own.beginHold(hold, of, id) : undefined;
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
    held = () => outlasts(this.#own.hold(kind, name, ''), owner),
    remedy = 'use an rlock where code re-enters',
  ): DeadlockError | undefined {
    if (!owner.explicit || !this.#own.isHolder(owner) || !held()) return undefined;
    const me = this.#own.label(owner.name);
    return new DeadlockError(
      `${kind} ${name}: ${me} holds it already and would wait for itself for ever; ${remedy}`,
      [{ waiter: me, waitsFor: `${kind} ${name}`, heldBy: me }],
      { primitive: name },
    );
  }

  /** A message about waits, ours or others'. Throws for what is none. */
  told(life: Incarnation, parts: readonly string[]): void {
    this.#questions.told(life, parts);
  }

  /** The session closes. */
  close(): void {
    clearTimeout(this.#timer);
    this.#own.close();
    this.#questions.close();
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
    for (const wait of this.#own.waits) {
      if (wait.nextLook > time) {
        next = Math.min(next, wait.nextLook);
        if (wait.since + this.#after > time) break; // All behind it began later still.
        continue;
      }
      wait.nextLook = time + LOOK_AGAIN;
      next = Math.min(next, wait.nextLook);
      if (wait.fail === undefined || wait.looking || !this.#own.isHolder(wait.owner)) continue;
      if (!this.#own.isOnly(wait)) continue;
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

  async #lookAt(wait: OwnWait): Promise<void> {
    const first = await this.#circle(wait);
    if (first === undefined || !this.#isYoungest(wait, first)) return;
    const second = await this.#circle(wait);
    if (second?.signature !== first.signature || !this.#own.isOnly(wait)) return;
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

  #isYoungest(wait: OwnWait, { members }: Circle): boolean {
    const mine = { joined: wait.joined ?? Number.POSITIVE_INFINITY, id: `${this.#host.id}/${wait.id}` };
    return members.every(({ joined, id }) => {
      if (id === mine.id) return true;
      // One that has not looked for itself yet is younger than all who have; it will.
      if (joined === undefined) return false;
      return joined < mine.joined || (joined === mine.joined && id < mine.id);
    });
  }

  /** What is in the way of a wait, and what in theirs, as far as it goes; the circle that leads back, if there is one. */
  async #circle(start: OwnWait): Promise<Circle | undefined> {
    const wanted = new Map<string, Wanted>();
    const todo: Standing[] = [this.#own.standingOf(start)];
    for (let steps = 0; todo.length > 0; steps += 1) {
      const standing = todo.pop() as Standing;
      if (standing.wait === null || wanted.has(standing.thread)) continue;
      if (steps === MOST_STEPS) return undefined;
      const found = await this.#questions.ask(start, standing);
      wanted.set(standing.thread, found);
      for (const { by } of found.holders) if (by !== undefined) todo.push(by);
    }
    // By now the start may know when it began.
    return circleThrough(this.#own.standingOf(start), wanted);
  }
}
