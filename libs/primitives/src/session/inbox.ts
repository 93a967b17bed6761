/**
 * The inbox of a session: one channel a partition, on which others' scripts say what was granted. What it says is a
 * hint; what is true stands in Redis, and is asked for again whenever messages may have been lost.
 */
import type { Cluster, Redis } from 'ioredis';
import type { Client } from './server.ts';

/** A message is its kind, a line feed, and what the kind's handler makes of the rest. */
export type InboxHandler = (message: string) => void;

/** Characters that a message may have, unless its handler takes more: those of our scripts carry a name and numbers. */
const LONGEST_MESSAGE = 4096;
/** Ms before another attempt to subscribe at the shards of a Cluster. */
const SUBSCRIBE_AGAIN = 100;
/** Ms between the suspicion that the connection is dead and the verdict. */
const SECOND_LOOK = 20;

export class Inbox {
  readonly #client: Client;
  readonly #channels: readonly string[];
  readonly #sharded: boolean;
  readonly #handlers = new Map<string, { readonly handle: InboxHandler; readonly longest: number }>();
  readonly #reconnected = new Set<() => void>();
  #dropped = 0;
  /** Subscriptions may be gone since they were made last. */
  #outdated = false;
  #resubscribing = false;
  #probe: NodeJS.Timeout | undefined;

  constructor(client: Client, channels: readonly string[], sharded: boolean) {
    this.#client = client;
    this.#channels = channels;
    this.#sharded = sharded;
    client.on(sharded ? 'smessage' : 'message', (_channel: string, message: string) =>
      this.#receive(message),
    );
    client.on('ready', () => void this.#resubscribe());
    // On a Cluster each shard has a connection of its own: one was lost, or a slot moved and with it its channels. What
    // is learned of slots then may be out of date; to subscribe finds that out, and learns again.
    if (sharded)
      for (const event of ['subscribersReady', 'refresh']) client.on(event, () => void this.#resubscribe());
  }

  /** Messages that were of no known kind, too long, or not of the form of their kind. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Subscribes; resolves once Redis has said so. */
  async open(): Promise<void> {
    await this.#subscribe();
  }

  /** Handles messages of one kind; gives back what ends that. A handler that throws drops its message. */
  on(kind: string, handle: InboxHandler, { longest = LONGEST_MESSAGE } = {}): () => void {
    this.#handlers.set(kind, { handle, longest });
    return () => this.#handlers.delete(kind);
  }

  /** Calls `fn` whenever messages may have been lost. */
  onReconnect(fn: () => void): () => void {
    this.#reconnected.add(fn);
    return () => this.#reconnected.delete(fn);
  }

  #subscribe(): Promise<unknown> {
    if (this.#sharded)
      return Promise.all(this.#channels.map((channel) => (this.#client as Cluster).ssubscribe(channel)));
    return (this.#client as Redis).subscribe(...this.#channels);
  }

  async #resubscribe(): Promise<void> {
    this.#outdated = true;
    if (this.#resubscribing) return;
    this.#resubscribing = true;
    while (this.#outdated) {
      this.#outdated = false;
      try {
        await this.#subscribe();
      } catch {
        // The connection went again, and the next `ready` comes back here; or a shard's did, of which no word may come.
        if (!this.#sharded || this.#client.status !== 'ready') continue;
        this.#outdated = true;
        await new Promise((resolve) => setTimeout(resolve, SUBSCRIBE_AGAIN).unref());
        continue;
      }
      for (const fn of [...this.#reconnected]) fn();
    }
    this.#resubscribing = false;
  }

  /** Sends a word along the subscriber: one that is cut off without knowing it finds out, and connects anew. */
  probe(silence: number): void {
    if (this.#sharded || this.#probe !== undefined || this.#client.status !== 'ready') return;
    // Where this loop itself stood still, the timer would come before what has arrived: it looks twice.
    const again = () => this.#client.disconnect(true);
    this.#probe = setTimeout(() => {
      this.#probe = setTimeout(again, SECOND_LOOK).unref();
    }, silence).unref();
    const heard = () => {
      clearTimeout(this.#probe);
      this.#probe = undefined;
    };
    (this.#client as Redis).ping().then(heard, heard);
  }

  #receive(message: string): void {
    const end = message.indexOf('\n');
    const handler = this.#handlers.get(end < 0 ? message : message.slice(0, end));
    if (handler === undefined || message.length > handler.longest) {
      this.#dropped += 1;
      return;
    }
    try {
      handler.handle(end < 0 ? '' : message.slice(end + 1));
    } catch {
      this.#dropped += 1;
    }
  }
}
