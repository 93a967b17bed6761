/**
 * Grants that outlive a fail-over: `durability` of `connect`. Redis replicates after it has answered, so that a replica
 * that takes over may never have heard of a grant. `WAIT` tells how many replicas have what this connection wrote last;
 * the grant itself may have been written by another, whoever released. So the one who was granted writes something of
 * its own after that, and waits for that: replicas take all writes in one order. (Redis documentation, "WAIT".)
 */
import { rangeError, show, typeError } from '../errors.ts';
import { checkKnown } from '../options.ts';

/** How many replicas must have a grant before it is given to whoever asked, and a sign of life before it counts. */
export interface Durability {
  /** 1 or more. */
  readonly replicas: number;
  /** Ms that they may take; by default 1,000, and never more than a quarter of `ttl`. */
  readonly timeout?: number | undefined;
}

/** `durability` with all of it decided. */
export type ResolvedDurability = Required<{ [K in keyof Durability]: number }>;

/** Checks `durability` as given to `connect`. */
export function resolveDurability(given: unknown, ttl: number): ResolvedDurability | undefined {
  if (given === undefined) return undefined;
  if (given === null || typeof given !== 'object')
    throw typeError(`connect: durability must be { replicas, timeout? }, not ${show(given)}`);
  checkKnown(given, ['replicas', 'timeout'], 'connect: durability');
  const { replicas, timeout = Math.min(1000, Math.floor(ttl / 4)) } = given as Record<string, unknown>;
  const most = Math.floor(ttl / 4);
  if (typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 1)
    throw rangeError(`connect: durability.replicas must be a whole number, 1 or more, not ${show(replicas)}`);
  if (typeof timeout !== 'number' || !(timeout >= 1 && timeout <= most))
    throw rangeError(
      `connect: durability.timeout must be 1 to ${most} ms, a quarter of ttl, not ${show(timeout)}`,
    );
  return { replicas, timeout: Math.floor(timeout) };
}

/** What a confirmation is asked over: a connection that may be kept waiting. */
export interface WaitingClient {
  pexpire(key: string, ms: number): Promise<unknown>;
  wait(replicas: number, timeout: number): Promise<number>;
  info(section: string): Promise<string>;
  disconnect(reconnect: boolean): void;
}

/** There is no confirmation; the message says why. */
export class Unconfirmed extends Error {
  constructor(why: string, cause?: unknown) {
    super(why, { cause });
    this.name = 'Unconfirmed';
  }
}

/** Ms beyond its time-out that a `WAIT` may take before its connection counts as dead. */
const SLACK = 500;
const SECOND_LOOK = 20;

/** Asks whether the replicas have all that was written so far: once for all who want to know at a time. */
export class Confirmer {
  readonly durability: ResolvedDurability;
  /** Of which run of a server: another one, after a fail-over, confirms nothing that this one granted. */
  runId: string;
  readonly #client: WaitingClient;
  readonly #key: string;
  readonly #keep: number;
  #underWay: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** @param key of a record that lives `keep` ms: its expiry is what is written, since that is always a change */
  constructor(client: WaitingClient, durability: ResolvedDurability, key: string, keep: number, runId = '') {
    this.durability = durability;
    this.runId = runId;
    this.#client = client;
    this.#key = key;
    this.#keep = keep;
  }

  /** Settles once the replicas have all that Redis had when this was called; rejects with `Unconfirmed`. */
  confirm(): Promise<void> {
    // What is under way may have been written before what is asked about.
    this.#next ??= (this.#underWay ?? Promise.resolve())
      .catch(() => {})
      .then(() => {
        this.#underWay = this.#next;
        this.#next = undefined;
        return this.#ask();
      });
    return this.#next;
  }

  async #ask(): Promise<void> {
    const { replicas, timeout } = this.durability;
    const [written, had, said] = await this.#answers(replicas, timeout);
    // A record that is gone was not written, and then `WAIT` says nothing.
    if (written !== 1) throw new Unconfirmed('the data of the namespace was lost');
    if (!said.includes(`run_id:${this.runId}`)) throw new Unconfirmed('another server took over');
    if (had < replicas) throw new Unconfirmed(`${had} of ${replicas} replicas had it within ${timeout} ms`);
  }

  /** All three in one order on one connection; one that is silent for too long is made anew. */
  async #answers(replicas: number, timeout: number): Promise<[unknown, number, string]> {
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      const verdict = () => {
        reject(new Error(`no answer within ${timeout + SLACK} ms`));
        this.#client.disconnect(true);
      };
      // Where this loop itself stood still, what has arrived meanwhile is read in between.
      timer = setTimeout(() => {
        timer = setTimeout(verdict, SECOND_LOOK);
      }, timeout + SLACK);
    });
    try {
      const asked = Promise.all([
        this.#client.pexpire(this.#key, this.#keep),
        this.#client.wait(replicas, timeout),
        this.#client.info('server'),
      ]);
      return await Promise.race([asked, silent]);
    } catch (error) {
      throw new Unconfirmed(`the connection on which ${replicas} replicas were to confirm it broke`, error);
    } finally {
      clearTimeout(timer);
    }
  }
}
