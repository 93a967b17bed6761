/**
 * Grants that outlive a fail-over: `durability` of `connect`. Redis replicates after it has answered, so that a replica
 * that takes over may never have heard of a grant. `WAIT` tells how many replicas have what this connection wrote last;
 * the grant itself may have been written by another, whoever released. So the one who was granted writes something of
 * its own after that, and waits for that: replicas take all writes in one order. (Redis documentation, "WAIT".)
 */
import { Cluster, Command } from 'ioredis';
import { rangeError, show, typeError } from '../errors.ts';
import { refuseUnknown } from '../options.ts';

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
  refuseUnknown(given, ['replicas', 'timeout'], 'connect: durability');
  const most = Math.floor(ttl / 4);
  const { replicas, timeout = Math.min(1000, most) } = given as Record<string, unknown>;
  if (typeof replicas !== 'number')
    throw typeError(`connect: durability.replicas must be a number, not ${show(replicas)}`);
  if (typeof timeout !== 'number')
    throw typeError(`connect: durability.timeout must be a number of milliseconds, not ${show(timeout)}`);
  if (!Number.isInteger(replicas) || replicas < 1)
    throw rangeError(`connect: durability.replicas must be a whole number, 1 or more, not ${show(replicas)}`);
  if (!(timeout >= 1 && timeout <= most))
    throw rangeError(
      `connect: durability.timeout must be 1 to ${most} ms, a quarter of ttl, not ${show(timeout)}`,
    );
  return { replicas, timeout: Math.floor(timeout) };
}

/** What a confirmation is asked over: a connection to one server, that may be kept waiting. */
export interface WaitingClient {
  pexpire(key: string, ms: number): Promise<unknown>;
  call(command: string, ...args: string[]): Promise<unknown>;
  wait(replicas: number, timeout: number): Promise<number>;
  disconnect(reconnect: boolean): void;
}

/** How to see that a server has what is to be confirmed: another one, after a fail-over, may never have heard of it. */
export interface Proof {
  readonly command: readonly [name: string, ...args: string[]];
  shows(answer: unknown): boolean;
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
/** What is heard of a key that is, or is about to be, another server's of the Cluster: from the one before, or where that is gone. */
const ELSEWHERE = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|Connection is closed)\b/;

interface Asked extends PromiseWithResolvers<void> {
  readonly key: string;
  readonly proof: Proof;
}

/** Asks whether the replicas of one server have what was written so far: once for all who want to know at a time. */
class Rounds {
  readonly #server: WaitingClient;
  readonly #durability: ResolvedDurability;
  readonly #keep: number;
  #asked: Asked[] = [];
  #asking = false;

  constructor(server: WaitingClient, durability: ResolvedDurability, keep: number) {
    this.#server = server;
    this.#durability = durability;
    this.#keep = keep;
  }

  confirm(key: string, proof: Proof): Promise<void> {
    const asked = { key, proof, ...Promise.withResolvers<void>() };
    this.#asked.push(asked);
    if (!this.#asking) {
      this.#asking = true;
      process.nextTick(() => void this.#ask());
    }
    return asked.promise;
  }

  /** What is under way may have been written before what is asked about: that is for the next round. */
  async #ask(): Promise<void> {
    while (this.#asked.length > 0) {
      const round = this.#asked.splice(0);
      try {
        await this.#answer(round);
      } catch (error) {
        for (const { reject } of round) reject(error);
      }
    }
    this.#asking = false;
  }

  /** All in one order on one connection; one that is silent for too long is made anew. */
  async #answer(round: readonly Asked[]): Promise<void> {
    const { replicas, timeout } = this.#durability;
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      const verdict = () => {
        reject(new Error(`no answer within ${timeout + SLACK} ms`));
        this.#server.disconnect(true);
      };
      // Where this loop itself stood still, what has arrived meanwhile is read in between.
      timer = setTimeout(() => {
        timer = setTimeout(verdict, SECOND_LOOK);
      }, timeout + SLACK);
    });
    try {
      const keys = [...new Set(round.map(({ key }) => key))];
      const written = Promise.allSettled(keys.map((key) => this.#server.pexpire(key, this.#keep)));
      const shown = Promise.allSettled(round.map(({ proof }) => this.#server.call(...proof.command)));
      const waited = this.#server.wait(replicas, timeout);
      const [writes, answers, had] = await Promise.race([Promise.all([written, shown, waited]), silent]);
      for (const [at, { key, proof, resolve, reject }] of round.entries()) {
        const write = writes[keys.indexOf(key)];
        const answer = answers[at];
        if (write?.status !== 'fulfilled') reject(write?.reason);
        else if (answer?.status !== 'fulfilled') reject(answer?.reason);
        // A record that is gone was not written, and then `WAIT` says nothing.
        else if (write.value !== 1) reject(new Unconfirmed('the data of the namespace was lost'));
        else if (had < replicas)
          reject(new Unconfirmed(`${had} of ${replicas} replicas had it within ${timeout} ms`));
        else if (proof.shows(answer.value)) resolve();
        else reject(new Unconfirmed('the server that has its place now does not have it'));
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Confirmations over one client: on a Cluster each master is asked about what lies there. */
export class Confirmer {
  readonly durability: ResolvedDurability;
  readonly #client: WaitingClient | Cluster;
  readonly #keep: number;
  readonly #rounds = new WeakMap<WaitingClient, Rounds>();

  /** @param keep ms that records live which were just used */
  constructor(client: WaitingClient | Cluster, durability: ResolvedDurability, keep: number) {
    this.durability = durability;
    this.#client = client;
    this.#keep = keep;
  }

  /**
   * Settles once the server that has `key` shows what `proof` is of, and its replicas have all that it had when this was
   * called; rejects with `Unconfirmed`.
   * @param key of a record in the same slot: its expiry is what is written, since that is always a change
   */
  async confirm(key: string, proof: Proof): Promise<void> {
    try {
      await this.#ask(key, proof).catch(async (error: unknown) => {
        if (!(this.#client instanceof Cluster && isElsewhere(error))) throw error;
        await new Promise<void>((resolve) => (this.#client as Cluster).refreshSlotsCache(() => resolve()));
        await this.#ask(key, proof);
      });
    } catch (error) {
      if (error instanceof Unconfirmed) throw error;
      const { replicas } = this.durability;
      throw new Unconfirmed(`the connection on which ${replicas} replicas were to confirm it broke`, error);
    }
  }

  async #ask(key: string, proof: Proof): Promise<void> {
    const server = this.#serverOf(key);
    let rounds = this.#rounds.get(server);
    if (rounds === undefined) {
      rounds = new Rounds(server, this.durability, this.#keep);
      this.#rounds.set(server, rounds);
    }
    await rounds.confirm(key, proof);
  }

  #serverOf(key: string): WaitingClient {
    if (!(this.#client instanceof Cluster)) return this.#client;
    const [master] = this.#client.slots[new Command('exists', [key]).getSlot() ?? 0] ?? [];
    const found = this.#client
      .nodes('master')
      .find(({ options: { host, port } }) => `${host}:${port}` === master);
    if (found === undefined) throw new Elsewhere(`no server of the Cluster is known to have ${key}`);
    return found as WaitingClient;
  }
}

/** What is known of the Cluster's slots is out of date. */
class Elsewhere extends Error {}

function isElsewhere(error: unknown): boolean {
  return error instanceof Elsewhere || (error instanceof Error && ELSEWHERE.test(error.message));
}
