/** The tasks of a client that hold something: what they hold they look at again and again, and write under its token. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeadlockError, StaleTokenError } from '../../errors.ts';
import { fencedSet } from '../../fencing/fenced.distributed.ts';
import { runAs } from '../../identity.ts';
import { JoinedLease } from '../../lock/joined-lease.ts';
import type { Lease } from '../../lock/lock.ts';
import { clock } from './history.ts';
import { impatiently, timeoutBy, type Wait } from './impatience.ts';
import type { Chance } from './random.ts';
import { limitOf, SEMAPHORE_PERMITS, type Setting, type Task } from './setting.ts';

/**
 * Ms within which whoever waits for several locks gets them, or hears of a circle: nobody holds for nearly as long; and
 * the same where some hold for long, or nothing is granted while a replica takes over.
 */
const STUCK = { usually: 30_000, slowly: 60_000 };
/** Ms after which a hold of one lock is ended, some of them before their holder would. */
const MAX_HOLD = 12;

/** One hold, and under which name it is. */
interface Part {
  readonly name: string;
  readonly lease: Lease;
  readonly permits: number;
}

type Acquire = (wait: Wait) => Promise<Lease | null>;

/** Whether `from` holds of what all others are kept out of. */
const excludes = ({ name, permits }: Part): boolean => permits === limitOf(name);

export class Holding {
  readonly #setting: Setting;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  lock(name: string): Task {
    return (c, client) =>
      this.#hold(c, client, name, 1, (wait) => this.#setting.session.lock(name).acquire(wait));
  }

  quorumLock(name: string, quorum: readonly string[]): Task {
    return (c, client) =>
      this.#hold(c, client, name, 1, (wait) => this.#setting.session.lock(name, { quorum }).acquire(wait));
  }

  /** A lock whose holds are ended by force. */
  limitedLock(name: string): Task {
    const lock = this.#setting.session.lock(name, { maxHold: MAX_HOLD });
    return (c, client) => this.#hold(c, client, name, 1, (wait) => lock.acquire(wait), 2 * MAX_HOLD);
  }

  readWriteLock(name: string): Task {
    const { read, write } = this.#setting.session.readWriteLock(name);
    return (c, client) => {
      const reads = c.next() < 0.5;
      const side = reads ? read : write;
      return this.#hold(c, client, name, reads ? 1 : limitOf(name), (wait) => side.acquire(wait));
    };
  }

  /** @param all asks for all permits of a bounded one; otherwise for any number */
  semaphore(name: string, { bounded, all }: { bounded: boolean; all: boolean }): Task {
    const { session } = this.#setting;
    const semaphore = bounded
      ? session.boundedSemaphore(name, SEMAPHORE_PERMITS)
      : session.semaphore(name, SEMAPHORE_PERMITS);
    return (c, client) => {
      const permits = all ? SEMAPHORE_PERMITS : c.between(1, SEMAPHORE_PERMITS);
      return this.#hold(c, client, name, permits, (wait) => semaphore.acquire({ ...wait, permits }));
    };
  }

  /** Entered up to three times, and left in any order. */
  rlock(name: string): Task {
    const lock = this.#setting.session.rlock(name);
    return (c, client) =>
      runAs(client, async () => {
        // However this ends, all of it is left: where the first hold was lost, a level may be of a new one.
        await using entered = new AsyncDisposableStack();
        const first = entered.use(await this.#acquire(c, client, name, (wait) => lock.acquire(wait)));
        if (first === null) return;
        const levels = [first];
        for (let deeper = c.between(0, 2); deeper > 0; deeper -= 1) {
          const level = entered.use(await lock.acquire({ timeout: 0 }));
          const same = level !== null && level.token === first.token;
          if (!same && first.valid) this.#surprise(client, `${name}: did not enter what it holds`);
          if (level !== null) levels.push(level);
          if (!same) break;
        }
        await this.#keep(c, client, [{ name, lease: first, permits: 1 }], 3, async (look) => {
          while (levels.length > 1) {
            const [level] = levels.splice(c.between(0, levels.length - 1), 1);
            await level?.release();
            // The first may have been left already: the hold is then seen by what is left of it.
            const left = levels.find(({ token }) => token === first.token);
            look(left);
            if (left !== undefined && !left.valid && !left.signal.aborted)
              this.#surprise(client, `${name}: was left before its last level was`);
            if (c.next() < 0.5) await sleep(1);
          }
        });
      });
  }

  /** Several at once, named in any order. */
  together(...names: readonly string[]): Task {
    const { session } = this.#setting;
    return (c, client) =>
      runAs(client, async () => {
        const mixed = c.next() < 0.5 ? names : names.toReversed();
        const locks = mixed.map((name) => session.lock(name));
        const patient = c.next() < 0.3;
        const begun = clock();
        const lease = patient
          ? await session.acquireAll(locks, { timeout: this.#stuckAfter })
          : await this.#acquire(c, client, names.join(), (wait) => session.acquireAll(locks, wait));
        if (patient) this.#stuck(client, mixed, lease, begun);
        if (!(lease instanceof JoinedLease)) return;
        const parts = lease.leases.map((part, at) => ({
          name: [...names].sort()[at] as string,
          lease: part,
          permits: 1,
        }));
        await this.#keep(c, client, parts, 3);
        await lease.release();
      });
  }

  /** Two, one after the other, in any order: of those who meet in a circle one hears of it, and gives up. */
  crosswise(...names: readonly [string, string]): Task {
    const { session } = this.#setting;
    return (c, client) =>
      runAs(client, async () => {
        const [one, other] = c.next() < 0.5 ? names : (names.toReversed() as [string, string]);
        const wait = { timeout: this.#stuckAfter };
        await using first = await session.lock(one).acquire(wait);
        if (first === null) return;
        await sleep(c.between(0, 3));
        const begun = clock();
        try {
          await using second = await session.lock(other).acquire(wait);
          this.#stuck(client, [one, other], second, begun);
          if (second === null) return;
          const parts = [
            { name: one, lease: first, permits: 1 },
            { name: other, lease: second, permits: 1 },
          ];
          await this.#keep(c, client, parts, 3);
        } catch (error) {
          if (!(error instanceof DeadlockError)) throw error;
        }
      });
  }

  get #stuckAfter(): number {
    return this.#setting.terms.longHold === undefined ? STUCK.usually : STUCK.slowly;
  }

  #stuck(client: string, names: readonly string[], lease: Lease | null, begun: number): void {
    if (lease === null && clock() - begun >= this.#stuckAfter)
      this.#surprise(client, `waited ${this.#stuckAfter} ms for ${names.join(' and ')}`);
  }

  async #hold(
    c: Chance,
    client: string,
    name: string,
    permits: number,
    acquire: Acquire,
    longest = 3,
  ): Promise<void> {
    const lease = await this.#acquire(c, client, name, acquire);
    if (lease === null) return;
    await this.#keep(c, client, [{ name, lease, permits }], longest);
    await lease.release();
  }

  async #acquire(c: Chance, client: string, name: string, acquire: Acquire): Promise<Lease | null> {
    const timeout = timeoutBy(c, 1500);
    const begun = clock();
    const outcome = await impatiently(c, timeout, acquire);
    this.#setting.onTime(client, `acquire ${name}`, begun, timeout);
    return outcome.aborted ? null : outcome.value;
  }

  /** Looks at what it holds for up to `longest` ms, and does what is to be done meanwhile; then tells of it. */
  async #keep(
    c: Chance,
    client: string,
    parts: readonly Part[],
    longest: number,
    meanwhile: (look: (instead?: Lease) => void) => Promise<void> = async () => {},
  ): Promise<void> {
    // Before it is asked: what stands still between the two is not to make the hold begin later than it did.
    const from = clock();
    const seen = parts.filter(({ lease }) => lease.valid).map((part) => ({ ...part, until: from }));
    if (seen.length < parts.length) return;
    const look = (instead?: Lease) => {
      const looked = clock();
      for (const part of seen) if ((instead ?? part.lease).valid) part.until = looked;
    };
    const tell = () => {
      for (const { name, lease, permits, until } of seen)
        this.#setting.tell({ held: { client, name, token: lease.token, permits, from, until } });
    };
    const { longHold } = this.#setting.terms;
    const long = longHold !== undefined && c.next() < 0.03 ? longHold : 30;
    const ends = from + c.between(0, c.next() < 0.1 || long > 30 ? long : longest);
    try {
      while (clock() < ends && parts.every(({ lease }) => !lease.signal.aborted)) {
        look();
        const [written = undefined] = parts.filter(excludes);
        if (written !== undefined && c.next() < 0.5) await this.#write(written);
        else await sleep(1);
      }
      look(); // Whatever has happened meanwhile: what it says now must be true.
      await meanwhile(look);
    } finally {
      tell();
    }
  }

  async #write({ name, lease: { token } }: Part): Promise<void> {
    const start = clock();
    try {
      await fencedSet(this.#setting.values, `faults:${name}`, String(token), token);
      this.#setting.tell({ wrote: { name, token, start, end: clock(), accepted: true } });
    } catch (error) {
      if (error instanceof StaleTokenError)
        this.#setting.tell({ wrote: { name, token, start, end: clock(), accepted: false } });
    }
  }

  #surprise(client: string, what: string): void {
    this.#setting.history.surprises.push(`${client}: ${what}`);
  }
}
