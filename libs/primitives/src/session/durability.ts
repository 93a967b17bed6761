/**
 * Grants that outlive a fail-over: `durability` of `connect`. Redis replicates after it has answered, so that a replica
 * that takes over may never have heard of a grant. `WAIT` tells how many replicas have what this connection wrote last;
 * the grant itself may have been written by another, whoever released. So the one who was granted writes something of
 * its own after that, and waits for that: replicas take all writes in one order. (Redis documentation, "WAIT".)
 */
import { Cluster } from 'ioredis';
import { rangeError, show, typeError } from '../errors.ts';
import { checkKnown } from '../options.ts';
import type { Client } from './server.ts';

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

/** The way to the server that has the slot of `key`: on a Cluster it may be another one each time. */
export function serverOf(client: Client, key: string): () => Promise<WaitingClient> {
  if (!(client instanceof Cluster)) return async () => client as WaitingClient;
  let slot: number | undefined;
  return async () => {
    slot ??= Number(await client.cluster('KEYSLOT', key));
    const [master] = client.slots[slot] ?? [];
    const found = client.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === master);
    if (found !== undefined) return found as WaitingClient;
    client.refreshSlotsCache();
    throw new Unconfirmed(`it is not known which server of the Cluster has slot ${slot}`);
  };
}

/** Ms beyond its time-out that a `WAIT` may take before its connection counts as dead. */
const SLACK = 500;
const SECOND_LOOK = 20;

interface Asked extends PromiseWithResolvers<void> {
  readonly proof: Proof;
}

/** Asks whether the replicas of one server have what was written so far: once for all who want to know at a time. */
export class Confirmer {
  readonly durability: ResolvedDurability;
  readonly #server: () => Promise<WaitingClient>;
  readonly #key: string;
  readonly #keep: number;
  #asked: Asked[] = [];
  #asking = false;

  /** @param key of a record that lives `keep` ms: its expiry is what is written, since that is always a change */
  constructor(
    server: () => Promise<WaitingClient>,
    durability: ResolvedDurability,
    key: string,
    keep: number,
  ) {
    this.durability = durability;
    this.#server = server;
    this.#key = key;
    this.#keep = keep;
  }

  /**
   * Settles once the server has what `proof` is of, and the replicas have all that it had when this was called; rejects
   * with `Unconfirmed`.
   */
  confirm(proof: Proof): Promise<void> {
    const asked = { proof, ...Promise.withResolvers<void>() };
    this.#asked.push(asked);
    if (!this.#asking) {
      this.#asking = true;
      process.nextTick(() => void this.#rounds());
    }
    return asked.promise;
  }

  /** What is under way may have been written before what is asked about: that is for the next round. */
  async #rounds(): Promise<void> {
    while (this.#asked.length > 0) {
      const round = this.#asked.splice(0);
      try {
        const had = await this.#ask(round.map(({ proof }) => proof));
        for (const [at, { resolve, reject }] of round.entries()) {
          if (had[at] === true) resolve();
          else reject(new Unconfirmed('the server that has its place now does not have it'));
        }
      } catch (error) {
        for (const { reject } of round) reject(error);
      }
    }
    this.#asking = false;
  }

  /** Which of them the server has; rejects where the replicas do not have all that it has. */
  async #ask(proofs: readonly Proof[]): Promise<boolean[]> {
    const { replicas, timeout } = this.durability;
    const [written, had, answers] = await this.#answers(proofs);
    // A record that is gone was not written, and then `WAIT` says nothing.
    if (written !== 1) throw new Unconfirmed('the data of the namespace was lost');
    if (had < replicas) throw new Unconfirmed(`${had} of ${replicas} replicas had it within ${timeout} ms`);
    return proofs.map(({ shows }, at) => shows(answers[at]));
  }

  /** All in one order on one connection; one that is silent for too long is made anew. */
  async #answers(proofs: readonly Proof[]): Promise<[unknown, number, unknown[]]> {
    const { replicas, timeout } = this.durability;
    let server: WaitingClient | undefined;
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      const verdict = () => {
        reject(new Error(`no answer within ${timeout + SLACK} ms`));
        server?.disconnect(true);
      };
      // Where this loop itself stood still, what has arrived meanwhile is read in between.
      timer = setTimeout(() => {
        timer = setTimeout(verdict, SECOND_LOOK);
      }, timeout + SLACK);
    });
    try {
      const asked = this.#server().then((found) => {
        server = found;
        return Promise.all([
          found.pexpire(this.#key, this.#keep),
          Promise.all(proofs.map(({ command }) => found.call(...command))),
          found.wait(replicas, timeout),
        ]);
      });
      const [written, answers, had] = await Promise.race([asked, silent]);
      return [written, had, answers];
    } catch (error) {
      if (error instanceof Unconfirmed) throw error;
      throw new Unconfirmed(`the connection on which ${replicas} replicas were to confirm it broke`, error);
    } finally {
      clearTimeout(timer);
    }
  }
}
