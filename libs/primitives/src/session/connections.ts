/**
 * The connections of one session to its server: one for commands, one for messages, one that asks replicas where grants
 * are to be confirmed, and those that others were given. Knows whether the server is there, and lets us in.
 */
import { RedisRefusedError } from '../errors.ts';
import {
  type Client,
  connectClient,
  connectionError,
  describe,
  type Limit,
  openClient,
  reach,
  refuseUnconfirming,
  type Target,
} from './server.ts';

/** Ms that is waited for a connection which is being made anew; attempts are at most so far apart. */
const RECONNECT = 1000;

/** Who is told. */
export interface ConnectionsHost {
  readonly closed: boolean;
  /** @param again whether `disconnected` was told before */
  connected(again: boolean): void;
  /** Told once, until it is connected again. */
  disconnected(): void;
  /** Redis is there and lets us in no more, as where a password was changed: told once, until it does. */
  refused(error: RedisRefusedError): void;
}

export class Connections {
  readonly target: Target;
  /** For commands. */
  readonly client: Client;
  /** For messages. */
  readonly subscriber: Client;
  /** For asking replicas. */
  readonly confirming: Client | undefined;
  readonly #ordinary: Client[] = [];
  #down = false;
  #denied: RedisRefusedError | undefined;

  /**
   * Connects, and looks whether the server can do what is asked of it. Rejects with what is wrong, leaving nothing behind.
   *
   * @param replicas how many are to confirm; left out: none
   */
  static async open(wanted: Target, replicas: number | undefined, patience: Limit): Promise<Connections> {
    const { client, target } = await reach(wanted, patience);
    let subscriber: Client | undefined;
    try {
      subscriber = await connectClient(target, 'subscriber', patience);
      if (replicas === undefined) return new Connections(target, client, subscriber, undefined);
      await refuseUnconfirming(client, describe(target), replicas, patience);
      const confirming = await connectClient(target, 'confirming', patience);
      return new Connections(target, client, subscriber, confirming);
    } catch (error) {
      client.disconnect();
      subscriber?.disconnect();
      throw connectionError(error, describe(target));
    }
  }

  private constructor(target: Target, client: Client, subscriber: Client, confirming: Client | undefined) {
    this.target = target;
    this.client = client;
    this.subscriber = subscriber;
    this.confirming = confirming;
  }

  /** Where Redis is, for messages. */
  get where(): string {
    return describe(this.target);
  }

  /** Whether commands can be sent at this moment. */
  get up(): boolean {
    return this.client.status === 'ready';
  }

  /** Why Redis does not let us in, where it says so. */
  get denied(): RedisRefusedError | undefined {
    return this.#denied;
  }

  /** From here on `host` is told. */
  tell(host: ConnectionsHost): void {
    this.client.on('ready', () => {
      const again = this.#down;
      this.#down = false;
      this.#denied = undefined;
      host.connected(again);
    });
    this.client.on('close', () => {
      if (host.closed || this.#down) return;
      this.#down = true;
      host.disconnected();
    });
    this.client.on('error', (error: unknown) => {
      if (host.closed || (error instanceof Error && error.message.startsWith('LOADING'))) return; // it will, soon
      const known = connectionError(error, this.where);
      if (this.#denied !== undefined || !(known instanceof RedisRefusedError)) return;
      this.#denied = known;
      host.refused(known);
    });
  }

  /** A client for other uses. */
  ordinary(): Client {
    const client = openClient(this.target, 'ordinary');
    client.on('error', () => {});
    this.#ordinary.push(client);
    return client;
  }

  /** Where the connection is just being made anew, it is waited for a little. */
  async comeUp(): Promise<void> {
    if (this.up) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, RECONNECT);
    this.client.once('ready', resolve);
    await promise;
    clearTimeout(timer);
    this.client.off('ready', resolve);
  }

  end(): void {
    for (const client of [this.client, this.subscriber, ...this.#ordinary]) client.disconnect();
    this.confirming?.disconnect();
  }
}
