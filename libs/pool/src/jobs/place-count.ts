/** How many jobs of a queue are run at once: as its hosts announce it, which is looked up now and then, for who asks. */
import { now } from '@heddle/primitives/internal';
import { ANNOUNCE_EVERY, liveHosts } from './fleet.ts';
import type { SessionParts } from './session-parts.ts';

export class PlaceCount {
  readonly #parts: SessionParts;
  readonly #queue: string;
  readonly #least: number;
  #count: number;
  #asked = Number.NEGATIVE_INFINITY;

  /** @param least What is given where there are fewer, or none is known yet. */
  constructor(parts: SessionParts, queue: string, least: number) {
    this.#parts = parts;
    this.#queue = queue;
    this.#least = least;
    this.#count = least;
  }

  /** As far as it is known; asked for once a while, it is known the next time. */
  get count(): number {
    if (now() - this.#asked > ANNOUNCE_EVERY && !this.#parts.closed()) this.#look();
    return this.#count;
  }

  #look(): void {
    this.#asked = now();
    liveHosts(this.#parts).then(
      (hosts) => {
        const ours = hosts.filter(({ queues }) => queues.includes(this.#queue));
        const places = ours.reduce((sum, host) => sum + host.threads * (host.concurrency ?? 1), 0); // an older host says none
        this.#count = Math.max(this.#least, places);
      },
      () => {}, // Redis is away: the next look asks again
    );
  }
}
