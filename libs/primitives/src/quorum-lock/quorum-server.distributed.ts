/** One of the independent servers of quorum locks: a session of our own there, opened when it is first needed. */
import type { Cluster, Redis } from 'ioredis';
import { RedisRefusedError } from '../errors.ts';
import type { SessionCore } from '../session/core.ts';

/** Opens a session at a server, with the terms of the session whose locks these are. */
export type OpenCore = (redis: string | Redis | Cluster) => Promise<SessionCore>;

export class QuorumServer {
  readonly #open: () => Promise<SessionCore>;
  #opening: Promise<SessionCore> | undefined;
  #closed = false;
  /** Which run of a server it is, once known: two servers that are one are no two votes. */
  runId: string | undefined;
  /** By name of a lock: what it was asked and has not answered. */
  readonly #asked = new Map<string, Promise<unknown>>();

  constructor(open: () => Promise<SessionCore>) {
    this.#open = open;
  }

  /** The session there; rejects with why there is none, and tries anew the next time. */
  session(): Promise<SessionCore> {
    this.#opening ??= this.#enter().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  /** Asks for a lock there, once whatever was asked for it before is answered. */
  async ask<T>(name: string, question: () => Promise<T>): Promise<T> {
    for (let before = this.#asked.get(name); before; before = this.#asked.get(name))
      await before.catch(() => {});
    const answer = question().finally(() => this.#asked.delete(name));
    this.#asked.set(name, answer);
    return answer;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const core = await this.#opening?.catch(() => undefined);
    await core?.close();
  }

  async #enter(): Promise<SessionCore> {
    const core = await this.#open();
    try {
      if (this.#closed) throw new Error('closed meanwhile');
      if (core.target.mode === 'cluster')
        throw new RedisRefusedError(`${core.where} is a Cluster; a quorum is of independent single servers`);
      this.runId = /run_id:(\w+)/.exec(await core.client.info('server'))?.[1];
      return core;
    } catch (error) {
      await core.close();
      throw error;
    }
  }
}

const servers = new WeakMap<SessionCore, Map<unknown, QuorumServer>>();

/** The servers of a session's quorum locks: one session each, however many locks; closed with the session. */
export function quorumServers(
  core: SessionCore,
  redises: readonly (string | Redis | Cluster)[],
  open: OpenCore,
): QuorumServer[] {
  let known = servers.get(core);
  if (known === undefined) {
    const made = new Map<unknown, QuorumServer>();
    known = made;
    servers.set(core, made);
    core.closeWith(async () => void (await Promise.all([...made.values()].map((server) => server.close()))));
  }
  const all = known;
  return redises.map((redis) => {
    const server = all.get(redis) ?? new QuorumServer(() => open(redis));
    all.set(redis, server);
    return server;
  });
}
