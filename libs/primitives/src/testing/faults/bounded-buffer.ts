/**
 * A buffer with bounds, made of a re-entrant lock and two conditions, as in any textbook; how full it is stands in Redis,
 * where it changes under the token of the lock alone. What a token has seen of it is still so when it acts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { DistributedCondition } from '../../condition/condition.distributed.ts';
import { runAs } from '../../identity.ts';
import type { Lease } from '../../lock/lock.ts';
import type { DistributedRLock } from '../../rlock/rlock.distributed.ts';
import { clock, type Hold } from './history.ts';
import { impatiently, timeoutBy } from './impatience.ts';
import type { Chance } from './random.ts';
import type { Setting, Task } from './setting.ts';

/** Where it says how full the buffer is. */
export const BUFFER = 'faults:buffer';
export const ROOM = 2;
/** The name of its lock. */
const NAME = 'rlock buffer';
/** Ms that one waits who is woken in time. */
const LONG = 60_000;

/** How full it is, for a token; from here on nothing changes it under an earlier one. */
const LOOK = `
local seen = redis.call('HGET', KEYS[1], 'token')
if seen and tonumber(seen) > tonumber(ARGV[1]) then return 'stale' end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return tonumber(redis.call('HGET', KEYS[1], 'count') or '0')`;

/** Adds to what is there, within bounds, where no later token has been here; the count, or what is wrong. */
const ACT = `
local seen = tonumber(redis.call('HGET', KEYS[1], 'token') or '0')
if seen > tonumber(ARGV[1]) then return 'stale' end
if seen < tonumber(ARGV[1]) then return 'lost' end
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or '0') + tonumber(ARGV[2])
if count < 0 then return 'empty' end
if count > ${ROOM} then return 'full' end
redis.call('HSET', KEYS[1], 'count', count)
return count`;

/** How many lie in the buffer. */
export async function buffered(values: Pick<Redis, 'hget'>): Promise<number> {
  return Number((await values.hget(BUFFER, 'count')) ?? 0);
}

/** The connection past any proxy failed. */
class Unreadable extends Error {}

/** Its lock, while one client has it. */
class Visit {
  readonly #lease: Lease;
  readonly #client: string;
  readonly #tell: (held: Hold) => void;
  #held: Hold | undefined;

  constructor(lease: Lease, client: string, tell: (held: Hold) => void) {
    this.#lease = lease;
    this.#client = client;
    this.#tell = tell;
  }

  /** Looks whether it has the lock, after a wait under another token; gives that. */
  look(): number {
    const { token } = this.#lease;
    const at = clock();
    if (this.#held?.token !== token) this.end();
    if (this.#lease.valid) {
      const { from } = this.#held ?? { from: at };
      this.#held = { client: this.#client, name: NAME, token, permits: 1, from, until: at };
    }
    return token;
  }

  end(): void {
    if (this.#held !== undefined) this.#tell(this.#held);
    this.#held = undefined;
  }
}

export class BoundedBuffer {
  readonly #setting: Setting;
  readonly #lock: DistributedRLock;
  readonly #notEmpty: DistributedCondition;
  readonly #notFull: DistributedCondition;

  constructor(setting: Setting) {
    const { session } = setting;
    this.#setting = setting;
    this.#lock = session.rlock(NAME);
    this.#notEmpty = session.condition('not empty', { lock: this.#lock });
    this.#notFull = session.condition('not full', { lock: this.#lock });
  }

  readonly put: Task = (c, client) => this.#visit(c, client, +1);
  readonly take: Task = (c, client) => this.#visit(c, client, -1);

  #visit(c: Chance, client: string, by: 1 | -1): Promise<void> {
    if (by > 0 && this.#setting.draining) return Promise.resolve();
    return runAs(client, async () => {
      const asked = await impatiently(c, timeoutBy(c, 1500), (wait) => this.#lock.acquire(wait));
      const lease = asked.aborted ? null : asked.value;
      if (lease === null) return;
      const visit = new Visit(lease, client, (held) => this.#setting.tell({ held }));
      try {
        await this.#change(c, client, visit, by);
        visit.look();
      } finally {
        visit.end();
        await lease.release();
      }
    });
  }

  async #change(c: Chance, client: string, visit: Visit, by: 1 | -1): Promise<void> {
    const [mine, theirs] = by > 0 ? [this.#notFull, this.#notEmpty] : [this.#notEmpty, this.#notFull];
    let seenBy = 0;
    const may = async () => {
      const token = visit.look();
      const count = await this.#setting.values.eval(LOOK, 1, BUFFER, token).catch(() => {
        throw new Unreadable();
      });
      seenBy = token;
      if (count === 'stale') return true; // Its hold is over: so `act` will be told, too.
      return by > 0 ? Number(count) < ROOM : Number(count) > 0;
    };
    try {
      if (!(await this.#await(c, client, mine, may, by))) return;
    } catch (error) {
      // What it was woken for is for another.
      if (error instanceof Unreadable) return mine.notify();
      throw error;
    }
    if (c.next() < 0.3) await sleep(1);
    const said = await this.#act(visit.look(), by);
    if ((said === 'full' || said === 'empty') && seenBy === visit.look())
      this.#setting.history.surprises.push(`${client}: the buffer was ${said}, under token ${seenBy}`);
    // Also where the outcome is unknown: one notification too many does no harm.
    if (said !== 'stale' && said !== 'lost') await (c.next() < 0.8 ? theirs.notify() : theirs.notifyAll());
  }

  /** Takers mostly wait for as long as it takes: a wake-up that was lost shows as something left in the buffer. */
  async #await(
    c: Chance,
    client: string,
    mine: DistributedCondition,
    may: () => Promise<boolean>,
    by: 1 | -1,
  ): Promise<boolean> {
    if (by < 0 && c.next() < 0.7) {
      const wait = { timeout: LONG, signal: this.#setting.over };
      return (await unlessOver(this.#setting.over, mine.waitFor(may, wait))) ?? false;
    }
    const timeout = timeoutBy(c, 1500);
    const begun = clock();
    const outcome = await impatiently(c, timeout, (wait) => mine.waitFor(may, wait));
    this.#setting.onTime(client, `wait for ${mine.name}`, begun, timeout);
    return !outcome.aborted && outcome.value;
  }

  #act(token: number, by: 1 | -1): Promise<unknown> {
    return this.#setting.values.eval(ACT, 1, BUFFER, token, by).catch(() => 'unknown');
  }
}

/** `null` where the client came to its end meanwhile. */
async function unlessOver<T>(over: AbortSignal, wait: Promise<T>): Promise<T | null> {
  try {
    return await wait;
  } catch (error) {
    if (over.aborted && error === over.reason) return null;
    throw error;
  }
}
